package faults

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/contracts/events"
	"trama/platform/enginetest"
	"trama/tests/harness"
)

// kills says how many deaths each of the fourteen points gets.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv(killsEnv)
	switch {
	case text == "" && testing.Short():
		return 1
	case text == "":
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: a number of kills", killsEnv, text)
	}
	return n
}

func TestKillsInOneProcess(t *testing.T) {
	t.Parallel()
	killing(t, false, nil, "SQLite, one process")
}

func TestKillsInManyProcesses(t *testing.T) {
	t.Parallel()
	killing(t, true, nil, "SQLite, a process per service")
}

func TestKillsOnPostgresAndRabbitMQ(t *testing.T) {
	t.Parallel()
	killing(t, true, engines(t), "PostgreSQL + RabbitMQ, a process per service")
}

// engines gives the configuration of a system on PostgreSQL, with a database for
// each service, and RabbitMQ.
func engines(t *testing.T) map[string]string {
	t.Helper()
	takeTurn(t)
	set := map[string]string{"bus.url": enginetest.RabbitMQ(t), "bus.prefix": "trama_test_" + enginetest.Suffix(), "stores.maxConns": "3"}
	for _, service := range stores {
		set["stores."+service] = enginetest.PostgresDatabase(t)
	}
	harness.DropTopology(t, set["bus.url"], set["bus.prefix"])
	return set
}

// turns bounds how many tests work PostgreSQL at a time: it has a hundred connections.
var turns = make(chan struct{}, 2)

func takeTurn(t *testing.T) {
	turns <- struct{}{}
	t.Cleanup(func() { <-turns })
}

var stores = []string{"marketing", "payments", "academics", "identity", "notifications", "acquirersim"}

// killing runs the flow again and again while a process dies each time, and then
// asks whether every promise was kept.
func killing(t *testing.T, split bool, set map[string]string, on string) {
	x := start(t, split, set)
	each := kills(t)
	named := steps(set != nil)
	for repeat := range each {
		for i := range named {
			x.round(named[i*5%len(named)].point, repeat) // neighbours in the flow share a process; let it recover
		}
	}
	done := fmt.Sprintf("%d points × %d", len(named), each)
	if set == nil {
		for i := range others {
			x.round(others[i*7%len(others)], 0)
		}
		done += fmt.Sprintf(" and %d more × 1", len(others))
	}
	total := 0
	for _, n := range x.deaths {
		total += n
	}
	x.revive()
	report(t, faultKill, on, fmt.Sprintf("%d kills: %s", total, done), x.verify())
	x.stop()
}

// victim gives the process that is to die at a point: the one whose point it is,
// or in turn one of those that pass it.
func (x *trial) victim(point string, repeat int) string {
	if len(x.parts) == 1 {
		return ""
	}
	service, _, _ := strings.Cut(point, ".")
	if _, ok := x.parts[service]; ok {
		return service
	}
	passers := []string{"payments", "academics", "identity", "marketing"}
	switch {
	case service == "task" || service == "timer":
		passers = []string{"marketing"} // whose task gives reminders
	case point == "letter.handled":
		passers = []string{"academics"}
	case point == "consumer.parked":
		passers = []string{"payments"}
	case service == "consumer" || service == "inbox" || point == "bus.cursor" || point == "bus.acked":
		passers = append(passers, "notifications")
	}
	return passers[repeat%len(passers)]
}

// flows are the points that only a certain client passes.
var flows = map[string]want{
	"payments.refunded":    {refund: true},
	"academics.cancelling": {refund: true},
	"academics.cancelled":  {refund: true},
	"acquirersim.notified": {pix: true},
	"marketing.reminded":   {noPayment: true}, // who pays at once is never reminded
	"task.claimed":         {noPayment: true},
	"timer.fired":          {noPayment: true},
	"task.done":            {noPayment: true},
}

// round lets clients come until a process has died at the point, which is armed
// after a moment so that it is not always the first to pass that dies.
func (x *trial) round(point string, repeat int) {
	var wg sync.WaitGroup
	come := func() {
		wg.Go(func() { x.client(flows[point]) })
		x.provoke(point, &wg)
	}
	if repeat > 0 {
		come()
		time.Sleep(time.Duration(repeat%8) * 15 * time.Millisecond) // the fault comes when it comes
	}
	victim := x.victim(point, repeat)
	armed := x.armed(victim)
	if err := os.WriteFile(armed, []byte(point), 0o600); err != nil {
		x.t.Fatal(err)
	}
	come()
	begun := time.Now()
	for again := begun.Add(3 * time.Second); exists(armed); {
		if time.Since(begun) > patience {
			x.t.Fatalf("%s never passed %s", victim, point)
		}
		if time.Now().After(again) { // everybody was through before it was armed
			again = time.Now().Add(3 * time.Second)
			come()
		}
		time.Sleep(2 * time.Millisecond) // another process's death can only be polled
	}
	x.deaths[point]++
	<-x.parts[victim].Ended() // the file goes a moment before the process
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for {
		x.revive()
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// provoke does what passes a point that no client passes.
func (x *trial) provoke(point string, wg *sync.WaitGroup) {
	switch point {
	case "consumer.parked":
		e := event(events.TypePagamentoRecebido, newID(), `{"pagamentoId": 5}`)
		x.poisons = append(x.poisons, e.ID)
		x.Publish(x.t, e)
	case "letter.handled":
		wg.Go(func() {
			harness.Eventually(x.t, patience, "a replay", func() bool {
				_, err := x.Command(x.t, "events", "replay", "--to", "academics.pagamentos", "--from", "1h")
				return err == nil
			})
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}
