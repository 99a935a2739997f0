package simulation

import (
	"context"
	"database/sql"
	"errors"

	"connectrpc.com/connect/v2"

	"trama/platform/bus"
	"trama/platform/store"
)

var (
	errDead   = errors.New("simulation: this process is dead")
	errOutage = errors.New("simulation: out of order for a while")
)

// faultyStore is a service's store that dies with its process and has outages.
type faultyStore struct {
	store.DB
	inc  *incarnation
	name string // "store:payments"
}

var _ interface {
	OpenSQL(context.Context) (*sql.DB, error)
} = faultyStore{}

// OpenSQL gives migrations their handle.
func (s faultyStore) OpenSQL(ctx context.Context) (*sql.DB, error) {
	return s.DB.(interface {
		OpenSQL(context.Context) (*sql.DB, error)
	}).OpenSQL(ctx)
}

func (s faultyStore) broken() (err error, after bool) {
	if s.inc.dead.Load() {
		return store.Unavailable(errDead), false
	}
	down, after := s.inc.w.down(s.name)
	if down {
		s.inc.w.happened("operations of stores refused or not answered")
		return store.Unavailable(errOutage), after
	}
	return nil, false
}

func (s faultyStore) Query(ctx context.Context, q string, args ...any) (store.Rows, error) {
	if err, _ := s.broken(); err != nil {
		return nil, err
	}
	return s.DB.Query(ctx, q, args...)
}

func (s faultyStore) QueryRow(ctx context.Context, q string, args ...any) store.Row {
	if err, _ := s.broken(); err != nil {
		return failedRow{err}
	}
	return s.DB.QueryRow(ctx, q, args...)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

func (s faultyStore) Lease(ctx context.Context, name string) (store.Lease, error) {
	if err, _ := s.broken(); err != nil {
		return nil, err
	}
	return s.DB.Lease(ctx, name)
}

func (s faultyStore) Ping(ctx context.Context) error {
	if err, _ := s.broken(); err != nil {
		return err
	}
	return s.DB.Ping(ctx)
}

// Update commits nothing for a dead process. In an outage of the second kind it
// commits and does not say so.
func (s faultyStore) Update(ctx context.Context, fn func(tx store.Tx) error) error {
	err, after := s.broken()
	if err != nil && !after {
		return err
	}
	if told := s.DB.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if s.inc.dead.Load() {
			return store.Unavailable(errDead)
		}
		return nil
	}); told != nil {
		return told
	}
	if after {
		return store.Uncertain(errOutage)
	}
	return nil
}

// faultyCalls are the calls to one service, as faultyStore is a store.
type faultyCalls struct {
	inner *connect.Client
	inc   *incarnation
	name  string // "call:academics"
}

// NewClientStream implements connect.Transport.
func (c faultyCalls) NewClientStream(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
	if c.inc.dead.Load() {
		return nil, bus.ErrUnavailable.Wrap(errDead)
	}
	down, after := c.inc.w.down(c.name)
	if down {
		c.inc.w.happened("calls refused or not answered")
	}
	if down && !after {
		return nil, bus.ErrUnavailable.Wrap(errOutage)
	}
	s, err := c.inner.CallClientStream(ctx, spec)
	if err != nil || !down {
		return s, err
	}
	return mute{s}, nil
}

// mute loses the answer of a call that was executed.
type mute struct{ connect.ClientStream }

func (m mute) Receive(msg any) error {
	if err := m.ClientStream.Receive(msg); err != nil {
		return err
	}
	return bus.ErrUnavailable.Wrap(errOutage)
}
