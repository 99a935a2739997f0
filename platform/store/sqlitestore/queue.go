package sqlitestore

import (
	"context"
	"sync"
	"sync/atomic"

	"trama/platform/store"
)

// job is one Update. Whoever moves it out of waiting owns its outcome: the
// writer (started) or the caller, whose context ended first (cancelled).
type job struct {
	ctx   context.Context
	fn    func(store.Tx) error
	state atomic.Int32
	after []func()
	err   error
	done  chan struct{} // closed when err is final
}

const (
	waiting int32 = iota
	started
	cancelled
)

func (j *job) claim(as int32) bool { return j.state.CompareAndSwap(waiting, as) }

func (j *job) answer(err error) {
	j.err = err
	close(j.done)
}

// queue holds the jobs that wait, in the order they came. It has no bound: each
// job has a caller that waits, and callers are bounded at the edge.
type queue struct {
	mu     sync.Mutex
	jobs   []*job
	closed bool
	wake   chan struct{} // capacity 1
}

// push adds a job; false when the queue is closed.
func (q *queue) push(j *job) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.jobs = append(q.jobs, j)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take claims the oldest job that still waits; nil when there is none.
func (q *queue) take() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, j := range q.jobs {
		q.jobs[i] = nil
		if j.claim(started) {
			q.jobs = q.jobs[i+1:]
			return j
		}
	}
	q.jobs = nil
	return nil
}

// any says whether a job still waits, and forgets cancelled ones.
func (q *queue) any() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	live := q.jobs[:0]
	for _, j := range q.jobs {
		if j.state.Load() == waiting {
			live = append(live, j)
		}
	}
	clear(q.jobs[len(live):])
	q.jobs = live
	return len(live) > 0
}

// wait returns true when a job waits, false when none does and none will come.
func (q *queue) wait() bool {
	for {
		if q.any() {
			return true
		}
		q.mu.Lock()
		closed := q.closed && len(q.jobs) == 0
		q.mu.Unlock()
		if closed {
			return false
		}
		<-q.wake
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}
