package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"trama/contracts/events"
	"trama/platform/bus"
)

// broker is the transport. It outlives the processes, as a broker does, and
// keeps the promises of package bus, at their worst: it stores twice what is
// published twice, and repeats old deliveries whenever it likes.
type broker struct {
	w *world

	mu    sync.Mutex
	log   []bus.Event
	known map[string]bool // ids in the log
	tries map[string]int  // of publishing, by the event's key
	names map[string]string
	subs  map[string]*queue
}

func newBroker(w *world) *broker {
	return &broker{w: w, known: map[string]bool{}, tries: map[string]int{}, names: map[string]string{}, subs: map[string]*queue{}}
}

func (b *broker) declare(subs ...bus.Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range subs {
		if b.subs[s.Name] == nil {
			b.subs[s.Name] = newQueue(b, s)
		}
	}
}

// publish stores the events in order, up to the first that is hurt.
func (b *broker) publish(ctx context.Context, inc *incarnation, all []bus.Event) error {
	first := b.key(ctx, all[0])
	b.mu.Lock()
	n := b.tries[first]
	b.mu.Unlock()
	if err := b.w.clock.Wait(ctx, b.w.plan.latency("publishing", first, n)); err != nil {
		return bus.ErrUnavailable.Wrap(err)
	}
	down, after := b.w.down("bus")
	if inc.dead.Load() || down && !after {
		return bus.ErrUnavailable.Wrap(errOutage)
	}
	for _, e := range all {
		if err := e.Check(); err != nil {
			return err
		}
		key := b.key(ctx, e)
		b.mu.Lock()
		n := b.tries[key]
		b.tries[key]++
		b.mu.Unlock()
		blow := b.w.plan.publish(key, n)
		if blow == lostBefore {
			b.w.happened("publishing failed")
			b.w.note("publishing %s fails (%d)", key, n)
			return bus.ErrUnavailable.Wrap(errOutage)
		}
		b.append(e, key)
		if blow == lostAfter {
			b.w.happened("publishing not confirmed")
			b.w.note("publishing %s is not confirmed (%d)", key, n)
			return bus.ErrUnavailable.Wrap(errOutage)
		}
	}
	if inc.dead.Load() || down {
		return bus.ErrUnavailable.Wrap(errOutage)
	}
	return nil
}

// append puts an event into the log and before every subscription that wants it.
func (b *broker) append(e bus.Event, key string) {
	b.mu.Lock()
	again := b.known[e.ID]
	b.known[e.ID] = true
	b.log = append(b.log, e)
	queues := make([]*queue, 0, len(b.subs))
	for _, q := range b.subs {
		if slices.Contains(q.types, e.Type) {
			queues = append(queues, q)
		}
	}
	b.mu.Unlock()
	b.w.note("published %s (again: %v)", key, again)
	for _, q := range queues {
		q.add(e, key, again)
	}
}

// key names an event as the workload knows it: aggregate, number, type.
func (b *broker) key(ctx context.Context, e bus.Event) string {
	return b.name(ctx, e) + "/" + e.Sequence + " " + short(e.Type)
}

func short(eventType string) string {
	return strings.TrimPrefix(path.Ext(strings.TrimSuffix(eventType, ".v1")), ".")
}

// name names the aggregate of an event, as the workload knows it.
func (b *broker) name(ctx context.Context, e bus.Event) string {
	b.mu.Lock()
	name, ok := b.names[e.Subject]
	b.mu.Unlock()
	if ok {
		return name
	}
	var data struct {
		Origem string        `json:"origem"`
		Pessoa events.Pessoa `json:"pessoa"`
	}
	_ = json.Unmarshal(e.Data, &data) // what it has not, it has not
	switch e.Source {
	case "/financeiro":
		var email string
		if err := b.w.rawStore("payments").QueryRow(ctx, `SELECT email FROM payment WHERE id = $1`, e.Subject).Scan(&email); err != nil {
			return "pagamento ?" // the store is being closed: told again after the restart
		}
		name = "pagamento " + nameIn(email)
	case "/marketing":
		name = "lead " + data.Origem
	case "/academico":
		name = "aluno " + personIn(data.Pessoa.Email)
	case "/identidade":
		name = "conta " + personIn(data.Pessoa.Email)
	}
	b.mu.Lock()
	b.names[e.Subject] = name
	b.mu.Unlock()
	return name
}

func nameIn(email string) string { name, _, _ := strings.Cut(email, "."); return name }

func personIn(email string) string {
	_, rest, _ := strings.Cut(email, ".")
	person, _, _ := strings.Cut(rest, "@")
	return person
}

// events gives the log without repetitions.
func (b *broker) events() []bus.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[string]bool{}
	var out []bus.Event
	for _, e := range b.log {
		if !seen[e.ID] {
			seen[e.ID] = true
			out = append(out, e)
		}
	}
	return out
}

// backlog says what is not delivered yet, other than repetitions that come later.
func (b *broker) backlog() (waiting []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, q := range b.subs {
		if n := q.waiting(b.w.ahead().Add(10 * time.Second)); n > 0 {
			waiting = append(waiting, fmt.Sprintf("%s: %d deliveries", name, n))
		}
	}
	return waiting
}

// kick wakes all streams: the clock has jumped.
func (b *broker) kick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.subs {
		q.signal()
	}
}
