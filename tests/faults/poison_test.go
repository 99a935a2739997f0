package faults

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/contracts/events"
	"trama/platform/bus"
)

// poisoned are types that one subscription each waits for.
var poisoned = []string{events.TypePagamentoRecebido, events.TypeEstornoSolicitado, events.TypePagamentoProcessado, events.TypeAlunoCriado, events.TypeContaCriada}

func TestPoisonAmongManyOnSQLite(t *testing.T) {
	t.Parallel()
	poison(t, start(t, false, nil), "SQLite", 60)
}

func TestPoisonAmongManyOnEngines(t *testing.T) {
	t.Parallel()
	poison(t, start(t, false, engines(t)), "PostgreSQL + RabbitMQ", 30)
}

// poison lets clients come and puts in an event that cannot be read for about
// every hundred that can.
func poison(t *testing.T, x *trial, on string, clients int) {
	for done := 0; done < clients; done += 10 {
		var bad []bus.Event
		e := event(poisoned[done/10%len(poisoned)], newID(), `[1]`)
		bad = append(bad, e)
		x.poisons = append(x.poisons, e.ID)
		x.Publish(t, bad...)
		x.crowd(10, 5)
	}
	held := x.verify()
	for _, l := range x.parked() {
		if l.Situacao != "morta" || l.Falha != "malformed" || l.Erro == "" {
			t.Errorf("a poisoned event became %+v", l)
		}
	}
	report(t, faultPoison, on, fmt.Sprintf("%d events, %d of them poison", len(x.Events(t)), len(x.poisons)), held+"; each poison is a dead letter with its cause")
	x.stop()
}

// nonsense is a message that is no event for payments.analise, and what the dead
// letter must say. type and exchange exist on a broker only.
type nonsense struct {
	name, why, contentType, exchange string
	body                             func(e map[string]any) // changes a good event
	raw                              string                 // in place of it
}

var nonsenses = []nonsense{
	{name: "unknown type", why: `"br.outra.Coisa.v1"`, body: func(e map[string]any) { e["type"] = "br.outra.Coisa.v1" }},
	{name: "newer version", why: "PagamentoRecebido.v2", body: func(e map[string]any) { e["type"] = "br.trama.financeiro.PagamentoRecebido.v2" }},
	{name: "newer specification", why: "specversion", body: func(e map[string]any) { e["specversion"] = "2.0" }},
	{name: "broken JSON", why: "unexpected end of JSON", raw: `{"specversion": "1.0", "id": `},
	{name: "no JSON", why: "invalid character", raw: "\x00\xff nada"},
	{name: "empty", why: "unexpected end of JSON", raw: ""},
	{name: "no subject", why: "subject is missing", body: func(e map[string]any) { delete(e, "subject") }},
	{name: "no id", why: "id is missing", body: func(e map[string]any) { delete(e, "id") }},
	{name: "no data", why: "data is missing", body: func(e map[string]any) { delete(e, "data") }},
	{name: "more than 1 MB", why: "more than 1048576", body: func(e map[string]any) { e["data"] = strings.Repeat("x", bus.MaxEventBytes) }},
	{name: "foreign content type", why: "content type", contentType: "text/xml", body: func(map[string]any) {}},
	{name: "wrong exchange", why: "came through exchange", exchange: "estrangeira", body: func(map[string]any) {}},
}

// text gives the message's body.
func (n nonsense) text() string {
	if n.body == nil {
		return n.raw
	}
	plain, _ := json.Marshal(event(events.TypePagamentoRecebido, newID(), fmt.Sprintf(`{"pagamentoId": %q}`, newID())))
	var e map[string]any
	_ = json.Unmarshal(plain, &e)
	n.body(e)
	out, _ := json.Marshal(e)
	return string(out)
}

func TestBadInputOnRabbitMQ(t *testing.T) {
	t.Parallel()
	set := engines(t)
	x := start(t, false, set)
	conn, err := amqp.Dial(set["bus.url"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queue := set["bus.prefix"] + ".payments.analise"
	for _, n := range nonsenses {
		exchange := n.exchange
		if exchange != "" {
			exchange = set["bus.prefix"] + "." + exchange
			if err := ch.ExchangeDeclare(exchange, "fanout", false, true, false, false, nil); err != nil {
				t.Fatal(err)
			}
			if err := ch.QueueBind(queue, "", exchange, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		if n.contentType == "" {
			n.contentType = "application/cloudevents+json"
		}
		if err := ch.PublishWithContext(t.Context(), exchange, queue, true, false, amqp.Publishing{ContentType: n.contentType, Body: []byte(n.text())}); err != nil {
			t.Fatal(err)
		}
		if n.exchange != "" {
			if err := ch.QueueUnbind(queue, "", exchange, nil); err != nil { // which ends the exchange
				t.Fatal(err)
			}
		}
	}
	x.parkedNonsense("RabbitMQ", nonsenses)
}

// On the embedded bus nonsense can come only by a hand in its file.
func TestBadInputOnSQLite(t *testing.T) {
	t.Parallel()
	x := start(t, false, nil)
	x.stop()
	var here []nonsense
	onFile(t, x.busFile(), func(db *sql.DB) error {
		for _, n := range nonsenses {
			if n.contentType != "" || n.exchange != "" {
				continue
			}
			here = append(here, n)
			if _, err := db.Exec(`INSERT INTO event (id, type, subject, body, at) VALUES (?, ?, ?, ?, ?)`,
				newID(), events.TypePagamentoRecebido, newID(), n.text(), time.Now().UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
	x.begin()
	x.parkedNonsense("SQLite", here)
}

// parkedNonsense checks that everything that was put in is a dead letter with its
// reason, and that the subscription lives on.
func (x *trial) parkedNonsense(on string, sent []nonsense) {
	t := x.t
	t.Helper()
	x.poisons = make([]string, len(sent))
	x.crowd(6, 3)
	held := x.verify()
	var names []string
	letters := x.parked()
	for _, n := range sent {
		names = append(names, n.name)
		found := false
		for _, l := range letters {
			found = found || l.Assinatura == "payments.analise" && l.Situacao == "morta" && strings.Contains(l.Erro, n.why)
		}
		if !found {
			t.Errorf("%s: no dead letter says %q: %+v", n.name, n.why, letters)
		}
	}
	report(t, faultInput, on, fmt.Sprintf("%d messages: %s", len(sent), strings.Join(names, ", ")), held+"; each message is a dead letter with its reason")
	x.stop()
}
