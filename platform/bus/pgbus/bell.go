package pgbus

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// relisten is the pause before a broken listening connection is made anew.
const relisten = 500 * time.Millisecond

// bell tells the readers of this process that the log has grown: on the server's
// notifications, and after a look at the log's end every Poll for what those
// missed. It starts with the first reader.
type bell struct {
	bus  *Bus
	once sync.Once

	mu      sync.Mutex
	watches map[*watch]struct{}
}

// watch is one reader's interest.
type watch struct {
	types []string // none: all
	wake  chan struct{}
}

func (b *Bus) watch(types []string) (*watch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	w := &watch{types: types, wake: make(chan struct{}, 1)}
	b.bell.mu.Lock()
	b.bell.watches[w] = struct{}{}
	b.bell.mu.Unlock()
	b.bell.once.Do(func() {
		b.work.Go(b.bell.listen)
		b.work.Go(b.bell.poll)
	})
	return w, nil
}

func (l *bell) leave(w *watch) {
	l.mu.Lock()
	delete(l.watches, w)
	l.mu.Unlock()
}

// ring wakes the readers of any of the types, separated by spaces; all of them
// when it is empty.
func (l *bell) ring(types string) {
	added := strings.Fields(types)
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.watches {
		if len(added) == 0 || len(w.types) == 0 || slices.ContainsFunc(added, func(t string) bool { return slices.Contains(w.types, t) }) {
			signal(w.wake)
		}
	}
}

func (l *bell) listen() {
	life, failing := l.bus.life, false
	for life.Err() == nil {
		err := l.session(func() {
			if failing {
				l.bus.log.Info("event bus: listening to the server again")
			}
			failing = false
		})
		if life.Err() != nil {
			return
		}
		if !failing {
			l.bus.log.Warn("event bus: not listening to the server; will go on trying, and events come later", "error", err)
		}
		failing = true
		if l.bus.clock.Wait(life, relisten) != nil {
			return
		}
	}
}

// session listens until the connection breaks.
func (l *bell) session(begun func()) error {
	life := l.bus.life
	conn, err := pgx.ConnectConfig(life, l.bus.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(life, "LISTEN "+pgx.Identifier{l.bus.opt.Schema}.Sanitize()); err != nil {
		return err
	}
	begun()
	l.ring("") // whatever came before
	for {
		n, err := conn.WaitForNotification(life)
		if err != nil {
			return err
		}
		l.ring(n.Payload)
	}
}

func (l *bell) poll() {
	b := l.bus
	var last int64
	for b.clock.Wait(b.life, b.opt.Poll) == nil {
		var head int64
		if b.prepare(b.life) != nil || b.pool.QueryRow(b.life, sqlHead).Scan(&head) != nil {
			continue // the readers say what is wrong
		}
		if head != last {
			l.ring("")
		}
		last = head
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // whoever listens is about to look anyway
	}
}
