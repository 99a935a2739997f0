package pgbus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/enginetest"
)

// waiting says how many sessions wait for the turn.
const waiting = `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// The trap: a number drawn early, committed late. A reader that has gone on must
// not miss it. Without the turn it does, which shows that the test can tell.
func TestLateCommitIsNotSkipped(t *testing.T) {
	for _, turn := range []bool{true, false} {
		t.Run(fmt.Sprint("turn=", turn), func(t *testing.T) {
			url := enginetest.PostgresDatabase(t)
			b := open(t, url)
			if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.atraso", Types: []string{bustest.TypeA}}); err != nil {
				t.Fatal(err)
			}
			foreign, watcher := connect(t, url), connect(t, url)
			if !turn {
				execute(t, watcher, `DROP TRIGGER turn ON trama_bus.event`)
			}
			var f follow
			f.start(t, b, bus.Query{})
			execute(t, foreign, `BEGIN`)
			execute(t, foreign, byHand, columns(t, event(bustest.TypeA, "cedo", 1))...)
			published := make(chan error, 1)
			go func() { published <- b.Publish(t.Context(), event(bustest.TypeA, "tarde", 1)) }()
			if turn {
				bustest.Eventually(t, "the publisher waits its turn", func() bool { return number(t, watcher, waiting) == 1 })
				if got := logOf(t, b, bus.Query{}); len(got) != 0 {
					t.Errorf("%v can be read before its elders are decided", got)
				}
			} else {
				if err := <-published; err != nil {
					t.Fatal(err)
				}
				f.await(t, 1)
			}
			execute(t, foreign, `COMMIT`)
			if !turn {
				publish(t, b, event(bustest.TypeA, "depois", 1))
				f.await(t, 2) // three are there
				return
			}
			if err := <-published; err != nil {
				t.Fatal(err)
			}
			f.await(t, 2)
			if got := logOf(t, b, bus.Query{}); !slices.Equal(got, []string{"cedo 1", "tarde 1"}) {
				t.Errorf("the log is %v", got)
			}
		})
	}
}

// Three processes that publish, four foreign ones that insert by hand in slow
// transactions (one in four rolled back), and a live consumer and reader: all
// that was committed arrives, in order of each subject.
func TestNothingIsSkippedAmongManyWriters(t *testing.T) {
	const each = 60
	url := enginetest.PostgresDatabase(t)
	b := open(t, url)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.todos", Types: []string{bustest.TypeA, bustest.TypeB}, Parking: bustest.NewLot(t), Handler: r.Handle(nil)})
	var f follow
	f.start(t, b, bus.Query{})
	var wg sync.WaitGroup
	for p := range 3 {
		x := open(t, url)
		for g := range 3 {
			wg.Go(func() {
				for i := range each {
					e := event([]string{bustest.TypeA, bustest.TypeB}[i%2], fmt.Sprintf("p%d-%d", p, g), i+1)
					if err := x.Publish(t.Context(), e); err != nil {
						t.Errorf("publish: %v", err)
					}
				}
			})
		}
	}
	for h := range 4 {
		c := connect(t, url)
		wg.Go(func() {
			for i := range each {
				if err := slowly(t, c, i%4 == 3, event(bustest.TypeA, fmt.Sprint("mao", h), i+1)); err != nil {
					t.Errorf("by hand: %v", err)
				}
			}
		})
	}
	wg.Wait()
	const all = 9*each + 4*each*3/4
	r.AwaitDone(t, all)
	r.CheckOrder(t)
	f.await(t, all)
}

// slowly inserts an event and lets its transaction linger.
func slowly(t *testing.T, c *pgx.Conn, rollback bool, e bus.Event) error {
	tx, err := c.Begin(t.Context())
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), byHand, columns(t, e)...); err != nil {
		return err
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_sleep(0.002)`); err != nil || rollback {
		return err
	}
	return tx.Commit(t.Context())
}

// What waits while another has the turn is then committed together.
func TestWaitingPublishersShareACommit(t *testing.T) {
	const publishers = 50
	url := enginetest.PostgresDatabase(t)
	b := open(t, url)
	if err := b.Declare(t.Context(), bus.Subscription{Name: "teste.junto", Types: []string{bustest.TypeA}}); err != nil {
		t.Fatal(err)
	}
	foreign, watcher := connect(t, url), connect(t, url)
	execute(t, foreign, `BEGIN`)
	execute(t, foreign, byHand, columns(t, event(bustest.TypeA, "antes", 1))...)
	var wg sync.WaitGroup
	var entered sync.WaitGroup
	for p := range publishers {
		entered.Add(1)
		wg.Go(func() {
			events := []bus.Event{event(bustest.TypeA, fmt.Sprint("s", p), 1), event(bustest.TypeA, fmt.Sprint("s", p), 2)}
			entered.Done()
			if err := b.Publish(t.Context(), events...); err != nil {
				t.Error(err)
			}
		})
	}
	entered.Wait()
	bustest.Eventually(t, "the first commit waits its turn", func() bool { return number(t, watcher, waiting) == 1 })
	execute(t, foreign, `COMMIT`)
	wg.Wait()
	if n := number(t, watcher, `SELECT count(DISTINCT xmin::text) FROM trama_bus.event`) - 1; n > publishers/2 {
		t.Errorf("%d publishers made %d commits", publishers, n)
	} else {
		t.Logf("%d publishers, %d commits", publishers, n)
	}
	if n := number(t, watcher, `SELECT count(*) FROM trama_bus.event a JOIN trama_bus.event b USING (subject)
		WHERE convert_from(a.body, 'UTF8') LIKE '%"n":1%' AND b.seq = a.seq + 1`); n != publishers {
		t.Errorf("of %d calls, the events of %d are adjacent", publishers, n)
	}
}
