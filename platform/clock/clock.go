// Package clock owns time: nobody else in Trama calls time.Now, time.Sleep or
// time.After for something that a test must be able to steer.
//
// System is the machine's clock (and, inside a testing/synctest bubble, the
// bubble's). Shifted is a clock that tests move by hand.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// Clock tells the time and waits. It is safe for concurrent use. Now is in UTC
// with millisecond precision, which is what every store keeps.
type Clock interface {
	Now() time.Time
	// Wait returns nil after d, or the context's error if it ends before.
	Wait(ctx context.Context, d time.Duration) error
}

// System is the clock of the machine.
type System struct{}

// Now gives the time in UTC, cut to milliseconds.
func (System) Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// Wait waits for d.
func (System) Wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shifted is the machine's clock plus an offset that Jump moves, so that a test
// can make days pass. The zero value has no offset.
type Shifted struct {
	System
	offset atomic.Int64
}

// Now gives the shifted time.
func (s *Shifted) Now() time.Time {
	return s.System.Now().Add(time.Duration(s.offset.Load()))
}

// Jump moves the clock by d, forwards or backwards. Waits under way keep their length.
func (s *Shifted) Jump(d time.Duration) { s.offset.Add(int64(d)) }
