package academics_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"trama/contracts/events"
)

// walk reads a list to its end and gives the ids; between runs after each page.
func walk(t *testing.T, s *school, target string, between func(page int)) []string {
	t.Helper()
	var ids []string
	for page := 1; ; page++ {
		a := s.staff("GET", target, "")
		if a.status != 200 {
			t.Fatalf("GET %s: %d %s", target, a.status, a.raw)
		}
		for _, item := range a.body["itens"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		next, more := a.body["proximo"].(string)
		link := a.header.Get("Link")
		if !more {
			if link != "" {
				t.Errorf("the last page has a Link %q", link)
			}
			return ids
		}
		// The Link header is what a client follows.
		address, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		if !ok || !strings.Contains(address, "cursor="+url.QueryEscape(next)) {
			t.Fatalf("Link %q, proximo %q", link, next)
		}
		target = address
		if between != nil {
			between(page)
		}
	}
}

func TestStudentPagesAreStableWhileStudentsCome(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		var there []string
		for n := range 10 {
			there = append(there, s.enrol(t, cpf(n), "a@exemplo.com.br"))
		}
		slices.Reverse(there)
		n := 100
		got := walk(t, s, students+"?limite=3&email=a%40exemplo.com.br", func(int) {
			n++
			s.enrol(t, cpf(n), "a@exemplo.com.br")
		})
		if !slices.Equal(got, there) {
			t.Errorf("pages gave %v\nwant those that were there, newest first: %v", got, there)
		}
	})
}

func TestEnrolmentPages(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		var want []string
		var student string
		for n := range 7 {
			p := s.payment(cpf(1), "ana@exemplo.com.br", courseID(n+1))
			s.approve(t, p)
			want = append(want, p.Referencia.ID)
			student = data[events.AlunoCriado](t, s.published(t), events.TypeAlunoCriado)[0].AlunoID
		}
		slices.Reverse(want)
		path := students + "/" + student + "/matriculas"
		// Enrolments of one moment stand in the order of their ids, so the test's
		// are in the order in which their payments were made.
		if got := walk(t, s, path+"?limite=2", nil); !slices.Equal(got, want) {
			t.Errorf("pages gave %v, want %v", got, want)
		}
	})
}

func TestCoursePagesAreStableWhileCoursesComeAndGo(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		titles := []string{"Árvores", "abelhas", "Zebras", "ânforas", "Bolos", "Çedilhas", "bolos", "Éguas", "Eguas 2", "100 receitas"}
		where := map[string]string{}
		for _, title := range titles {
			where[s.create(t, "titulo", `"`+title+`"`).body["id"].(string)] = title
		}
		var got []string
		deleted := ""
		for _, id := range walk(t, s, courses+"?limite=2", func(page int) {
			switch page {
			case 1: // a course before the page just read, and one behind it
				s.create(t, "titulo", `"000 primeira"`)
				s.create(t, "titulo", `"Dados"`)
			case 2:
				for id, title := range where {
					if title == "Zebras" {
						deleted = id
					}
				}
				s.staff("DELETE", courses+"/"+deleted, "", "If-Match", "*")
			}
		}) {
			if where[id] == "" {
				where[id] = "Dados"
			}
			got = append(got, where[id])
		}
		if want := "[100 receitas abelhas ânforas Árvores Bolos bolos Çedilhas Dados Eguas 2 Éguas]"; !sameButTwins(fmt.Sprint(got), want) {
			t.Errorf("pages gave %v\nwant %v", got, want)
		}
	})
}

// sameButTwins compares, not minding which of two equal titles comes first.
func sameButTwins(got, want string) bool {
	twins := strings.NewReplacer("Bolos", "bolos", "Eguas 2 Éguas", "Éguas Eguas 2")
	return twins.Replace(got) == twins.Replace(want)
}

