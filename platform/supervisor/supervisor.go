// Package supervisor runs processes of this machine and keeps them running.
//
// A process that ends although nobody asked it to is started again: at once the
// first time, then after pauses that double up to 10 s; five seconds of health
// forgive the past. Stop asks with SIGTERM, in groups, waits, and kills what
// does not end before the deadline.
//
// A child learns of its parent's death by the end of its standard input, which
// is a pipe that only the parent holds: no child outlives a killed supervisor.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"trama/platform/clock"
)

const (
	firstPause = 100 * time.Millisecond
	longest    = 10 * time.Second
	healthy    = 5 * time.Second
)

// Process describes one child.
type Process struct {
	Name  string
	Path  string
	Args  []string
	Env   []string   // whole environment; nil means the parent's
	Files []*os.File // handed down as descriptors 3, 4, …
	Out   io.Writer
	Err   io.Writer
}

// Supervisor keeps a set of processes.
type Supervisor struct {
	clock clock.Clock
	log   *slog.Logger

	stopping context.Context
	stop     context.CancelFunc

	mu       sync.Mutex
	children map[string]*child
	order    []string
}

type child struct {
	process Process
	done    chan struct{} // closed when it ended for good

	mu  sync.Mutex
	cmd *exec.Cmd
}

// New makes a supervisor without processes.
func New(c clock.Clock, log *slog.Logger) *Supervisor {
	ctx, cancel := context.WithCancel(context.Background())
	return &Supervisor{clock: c, log: log, stopping: ctx, stop: cancel, children: map[string]*child{}}
}

// Start starts a process and keeps it running. The error is of the first start only.
func (s *Supervisor) Start(p Process) error {
	c := &child{process: p, done: make(chan struct{})}
	stdin, err := c.start()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	s.mu.Lock()
	s.children[p.Name] = c
	s.order = append(s.order, p.Name)
	s.mu.Unlock()
	go s.keep(c, stdin)
	return nil
}

func (c *child) start() (io.Closer, error) {
	cmd := exec.Command(c.process.Path, c.process.Args...)
	cmd.Env, cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = c.process.Env, c.process.Files, c.process.Out, c.process.Err
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is the parent's to pass on
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.cmd = cmd
	c.mu.Unlock()
	return stdin, nil
}

// keep waits for the end of the child and starts it again.
func (s *Supervisor) keep(c *child, stdin io.Closer) {
	defer close(c.done)
	pause := time.Duration(0)
	for {
		begun := s.clock.Now()
		err := c.cmd.Wait()
		_ = stdin.Close()
		if s.stopping.Err() != nil {
			return
		}
		if s.clock.Now().Sub(begun) > healthy {
			pause = 0
		}
		s.log.Warn("process ended and is started again", "process", c.process.Name, "error", err, "pause", pause.String())
		for {
			if s.clock.Wait(s.stopping, pause) != nil {
				return
			}
			pause = min(max(2*pause, firstPause), longest)
			if stdin, err = c.start(); err == nil {
				if s.stopping.Err() != nil { // Stop signalled before this child was there
					c.signal(syscall.SIGTERM)
				}
				break
			}
			s.log.Error("process cannot be started", "process", c.process.Name, "error", err, "pause", pause.String())
		}
	}
}

// PID gives the process id of a child as it runs now; 0 when it does not.
func (s *Supervisor) PID(name string) int {
	s.mu.Lock()
	c := s.children[name]
	s.mu.Unlock()
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil || c.cmd.Process == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// Stop ends the processes: first those named, one after the other, then the
// rest together. What still runs when ctx ends is killed and named in the error.
func (s *Supervisor) Stop(ctx context.Context, first ...string) error {
	s.stop()
	s.mu.Lock()
	rest := make([]*child, 0, len(s.order))
	named := make([]*child, 0, len(first))
	for _, name := range s.order {
		rest = append(rest, s.children[name])
	}
	for _, name := range first {
		if c := s.children[name]; c != nil {
			named = append(named, c)
		}
	}
	s.mu.Unlock()
	var errs []error
	for _, c := range named {
		c.signal(syscall.SIGTERM)
		errs = append(errs, c.await(ctx))
	}
	for _, c := range rest {
		c.signal(syscall.SIGTERM)
	}
	for _, c := range rest {
		errs = append(errs, c.await(ctx))
	}
	return errors.Join(errs...)
}

func (c *child) signal(sig os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.done:
	default:
		_ = c.cmd.Process.Signal(sig) // it may have ended this moment
	}
}

func (c *child) await(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		c.signal(syscall.SIGKILL)
		<-c.done
		return fmt.Errorf("%s did not end in time and was killed", c.process.Name)
	}
}
