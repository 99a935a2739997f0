// Package rpc answers other services' calls to academics: the interface
// generated from contracts/rpc/academics on one side, the use cases on the other.
package rpc

import (
	"context"

	"connectrpc.com/connect/v2"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/services/academics/internal/app"
)

// Register makes the calls available on a server.
func Register(d app.Deps) func(*connect.Server) {
	return func(s *connect.Server) {
		academicsv1connect.RegisterCourseServiceHandler(s, courses{&app.Courses{Deps: d}})
	}
}

type courses struct{ app *app.Courses }

// GetCourse gives what a course costs now. Payments asks for every payment, so
// it is one indexed read and nothing is remembered: a price changed in another
// process counts at once.
func (c courses) GetCourse(ctx context.Context, r *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
	o, err := c.app.Offer(ctx, r.GetId())
	if err != nil {
		return nil, err
	}
	return &academicsv1.GetCourseResponse{Id: o.ID, Title: o.Title, PriceCents: int64(o.Price), Active: o.Active}, nil
}
