package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"trama/platform/datadir"
	"trama/system"
)

type migrateCmd struct {
	Services []string `arg:"" optional:"" help:"Services whose stores to migrate. Default: all."`
	Status   bool     `help:"Only show what is pending; exit status 1 if anything is."`
}

// Examples stand under the help.
func (migrateCmd) Examples() string {
	return `  trama migrate                   bring every store up to date
  trama migrate --status          what is pending
  trama migrate payments -s stores.payments=postgres://…`
}

func (m migrateCmd) Run(g *globals) error {
	c, _, err := g.load(nil)
	if err != nil {
		return err
	}
	services, err := system.StoreServices(m.Services...)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Data, "lock")); err == nil || !m.Status { // asking makes no folder
		dir, err := datadir.Open(c.Data, datadir.Shared, 0, c.OperatorToken.Reveal(), c.Secret.Reveal())
		if err != nil {
			return err
		}
		defer dir.Close()
	}
	ctx, stop := untilSignal()
	defer stop()
	reports, err := system.MigrateStores(ctx, c, c.Data, services, !m.Status)
	pending := 0
	for _, r := range reports {
		switch {
		case !r.Relational:
			fmt.Fprintf(g.out, "%-14s documents: nothing to migrate\n", r.Service)
		case m.Status:
			fmt.Fprintf(g.out, "%-14s %d taken, %d pending\n", r.Service, r.Applied, r.Pending)
			pending += r.Pending
		default:
			fmt.Fprintf(g.out, "%-14s %d steps taken\n", r.Service, r.Applied)
		}
	}
	if err == nil && pending > 0 {
		return errors.New("steps are pending; trama migrate takes them")
	}
	return err
}
