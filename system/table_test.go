package system

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	"trama/contracts/events"
	"trama/edge/gateway"
	"trama/platform/bus"
	"trama/platform/config"
	"trama/platform/datadir"
	"trama/platform/module"
	"trama/platform/store"
)

// defaults gives the configuration that holds when nothing is configured.
func defaults(t testing.TB) Config {
	t.Helper()
	var c Config
	if _, problems := config.Load(&c, config.Sources{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	return c
}

// declared builds every service as a host does, over real stores, and gives
// what each says of itself and whom it asked for a client.
func declared(t *testing.T) (services []module.Service, calls map[string][]string) {
	t.Helper()
	dir, err := datadir.Open(t.TempDir(), datadir.Exclusive, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Select("all")
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Config: defaults(t), Dir: dir, Modules: all, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		_ = dir.Close()
	})
	if err := h.openStores(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls = map[string][]string{}
	for _, name := range append(slices.Clone(storeServices), "operations") {
		deps := h.deps(name)
		client := deps.Call
		deps.Call = func(service string) *connect.Client {
			calls[name] = append(calls[name], service)
			return client(service)
		}
		s, err := h.builders()[name](deps)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name {
			t.Errorf("the builder of %s gives %s", name, s.Name)
		}
		services = append(services, s)
	}
	return services, calls
}

// entries gives the table by module.
func entries() map[string]Entry {
	out := map[string]Entry{}
	for _, e := range Table() {
		out[e.Module] = e
	}
	return out
}

func TestTableIsWhatTheServicesDeclare(t *testing.T) {
	services, calls := declared(t)
	table := entries()
	if len(table) != len(Table()) {
		t.Error("a module stands twice in the table")
	}
	for _, s := range services {
		var needs []string
		for _, m := range s.Modules {
			e, ok := table[m.Name]
			if !ok || e.Service() != s.Name {
				t.Errorf("%s declares %s, which is not in the table", s.Name, m.Name)
				continue
			}
			delete(table, m.Name)
			for _, n := range e.Needs {
				if _, known := serviceOf(n); known {
					needs = append(needs, n)
				}
			}
			if e.Module == "operations.api" { // owns no data, and reads the bus's log
				continue
			}
			if !slices.Contains(e.Needs, "store") || slices.Contains(e.Needs, "bus") != (len(m.Subscriptions) > 0) {
				t.Errorf("%s needs %v and consumes %d subscriptions", m.Name, e.Needs, len(m.Subscriptions))
			}
			sameSubscriptions(t, m.Name, e.Consume, m.Subscriptions)
		}
		if want, got := set(needs), set(calls[s.Name]); !slices.Equal(want, got) {
			t.Errorf("%s calls %v, the table says %v", s.Name, got, want)
		}
	}
	for left := range table {
		if left != "gateway.http" && left != "site.web" { // built by the host itself
			t.Errorf("%s is in the table and no service declares it", left)
		}
	}
}

func sameSubscriptions(t *testing.T, name string, want, got []bus.Subscription) {
	t.Helper()
	texts := func(all []bus.Subscription) []string {
		var out []string
		for _, s := range all {
			out = append(out, s.Name+" "+strings.Join(set(s.Types), " "))
		}
		return set(out)
	}
	if w, g := texts(want), texts(got); !slices.Equal(w, g) {
		t.Errorf("%s consumes\n%s\nthe table says\n%s", name, strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
	for _, s := range got {
		if s.Handler == nil {
			t.Errorf("%s: %s has no handler", name, s.Name)
		}
		if !strings.HasPrefix(s.Name, Entry{Module: name}.Service()+".") {
			t.Errorf("%s: %s does not begin with its service", name, s.Name)
		}
	}
}

// set gives the words sorted and once each.
func set(words []string) []string {
	words = slices.Clone(words)
	slices.Sort(words)
	return slices.Compact(words)
}

func TestLoopsHaveNamesThatALeaseCanHave(t *testing.T) {
	services, _ := declared(t)
	loops := 0
	for _, s := range services {
		seen := map[string]bool{}
		for _, m := range s.Modules {
			for _, l := range m.Loops {
				loops++
				if !store.ValidLeaseName(leaseName(l)) || seen[l.Name] || l.Run == nil {
					t.Errorf("%s: loop %q", m.Name, l.Name)
				}
				seen[l.Name] = true
			}
		}
	}
	if loops == 0 {
		t.Error("no loops at all")
	}
}

func TestRESTIsRoutedToWhoServesIt(t *testing.T) {
	services, _ := declared(t)
	serving := []string{"site"}
	for _, s := range services {
		for _, m := range s.Modules {
			if m.REST != nil {
				serving = append(serving, s.Name)
				if m.Name != s.Name+".api" {
					t.Errorf("%s serves routes; discovery only tells of %s.api", m.Name, s.Name)
				}
			}
			if m.RPC != nil && m.Name != s.Name+".api" {
				t.Errorf("%s answers calls; discovery only tells of %s.api", m.Name, s.Name)
			}
		}
	}
	var routed []string
	for _, r := range gateway.Routes() {
		if r.Service != gateway.ServiceDocs {
			routed = append(routed, r.Service)
		}
	}
	if !slices.Equal(set(serving), set(routed)) {
		t.Errorf("routes lead to %v, routes are served by %v", set(routed), set(serving))
	}
}

func TestConsumersAreThoseOfTheCatalogue(t *testing.T) {
	consumers := map[string][]string{}
	for _, e := range Table() {
		for _, s := range e.Consume {
			for _, typ := range s.Types {
				if _, ok := events.Lookup(typ); !ok {
					t.Errorf("%s waits for %s, which is in no catalogue", s.Name, typ)
				}
				consumers[typ] = append(consumers[typ], e.Service())
			}
		}
	}
	for _, e := range events.Registry() {
		if got := set(consumers[e.Type]); !slices.Equal(got, set(e.Consumers)) {
			t.Errorf("%s is consumed by %v, the catalogue says %v", e.Name, got, e.Consumers)
		}
		if _, known := serviceOf(e.Producer); !known || sources[e.Producer] != e.Source {
			t.Errorf("%s comes from %s as %s, the host says %q", e.Name, e.Producer, e.Source, sources[e.Producer])
		}
	}
	names := map[string]bool{}
	for _, s := range Subscriptions() {
		if names[s.Name] {
			t.Errorf("two subscriptions are named %s", s.Name)
		}
		names[s.Name] = true
	}
}

func TestSelect(t *testing.T) {
	var all []string
	for _, e := range Table() {
		all = append(all, e.Module)
	}
	tests := []struct {
		names string
		want  []string
	}{
		{"payments.worker", []string{"payments.worker"}},
		{"academics", []string{"academics.api", "academics.worker"}},
		{"payments.worker academics", []string{"payments.worker", "academics.api", "academics.worker"}},
		{"academics.worker academics", []string{"academics.worker", "academics.api"}},
		{"edge", []string{"gateway.http", "site.web", "operations.api"}},
		{"edge school acquirersim", all},
		{"all", all},
		{"all payments edge", all},
	}
	for _, tt := range tests {
		got, err := Select(strings.Fields(tt.names)...)
		if err != nil || !slices.Equal(set(got), set(tt.want)) || len(got) != len(set(got)) {
			t.Errorf("Select(%s) = %v, %v; want %v", tt.names, got, err, tt.want)
		}
	}
	for _, unknown := range []string{"nope", "", "payments.", "payments.nope", ".worker", "All"} {
		if got, err := Select("payments.worker", unknown); err == nil || !strings.Contains(err.Error(), "trama modules") {
			t.Errorf("Select(%q) = %v, %v", unknown, got, err)
		}
	}
	if school, _ := Select("school"); slices.ContainsFunc(school, func(m string) bool { return strings.HasPrefix(m, "acquirersim") }) {
		t.Error("the school needs no simulator")
	}
}
