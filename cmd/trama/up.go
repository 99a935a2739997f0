package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"trama/platform/crash"
	"trama/platform/datadir"
	"trama/system"
)

type upCmd struct {
	Listen string `help:"Address of the gateway. Default: 127.0.0.1:8080." placeholder:"HOST:PORT"`
	Seed   string `help:"What a new installation starts with: demo (courses) or none. Default: demo." placeholder:"demo|none"`
	Split  bool   `help:"A process per service, kept running by this one, instead of one process for all."`
}

// Examples stand under the help.
func (upCmd) Examples() string {
	return `  trama up                                  everything in one process, http://127.0.0.1:8080
  trama up --listen 127.0.0.1:9000 --data /tmp/escola --seed none
  trama up --split                          every service in a process of its own
  trama up -s bus.url=amqp://guest:guest@127.0.0.1:5672/ -s stores.payments=postgres://…`
}

func (u upCmd) Run(g *globals) error {
	begun := time.Now()
	c, _, err := g.load(map[string]string{"listen": u.Listen, "seed": u.Seed})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return listenError(c.Listen, err)
	}
	defer listener.Close()
	dir, err := datadir.Open(c.Data, datadir.Exclusive, 0, c.OperatorToken.Reveal(), c.Secret.Reveal())
	if err != nil {
		return err
	}
	defer dir.Close()
	if u.Split {
		return g.split(c, dir, listener, begun)
	}
	modules, err := system.Select("all")
	if err != nil {
		return err
	}
	o := system.Options{Config: c, Dir: dir, Modules: modules, Listener: listener}
	return g.host(o, func(h *system.Host) { g.banner(c, h.PublicURL(), dir, begun, "one process") })
}

// gcPercent lets the heap grow to five times what is alive before it is
// collected. What is alive is small (some 15 MiB for the whole system), so the
// memory is cheap, and at 64 clients a fifth more payments are accepted. GOGC in
// the environment overrides it.
const gcPercent = 400

// host runs modules in this process until a signal comes.
func (g *globals) host(o system.Options, ready func(*system.Host)) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stopSignals := untilSignal()
	defer stopSignals()
	o.Log, o.Crash, o.Note = logger(o.Config, g), crash.FromEnv(), g.note
	h := system.New(o)
	if err := h.Start(ctx); err != nil {
		if ctx.Err() != nil {
			g.farewell("stopped before it was ready; what was there is safe in %s", o.Dir.Path())
			return nil
		}
		return err
	}
	if g.child == "" && !h.BusAnswers(ctx) {
		g.note("the event bus does not answer yet; what is accepted is kept and goes on when it does")
	}
	ready(h)
	<-ctx.Done()
	stopSignals()
	g.farewell("stopping: finishing what is in hand (press Ctrl-C again to leave at once)")
	stop, cancel := context.WithTimeout(context.Background(), o.Config.StopTimeout)
	defer cancel()
	if err := h.Stop(stop); err != nil {
		return fmt.Errorf("stopped, but not in good order: %w", err)
	}
	g.farewell("stopped; everything is safe in %s", o.Dir.Path())
	return nil
}

// untilSignal gives a context that ends with the first signal to stop; the second
// one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// note tells a person what is being done.
func (g *globals) note(format string, args ...any) {
	who := "trama"
	if g.child != "" {
		who += " " + g.child
	}
	fmt.Fprintf(g.out, who+": "+format+"\n", args...)
}

// farewell is a note on the way out; a supervisor speaks for its children.
func (g *globals) farewell(format string, args ...any) {
	if g.child == "" {
		g.note(format, args...)
	}
}

// banner says where things are.
func (g *globals) banner(c system.Config, url string, dir *datadir.Dir, begun time.Time, how string) {
	fmt.Fprintf(g.out, `
Trama is ready (%s, %s)

  School     %s/
  API        %s/v1/        reference: %s/docs
  Mailbox    %s/correio
  Health     %s/readyz
  Data       %s
`, how, time.Since(begun).Round(time.Millisecond), url, url, url, url, url, dir.Path())
	switch {
	case dir.Fresh():
		fmt.Fprintf(g.out, "  Operator   %s\n             (staff token, also in %s)\n", dir.OperatorToken(), dir.Path("operator-token"))
	case c.OperatorToken != "":
		fmt.Fprint(g.out, "  Operator   token as configured (operatorToken)\n")
	default:
		fmt.Fprintf(g.out, "  Operator   token in %s\n", dir.Path("operator-token"))
	}
	fmt.Fprint(g.out, "\nPress Ctrl-C to stop.\n\n")
}

// listenError says in one line why the address cannot be had.
func listenError(addr string, err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("%s is in use by another program; stop it, or choose another address with --listen", addr)
	}
	var op *net.OpError
	if errors.As(err, &op) { // says the address again
		err = op.Err
	}
	return fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", addr, err)
}

// logger writes to standard error as the configuration says.
func logger(c system.Config, g *globals) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Log.Level)) // checked with the configuration
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(g.errout, options)
	if c.Log.Format == "json" {
		handler = slog.NewJSONHandler(g.errout, options)
	}
	log := slog.New(handler)
	if g.child != "" { // many processes write to one terminal
		log = log.With("process", g.child)
	}
	return log
}
