package academics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	academicsv1 "trama/contracts/rpc/academics/v1"
	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/platform/fault"
)

const courses = "/v1/academico/cursos"

// body is a whole course in JSON; edits are "field", JSON value, …
func body(edits ...string) string {
	fields := map[string]json.RawMessage{
		"titulo": []byte(`"Go para serviços"`), "resumo": []byte(`"Escreva serviços."`), "descricao": []byte(`"Um.\n\nDois."`),
		"nivel": []byte(`"intermediario"`), "cargaHoraria": []byte(`40`), "preco": []byte(`{"valor":"1299.00","moeda":"BRL"}`),
		"instrutor": []byte(`"Beatriz Nogueira"`), "categoria": []byte(`"Programação"`),
		"aulas": []byte(`[{"titulo":"Pacotes","minutos":45},{"titulo":"Erros","minutos":50}]`),
	}
	for i := 0; i+1 < len(edits); i += 2 {
		fields[edits[i]] = json.RawMessage(edits[i+1])
	}
	out, err := json.Marshal(fields)
	if err != nil {
		panic(err) // a test's own JSON is broken
	}
	return string(out)
}

func (s *school) create(t *testing.T, edits ...string) answer {
	t.Helper()
	a := s.staff("POST", courses, body(edits...))
	if a.status != 201 {
		t.Fatalf("POST: %d %s", a.status, a.raw)
	}
	return a
}

func TestCourseLife(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		made := s.create(t)
		where := made.header.Get("Location")
		if where != courses+"/"+made.body["id"].(string) || made.etag() != `"1"` {
			t.Errorf("Location %q, ETag %q", where, made.etag())
		}
		got := s.do("GET", where, "")
		if got.status != 200 || got.raw != made.raw || got.etag() != made.etag() {
			t.Errorf("GET %d %s\nwant what POST gave: %s", got.status, got.raw, made.raw)
		}
		if made.body["slug"] != "go-para-servicos" || made.body["ativo"] != true || len(made.body["aulas"].([]any)) != 2 ||
			made.body["preco"].(map[string]any)["valor"] != "1299.00" || made.body["descricao"] != "Um.\n\nDois." {
			t.Errorf("created: %s", made.raw)
		}
		if again := s.do("GET", where, "", "If-None-Match", `W/"1", "x"`); again.status != 304 || again.raw != "" {
			t.Errorf("If-None-Match: %d %q", again.status, again.raw)
		}

		lesson := made.body["aulas"].([]any)[1].(map[string]any)["id"].(string)
		put := s.staff("PUT", where, body("titulo", `"Go, de novo"`, "ativo", "false",
			"aulas", `[{"id":"`+lesson+`","titulo":"Erros que dizem algo","minutos":55},{"titulo":"Nova","minutos":5}]`), "If-Match", `"1"`)
		if put.status != 200 || put.etag() != `"2"` || put.body["slug"] != "go-de-novo" {
			t.Fatalf("PUT: %d %s", put.status, put.raw)
		}
		lessons := put.body["aulas"].([]any)
		if lessons[0].(map[string]any)["id"] != lesson || lessons[1].(map[string]any)["id"] == lesson {
			t.Errorf("lessons after PUT: %v", lessons)
		}
		// Not active any more: gone for everybody but staff.
		if a := s.do("GET", where, ""); a.status != 404 {
			t.Errorf("an inactive course answers %d to anybody", a.status)
		}
		if a := s.staff("GET", where, ""); a.status != 200 {
			t.Errorf("an inactive course answers %d to staff", a.status)
		}

		if a := s.staff("DELETE", where, "", "If-Match", `"2"`); a.status != 204 {
			t.Errorf("DELETE: %d %s", a.status, a.raw)
		}
		for _, a := range []answer{s.staff("GET", where, ""), s.staff("DELETE", where, "", "If-Match", "*"), s.staff("PUT", where, body(), "If-Match", "*")} {
			if a.status != 404 || a.problem.Type != "/problemas/curso-nao-encontrado" {
				t.Errorf("after DELETE: %d %s", a.status, a.raw)
			}
		}
	})
}

