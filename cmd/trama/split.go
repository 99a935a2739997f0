package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sort"
	"strings"
	"time"

	"trama/platform/clock"
	"trama/platform/datadir"
	"trama/platform/supervisor"
	"trama/system"
)

// split runs every service as a process of its own and waits for a signal. The
// gateway's socket is opened here and handed down, so that it refuses nobody
// while its process is started again.
func (g *globals) split(c system.Config, dir *datadir.Dir, listener net.Listener, begun time.Time) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("where is this program: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("%s cannot be handed to another process", c.Listen)
	}
	socket, err := tcp.File()
	if err != nil {
		return fmt.Errorf("hand down the gateway's socket: %w", err)
	}
	defer socket.Close()
	ctx, stopSignals := untilSignal()
	defer stopSignals()
	url := c.PublicAddress(listener.Addr().String())
	s := supervisor.New(clock.System{}, logger(c, g))
	g.note("starting %d processes", len(system.Services()))
	for _, service := range system.Services() {
		args := append(g.childArgs(c, url), "serve", service, "--inherit-lock=3")
		files := []*os.File{dir.Lock()}
		if service == "gateway" {
			args, files = append(args, "--inherit-listener=4"), append(files, socket)
		}
		if err := s.Start(supervisor.Process{Name: service, Path: self, Args: args, Files: files, Out: g.out, Err: g.errout}); err != nil {
			return err // the children that run end with this process
		}
	}
	if g.awaitAll(ctx, dir, system.Reachable(listener.Addr().String())) {
		g.banner(c, url, dir, begun, fmt.Sprintf("%d processes", len(system.Services())))
	}
	<-ctx.Done()
	stopSignals()
	g.note("stopping: every process finishes what is in hand (press Ctrl-C again to leave at once)")
	stop, cancel := context.WithTimeout(context.Background(), c.StopTimeout+time.Second)
	defer cancel()
	if err := s.Stop(stop, "gateway", "site"); err != nil {
		return fmt.Errorf("stopped, but not in good order: %w", err)
	}
	g.note("stopped; everything is safe in %s", dir.Path())
	return nil
}

// childArgs repeats for a child what was said to this process.
func (g *globals) childArgs(c system.Config, url string) []string {
	args := []string{"--data", c.Data}
	if g.cli.Config != "" {
		args = append(args, "--config", g.cli.Config)
	}
	set := map[string]string{"listen": c.Listen, "seed": c.Seed, "publicUrl": url}
	for k, v := range g.cli.Set {
		set[k] = v
	}
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		args = append(args, "--set", k+"="+set[k])
	}
	return args
}

// patience is how long nobody is told what is waited for.
const patience = 5 * time.Second

// inEnglish turns the names of /readyz, which is the public's, into ours.
var inEnglish = strings.NewReplacer("barramento", "the event bus", "dados de ", "the store of ")

// awaitAll returns true once every process has announced itself and the gateway,
// at address, says that it is ready; false when ctx ends before. Who waits long
// is told for what.
func (g *globals) awaitAll(ctx context.Context, dir *datadir.Dir, address string) bool {
	log := slog.New(slog.DiscardHandler)
	told := ""
	for begun := time.Now(); ctx.Err() == nil; {
		waiting := system.Missing(ctx, dir, log)
		if len(waiting) == 0 {
			if waiting = unready(ctx, "http://"+address+"/readyz"); len(waiting) == 0 {
				return true
			}
		}
		if text := strings.Join(waiting, ", "); text != told && time.Since(begun) > patience {
			g.note("waiting for %s", inEnglish.Replace(text))
			told = text
		}
		_ = clock.System{}.Wait(ctx, 25*time.Millisecond)
	}
	return false
}

// unready gives what the gateway says is missing; nothing when it is ready.
func unready(ctx context.Context, url string) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	silent := []string{"gateway"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return silent
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return silent
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	var report struct {
		Checks []struct {
			Name string `json:"nome"`
			OK   bool   `json:"ok"`
		} `json:"verificacoes"`
	}
	if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
		return silent
	}
	var out []string
	for _, c := range report.Checks {
		if !c.OK {
			out = append(out, c.Name)
		}
	}
	if len(out) == 0 { // not measured yet
		return silent
	}
	return out
}
