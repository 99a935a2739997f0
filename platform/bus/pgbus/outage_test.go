package pgbus_test

import (
	"fmt"
	"net/url"
	"sync"
	"testing"

	"trama/platform/bus"
	"trama/platform/bus/bustest"
	"trama/platform/bus/pgbus"
	"trama/platform/enginetest"
	"trama/platform/fault"
)

// Every connection of the bus is ended by the server, again and again, under
// load: publishers repeat what failed, and nothing is lost.
func TestServerEndsAllConnections(t *testing.T) {
	const publishers, each = 4, 150
	url := enginetest.PostgresDatabase(t)
	b := open(t, url)
	r := bustest.NewRecorder()
	subscribe(t, b, bus.Subscription{Name: "teste.queda", Types: []string{bustest.TypeA}, Parking: bustest.NewLot(t), Handler: r.Handle(nil)})
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				e := event(bustest.TypeA, fmt.Sprint("s", p), i+1)
				for try := 0; ; try++ {
					err := b.Publish(t.Context(), e)
					if err == nil {
						break
					}
					if fault.KindOf(err) != fault.Unavailable || try == 100 {
						t.Errorf("publish: %v", err)
						return
					}
				}
			}
		})
	}
	c := connect(t, url)
	for i := 1; i < 6; i++ {
		r.AwaitDone(t, i*publishers*each/8)
		bustest.Eventually(t, "some connections are ended", func() bool { // it may have none just now
			return number(t, c, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'trama bus'`) > 0
		})
	}
	wg.Wait()
	r.AwaitDone(t, publishers*each)
	r.CheckOrder(t)
	if n := number(t, c, `SELECT count(*) FROM trama_bus.event`); n != publishers*each {
		t.Errorf("%d events in the log, want %d", n, publishers*each)
	}
}

// Open needs no server; once there is one, all works without opening anew.
func TestServerComesLater(t *testing.T) {
	admin := enginetest.PostgresAdmin(t)
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	name := "trama_test_" + enginetest.Suffix()
	u.Path = "/" + name
	b := open(t, u.String())
	sub := bus.Subscription{Name: "teste.espera", Types: []string{bustest.TypeA}}
	e := event(bustest.TypeA, "s", 1)
	_, backlog := b.Backlog(t.Context(), sub.Name)
	for what, err := range map[string]error{
		"ping": b.Ping(t.Context()), "declare": b.Declare(t.Context(), sub), "publish": b.Publish(t.Context(), e), "backlog": backlog,
		"read": b.Read(t.Context(), bus.Query{}, func(bus.LogEntry) error { return nil }),
	} {
		if err == nil || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s without a server: %v, want Unavailable", what, err)
		}
	}
	enginetest.PostgresExec(t, admin, `CREATE DATABASE `+name)
	t.Cleanup(func() { enginetest.PostgresExec(t, admin, `DROP DATABASE `+name+` WITH (FORCE)`) })
	publish(t, b, e)
	if got := logOf(t, b, bus.Query{}); len(got) != 1 {
		t.Errorf("the log is %v", got)
	}
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func TestWrongOptions(t *testing.T) {
	for name, opt := range map[string]pgbus.Options{
		"url":    {URL: "http://nowhere"},
		"schema": {URL: "postgres://localhost/x", Schema: "s234567890123456789012345678901234567890123456789012345678901234"},
	} {
		if _, err := pgbus.Open(opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Many processes that start together on an empty database make one schema.
func TestManyStartAtOnce(t *testing.T) {
	url := enginetest.PostgresDatabase(t)
	var wg sync.WaitGroup
	for i := range 8 {
		b := open(t, url)
		wg.Go(func() {
			var subs []bus.Subscription
			for k := range 5 {
				subs = append(subs, bus.Subscription{Name: fmt.Sprint("teste.s", (i+k)%5), Types: []string{bustest.TypeA}})
			}
			if err := b.Declare(t.Context(), subs...); err != nil {
				t.Errorf("declare: %v", err)
			}
			if err := b.Publish(t.Context(), event(bustest.TypeA, "s", i)); err != nil {
				t.Errorf("publish: %v", err)
			}
		})
	}
	wg.Wait()
	c := connect(t, url)
	if events, subs := number(t, c, `SELECT count(*) FROM trama_bus.event`), number(t, c, `SELECT count(*) FROM trama_bus.subscription`); events != 8 || subs != 5 {
		t.Errorf("%d events, %d subscriptions", events, subs)
	}
}
