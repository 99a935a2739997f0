package main

import (
	"context"
	"fmt"
	"time"

	"trama/system"
)

type databaseCmd struct {
	Prepare databasePrepareCmd `cmd:"" help:"Make the role and the database or schema of every service whose store is PostgreSQL. Repeating it is harmless."`
}

type databasePrepareCmd struct {
	Admin string `required:"" help:"URL of a PostgreSQL superuser." placeholder:"URL" env:"PGADMIN_URL"`
}

// Examples stand under the help.
func (databasePrepareCmd) Examples() string {
	return `  A database for each service:
    trama database prepare --admin postgres://postgres@127.0.0.1/postgres \
      -s stores.payments=postgres://trama_payments:secret@127.0.0.1/trama_payments \
      -s stores.academics=postgres://trama_academics:secret@127.0.0.1/trama_academics

  One shared database, a schema and a role for each service, none reads another's:
    trama database prepare --admin postgres://postgres@127.0.0.1/postgres \
      -s 'stores.payments=postgres://trama_payments:secret@127.0.0.1/trama?search_path=payments' \
      -s 'stores.academics=postgres://trama_academics:secret@127.0.0.1/trama?search_path=academics'`
}

func (d databasePrepareCmd) Run(g *globals) error {
	c, _, err := g.load(nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	prepared, err := system.PrepareDatabases(ctx, c, d.Admin)
	for _, line := range prepared {
		fmt.Fprintln(g.out, line)
	}
	return err
}