func TestMergePatchOfACourse(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		made := s.create(t)
		where := made.header.Get("Location")
		before := made.body
		patched := s.staff("PATCH", where, `{"preco":{"valor":"999.9","moeda":"BRL"}}`, "If-Match", `"1"`, "Content-Type", "application/merge-patch+json")
		if patched.status != 200 || patched.etag() != `"2"` {
			t.Fatalf("PATCH: %d %s", patched.status, patched.raw)
		}
		for name, value := range patched.body {
			want := fmt.Sprint(before[name])
			switch name {
			case "preco":
				want = fmt.Sprint(map[string]any{"valor": "999.90", "moeda": "BRL"})
			case "atualizadoEm":
				continue
			}
			if fmt.Sprint(value) != want {
				t.Errorf("%s is %v, want %v", name, value, want)
			}
		}
		// A new title keeps the address; an empty list is a list.
		patched = s.staff("PATCH", where, `{"titulo":"Outro título","aulas":[]}`, "If-Match", `"2"`)
		if patched.status != 200 || patched.body["slug"] != "go-para-servicos" || len(patched.body["aulas"].([]any)) != 0 {
			t.Errorf("PATCH: %d %s", patched.status, patched.raw)
		}
		// null means: take it away; a course cannot be without any of these.
		for _, field := range []string{"titulo", "preco", "aulas", "ativo", "slug", "nivel", "cargaHoraria"} {
			a := s.staff("PATCH", where, `{"`+field+`":null}`, "If-Match", "*")
			if a.status != 422 || !strings.HasPrefix(a.rules(), "/"+field+" ") {
				t.Errorf("%s: null gives %d %s", field, a.status, a.raw)
			}
		}
		if a := s.staff("GET", where, ""); a.etag() != `"3"` {
			t.Errorf("refused patches changed the course to %s", a.etag())
		}
	})
}

func TestIfMatchIsAskedForAndObeyed(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	where := s.create(t).header.Get("Location")
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		sent := map[string]string{"PUT": body(), "PATCH": `{"resumo":"Outro."}`, "DELETE": ""}[method]
		if a := s.staff(method, where, sent); a.status != 428 {
			t.Errorf("%s without If-Match: %d", method, a.status)
		}
		for _, stale := range []string{`"2"`, `"0"`, `W/"1"`, `1`, `"`} {
			if a := s.staff(method, where, sent, "If-Match", stale); a.status != 412 {
				t.Errorf("%s with If-Match %s: %d", method, stale, a.status)
			}
		}
	}
	if a := s.do("GET", where, ""); a.etag() != `"1"` {
		t.Errorf("the course changed to %s", a.etag())
	}
}

// Of many who read one version and change it, one wins.
func TestIfMatchRace(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		where := s.create(t).header.Get("Location")
		const writers = 8
		statuses := make(chan int, writers)
		var tasks []func(context.Context) error
		for n := range writers {
			tasks = append(tasks, func(context.Context) error {
				statuses <- s.staff("PATCH", where, fmt.Sprintf(`{"resumo":"Escritor %d."}`, n), "If-Match", `"1"`).status
				return nil
			})
		}
		together(t, tasks...)
		close(statuses)
		got := map[int]int{}
		for status := range statuses {
			got[status]++
		}
		if got[200] != 1 || got[412] != writers-1 {
			t.Errorf("answers %v, want one 200 and %d 412", got, writers-1)
		}
		if a := s.do("GET", where, ""); a.etag() != `"2"` {
			t.Errorf("ETag %s, want one change", a.etag())
		}
	})
}

func TestSlugs(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		first, second, third := s.create(t), s.create(t), s.create(t)
		if got := fmt.Sprintln(first.body["slug"], second.body["slug"], third.body["slug"]); got != "go-para-servicos go-para-servicos-2 go-para-servicos-3\n" {
			t.Errorf("slugs %s", got)
		}
		where := second.header.Get("Location")
		if a := s.staff("PUT", where, body(), "If-Match", "*"); a.body["slug"] != "go-para-servicos-2" {
			t.Errorf("the same title gives another slug: %v", a.body["slug"])
		}
		if a := s.staff("PATCH", where, `{"slug":"go-para-servicos"}`, "If-Match", "*"); a.status != 409 || a.problem.Type != "/problemas/slug-em-uso" {
			t.Errorf("a taken slug: %d %s", a.status, a.raw)
		}
		if a := s.create(t, "slug", `"meu-curso"`); a.body["slug"] != "meu-curso" {
			t.Errorf("a chosen slug: %s", a.raw)
		}
		if a := s.create(t, "titulo", `"日本語 🎌"`); a.body["slug"] != "curso" {
			t.Errorf("a title without ASCII: %v", a.body["slug"])
		}
		if a := s.do("GET", courses+"?slug=go-para-servicos-3", ""); len(a.body["itens"].([]any)) != 1 || a.body["itens"].([]any)[0].(map[string]any)["id"] != third.body["id"] {
			t.Errorf("by slug: %s", a.raw)
		}
		var tasks []func(context.Context) error
		for range 6 {
			tasks = append(tasks, func(context.Context) error {
				if a := s.staff("POST", courses, body("titulo", `"Ao mesmo tempo"`)); a.status != 201 {
					return fmt.Errorf("POST at once: %d %s", a.status, a.raw)
				}
				return nil
			})
		}
		together(t, tasks...)
		if n := s.count(t, "course WHERE slug LIKE 'ao-mesmo-tempo%'"); n != 6 {
			t.Errorf("%d courses made at once, want 6", n)
		}
	})
}

