package call_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/platform/call"
	"trama/platform/fault"
	"trama/platform/httpx"
	"trama/platform/telemetry"
)

func recorder(t *testing.T, process string) *telemetry.Recorder {
	t.Helper()
	r, err := telemetry.Open(telemetry.Options{Instance: process})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// TestOneTraceOverTwoProcesses is a request to payments that calls academics in
// another process: server, client, server, one below the other.
func TestOneTraceOverTwoProcesses(t *testing.T) {
	first, second := recorder(t, "first"), recorder(t, "second")
	failure := error(nil)
	impl := courses(func(context.Context, *academicsv1.GetCourseRequest) (*academicsv1.GetCourseResponse, error) {
		return &academicsv1.GetCourseResponse{}, failure
	})
	server := call.New(static{}, call.WithTelemetry(second))
	server.Serve("academics", func(s *connect.Server) { academicsv1connect.RegisterCourseServiceHandler(s, impl) })
	mux := http.NewServeMux()
	mux.Handle(call.Prefix+"/", server.Handler())
	web := httptest.NewServer(mux)
	defer web.Close()
	n := call.New(static{"academics": {web.URL}}, call.WithTelemetry(first))
	defer n.Close()
	client := academicsv1connect.NewCourseServiceClient(n.Client("academics"))
	handler := httpx.Service(slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := client.GetCourse(r.Context(), &academicsv1.GetCourseRequest{}); err != nil {
			httpx.WriteProblem(w, r, err)
		}
	}), httpx.WithTelemetry(first.For("payments"), nil))

	for _, c := range []struct {
		failure error
		failed  bool
		code    string
	}{
		{nil, false, ""},
		{fault.New(fault.NotFound, "curso-inexistente", fault.Text{}), false, "curso-inexistente"},
		{fault.New(fault.Unavailable, "fora", fault.Text{}), true, "fora"},
	} {
		failure = c.failure
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(deadline(t), "GET", "/v1/x", nil))
		id := w.Header().Get("Traceresponse")[3:35]
		spans, err := telemetry.Gather(id, func(id string) ([]telemetry.SpanRecord, error) {
			return append(first.Trace(id), second.Trace(id)...), nil
		})
		if err != nil || len(spans) != 3 {
			t.Fatalf("%v: %+v", err, spans)
		}
		above := ""
		for i, want := range []string{"payments server first GET /v1/x", "payments client first ", "academics server second "} {
			s := spans[i]
			if got := strings.Join([]string{s.Service, s.Kind, s.Process, s.Name}, " "); !strings.HasPrefix(got, want) || s.ParentID != above {
				t.Errorf("span %d is %q below %q; want %q below %q", i, got, s.ParentID, want, above)
			}
			if i > 0 && (!strings.HasSuffix(s.Name, "CourseService/GetCourse") || s.Failed != c.failed || s.Attributes["fault"] != c.code) {
				t.Errorf("after %v: %+v", c.failure, s)
			}
			above = s.SpanID
		}
	}
}

func TestACallThatFindsNobodyIsASpanThatFailed(t *testing.T) {
	rec := recorder(t, "p")
	c := academicsv1connect.NewCourseServiceClient(call.New(static{}, call.WithTelemetry(rec)).Client("academics"))
	ctx, _ := rec.Span(deadline(t), telemetry.Internal, "above")
	if _, err := c.GetCourse(ctx, &academicsv1.GetCourseRequest{}); fault.KindOf(err) != fault.Unavailable {
		t.Fatal(err)
	}
	if spans := rec.Trace(telemetry.TraceID(ctx)); len(spans) != 1 || !spans[0].Failed || spans[0].Attributes["fault"] != "servico-indisponivel" {
		t.Errorf("recorded %+v", spans)
	}
}
