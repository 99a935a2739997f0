package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// leaveTime is how long a process serves on after it left the registry.
	leaveTime = 150 * time.Millisecond
	// lastChance is what a step of Stop gets when the deadline has passed already,
	// so that an error names the step that hung and not those behind it.
	lastChance = 200 * time.Millisecond
)

// Stop ends everything in order; a start under way is ended first. It is
// idempotent. The error names what did not end before ctx did.
func (h *Host) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopping = true
	if h.cancel != nil {
		h.cancel() // harmless when the start is over
	}
	h.mu.Unlock()
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
		return h.release(ctx)
	case <-ctx.Done():
		return &told{text: "the start did not end in time", cause: ctx.Err()}
	}
}

// release stops whatever had started. h.turn is held.
func (h *Host) release(ctx context.Context) error {
	var errs []error
	step := func(name string, f func(context.Context) error) {
		mine, cancel := atLeast(ctx, lastChance)
		defer cancel()
		err := f(mine)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			errs = append(errs, &told{text: name + " did not end in time", cause: err})
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	for _, withdraw := range h.announce {
		step("discovery", func(context.Context) error { return withdraw() })
	}
	if h.gateway != nil {
		h.gateway.Drain()
	}
	if len(h.announce) > 0 && h.internal != nil { // those who read the registry a moment ago still come here
		_ = h.Clock.Wait(ctx, leaveTime)
	}
	h.announce = nil
	step("gateway", h.public.shutdown)
	step("consumers", h.drainConsumers)
	step("loops", waitFor(h.stopLoops, &h.loops))
	step("internal server", h.internal.shutdown)
	step("metrics", h.metrics.shutdown)
	step("outboxes", waitFor(h.stopRelay, &h.relays))
	if h.bus != nil {
		step("bus", func(context.Context) error { return h.bus.Close() })
		h.bus = nil
	}
	for name, s := range h.stores {
		step("store of "+name, func(context.Context) error { return s.close() })
	}
	h.stores = map[string]*openStore{}
	if h.gateway != nil {
		h.gateway.Close()
	}
	if h.siteCalls != nil {
		h.siteCalls.CloseIdleConnections()
	}
	if h.network != nil {
		h.network.Close()
	}
	if h.telemetry != nil {
		step("telemetry", h.telemetry.Close)
		h.telemetry = nil
	}
	return errors.Join(errs...)
}

// atLeast gives ctx, or a context that lives for d when less is left of ctx.
func atLeast(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if ctx.Err() == nil && (!ok || time.Until(deadline) >= d) { // the context's own clock
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}

func (h *Host) drainConsumers(ctx context.Context) error {
	consumers := h.consumers
	h.consumers = nil
	var g errgroup.Group
	for _, c := range consumers {
		g.Go(func() error { return c.Drain(ctx) })
	}
	return g.Wait()
}

// waitFor ends goroutines by cancel and waits for them at most as long as ctx.
func waitFor(cancel context.CancelFunc, wg *sync.WaitGroup) func(context.Context) error {
	return func(ctx context.Context) error {
		if cancel == nil {
			return nil
		}
		cancel()
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// web is one HTTP server of the process.
type web struct {
	listener net.Listener
	server   *http.Server
}

// run serves until shutdown.
func (w *web) run(log *slog.Logger) {
	go func() {
		if err := w.server.Serve(w.listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("server ended", "address", w.listener.Addr().String(), "error", err)
		}
	}()
}

// shutdown stops accepting and waits for requests under way.
func (w *web) shutdown(ctx context.Context) error {
	if w == nil {
		return nil
	}
	if w.server == nil {
		if err := w.listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
	if err := w.server.Shutdown(ctx); err != nil {
		_ = w.server.Close()
		return err
	}
	return nil
}

// Reachable turns a listening address into one that can be dialled.
func Reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// hostOf gives host and port of a base URL.
func hostOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Host
}
