package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// place is one event's place in the log. Stored is when the server stored it: the
// log made anew counts the same numbers again, but not at the same times.
type place struct {
	Seq    uint64    `json:"sequence"`
	Stored time.Time `json:"stored"`
}

// spread bounds how far a subscription may run ahead of its oldest event in hand:
// what a crash would repeat, and what the progress remembers.
const spread = 10_000

// progress knows what of a term's events is done. Events are added in log order.
type progress struct {
	mu   sync.Mutex
	seen place // the latest event looked at
	low  place // everything up to here is done
	open []openEvent
	room chan struct{} // receives a value when there is room again
}

type openEvent struct {
	place
	done bool
}

func newProgress(from place) *progress {
	return &progress{seen: from, low: from, room: make(chan struct{}, 1)}
}

// see notes an event that was looked at: one to be done, or one to be skipped.
func (p *progress) see(at place, skip bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = at
	if !skip {
		p.open = append(p.open, openEvent{place: at})
	} else if len(p.open) == 0 {
		p.low = at
	}
}

func (p *progress) done(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.open), func(i int) bool { return p.open[i].Seq >= seq })
	if i == len(p.open) || p.open[i].Seq != seq {
		return
	}
	p.open[i].done = true
	n := 0
	for n < len(p.open) && p.open[n].done {
		p.low = p.open[n].place
		n++
	}
	if p.open = p.open[n:]; len(p.open) == 0 {
		p.low, p.open = p.seen, nil
	}
	if n > 0 {
		select {
		case p.room <- struct{}{}:
		default: // one is already waiting to be seen
		}
	}
}

func (p *progress) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) >= spread
}

func (p *progress) mark() place {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.low
}

// cursorKey is a subscription's key in the bucket, where a dot separates tokens
// that must not be empty. Names have no such sign.
func cursorKey(subscription string) string { return strings.ReplaceAll(subscription, ".", "/") }

// loadCursor gives a subscription's cursor; the zero place when there is none.
func loadCursor(ctx context.Context, p *places, subscription string) (place, error) {
	entry, err := p.cursors.Get(ctx, cursorKey(subscription))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return place{}, nil
	}
	if err != nil {
		return place{}, err
	}
	var at place
	if err := json.Unmarshal(entry.Value(), &at); err != nil {
		return place{}, fmt.Errorf("cursor of %s: %w", subscription, err)
	}
	return at, nil
}

func saveCursor(ctx context.Context, p *places, subscription string, at place) error {
	value, err := json.Marshal(at)
	if err == nil {
		_, err = p.cursors.Put(ctx, cursorKey(subscription), value)
	}
	return err
}

// belongs says whether the log still has the event that the cursor stands at.
func belongs(ctx context.Context, p *places, at place) (bool, error) {
	if at.Seq == 0 {
		return true, nil
	}
	info, err := p.stream.Info(ctx)
	if err != nil {
		return false, err
	}
	if at.Seq > info.State.LastSeq {
		return false, nil
	}
	m, err := p.stream.GetMsg(ctx, at.Seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil // an operator removed it
	}
	if err != nil {
		return false, err
	}
	return m.Time.Equal(at.Stored), nil
}
