// Package crash owns the named points at which a test may kill the process.
//
// Code that must survive a sudden death calls Points.At with a stable name
// between two steps that are not one. In production the Points are nil and the
// call does nothing.
//
// A fault test starts processes with TRAMA_CRASH_FILE naming a file, and writes
// the name of a point into that file when it wants a death there. The first
// process that passes the point removes the file and kills itself with SIGKILL:
// nothing deferred runs, nothing is flushed, exactly as when the kernel or an
// operator kills it. One writing is one death, whichever of several processes
// meets it, and the file's absence tells the test that it happened.
//
// A simulation within one process asks to be told of every point (Watch) and
// decides for itself what dying means.
package crash

import (
	"os"
	"strings"
	"syscall"
)

// EnvVar is the environment variable that names the file.
const EnvVar = "TRAMA_CRASH_FILE"

// Points are the points of a process under a fault test. A nil *Points never fires.
type Points struct {
	file  string
	kill  func()
	watch func(name string) // in place of the file
}

// Watch gives points that call f, from any goroutine, with the name of each one
// that is passed.
func Watch(f func(name string)) *Points { return &Points{watch: f} }

// FromEnv gives the points of this process; nil outside fault tests.
func FromEnv() *Points {
	file := os.Getenv(EnvVar)
	if file == "" {
		return nil
	}
	return &Points{file: file, kill: func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; do not run one more line
	}}
}

// At marks a point. When the file names it, the process dies here.
func (p *Points) At(name string) {
	if p == nil {
		return
	}
	if p.watch != nil {
		p.watch(name)
		return
	}
	armed, err := os.ReadFile(p.file)
	if err != nil || strings.TrimSpace(string(armed)) != name {
		return
	}
	if os.Remove(p.file) == nil { // one of several processes wins
		p.kill()
	}
}
