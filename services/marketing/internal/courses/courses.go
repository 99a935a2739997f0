// Package courses asks academics about courses, wherever it runs.
package courses

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
)

// patience is how long an answer is waited for; nobody's registration hangs on it.
const patience = time.Second

// Client is app.Courses over academics' internal calls.
type Client struct {
	rpc academicsv1connect.CourseServiceClient
}

// New makes the client.
func New(c *connect.Client) *Client {
	return &Client{rpc: academicsv1connect.NewCourseServiceClient(c)}
}

// Course gives a course's title and whether it is sold.
func (c *Client) Course(ctx context.Context, id string) (title string, active bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := c.rpc.GetCourse(ctx, &academicsv1.GetCourseRequest{Id: id})
	if err != nil {
		return "", false, err
	}
	return got.GetTitle(), got.GetActive(), nil
}
