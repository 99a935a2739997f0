package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"trama/platform/datadir"
	"trama/system"
)

type serveCmd struct {
	Modules []string `arg:"" help:"Modules (payments.worker), services (academics) or groups (school, edge, all)."`
	Listen  string   `help:"Address of the gateway, when it is among them. Default: 127.0.0.1:8080." placeholder:"HOST:PORT"`

	// Set by trama up --split for its children.
	InheritLock     int `hidden:""`
	InheritListener int `hidden:""`
}

// Examples stand under the help.
func (serveCmd) Examples() string {
	return `  trama serve payments.worker academics     beside other processes on this data folder
  trama serve gateway --listen 0.0.0.0:8080 -s discovery.payments=http://payments:8081
  trama serve payments -s internal.listen=0.0.0.0:8081 -s stores.payments=postgres://…`
}

func (s serveCmd) Run(g *globals) error {
	c, _, err := g.load(map[string]string{"listen": s.Listen})
	if err != nil {
		return err
	}
	modules, err := system.Select(s.Modules...)
	if err != nil {
		return err
	}
	var listener net.Listener
	if slices.Contains(modules, "gateway.http") {
		if listener, err = s.listener(c); err != nil {
			return err
		}
		defer listener.Close()
	}
	use := datadir.Shared
	if s.InheritLock > 0 {
		use = datadir.Inherited
	}
	dir, err := datadir.Open(c.Data, use, uintptr(s.InheritLock), c.OperatorToken.Reveal(), c.Secret.Reveal())
	if err != nil {
		return err
	}
	defer dir.Close()
	if s.InheritLock > 0 {
		g.child = strings.Join(s.Modules, ",")
		go endWithParent()
	}
	if c.Blind(modules) {
		g.note("links in mails and calls back go to %s; set publicUrl if the gateway is elsewhere", c.PublicAddress(c.Listen))
	}
	o := system.Options{Config: c, Dir: dir, Modules: modules, Listener: listener, Shared: true}
	return g.host(o, func(h *system.Host) {
		if g.child != "" {
			return // the parent speaks for all
		}
		where := ""
		if listener != nil {
			where = " at " + h.PublicURL()
		}
		g.note("ready%s: %s", where, strings.Join(modules, ", "))
	})
}

func (s serveCmd) listener(c system.Config) (net.Listener, error) {
	if s.InheritListener > 0 {
		f := os.NewFile(uintptr(s.InheritListener), "listener")
		if f == nil {
			return nil, fmt.Errorf("the gateway's socket was not handed down")
		}
		defer f.Close()
		return net.FileListener(f)
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, listenError(c.Listen, err)
	}
	return listener, nil
}

// endWithParent stops this process in good order when its parent is gone: the
// parent holds the other end of standard input and never writes.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}
