package academics_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"trama/platform/clock"
	"trama/platform/id"
	"trama/platform/money"
	"trama/services/academics"
)

func TestSeedFillsTheSchoolOnce(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		n, err := academics.Seed(t.Context(), s.db, s.clock)
		if err != nil || n < 14 {
			t.Fatalf("seeded %d, %v", n, err)
		}
		list := s.do("GET", courses+"?limite=100", "")
		if got := len(list.body["itens"].([]any)); got != n {
			t.Errorf("%d courses are shown, %d were written", got, n)
		}
		gone := list.body["itens"].([]any)[0].(map[string]any)["id"].(string)
		if a := s.staff("DELETE", courses+"/"+gone, "", "If-Match", "*"); a.status != 204 {
			t.Fatal(a.raw)
		}
		again, err := academics.Seed(t.Context(), s.db, s.clock)
		if err != nil || again != 0 || s.count(t, "course") != n-1 {
			t.Errorf("seeded again: %d, %v, %d courses", again, err, s.count(t, "course"))
		}
	})
}

func TestSeedOfManyProcessesAtOnce(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		written := make(chan int, 4)
		var tasks []func(context.Context) error
		for range 4 {
			tasks = append(tasks, func(ctx context.Context) error {
				n, err := academics.Seed(ctx, s.db, s.clock)
				written <- n
				return err
			})
		}
		together(t, tasks...)
		close(written)
		total := 0
		for n := range written {
			total += n
		}
		if total != s.count(t, "course") {
			t.Errorf("%d said to be written, %d there", total, s.count(t, "course"))
		}
	})
}

// What the demonstration shows must be believable: this reads it as a visitor.
func TestSeededCoursesAreComplete(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	if _, err := academics.Seed(t.Context(), s.db, clock.System{}); err != nil {
		t.Fatal(err)
	}
	least, most, categories, lessonIDs := money.Max, money.Cents(0), map[string]bool{}, map[string]bool{}
	for _, item := range s.do("GET", courses+"?limite=100", "").body["itens"].([]any) {
		c := item.(map[string]any)
		slug := c["slug"].(string)
		price, err := money.Parse(c["preco"].(map[string]any)["valor"].(string))
		if err != nil {
			t.Errorf("%s: %v", slug, err)
		}
		least, most = min(least, price), max(most, price)
		categories[c["categoria"].(string)] = true
		if !id.Valid(c["id"].(string)) || !strings.HasPrefix(c["id"].(string), "01980a52-7c00-7000-8000-") {
			t.Errorf("%s: id %s", slug, c["id"])
		}
		if n := len(strings.Split(c["descricao"].(string), "\n\n")); n < 2 || n > 4 {
			t.Errorf("%s: %d paragraphs", slug, n)
		}
		lessons, minutes, titles := c["aulas"].([]any), 0.0, map[string]bool{}
		for _, l := range lessons {
			lesson := l.(map[string]any)
			minutes += lesson["minutos"].(float64)
			if lessonID := lesson["id"].(string); !id.Valid(lessonID) || lessonIDs[lessonID] {
				t.Errorf("%s: lesson id %s is broken or not its own", slug, lessonID)
			}
			lessonIDs[lesson["id"].(string)] = true
			titles[lesson["titulo"].(string)] = true
		}
		hours := c["cargaHoraria"].(float64)
		if len(lessons) < 8 || len(lessons) > 20 || len(titles) != len(lessons) || minutes < hours*60*0.9 || minutes > hours*60*1.1 {
			t.Errorf("%s: %d lessons of %v minutes, %v hours", slug, len(lessons), minutes, hours)
		}
	}
	if fmt.Sprint(least, most) != "49.90 1899.00" || len(categories) < 7 {
		t.Errorf("prices %s to %s, categories %v", least, most, categories)
	}
}

func TestConfigCheck(t *testing.T) {
	if p := (academics.Config{MaxInFlight: 32}).Check(); len(p) != 0 {
		t.Errorf("the default is refused: %v", p)
	}
	for _, n := range []int{0, -1, 1025} {
		if p := (academics.Config{MaxInFlight: n}).Check(); len(p) != 1 || p[0].Key != "maxInFlight" || p[0].Try == "" {
			t.Errorf("%d: %v", n, p)
		}
	}
}
