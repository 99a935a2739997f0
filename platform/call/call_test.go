package call_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/platform/call"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

type courses func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error)

func (f courses) GetCourse(ctx context.Context, r *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
	return f(ctx, r)
}

type static map[string][]string

func (s static) Resolve(_ context.Context, service string) ([]string, error) { return s[service], nil }

// both runs a test against a service in the same process and over loopback: the
// promise is that nobody can tell the difference.
func both(t *testing.T, impl courses, test func(t *testing.T, c academicsv1connect.CourseServiceClient)) {
	register := func(s *connect.Server) { academicsv1connect.RegisterCourseServiceHandler(s, impl) }
	t.Run("in process", func(t *testing.T) {
		n := call.New(static{})
		n.Serve("academics", register)
		test(t, academicsv1connect.NewCourseServiceClient(n.Client("academics")))
	})
	t.Run("over loopback", func(t *testing.T) {
		server := call.New(static{})
		server.Serve("academics", register)
		mux := http.NewServeMux()
		mux.Handle(call.Prefix+"/", server.Handler())
		web := httptest.NewServer(mux)
		defer web.Close()
		n := call.New(static{"academics": {web.URL}})
		defer n.Close()
		test(t, academicsv1connect.NewCourseServiceClient(n.Client("academics")))
	})
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAnswerAndTraceArriveAndContextValuesDoNot(t *testing.T) {
	type key struct{}
	impl := func(ctx context.Context, r *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
		if ctx.Value(key{}) != nil {
			return nil, errors.New("a context value crossed the wall")
		}
		return &academicsv1.GetCourseResponse{Id: r.GetId(), Title: telemetry.TraceID(ctx), PriceCents: 129900, Active: true}, nil
	}
	both(t, impl, func(t *testing.T, c academicsv1connect.CourseServiceClient) {
		ctx := telemetry.Start(context.WithValue(deadline(t), key{}, "secret"))
		got, err := c.GetCourse(ctx, &academicsv1.GetCourseRequest{Id: "a"})
		if err != nil {
			t.Fatal(err)
		}
		if got.GetId() != "a" || got.GetPriceCents() != 129900 {
			t.Errorf("got %v", got)
		}
		if want := telemetry.TraceID(ctx); got.GetTitle() != want || want == "" {
			t.Errorf("trace at the callee %q, at the caller %q", got.GetTitle(), want)
		}
	})
}

func TestFaultsKeepKindAndCodeAndLoseTheCause(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Timeout; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			want := fault.New(kind, "um-codigo", fault.Text{PT: "pt", EN: "en: with a colon"}).Wrap(errors.New("SELECT secret"))
			impl := func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
				return nil, want
			}
			both(t, impl, func(t *testing.T, c academicsv1connect.CourseServiceClient) {
				_, err := c.GetCourse(deadline(t), &academicsv1.GetCourseRequest{})
				var got *fault.Error
				if !errors.As(err, &got) {
					t.Fatalf("not a fault: %v", err)
				}
				if !errors.Is(err, fault.New(kind, "um-codigo", fault.Text{})) || got.Text.EN != "en: with a colon" || got.Unwrap() != nil {
					t.Errorf("got %#v", got)
				}
			})
		})
	}
}

func TestPanicIsInternalAndTheServerLivesOn(t *testing.T) {
	calls := 0
	impl := func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
		if calls++; calls%2 == 1 {
			panic("boom")
		}
		return &academicsv1.GetCourseResponse{}, nil
	}
	both(t, impl, func(t *testing.T, c academicsv1connect.CourseServiceClient) {
		if _, err := c.GetCourse(deadline(t), &academicsv1.GetCourseRequest{}); fault.KindOf(err) != fault.Internal {
			t.Errorf("got %v", err)
		}
		if _, err := c.GetCourse(deadline(t), &academicsv1.GetCourseRequest{}); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadlinePassedIsTimeout(t *testing.T) {
	impl := func(ctx context.Context, _ *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	both(t, impl, func(t *testing.T, c academicsv1connect.CourseServiceClient) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := c.GetCourse(ctx, &academicsv1.GetCourseRequest{}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoDeadlineIsABugOfOurs(t *testing.T) {
	impl := func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
		return &academicsv1.GetCourseResponse{}, nil
	}
	both(t, impl, func(t *testing.T, c academicsv1connect.CourseServiceClient) {
		if _, err := c.GetCourse(context.Background(), &academicsv1.GetCourseRequest{}); fault.KindOf(err) != fault.Internal {
			t.Errorf("got %v", err)
		}
	})
}

func TestServiceThatRunsNowhereIsUnavailable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, resolver := range map[string]static{"unknown": {}, "dead": {"academics": {gone.URL}}} {
		t.Run(name, func(t *testing.T) {
			c := academicsv1connect.NewCourseServiceClient(call.New(resolver).Client("academics"))
			if _, err := c.GetCourse(deadline(t), &academicsv1.GetCourseRequest{}); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	register := func(s *connect.Server) {
		academicsv1connect.RegisterCourseServiceHandler(s, courses(func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
			return &academicsv1.GetCourseResponse{Id: "a", Title: "Curso", PriceCents: 1, Active: true}, nil
		}))
	}
	server := call.New(static{})
	server.Serve("academics", register)
	mux := http.NewServeMux()
	mux.Handle(call.Prefix+"/", server.Handler())
	web := httptest.NewServer(mux)
	defer web.Close()
	for name, n := range map[string]*call.Network{"in-process": server, "loopback": call.New(static{"academics": {web.URL}})} {
		b.Run(name, func(b *testing.B) {
			c := academicsv1connect.NewCourseServiceClient(n.Client("academics"))
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			defer cancel()
			for b.Loop() {
				if _, err := c.GetCourse(ctx, &academicsv1.GetCourseRequest{Id: "a"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
