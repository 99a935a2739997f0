package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/datadir"
	"trama/platform/store"
	"trama/system"
)

// world is one run.
type world struct {
	t      testing.TB
	plan   *plan
	clock  *clock.Shifted
	broker *broker
	dir    *datadir.Dir
	config system.Config
	tell   bool // write the trace down

	mu      sync.Mutex
	inc     *incarnation // the present life; nil between two
	last    *incarnation // whose stores can be looked at
	phase   int
	began   time.Time // of the phase, in the bubble's time
	start   time.Time
	leapt   time.Duration // by jumps forwards
	deaths  []death       // that are still to come
	downFor time.Duration // after the last one
	passed  map[string]int
	trace   []string
	counts  map[string]int
	broken  []string // what the run found wrong
	quit    chan struct{}
	manager sync.WaitGroup
}

// newWorld makes the world of a seed on a copy of the template folder.
func newWorld(t testing.TB, seed uint64, template, folder string, tell bool) *world {
	w := &world{t: t, plan: newPlan(seed, points()), clock: &clock.Shifted{}, tell: tell, passed: map[string]int{}, counts: map[string]int{}, quit: make(chan struct{})}
	w.start, w.began = time.Now(), time.Now()
	w.deaths = slices.Clone(w.plan.deaths)
	w.broker = newBroker(w)
	copyFolder(t, template, folder)
	w.open(folder)
	return w
}

func (w *world) open(folder string) {
	w.config = settings(w.t, map[string]string{"publicUrl": "http://" + filepath.Base(folder) + ".invalid"})
	var err error
	if w.dir, err = datadir.Open(folder, datadir.Exclusive, 0, "", ""); err != nil {
		w.t.Fatal(err)
	}
}

// settings are the defaults, with what a simulation wants.
func settings(t testing.TB, more map[string]string) system.Config {
	set := map[string]string{"telemetry.spans": "1", "payments.expiryEvery": "30s"}
	for k, v := range more {
		set[k] = v
	}
	var c system.Config
	if _, problems := config.Load(&c, config.Sources{Set: set}); len(problems) > 0 {
		t.Fatal(problems)
	}
	c.Identity.HashMemory = 64 // argon2id would be half of a run
	return c
}

// points are the crash points that a simulated process passes.
func points() []string {
	return []string{"outbox.before", "outbox.written", "outbox.committed", "relay.read", "relay.published", "relay.forgotten",
		"consumer.received", "consumer.handled", "consumer.parked", "letter.handled", "inbox.row", "inbox.effect", "inbox.committed",
		"timer.fired", "task.claimed", "task.done", "payments.accepted", "payments.analysed", "payments.charged", "payments.settled",
		"payments.refunded", "payments.expiry-asked", "academics.enrolling", "academics.enrolled", "academics.cancelling", "academics.cancelled",
		"identity.linking", "identity.account", "identity.hashed", "identity.issued", "notifications.queued", "notifications.sent",
		"marketing.lead", "marketing.reminded", "acquirersim.charged", "acquirersim.notified"}
}

// run lets processes live and die until quit.
func (w *world) run() {
	up, once := make(chan struct{}), sync.Once{}
	w.manager.Go(func() {
		for n := 1; ; n++ {
			i := w.live(n)
			n = i.n
			w.mu.Lock()
			w.inc, w.last = i, i
			w.mu.Unlock()
			once.Do(func() { close(up) })
			select {
			case <-i.died:
			case <-w.quit:
			}
			w.mu.Lock()
			w.inc = nil
			w.mu.Unlock()
			if err := i.end(); err != nil && !i.dead.Load() {
				w.fail("stop in good order: %v", err)
			}
			if !i.dead.Load() {
				return
			}
			w.rest()
		}
	})
	<-up
}

// rest is the time between a death and the next life.
func (w *world) rest() {
	w.mu.Lock()
	down := w.downFor
	w.mu.Unlock()
	if down > time.Minute { // nothing runs meanwhile
		w.shift(down)
		down = time.Second
	}
	time.Sleep(down)
}

// deadly says whether the process dies at this point now.
func (w *world) deadly(point string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.deaths {
		d := &w.deaths[n]
		due := d.phase < w.phase || d.phase == w.phase && time.Since(w.began) >= d.at
		if !due || d.point != "" && d.point != point {
			continue
		}
		if d.nth--; d.nth > 0 && d.point != "" {
			continue
		}
		w.downFor = d.down
		w.deaths = slices.Delete(w.deaths, n, n+1)
		return true
	}
	return false
}

// stop ends the present process in good order.
func (w *world) stop() {
	close(w.quit)
	w.manager.Wait()
	if err := w.dir.Close(); err != nil {
		w.fail("close the data folder: %v", err)
	}
}

func (w *world) current() *incarnation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inc
}

// rawStore gives a service's store without faults.
func (w *world) rawStore(service string) store.DB {
	w.mu.Lock()
	i := w.last
	w.mu.Unlock()
	if i == nil {
		return noStore{}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.raw[service]
}

type noStore struct{ store.DB }

func (noStore) QueryRow(context.Context, string, ...any) store.Row {
	return failedRow{errors.New("no process is up")}
}

func (w *world) down(what string) (down, after bool) {
	w.mu.Lock()
	phase, at := w.phase, time.Since(w.began)
	w.mu.Unlock()
	return w.plan.down(what, phase, at)
}

// jump moves the clock, and with it begins the next phase.
func (w *world) jump(d time.Duration) {
	w.mu.Lock()
	w.phase++
	w.began = time.Now()
	w.mu.Unlock()
	w.shift(d)
}

// shift moves the clock of the system, forwards or backwards.
func (w *world) shift(d time.Duration) {
	w.note("the clock jumps by %s", d)
	w.clock.Jump(d)
	w.mu.Lock()
	w.leapt += max(d, 0)
	w.mu.Unlock()
	w.broker.kick()
}

// ahead is the transport's own time, which never goes back.
func (w *world) ahead() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.leapt)
}

// happened counts for the report.
func (w *world) happened(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[what]++
}

// note writes a line of the trace.
func (w *world) note(format string, args ...any) {
	if !w.tell {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf("%12s  ", time.Since(w.start))+fmt.Sprintf(format, args...))
}

// fail notes something that must not be.
func (w *world) fail(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.note("WRONG: %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, text)
}

// logTo gives where a process writes its log: into the trace, when it is told.
func (w *world) logTo(i *incarnation) slog.Handler {
	if !w.tell {
		return slog.DiscardHandler
	}
	return slog.NewTextHandler(noted{w, i.n}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			return slog.Attr{}
		}
		return a
	}})
}

type noted struct {
	w *world
	n int
}

func (n noted) Write(p []byte) (int, error) {
	n.w.note("[%d] %s", n.n, p[:max(len(p)-1, 0)])
	return len(p), nil
}

// copyFolder copies the files of a folder.
func copyFolder(t testing.TB, from, to string) {
	files, err := os.ReadDir(from)
	if err == nil {
		err = os.MkdirAll(to, 0o700)
	}
	for _, f := range files {
		if err != nil || f.IsDir() {
			continue
		}
		err = copyFile(filepath.Join(from, f.Name()), filepath.Join(to, f.Name()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
