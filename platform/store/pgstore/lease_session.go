package pgstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	leasePing    = 5 * time.Second // the session is asked this often whether it lives
	leaseTimeout = 5 * time.Second // and has so long to answer
)

// The statements of leases. The schema is part of the name: in a shared database
// every service has its own.
const (
	lockName = `(hashtextextended(coalesce(current_schema(), '') || '/' || $1, 0))`
	tryLock  = `SELECT pg_try_advisory_lock` + lockName
	unlock   = `SELECT pg_advisory_unlock` + lockName
)

// leaseSetup: the session may be idle, and a server that lost its client must
// notice within half a minute, not after two hours.
const leaseSetup = `SET statement_timeout = 0; SET idle_session_timeout = 0;
	SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3`

var errSessionLost = errors.New("the session of the leases was lost")

// session is the connection that holds all leases of a DB. Its goroutine alone
// uses the connection; it listens when there is nothing to do, so that the
// connection's end is noticed at once, and asks from time to time, so that
// silence is noticed too.
type session struct {
	conn *pgx.Conn
	life context.Context // ends when nobody needs the session, or with Close
	stop context.CancelFunc
	dead chan struct{} // closed at the end

	users int // of Lease calls and held leases; DB.leasing.mu guards it

	mu        sync.Mutex
	jobs      []*job
	interrupt context.CancelFunc // ends the listening
	held      map[*lease]struct{}
	over      bool
}

// job is one statement with a boolean answer.
type job struct {
	sql, name string
	done      chan struct{} // closed when ok and err are known
	ok        bool
	err       error
}

// join gives the session, connecting when there is none. Each join needs a leave.
func (d *DB) join(ctx context.Context) (*session, error) {
	n := &d.leasing
	for {
		n.mu.Lock()
		if s := n.session; s != nil {
			s.users++
			n.mu.Unlock()
			return s, nil
		}
		others := n.connecting
		if others == nil {
			n.connecting = make(chan struct{})
			n.mu.Unlock()
			return d.connectSession(ctx)
		}
		n.mu.Unlock()
		select {
		case <-others:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *DB) connectSession(ctx context.Context) (*session, error) {
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life, cancel)()
	conn, err := pgx.ConnectConfig(wait, d.pool.Config().ConnConfig)
	if err == nil {
		if _, err = conn.Exec(wait, leaseSetup); err != nil {
			closeConn(conn)
		}
	}
	n := &d.leasing
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.connecting)
	n.connecting = nil
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, dead: make(chan struct{}), users: 1, interrupt: func() {}, held: map[*lease]struct{}{}}
	s.life, s.stop = context.WithCancel(d.life)
	n.session = s
	d.leases.Add(1) // the caller's own keeps it from being the first
	go func() {
		defer d.leases.Done()
		s.run()
		d.forget(s)
		s.end()
	}()
	return s, nil
}

// leave says that one user less needs the session; without any it ends.
func (d *DB) leave(s *session) {
	n := &d.leasing
	n.mu.Lock()
	defer n.mu.Unlock()
	if s.users--; s.users == 0 {
		if n.session == s {
			n.session = nil
		}
		s.stop()
	}
}

func (d *DB) forget(s *session) {
	n := &d.leasing
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session == s {
		n.session = nil
	}
}

// run works until the session is no longer needed or the connection fails.
func (s *session) run() {
	defer s.stop()
	defer closeConn(s.conn)
	for s.life.Err() == nil {
		s.mu.Lock()
		jobs := s.jobs
		s.jobs = nil
		listen, cancel := context.WithTimeout(s.life, leasePing)
		s.interrupt = cancel
		s.mu.Unlock()
		for _, j := range jobs {
			j.ok, j.err = s.ask(j.sql, j.name)
			close(j.done)
		}
		if len(jobs) == 0 {
			if err := s.conn.PgConn().WaitForNotification(listen); err != nil && listen.Err() == nil {
				cancel()
				return
			}
			if errors.Is(listen.Err(), context.DeadlineExceeded) {
				_, _ = s.ask(`SELECT $1 = ''`, "") // a failure closes the connection
			}
		}
		cancel()
		if s.conn.IsClosed() {
			return
		}
	}
	// The server would do it after the connection's end, but later.
	_, _ = s.ask(`SELECT pg_advisory_unlock_all() IS NULL OR $1 = ''`, "")
}

// ask runs one statement. No answer in time closes the connection, as pgx does it.
func (s *session) ask(sql, name string) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTimeout)
	defer cancel()
	err = s.conn.QueryRow(ctx, sql, name).Scan(&ok)
	return ok, err
}

// end answers what is still asked and tells all holders of their loss.
func (s *session) end() {
	s.mu.Lock()
	s.over = true
	jobs, held := s.jobs, s.held
	s.jobs, s.held = nil, nil
	s.mu.Unlock()
	for _, j := range jobs {
		j.err = errSessionLost
		close(j.done)
	}
	for l := range held {
		l.end()
	}
	close(s.dead)
}

// do asks for a statement to be run.
func (s *session) do(sql, name string) *job {
	j := &job{sql: sql, name: name, done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		j.err = errSessionLost
		close(j.done)
		return j
	}
	s.jobs = append(s.jobs, j)
	s.interrupt()
	return j
}

// hold makes l hear of the session's end; false when that has come already.
func (s *session) hold(l *lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	s.held[l] = struct{}{}
	return true
}

func (s *session) drop(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, l)
}

// rest waits a while, or until the session or ctx ends (an error).
func (s *session) rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.dead:
		return errSessionLost
	}
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}
