package pgbus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
)

// schema is made as a whole or not at all; complete looks for its last part.
// Texts compare by bytes: quick, and no change of a collation's version can
// spoil an index. Subjects have no greatest length, so their hash is indexed.
const schema = `
CREATE TABLE event (
	seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	at      timestamptz NOT NULL DEFAULT clock_timestamp(), -- when it was published
	id      text COLLATE "C" NOT NULL UNIQUE,
	type    text COLLATE "C" NOT NULL,
	subject text COLLATE "C" NOT NULL,
	body    bytea NOT NULL -- the event as one JSON document
);
-- Not (type, seq): asked for the next of a type, the planner would often rather
-- walk the primary key from the cursor on, past everything of other types.
CREATE INDEX event_type ON event (type, (seq + 0));
CREATE INDEX event_subject ON event (hashtextextended(subject, 0), seq);
CREATE INDEX event_at ON event (at, seq);

CREATE TABLE subscription (
	name     text COLLATE "C" PRIMARY KEY,
	types    text[] NOT NULL,
	cursor   bigint NOT NULL DEFAULT 0, -- everything up to here is handled or parked
	declared timestamptz NOT NULL
) WITH (fillfactor = 50); -- room for new versions of rows that change all the time

-- Runs once per INSERT statement, before its first number is drawn.
CREATE FUNCTION take_turn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(TG_RELID::int, 0);
	RETURN NULL;
END $$;
CREATE TRIGGER turn BEFORE INSERT ON event FOR EACH STATEMENT EXECUTE FUNCTION take_turn();
`

const (
	// By the catalogs, not by to_regclass: that one may not see yet what another
	// process has made while this one waited.
	sqlComplete = `SELECT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = 'event' AND t.tgname = 'turn')`

	// One process at a time, whatever the schema: CREATE ... IF NOT EXISTS may
	// still collide.
	sqlAlone = `SELECT pg_advisory_xact_lock(hashtextextended('trama pgbus schema', 0))`

	sqlDeclare = `INSERT INTO subscription (name, types, declared) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET types = EXCLUDED.types WHERE subscription.types <> EXCLUDED.types`

	sqlBacklog = `SELECT (SELECT count(*) FROM event e WHERE e.seq > s.cursor AND e.type = ANY (s.types))
		FROM subscription s WHERE name = $1`
)

// prepare makes schema and tables where they are missing: once per Bus, and again
// after a write has failed.
func (b *Bus) prepare(ctx context.Context) error {
	if b.prepared.Load() {
		return nil
	}
	select { // not a mutex: whoever waits may lose patience
	case b.preparing <- struct{}{}:
		defer func() { <-b.preparing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if b.prepared.Load() {
		return nil
	}
	var complete bool
	err := b.pool.QueryRow(ctx, sqlComplete, b.opt.Schema).Scan(&complete)
	if err == nil && !complete {
		err = pgx.BeginFunc(ctx, b.pool, func(tx pgx.Tx) error { return b.create(ctx, tx) })
	}
	b.prepared.Store(err == nil)
	return err
}

func (b *Bus) create(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, sqlAlone); err != nil {
		return err
	}
	var complete, exists bool // another process may have been quicker
	if err := tx.QueryRow(ctx, sqlComplete, b.opt.Schema).Scan(&complete); err != nil || complete {
		return err
	}
	// Only where it is missing: a role may own the schema without the right to
	// make another.
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, b.opt.Schema).Scan(&exists)
	if err != nil {
		return err
	}
	text := schema
	if !exists {
		text = "CREATE SCHEMA " + pgx.Identifier{b.opt.Schema}.Sanitize() + ";" + text
	}
	_, err = tx.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol) // several statements
	return err
}

// Declare implements bus.Bus.
func (b *Bus) Declare(ctx context.Context, subscriptions ...bus.Subscription) error {
	for _, s := range subscriptions {
		if err := s.Check(); err != nil {
			return err
		}
	}
	for _, s := range subscriptions {
		if err := b.declare(ctx, s); err != nil {
			return failed(ctx, "declare "+s.Name, err)
		}
	}
	return nil
}

// declare is a transaction of its own: one that holds a single row cannot
// deadlock with those of other processes.
func (b *Bus) declare(ctx context.Context, s bus.Subscription) error {
	if b.life.Err() != nil {
		return errClosed
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	_, err := b.pool.Exec(ctx, sqlDeclare, s.Name, set(s.Types), b.clock.Now())
	if err != nil {
		b.prepared.Store(false)
	}
	return err
}

// set gives the types in order, each once.
func set(types []string) []string {
	out := slices.Clone(types)
	slices.Sort(out)
	return slices.Compact(out)
}

// Backlog implements bus.Bus. It counts from the cursor, which stands below the
// oldest event in hand and is written every 100 ms: what others were handled
// above it counts, too.
func (b *Bus) Backlog(ctx context.Context, subscription string) (n int64, err error) {
	if err := b.prepare(ctx); err != nil {
		return 0, failed(ctx, "backlog", err)
	}
	err = b.pool.QueryRow(ctx, sqlBacklog, subscription).Scan(&n)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("pgbus: %w", bus.ErrSubscription.Wrap(fmt.Errorf("%q is not declared", subscription)))
	}
	return n, failed(ctx, "backlog", err)
}
