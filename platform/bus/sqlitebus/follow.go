package sqlitebus

import (
	"context"
	"database/sql"
	"time"
)

// How often the follower looks, see the package comment.
const (
	idleAfter  = time.Second
	idleFactor = 5

	asleepAfter  = 5 * time.Second
	asleepFactor = 20
)

// follower notices what other processes commit. There is one per Bus, whatever
// the number of subscriptions.
type follower struct {
	b       *Bus
	db      *sql.DB
	changed *sql.Stmt
	head    *sql.Stmt
}

func newFollower(b *Bus, path string) (*follower, error) {
	// data_version speaks of what changed since the same connection last asked.
	db, err := sql.Open("sqlite", dsn(path, 1000)+"&_pragma=query_only(1)&_pragma=cache_size(-64)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	f := &follower{b: b, db: db}
	if f.changed, err = db.Prepare("PRAGMA data_version"); err == nil {
		f.head, err = db.Prepare(sqlHead)
	}
	if err != nil {
		_ = f.close()
		return nil, err
	}
	return f, nil
}

func (f *follower) close() error { return f.db.Close() }

func (f *follower) run() {
	var version int64
	var quiet time.Duration
	failing := false
	for {
		pause := f.pause(quiet)
		if f.b.clock.Wait(f.b.life, pause) != nil {
			return
		}
		quiet += pause
		seen, err := f.look(version)
		if err != nil {
			if !failing {
				f.b.log.Error("event bus: cannot look for events of other processes; will go on trying", "error", err)
			}
			failing, version = true, -1 // a new connection counts anew
			continue
		}
		failing = false
		if seen != version {
			version, quiet = seen, 0
		}
	}
}

// pause gives the time until the next look. Looking costs 10 us; what costs is
// that a Go process wakes up at all (about 170 us here).
func (f *follower) pause(quiet time.Duration) time.Duration {
	every := f.b.opt.PollInterval
	switch {
	case quiet > asleepAfter:
		return asleepFactor * every
	case quiet > idleAfter:
		return idleFactor * every
	}
	return every
}

// look gives SQLite's change counter, after telling the tail of what is new.
func (f *follower) look(last int64) (int64, error) {
	var now, head int64
	if err := f.changed.QueryRowContext(context.Background()).Scan(&now); err != nil || now == last {
		return now, err
	}
	if err := f.head.QueryRowContext(context.Background()).Scan(&head); err != nil {
		return 0, err
	}
	f.b.tail.announce(head)
	return now, nil
}
