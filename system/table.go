package system

import (
	"fmt"
	"slices"
	"strings"

	"trama/contracts/events"
	"trama/platform/bus"
)

// Entry is one line of the module table: a role that can be started by itself.
type Entry struct {
	Module  string   // "<service>.<role>"
	About   string   // what it does, for trama modules
	Needs   []string // "store", "bus", and services it calls
	Consume []bus.Subscription
}

// Service gives the service the module belongs to.
func (e Entry) Service() string {
	service, _, _ := strings.Cut(e.Module, ".")
	return service
}

// storeServices keep data of their own.
var storeServices = []string{"marketing", "payments", "academics", "identity", "notifications", "acquirersim"}

// Table is the whole system: every module there is, what each needs and which
// events it waits for. It is the only place that knows all of them; a test
// holds it against what the services declare.
func Table() []Entry {
	sub := func(name string, types ...string) bus.Subscription { return bus.Subscription{Name: name, Types: types} }
	return []Entry{
		{Module: "gateway.http", About: "the one door: routes, limits, health, contracts", Needs: []string{"the services it routes to"}},
		{Module: "site.web", About: "pages for visitors and students, on the public API", Needs: []string{"gateway"}},
		{Module: "marketing.api", About: "leads and unsubscription", Needs: []string{"store", "academics"}},
		{Module: "marketing.worker", About: "stops reminders of those who enrolled", Needs: []string{"store", "bus"},
			Consume: []bus.Subscription{sub("marketing.matriculas", events.TypeMatriculaConfirmada)}},
		{Module: "marketing.tasks", About: "reminders that are due", Needs: []string{"store", "academics"}},
		{Module: "payments.api", About: "takes payments, refunds and the acquirer's callbacks", Needs: []string{"store", "academics", "acquirersim"}},
		{Module: "payments.worker", About: "fraud analysis, charge, refund", Needs: []string{"store", "bus", "acquirersim"},
			Consume: []bus.Subscription{
				sub("payments.analise", events.TypePagamentoRecebido),
				sub("payments.estornos", events.TypeEstornoSolicitado),
				sub("payments.matriculas", events.TypeMatriculaConfirmada),
			}},
		{Module: "payments.tasks", About: "expiry of pix and boleto, old keys", Needs: []string{"store", "acquirersim"}},
		{Module: "academics.api", About: "courses, students, enrolments", Needs: []string{"store"}},
		{Module: "academics.worker", About: "turns approved payments into students and enrolments", Needs: []string{"store", "bus"},
			Consume: []bus.Subscription{
				sub("academics.pagamentos", events.TypePagamentoProcessado),
				sub("academics.estornos", events.TypePagamentoEstornado),
			}},
		{Module: "identity.api", About: "first passwords", Needs: []string{"store"}},
		{Module: "identity.worker", About: "accounts for new students", Needs: []string{"store", "bus"},
			Consume: []bus.Subscription{sub("identity.alunos", events.TypeAlunoCriado)}},
		{Module: "notifications.api", About: "mail kept in the data folder", Needs: []string{"store"}},
		{Module: "notifications.worker", About: "writes and sends mail", Needs: []string{"store", "bus", "identity"},
			Consume: []bus.Subscription{
				sub("notifications.boas-vindas", events.TypeContaCriada),
				sub("notifications.matriculas", events.TypeMatriculaConfirmada),
				sub("notifications.cancelamentos", events.TypeMatriculaCancelada),
				sub("notifications.recusas", events.TypePagamentoRecusado),
				sub("notifications.cobrancas", events.TypeCobrancaEmitida),
				sub("notifications.estornos", events.TypePagamentoEstornado),
				sub("notifications.lembretes", events.TypeLembreteDevido, events.TypeLeadDescadastrado),
			}},
		{Module: "operations.api", About: "what operators see and do: dead letters, events, tasks, traces", Needs: []string{"bus", "every service with a store"}},
		{Module: "acquirersim.api", About: "simulated card acquirer, pix and boleto (a trial's stand-in for a real one)", Needs: []string{"store", "the gateway's public URL"}},
	}
}

// groups are names for sets of services.
var groups = map[string][]string{
	"school": {"marketing", "payments", "academics", "identity", "notifications"},
	"edge":   {"gateway", "site", "operations"},
}

// Services gives the names of all services, in table order.
func Services() []string {
	var out []string
	for _, e := range Table() {
		if !slices.Contains(out, e.Service()) {
			out = append(out, e.Service())
		}
	}
	return out
}

// Select gives the modules that names stand for: a module, a service (all its
// roles), a group (school, edge) or all.
func Select(names ...string) ([]string, error) {
	var out []string
	for _, name := range names {
		found := false
		for _, e := range Table() {
			if name == "all" || name == e.Module || name == e.Service() || slices.Contains(groups[name], e.Service()) {
				found = true
				if !slices.Contains(out, e.Module) {
					out = append(out, e.Module)
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("%q is no module, service or group; trama modules lists them", name)
		}
	}
	return out, nil
}

// Subscriptions gives what the whole system consumes: every process declares
// all of it before it publishes, so that no event is missed by a service that
// has not started yet.
func Subscriptions() []bus.Subscription {
	var out []bus.Subscription
	for _, e := range Table() {
		out = append(out, e.Consume...)
	}
	return out
}

func serviceOf(name string) (string, bool) {
	return name, slices.Contains(Services(), name)
}