func TestPostIsRepeatable(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		first := s.staff("POST", courses, body(), "Idempotency-Key", "k1")
		patch := s.staff("PATCH", first.header.Get("Location"), `{"resumo":"Mudou."}`, "If-Match", "*")
		again := s.staff("POST", courses, body(), "Idempotency-Key", "k1")
		if first.status != 201 || patch.status != 200 || again.status != 201 || again.raw != first.raw ||
			again.etag() != first.etag() || again.header.Get("Location") != first.header.Get("Location") {
			t.Errorf("repeated: %d %s\nfirst: %d %s", again.status, again.raw, first.status, first.raw)
		}
		if a := s.staff("POST", courses, body("titulo", `"Outro curso"`), "Idempotency-Key", "k1"); a.status != 422 {
			t.Errorf("the same key with another body: %d", a.status)
		}
		if n := s.count(t, "course"); n != 1 {
			t.Errorf("%d courses, want 1", n)
		}
		// Two processes at once: the guard of each knows nothing of the other.
		other := newSchool(t, s.db)
		results := make(chan answer, 8)
		var tasks []func(context.Context) error
		for n := range 8 {
			here := []*school{s, other}[n%2]
			tasks = append(tasks, func(context.Context) error {
				results <- here.staff("POST", courses, body("titulo", `"Corrida"`), "Idempotency-Key", "k2")
				return nil
			})
		}
		together(t, tasks...)
		close(results)
		for a := range results {
			if a.status != 201 && a.status != 409 {
				t.Errorf("at once: %d %s", a.status, a.raw)
			}
		}
		if n := s.count(t, "course"); n != 2 {
			t.Errorf("%d courses, want 2", n)
		}
		s.clock.Jump(25 * time.Hour)
		if a := s.staff("POST", courses, body(), "Idempotency-Key", "k1"); a.status != 201 || a.raw == first.raw {
			t.Errorf("a key older than 24 h is still known: %d", a.status)
		}
	})
}

func TestWritesAndListsOfStudentsAreForStaff(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	where := s.create(t).header.Get("Location")
	for _, r := range [][2]string{{"POST", courses}, {"PUT", where}, {"PATCH", where}, {"DELETE", where}, {"GET", "/v1/academico/alunos"}} {
		sent := map[string]string{"POST": body(), "PUT": body(), "PATCH": `{}`}[r[0]]
		if a := s.do(r[0], r[1], sent, "If-Match", "*"); a.status != 401 || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s by anybody: %d", r[0], r[1], a.status)
		}
		if a := s.do(r[0], r[1], sent, "If-Match", "*", "Authorization", "Bearer wrong"); a.status != 401 || a.problem.Type != "/problemas/token-invalido" {
			t.Errorf("%s %s with a wrong token: %d %s", r[0], r[1], a.status, a.raw)
		}
	}
	if a := s.do("GET", where, ""); a.etag() != `"1"` {
		t.Error("the course changed")
	}
}

