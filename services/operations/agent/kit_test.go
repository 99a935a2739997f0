package agent_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/sqlitebus"
	"trama/platform/call"
	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/outbox"
	"trama/platform/parking"
	"trama/platform/schedule"
	"trama/platform/store"
	"trama/platform/store/migration"
	"trama/platform/store/sqlitestore"
	"trama/platform/telemetry"
	"trama/services/operations/agent"
)

// The subscriptions of the service under test.
const (
	view   = "loja.visao"   // feeds a read model
	effect = "loja.efeitos" // has effects
)

// kit is one service with its store, on a bus, and its agent's client.
type kit struct {
	t        *testing.T
	clock    *clock.Shifted
	patience time.Duration
	ids      id.Source
	db       store.DB
	bus      bus.Bus
	lot      *parking.Lot
	box      *outbox.Box
	ledger   *schedule.SQL
	spans    *telemetry.Recorder
	operationsv1connect.OperationsServiceClient
}

// done is an effect in the service's store.
type done struct {
	N      int
	Replay string
}

func newKit(t *testing.T) *kit { return newPatientKit(t, 0) }

// newPatientKit has an agent that waits so long for a consumer; 0 means the default.
func newPatientKit(t *testing.T, patience time.Duration) *kit {
	t.Helper()
	k := &kit{t: t, clock: &clock.Shifted{}, patience: patience}
	k.ids = id.New(k.clock, rand.Reader)
	dir := t.TempDir()
	var err error
	k.db, err = sqlitestore.Open(t.Context(), sqlitestore.Options{Path: filepath.Join(dir, "loja.db"), Synchronous: "OFF"})
	k.must(err)
	t.Cleanup(func() { _ = k.db.Close() })
	_, err = migration.Run(t.Context(), k.db, "platform", outbox.Schema())
	k.must(err)
	k.exec(`CREATE TABLE effect (seq INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT, subject TEXT, n INTEGER, replay TEXT)`)
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	k.bus, err = sqlitebus.Open(t.Context(), sqlitebus.Options{Dir: filepath.Join(dir, "bus"), Clock: k.clock, Logger: logger})
	k.must(err)
	t.Cleanup(func() { _ = k.bus.Close() })
	k.lot = parking.New(k.db, k.clock, "teste:1")
	k.box = outbox.New(k.db, "/loja", k.clock, k.ids)
	k.ledger = schedule.NewSQL(k.db, k.clock)
	k.spans, err = telemetry.Open(telemetry.Options{Clock: k.clock, Logger: logger})
	k.must(err)
	t.Cleanup(func() { _ = k.spans.Close(context.Background()) })
	subs := []bus.Subscription{
		{Name: view, Types: []string{bustest.TypeA}, Rebuildable: true},
		{Name: effect, Types: []string{bustest.TypeA, bustest.TypeB}},
	}
	k.must(k.bus.Declare(t.Context(), subs...))
	a := &agent.Agent{Subscriptions: subs, Bus: k.bus, Parking: k.lot, Tasks: k.ledger, Spans: k.spans, Clock: k.clock, Patience: k.patience}
	network := call.New(nowhere{})
	network.Serve("loja", a.Register)
	k.OperationsServiceClient = operationsv1connect.NewOperationsServiceClient(network.Client("loja"))
	return k
}

type nowhere struct{}

func (nowhere) Resolve(context.Context, string) ([]string, error) { return nil, nil }

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// want fails the test unless err is a fault of this kind and code.
func (k *kit) want(err error, kind fault.Kind, code string) {
	k.t.Helper()
	if f := fault.As(err); f == nil || f.Kind != kind || f.Code != code {
		k.t.Errorf("got %v, want %s %s", err, kind, code)
	}
}

// ctx gives a context with the deadline that every call needs.
func (k *kit) ctx() context.Context {
	ctx, cancel := context.WithTimeout(k.t.Context(), 30*time.Second)
	k.t.Cleanup(cancel)
	return ctx
}

func (k *kit) exec(sql string, args ...any) {
	k.t.Helper()
	k.must(k.db.Update(k.t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(k.t.Context(), sql, args...)
		return err
	}))
}

// consume starts a consumer whose effect on each event is one row; fails, when
// not nil, says which fail. stop drains it.
func (k *kit) consume(name string, fails func(bus.Event) error) (stop func()) {
	k.t.Helper()
	c, err := k.bus.Subscribe(k.t.Context(), bus.Subscription{
		Name: name, Types: []string{bustest.TypeA, bustest.TypeB}[:map[string]int{view: 1, effect: 2}[name]], Parking: k.lot,
		Backoff: time.Millisecond, MaxAttempts: 1,
		Handler: func(ctx context.Context, e bus.Event) error {
			if fails != nil {
				if err := fails(e); err != nil {
					return err
				}
			}
			return k.box.Once(ctx, name, e, func(tx store.Tx) error {
				_, err := tx.Exec(ctx, `INSERT INTO effect (subscription, subject, n, replay) VALUES ($1, $2, $3, $4)`,
					name, e.Subject, bustest.Number(e), bus.Replay(ctx))
				return err
			})
		},
	})
	k.must(err)
	stop = func() { _ = c.Drain(context.Background()) }
	k.t.Cleanup(stop)
	return stop
}

// effects gives what a subscription did, in order, by subject.
func (k *kit) effects(name string) map[string][]done {
	k.t.Helper()
	rows, err := k.db.Query(context.Background(), `SELECT subject, n, replay FROM effect WHERE subscription = $1 ORDER BY seq`, name)
	k.must(err)
	defer rows.Close()
	out := map[string][]done{}
	for rows.Next() {
		var subject string
		var d done
		k.must(rows.Scan(&subject, &d.N, &d.Replay))
		out[subject] = append(out[subject], d)
	}
	k.must(rows.Err())
	return out
}

func (k *kit) total(name string) (n int) {
	for _, all := range k.effects(name) {
		n += len(all)
	}
	return n
}

// publish puts events from..to of each of so many subjects on the bus.
func (k *kit) publish(subjects, from, to int) (out []bus.Event) {
	k.t.Helper()
	for n := from; n <= to; n++ {
		for s := range subjects {
			out = append(out, bustest.NewEvent(k.ids, bustest.TypeA, fmt.Sprintf("s%d", s), n))
		}
	}
	for part := range slices.Chunk(out, 1000) {
		k.must(k.bus.Publish(context.Background(), part...))
	}
	return out
}

func (k *kit) await(what string, ok func() bool) {
	k.t.Helper()
	bustest.Eventually(k.t, what, ok)
}

// parked gives how many letters of a subscription there are.
func (k *kit) parked(name string) int {
	k.t.Helper()
	items, _, err := k.lot.List(k.t.Context(), parking.Filter{Subscription: name}, "", 100_000)
	k.must(err)
	return len(items)
}

func (k *kit) held(name string) bool {
	k.t.Helper()
	r, err := k.Subscriptions(k.ctx(), &operationsv1.SubscriptionsRequest{})
	k.must(err)
	for _, s := range r.GetSubscriptions() {
		if s.GetName() == name {
			return s.GetHeld()
		}
	}
	k.t.Fatalf("there is no subscription %s", name)
	return false
}

// replay repeats a request until the log's end, as the command does.
func (k *kit) replay(r *operationsv1.ReplayRequest) (parked int64, calls int) {
	k.t.Helper()
	for {
		out, err := k.Replay(k.ctx(), r)
		k.must(err)
		parked += out.GetParked()
		calls++
		if out.GetDone() {
			return parked, calls
		}
		r.After = out.GetNext()
	}
}
