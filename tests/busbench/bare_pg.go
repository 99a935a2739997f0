package main

import (
	"context"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
)

// barePG is pgx in plain loops over a log table with unique ids: INSERT and
// commit per call, pages read behind a cursor, handlers beside each other
// within a page, the cursor written after each page. (Its readers could skip
// rows of publishers that commit out of order: it consumes only what is there.)
type barePG struct {
	b       *bench
	effects *bareEffects
	batch   bool
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// logTables are those of the bare loop; the indexes are what pgbus's log has beside.
var logTables = []string{
	`CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
		id text COLLATE "C" NOT NULL UNIQUE, type text COLLATE "C" NOT NULL, subject text COLLATE "C" NOT NULL, body bytea NOT NULL)`,
	`CREATE TABLE cursor (seq bigint NOT NULL)`,
	`INSERT INTO cursor VALUES (0)`,
}

var logIndexes = []string{
	`CREATE INDEX ON log (type, (seq + 0))`,
	`CREATE INDEX ON log (hashtextextended(subject, 0), seq)`,
	`CREATE INDEX ON log (at, seq)`,
}

func openBarePG(batch, indexes bool) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		effects, err := openBareEffects(ctx, b)
		if err != nil {
			return nil, err
		}
		tables := slices.Clone(logTables)
		if indexes {
			tables = append(tables, logIndexes...)
		}
		for _, sql := range tables {
			if _, err := effects.pool.Exec(ctx, sql); err != nil {
				return nil, err
			}
		}
		return &barePG{b: b, effects: effects, batch: batch, stop: func() {}}, nil
	}
}

func (p *barePG) publish(ctx context.Context, _ int, events []bus.Event) error {
	if len(events) == 1 {
		_, err := p.effects.pool.Exec(ctx, `INSERT INTO log (id, type, subject, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			events[0].ID, events[0].Type, events[0].Subject, p.b.body)
		return err
	}
	ids, subjects, bodies := make([]string, len(events)), make([]string, len(events)), make([][]byte, len(events))
	for i, e := range events {
		ids[i], subjects[i], bodies[i] = e.ID, e.Subject, p.b.body
	}
	_, err := p.effects.pool.Exec(ctx, `INSERT INTO log (id, type, subject, body)
		SELECT id, $1, subject, body FROM unnest($2::text[], $3::text[], $4::bytea[]) AS x (id, subject, body) ON CONFLICT DO NOTHING`,
		eventType, ids, subjects, bodies)
	return err
}

func (p *barePG) consume(ctx context.Context, done func(ids ...string)) error {
	ctx, p.stop = context.WithCancel(ctx)
	p.work.Go(func() {
		var seq int64
		for ctx.Err() == nil {
			ids, last, err := p.page(ctx, seq)
			if err == nil && len(ids) == 0 {
				return
			}
			if err == nil {
				err = p.handle(ctx, ids, done)
			}
			if err == nil {
				seq = last
				_, err = p.effects.pool.Exec(ctx, `UPDATE cursor SET seq = $1`, seq)
			}
			if err != nil && ctx.Err() == nil {
				p.b.log.Error("bare loop", "error", err)
				return
			}
		}
	})
	return nil
}

func (p *barePG) page(ctx context.Context, after int64) (ids []string, last int64, err error) {
	rows, err := p.effects.pool.Query(ctx, `SELECT seq, id, body FROM log WHERE seq > $1 ORDER BY seq LIMIT 400`, after)
	if err != nil {
		return nil, 0, err
	}
	var id string
	var body []byte
	_, err = pgx.ForEachRow(rows, []any{&last, &id, &body}, func() error {
		ids = append(ids, id)
		return nil
	})
	return ids, last, err
}

func (p *barePG) handle(ctx context.Context, ids []string, done func(ids ...string)) error {
	most, workers := 1, parallel
	if p.batch {
		most, workers = batchSize, 4
	}
	parts := make(chan []string, len(ids))
	for part := range slices.Chunk(ids, most) {
		parts <- part
	}
	close(parts)
	return produce(ctx, workers, func(int) (bool, error) {
		part, more := <-parts
		if !more {
			return false, nil
		}
		var err error
		if p.batch {
			err = p.effects.all(ctx, part, make([]string, len(part)))
		} else {
			err = p.effects.one(ctx, part[0], "aluno")
		}
		if err == nil {
			done(part...)
		}
		return err == nil, err
	})
}

func (p *barePG) close() {
	p.stop()
	p.work.Wait()
}
