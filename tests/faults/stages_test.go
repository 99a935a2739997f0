package faults

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"trama/tests/harness"
)

// stages runs n clients, every third of whom wants the money back, on a system
// whose workers come one after the other: what the next ones wait for stays on the
// bus, where tamper changes it. In the end the whole system runs.
func (x *trial) stages(n int, tamper func(db *sql.DB) error) {
	x.t.Helper()
	whole := x.System
	modules := []string{"gateway", "site", "payments.api", "payments.tasks", "marketing.api", "academics.api", "identity.api", "notifications.api",
		"acquirersim", "operations"}
	for _, worker := range []string{"", "payments.worker", "academics.worker", "identity.worker"} {
		if worker != "" {
			modules = append(modules, worker)
		}
		x.System = harness.Prepare(x.t, harness.Options{Data: x.Data, Serve: modules, Set: map[string]string{"acquirersim.delay": "0", "log.level": "warn"}})
		x.doors = []*harness.System{x.System}
		x.Launch()
		x.AwaitReady()
		switch worker {
		case "":
			x.courses = x.Courses(x.t)
			for range n {
				x.client(want{})
			}
		case "payments.worker":
			x.refundThird()
		}
		x.quiet(modules...)
		x.Stop() // what was said goes out first
		onFile(x.t, x.busFile(), tamper)
	}
	x.System, x.doors = whole, []*harness.System{whole}
	x.begin()
}

// refundThird asks for every third payment's money back before anybody is enrolled.
func (x *trial) refundThird() {
	i := 0
	for location, p := range x.payments {
		if i++; i%3 != 0 {
			continue
		}
		x.await(location, func(p harness.Payment) bool { return p.Situacao == "aprovado" })
		if _, ok := x.insist(location+"/estorno", "refund-"+p.CPF, nil, x.Bearer()...); ok {
			p.refunded = true
			x.payments[location] = p
		}
	}
}

// shuffle gives the events on the bus another order, subject by subject, and
// makes it deliver everything once more.
func shuffle(r *rand.Rand) func(*sql.DB) error {
	return func(db *sql.DB) error {
		rows, err := db.Query(`SELECT seq, id, type, subject, body, at FROM event`)
		if err != nil {
			return err
		}
		defer rows.Close()
		type record struct {
			seq, at                int64
			id, typ, subject, body string
		}
		var all []record
		places := map[string][]int64{} // of a subject
		for rows.Next() {
			var e record
			if err := rows.Scan(&e.seq, &e.id, &e.typ, &e.subject, &e.body, &e.at); err != nil {
				return err
			}
			all = append(all, e)
			places[e.subject] = append(places[e.subject], e.seq)
		}
		_ = rows.Close()
		for _, p := range places {
			r.Shuffle(len(p), func(i, j int) { p[i], p[j] = p[j], p[i] })
		}
		if _, err := db.Exec(`DELETE FROM event`); err != nil {
			return err
		}
		for _, e := range all {
			p := places[e.subject]
			places[e.subject] = p[1:]
			if _, err := db.Exec(`INSERT INTO event (seq, id, type, subject, body, at) VALUES (?, ?, ?, ?, ?, ?)`, p[0], e.id, e.typ, e.subject, e.body, e.at); err != nil {
				return err
			}
		}
		_, err = db.Exec(rewind)
		return err
	}
}

func TestRandomOrderWithinSubjects(t *testing.T) {
	t.Parallel()
	x := prepare(t, false, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	x.stages(15, shuffle(rand.New(rand.NewPCG(seed, 1))))
	held := x.verify()
	x.stop()
	onFile(t, x.busFile(), shuffle(rand.New(rand.NewPCG(seed, 2))))
	x.begin()
	x.verify()
	report(t, faultOrder, "SQLite", fmt.Sprintf("%d events shuffled 5 times within their subjects, delivered anew each time", len(x.Events(t))), held)
	x.stop()
}

// TestNextVersion gives every event, before anybody gets it, attributes and data
// that nobody knows yet, and puts in next versions of types.
func TestNextVersion(t *testing.T) {
	t.Parallel()
	x := prepare(t, false, nil)
	const (
		grow = `UPDATE event SET body = json_set(body, '$.partitionkey', 'x', '$.novoatributo', json('{"a": [1]}'),
			'$.data.campoNovo', json('{"valor": 1}'), '$.data.outro', 'texto') WHERE type NOT LIKE '%.v2'`
		next = `INSERT INTO event (id, type, subject, body, at)
			SELECT 'v2-' || hex(randomblob(8)), replace(type, '.v1', '.v2'), subject, replace(body, '.v1"', '.v2"'), at FROM event
			WHERE type LIKE '%.v1' ORDER BY seq DESC LIMIT 5`
	)
	x.stages(12, execute(strings.Join([]string{grow, next}, ";")))
	held := x.verify()
	var grown, v2 int
	for _, e := range x.Events(t) {
		if strings.Contains(string(e.Data), "campoNovo") {
			grown++
		}
		if strings.HasSuffix(e.Type, ".v2") {
			v2++
		}
	}
	if grown == 0 || v2 == 0 {
		t.Errorf("%d events had grown, %d were of version 2", grown, v2)
	}
	report(t, faultSkew, "SQLite", fmt.Sprintf("%d events with attributes and data nobody knows; %d of types .v2 nobody waits for", grown-v2, v2), held)
	x.stop()
}
