package call

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"connectrpc.com/connect/v2"

	"trama/platform/discovery"
	"trama/platform/fault"
	"trama/platform/telemetry"
)

// bare hides the values of a context and keeps its deadline and cancellation.
type bare struct{ context.Context }

func (bare) Value(any) any { return nil }

// serverInterceptor stands in front of a service's procedures.
func serverInterceptor(rec *telemetry.Recorder) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) (err error) {
			if err := ctx.Err(); err != nil {
				return encode(err)
			}
			parent := ""
			if info, ok := connect.CallInfoForServerContext(ctx); ok {
				parent = info.RequestHeader().Get("traceparent")
			}
			callee := telemetry.WithTraceParent(bare{ctx}, parent)
			callee, span := begin(callee, rec, telemetry.Server, spec)
			if span == nil {
				callee = telemetry.Start(callee)
			}
			defer func() {
				if r := recover(); r != nil {
					err = panicError(spec.Procedure, r)
				}
				span.Finish(err)
				err = encode(err)
			}()
			return next(callee, spec, stream)
		}
	}
}

func (n *Network) clientInterceptor(next connect.ClientFunc) connect.ClientFunc {
	return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
		ctx, span := begin(ctx, n.telemetry, telemetry.Client, spec)
		if info, ok := connect.CallInfoForClientContext(ctx); ok {
			if tp := telemetry.TraceParent(ctx); tp != "" {
				info.RequestHeader().Set("traceparent", tp)
			}
		}
		s, err := next(ctx, spec)
		if err != nil {
			err = decode(ctx, err)
			span.Finish(err)
			return nil, err
		}
		return &clientStream{ClientStream: s, ctx: ctx, network: n, span: span}, nil
	}
}

// begin begins the span of one side of a call.
func begin(ctx context.Context, rec *telemetry.Recorder, kind telemetry.Kind, spec connect.Spec) (context.Context, *telemetry.Span) {
	return rec.Span(ctx, kind, strings.TrimPrefix(spec.Procedure, "/"))
}

// forget tells the resolver that what it gave could not be reached.
func (n *Network) forget(err error) error {
	if err != nil && !errors.Is(err, io.EOF) && fault.KindOf(err) == fault.Unavailable {
		discovery.Invalidate(n.resolver)
	}
	return err
}

// clientStream turns what arrives from the other side into faults.
type clientStream struct {
	connect.ClientStream
	ctx     context.Context
	network *Network
	span    *telemetry.Span

	mu     sync.Mutex
	failed error // the first one
}

func (s *clientStream) Send(msg any) error { return s.decode(s.ClientStream.Send(msg)) }

func (s *clientStream) Receive(msg any) error { return s.decode(s.ClientStream.Receive(msg)) }

func (s *clientStream) CloseSend() error { return s.decode(s.ClientStream.CloseSend()) }

// Close ends the call.
func (s *clientStream) Close() error {
	err := s.ClientStream.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.span.Finish(s.failed)
	return err
}

func (s *clientStream) decode(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	err = s.network.forget(decode(s.ctx, err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
	return err
}