func TestBadCourses(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	long := strings.Repeat("a", 301)
	for name, c := range map[string]struct {
		sent   string
		status int
		rules  string
	}{
		"wrong type":       {body("cargaHoraria", `"quarenta"`), 422, "/cargaHoraria tipo"},
		"float hours":      {body("cargaHoraria", `1.5`), 422, "/cargaHoraria tipo"},
		"price as float":   {body("preco", `{"valor":1299.0,"moeda":"BRL"}`), 422, "/preco/valor tipo"},
		"unknown field":    {body("desconto", `1`), 422, "/desconto campo-desconhecido"},
		"unknown inside":   {body("preco", `{"valor":"1.00","moeda":"BRL","x":1}`), 422, "/preco/x campo-desconhecido"},
		"missing":          {`{"titulo":"x"}`, 422, ""},
		"level":            {body("nivel", `"mestre"`), 422, "/nivel valor"},
		"price":            {body("preco", `{"valor":"1.299,00","moeda":"BRL"}`), 422, "/preco/valor valor"},
		"free":             {body("preco", `{"valor":"0.00","moeda":"BRL"}`), 422, "/preco/valor minimo"},
		"negative":         {body("preco", `{"valor":"-1.00","moeda":"BRL"}`), 422, "/preco/valor valor"},
		"too dear":         {body("preco", `{"valor":"99999999.00","moeda":"BRL"}`), 422, "/preco/valor valor"},
		"currency":         {body("preco", `{"valor":"1.00","moeda":"USD"}`), 422, "/preco/moeda moeda"},
		"no hours":         {body("cargaHoraria", `0`), 422, "/cargaHoraria faixa"},
		"empty title":      {body("titulo", `"  "`), 422, "/titulo obrigatorio"},
		"short title":      {body("titulo", `"ab"`), 422, "/titulo tamanho"},
		"long title":       {body("titulo", `"`+long+`"`), 422, "/titulo tamanho"},
		"long summary":     {body("resumo", `"`+long+`"`), 422, "/resumo tamanho"},
		"bidi":             {body("titulo", `"abc\u202edef"`), 422, "/titulo caracteres"},
		"slug":             {body("slug", `"Com Espaço"`), 422, "/slug slug"},
		"slug of hyphens":  {body("slug", `"a--b"`), 422, "/slug slug"},
		"lesson minutes":   {body("aulas", `[{"titulo":"a","minutos":0}]`), 422, "/aulas/0/minutos faixa"},
		"unknown lesson":   {body("aulas", `[{"id":"x","titulo":"a","minutos":1}]`), 422, "/aulas/0/id aula-desconhecida"},
		"several":          {body("titulo", `""`, "resumo", `""`), 422, "/titulo obrigatorio; /resumo obrigatorio"},
		"not JSON":         {`{"titulo":`, 400, ""},
		"not UTF-8":        {body("titulo", "\"abc\xff\""), 400, ""},
		"field twice":      {`{"titulo":"a","titulo":"b"}`, 400, "/titulo campo-repetido"},
		"array":            {`[]`, 422, ""},
		"nothing":          {``, 400, ""},
		"two megabytes":    {body("descricao", `"`+strings.Repeat("a", 2<<20)+`"`), 413, ""},
		"over long number": {body("cargaHoraria", `99999999999999999999`), 422, "/cargaHoraria tipo"},
	} {
		a := s.staff("POST", courses, c.sent, "Content-Type", "application/json")
		if a.status != c.status || c.rules != "" && a.rules() != c.rules {
			t.Errorf("%s: %d %q, want %d %q\n%s", name, a.status, a.rules(), c.status, c.rules, a.raw)
		}
	}
	if n := s.count(t, "course"); n != 0 {
		t.Errorf("%d courses were made", n)
	}
	if a := s.staff("POST", courses, body(), "Content-Type", "text/plain"); a.status != 415 {
		t.Errorf("text/plain: %d", a.status)
	}
	for _, target := range []string{courses + "/nada", courses + "/" + strings.ToUpper(s.ids.New()), courses + "/..%2f"} {
		if a := s.do("GET", target, ""); a.status != 404 {
			t.Errorf("GET %s: %d", target, a.status)
		}
	}
	if a := s.do("DELETE", courses, ""); a.status != 405 || a.header.Get("Allow") == "" {
		t.Errorf("DELETE of the list: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

// What people write is text: it is stored and given back as it came.
func TestOddTextsAreKeptAsTheyAre(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		for _, title := range []string{`Robert'); DROP TABLE course;--`, `<script>alert("1")</script>`, `C++ 🎉 & "aspas"`, `100% _prático_`, `نص عربي`} {
			quoted, err := json.Marshal(title)
			if err != nil {
				t.Fatal(err)
			}
			a := s.create(t, "titulo", string(quoted))
			if got := s.do("GET", a.header.Get("Location"), ""); got.body["titulo"] != title {
				t.Errorf("%q came back as %v", title, got.body["titulo"])
			}
		}
	})
}

func TestGetCourseCall(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		client := academicsv1connect.NewCourseServiceClient(s.calls)
		made := s.create(t)
		courseID := made.body["id"].(string)
		get := func(want *academicsv1.GetCourseResponse) {
			t.Helper()
			got, err := client.GetCourse(wait(t), &academicsv1.GetCourseRequest{Id: courseID})
			if err != nil || got.GetId() != courseID || got.GetTitle() != want.GetTitle() || got.GetPriceCents() != want.GetPriceCents() || got.GetActive() != want.GetActive() {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		}
		get(&academicsv1.GetCourseResponse{Title: "Go para serviços", PriceCents: 129900, Active: true})
		// Changed by another process: counts at once.
		newSchool(t, s.db).staff("PATCH", made.header.Get("Location"), `{"preco":{"valor":"0.01","moeda":"BRL"},"ativo":false}`, "If-Match", "*")
		get(&academicsv1.GetCourseResponse{Title: "Go para serviços", PriceCents: 1, Active: false})
		for _, unknown := range []string{"", "x", s.ids.New()} {
			_, err := client.GetCourse(wait(t), &academicsv1.GetCourseRequest{Id: unknown})
			if err == nil || fault.KindOf(err) != fault.NotFound || fault.As(err).Code != "curso-nao-encontrado" {
				t.Errorf("course %q: %v", unknown, err)
			}
		}
	})
}