func TestCourseSearch(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		s.create(t, "titulo", `"Pão artesanal"`, "categoria", `"Gastronomia"`, "instrutor", `"Antônio Ferrari"`)
		s.create(t, "titulo", `"Violão popular"`, "categoria", `"Música"`, "resumo", `"Toque já: 100% prático."`)
		s.create(t, "titulo", `"Gestão de padarias"`, "categoria", `"Gestão"`, "ativo", "false")
		titles := func(who func(string, string, string, ...string) answer, busca string) string {
			a := who("GET", courses+"?busca="+url.QueryEscape(busca), "")
			if a.status != 200 {
				t.Fatalf("busca %q: %d %s", busca, a.status, a.raw)
			}
			var out []string
			for _, item := range a.body["itens"].([]any) {
				out = append(out, item.(map[string]any)["titulo"].(string))
			}
			return strings.Join(out, ", ")
		}
		for busca, want := range map[string]string{
			"PAO":              "Pão artesanal",
			"pão":              "Pão artesanal",
			"musica":           "Violão popular",
			"antonio gastro":   "Pão artesanal",
			"antonio música":   "",
			"violao":           "Violão popular",
			"100%":             "Violão popular",
			"%":                "Pão artesanal, Violão popular",
			"_":                "Pão artesanal, Violão popular",
			"gestão":           "",
			"'; DROP TABLE --": "",
			"":                 "Pão artesanal, Violão popular",
		} {
			if got := titles(s.do, busca); got != want {
				t.Errorf("busca %q gives %q, want %q", busca, got, want)
			}
		}
		if got := titles(s.staff, "gestao"); got != "Gestão de padarias" {
			t.Errorf("staff find %q", got)
		}
		if a := s.do("GET", courses+"?busca="+strings.Repeat("a+", 101), ""); a.status != 422 || a.rules() != "?busca tamanho" {
			t.Errorf("an endless search: %d %q", a.status, a.rules())
		}
	})
}

func TestForgedCursorsAreRefused(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	for n := range 3 {
		s.create(t, "titulo", fmt.Sprintf(`"Curso %d"`, n))
		s.enrol(t, cpf(n), "a@exemplo.com.br")
	}
	list := courses + "?limite=1"
	good := s.do("GET", list, "").body["proximo"].(string)
	other := s.staff("GET", students+"?limite=1", "").body["proximo"].(string)
	searched := s.do("GET", list+"&busca=curso", "").body["proximo"].(string)
	if a := s.do("GET", list+"&cursor="+good, ""); a.status != 200 {
		t.Fatalf("the honest cursor: %d %s", a.status, a.raw)
	}
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string]string{"of students": other, "of a search": searched, "text": "abc", "not base64": "%%%", "quote": "' OR 1=1", "cut": good[:len(good)-1], "longer": good + "AA",
		"zeros": base64.RawURLEncoding.EncodeToString(make([]byte, len(raw)))}
	for i := range raw { // one bit anywhere
		flipped := slices.Clone(raw)
		flipped[i] ^= 1
		bad[fmt.Sprintf("bit in byte %d", i)] = base64.RawURLEncoding.EncodeToString(flipped)
	}
	for name, cursor := range bad {
		if a := s.do("GET", list+"&cursor="+url.QueryEscape(cursor), ""); a.status != 422 || a.rules() != "?cursor cursor" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	if a := s.do("GET", list+"&busca=outra&cursor="+searched, ""); a.status != 422 {
		t.Errorf("a cursor with another search: %d", a.status)
	}
	if a := s.do("GET", list+"&cursor="+strings.Repeat("a", 2000), ""); a.status != 422 || a.rules() != "?cursor tamanho" {
		t.Errorf("an endless cursor: %d %q", a.status, a.rules())
	}
	// Another process with the same installation secret takes it.
	if a := newSchool(t, s.db).do("GET", list+"&cursor="+good, ""); a.status != 200 {
		t.Errorf("in another process: %d", a.status)
	}
}

// The longest title, in letters that unfold, still gives a cursor that the
// service takes back.
func TestLongTitlesCanBePaged(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		for range 3 {
			s.create(t, "titulo", `"`+strings.Repeat("ﷺ", 150)+`"`, "slug", `"curso-`+strings.ToLower(s.ids.New())+`"`)
		}
		if got := walk(t, s, courses+"?limite=1", nil); len(got) != 3 {
			t.Errorf("%d courses, want 3", len(got))
		}
	})
}
