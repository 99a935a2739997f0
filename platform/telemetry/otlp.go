package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector sends spans as OTLP over HTTP. It is ours because the exporter's own
// HTTP client links all of gRPC into the program: six megabytes for one POST.
type collector struct {
	url    *url.URL
	client *http.Client
	log    *slog.Logger
	down   atomic.Bool // told already
}

func newExporter(base string, log *slog.Logger) (sdktrace.SpanExporter, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the address of the OTLP collector must be like http://127.0.0.1:4318")
	}
	c := &collector{
		url: u.JoinPath("v1", "traces"), log: log,
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{IdleConnTimeout: 90 * time.Second}},
	}
	return otlptrace.New(context.Background(), c)
}

// Start implements otlptrace.Client.
func (c *collector) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *collector) Stop(context.Context) error {
	c.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. What cannot be sent is lost, and the
// log is told when that begins and when it ends: traces must never hold up work.
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	err := c.post(ctx, spans)
	switch {
	case err != nil && !c.down.Swap(true):
		c.log.Warn("telemetry: spans cannot be sent and are lost", "collector", c.url.Redacted(), "error", err)
	case err == nil && c.down.Swap(false):
		c.log.Info("telemetry: spans are sent again", "collector", c.url.Redacted())
	}
	return nil
}

func (c *collector) post(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans}) // on the wire the same as the service's request
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s", res.Status)
	}
	return nil
}
