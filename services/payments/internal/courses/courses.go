// Package courses asks academics for what a course costs, by
// contracts/rpc/academics/v1, and gives every call its deadline.
package courses

import (
	"context"
	"time"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/platform/money"
	"trama/services/payments/internal/app"
)

// Client implements app.Courses.
type Client struct {
	RPC     academicsv1connect.CourseServiceClient
	Timeout time.Duration // the payer waits for it
}

// Course gives one course.
func (c *Client) Course(ctx context.Context, id string) (app.Course, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	res, err := c.RPC.GetCourse(ctx, &academicsv1.GetCourseRequest{Id: id})
	if err != nil {
		return app.Course{}, err
	}
	return app.Course{ID: res.GetId(), Title: res.GetTitle(), Price: money.Cents(res.GetPriceCents()), Active: res.GetActive()}, nil
}
