package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/pgstore"
	"trama/platform/store/sqlitestore"
)

const (
	subscription = "bench"
	effectTable  = `CREATE TABLE effect (event_id TEXT PRIMARY KEY, subject TEXT NOT NULL)`
	effectRow    = `INSERT INTO effect (event_id, subject) VALUES ($1, $2)`
)

// effects is what every handler does: an inbox row and an effect row in one
// transaction, through outbox.Box, for our buses and Watermill alike.
type effects struct {
	db  store.DB
	box *outbox.Box
}

func openEffects(ctx context.Context, b *bench) (*effects, error) {
	var db store.DB
	var err error
	if b.pgURL != "" {
		db, err = pgstore.Open(ctx, pgstore.Options{URL: b.pgURL, MaxConns: storeConns})
	} else {
		db, err = sqlitestore.Open(ctx, sqlitestore.Options{Path: b.path("effects.db")})
	}
	if err != nil {
		return nil, err
	}
	b.later(func() { _ = db.Close() })
	if _, err := migration.Run(ctx, db, "platform", outbox.Schema()); err != nil {
		return nil, err
	}
	f := &effects{db: db, box: outbox.New(db, "/bench", clock.System{}, id.New(clock.System{}, rand.Reader))}
	return f, db.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, effectTable)
		return err
	})
}

func (f *effects) parking() bus.Parking { return parking.New(f.db, clock.System{}, "bench") }

func (f *effects) one(ctx context.Context, e bus.Event) error {
	return f.box.Once(ctx, subscription, e, func(tx store.Tx) error {
		_, err := tx.Exec(ctx, effectRow, e.ID, e.Subject)
		return err
	})
}

func (f *effects) all(ctx context.Context, events []bus.Event) error {
	return f.box.OnceAll(ctx, subscription, events, func(tx store.Tx, fresh []bus.Event) error {
		rows := make([]store.Statement, len(fresh))
		for i, e := range fresh {
			rows[i] = store.Statement{SQL: effectRow, Args: []any{e.ID, e.Subject}}
		}
		return store.ExecAll(ctx, tx, rows...)
	})
}

// bareEffects is the same work by pgx alone.
type bareEffects struct{ pool *pgxpool.Pool }

func openBareEffects(ctx context.Context, b *bench) (*bareEffects, error) {
	cfg, err := pgxpool.ParseConfig(b.pgURL)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = storeConns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	b.later(pool.Close)
	return &bareEffects{pool}, nil
}

func (f *bareEffects) one(ctx context.Context, id, subject string) error {
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, outbox.InboxRow, subscription, id, int64(0))
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, effectRow, id, subject)
		return err
	})
}

// all supposes that ids come once, as they do in a run without faults, and says
// so when they do not.
func (f *bareEffects) all(ctx context.Context, ids, subjects []string) error {
	return pgx.BeginFunc(ctx, f.pool, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `INSERT INTO inbox (subscription, event_id, at) SELECT $1, unnest($2::text[]), 0
			ON CONFLICT (subscription, event_id) DO NOTHING`, subscription, ids)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(len(ids)) {
			return fmt.Errorf("%d of %d events came twice", int64(len(ids))-tag.RowsAffected(), len(ids))
		}
		var rows pgx.Batch
		for i, id := range ids {
			rows.Queue(effectRow, id, subjects[i])
		}
		return tx.SendBatch(ctx, &rows).Close()
	})
}
