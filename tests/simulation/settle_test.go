package simulation

import (
	"context"
	"fmt"
	"time"

	"trama/contracts/events"
)

// longest is how long a phase may take to come to rest, in the bubble's time.
const longest = 20 * time.Minute

var services = []string{"marketing", "payments", "academics", "identity", "notifications", "acquirersim"}

// settle waits until nothing is under way: every outage of the phase is over and
// nothing waits anywhere. What never comes to rest is a finding.
func (w *world) settle(p *people) {
	until := 16*time.Second + time.Second
	for {
		w.mu.Lock()
		since := time.Since(w.began)
		w.mu.Unlock()
		if busy := w.busy(); len(busy) == 0 && (w.calm(since) || since > until) {
			if !p.operate() {
				return
			}
		} else if since > longest {
			w.fail("phase %d does not come to rest: %v", w.phase, busy)
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// calm says whether nothing that is planned for the phase is still to come.
func (w *world) calm(since time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.plan.outages {
		if o.phase == w.phase && o.to > since {
			return false
		}
	}
	return since > 3*time.Second
}

// busy lists what is under way.
func (w *world) busy() []string {
	inc := w.current()
	if inc == nil || inc.dead.Load() {
		return []string{"no process is up"}
	}
	out := w.broker.backlog()
	for _, s := range services {
		out = append(out, w.count(s, "events in the outbox of "+s, `SELECT COUNT(*) FROM outbox`)...)
		// The first letter of a dead one's subject waits for operators.
		out = append(out, w.count(s, "letters of "+s, `SELECT COUNT(*) FROM letter WHERE state = 'waiting'`)...)
	}
	out = append(out, w.count("notifications", "mails", `SELECT COUNT(*) FROM message WHERE state = 'aguardando'`)...)
	out = append(out, w.count("payments", "payments", `SELECT COUNT(*) FROM payment WHERE status IN ('recebido', 'em_analise')
		AND NOT EXISTS (SELECT 1 FROM letter)`)...)
	out = append(out, w.count("acquirersim", "notices", `SELECT COUNT(*) FROM callback`)...)
	now := w.clock.Now().UnixMilli()
	out = append(out, w.count("marketing", "reminders that are due", `SELECT COUNT(*) FROM lead WHERE due > 0 AND due <= $1`, now)...)
	out = append(out, w.count("payments", "payments whose time is over", `SELECT COUNT(*) FROM payment WHERE due_at > 0 AND due_at <= $1`, now)...)
	return out
}

func (w *world) count(service, what, query string, args ...any) []string {
	var n int
	if err := w.rawStore(service).QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		return []string{what + ": " + err.Error()}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %d", what, n)}
}

// told counts the distinct events of a type.
func (w *world) told(eventType string) int {
	n := 0
	for _, e := range w.broker.events() {
		if e.Type == eventType {
			n++
		}
	}
	return n
}

var onceEach = []string{events.TypePagamentoRecebido, events.TypeCobrancaEmitida, events.TypePagamentoProcessado, events.TypePagamentoRecusado,
	events.TypePagamentoEstornado, events.TypeEstornoSolicitado, events.TypeAlunoCriado, events.TypeContaCriada, events.TypeLeadRegistrado}
