package academics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"trama/contracts/events"
)

const students = "/v1/academico/alunos"

// enrol makes a student and gives the id.
func (s *school) enrol(t *testing.T, cpf, email string) string {
	t.Helper()
	s.approve(t, s.payment(cpf, email, courseID(1)))
	created := data[events.AlunoCriado](t, s.published(t), events.TypeAlunoCriado)
	return created[len(created)-1].AlunoID
}

func TestStudentIsShownToTheHolderOfItsID(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		where := students + "/" + s.enrol(t, cpf(1), "ana@exemplo.com.br")
		got, whole := s.do("GET", where, ""), s.staff("GET", where, "")
		if got.status != 200 || got.body["cpf"] != "***.***.***-"+cpf(1)[9:] || strings.Contains(got.raw, cpf(1)) {
			t.Errorf("to anybody: %d %s", got.status, got.raw)
		}
		if whole.status != 200 || whole.body["cpf"] != cpf(1) {
			t.Errorf("to staff: %d %s", whole.status, whole.raw)
		}
		// Two bodies, two tags: neither may answer for the other.
		if got.etag() == whole.etag() || s.do("GET", where, "", "If-None-Match", whole.etag()).status != 200 ||
			s.do("GET", where, "", "If-None-Match", got.etag()).status != 304 || s.staff("GET", where, "", "If-None-Match", whole.etag()).status != 304 {
			t.Errorf("tags %s and %s", got.etag(), whole.etag())
		}
		if cc := got.header.Get("Cache-Control"); !strings.Contains(cc, "private") || !strings.Contains(fmt.Sprint(got.header["Vary"]), "Authorization") {
			t.Errorf("Cache-Control %q, Vary %q", cc, got.header["Vary"])
		}
		for _, other := range []string{students + "/" + s.ids.New(), students + "/" + s.ids.New() + "/matriculas", students + "/1", students + "/' OR 1=1"} {
			target := strings.ReplaceAll(other, " ", "%20")
			if a := s.do("GET", target, ""); a.status != 404 {
				t.Errorf("GET %s: %d %s", other, a.status, a.raw)
			}
		}
	})
}

func TestStudentProfileIsChangedByStaff(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		where := students + "/" + s.enrol(t, cpf(1), "ana@exemplo.com.br")
		tag := s.staff("GET", where, "").etag()
		if a := s.do("PATCH", where, `{"nome":"Eu"}`, "If-Match", tag); a.status != 401 {
			t.Errorf("PATCH by anybody: %d", a.status)
		}
		if a := s.staff("PATCH", where, `{"nome":"Ana Lima"}`); a.status != 428 {
			t.Errorf("PATCH without If-Match: %d", a.status)
		}
		a := s.staff("PATCH", where, `{"nome":"  Ana   Lima "}`, "If-Match", tag, "Content-Type", "application/merge-patch+json")
		if a.status != 200 || a.body["nome"] != "Ana Lima" || a.body["email"] != "ana@exemplo.com.br" || a.body["telefone"] != "+5511987654321" || a.body["cpf"] != cpf(1) {
			t.Errorf("PATCH nome: %d %s", a.status, a.raw)
		}
		if stale := s.staff("PATCH", where, `{"nome":"X Y"}`, "If-Match", tag); stale.status != 412 {
			t.Errorf("PATCH with the tag before: %d", stale.status)
		}
		// null takes away what may be missing, and nothing else.
		a = s.staff("PATCH", where, `{"telefone":null}`, "If-Match", a.etag())
		if _, there := a.body["telefone"]; a.status != 200 || there {
			t.Errorf("PATCH telefone null: %d %s", a.status, a.raw)
		}
		for _, field := range []string{"nome", "email"} {
			if bad := s.staff("PATCH", where, `{"`+field+`":null}`, "If-Match", "*"); bad.status != 422 || bad.rules() != "/"+field+" tipo" {
				t.Errorf("PATCH %s null: %d %s", field, bad.status, bad.raw)
			}
		}
		put := s.staff("PUT", where, `{"nome":"Ana Souza Lima","email":"Ana.Lima@exemplo.com.br","telefone":"(11) 91234-5678"}`, "If-Match", a.etag())
		if put.status != 200 || put.body["email"] != "ana.lima@exemplo.com.br" || put.body["telefone"] != "+5511912345678" {
			t.Errorf("PUT: %d %s", put.status, put.raw)
		}
		put = s.staff("PUT", where, `{"nome":"Ana Souza Lima","email":"ana.lima@exemplo.com.br"}`, "If-Match", put.etag())
		if _, there := put.body["telefone"]; put.status != 200 || there {
			t.Errorf("PUT without telefone: %d %s", put.status, put.raw)
		}
		if cpfs := s.staff("PUT", where, `{"nome":"Ana","email":"a@b.br","cpf":"`+cpf(2)+`"}`, "If-Match", "*"); cpfs.status != 422 || cpfs.rules() != "/cpf campo-desconhecido" {
			t.Errorf("PUT with a CPF: %d %s", cpfs.status, cpfs.raw)
		}
	})
}

func TestBadStudents(t *testing.T) {
	s := newSchool(t, openSQLite(t))
	where := students + "/" + s.enrol(t, cpf(1), "ana@exemplo.com.br")
	before := s.staff("GET", where, "")
	for sent, rules := range map[string]string{
		`{"nome":"` + strings.Repeat("á", 300) + `"}`: "/nome tamanho",
		`{"nome":"🎉🎉"}`:                               "/nome nome",
		`{"nome":7}`:                                  "/nome tipo",
		`{"nome":"Ana\u0007 Souza"}`:                  "/nome caracteres",
		`{"email":"a@b"}`:                             "/email email",
		`{"email":"Ana <ana@exemplo.com>"}`:           "/email email",
		`{"telefone":"123"}`:                          "/telefone telefone",
		`{"apelido":"x"}`:                             "/apelido campo-desconhecido",
	} {
		if a := s.staff("PATCH", where, sent, "If-Match", "*"); a.status != 422 || a.rules() != rules {
			t.Errorf("%.40s: %d %q, want %q", sent, a.status, a.rules(), rules)
		}
	}
	for _, name := range []string{`Ana 🎉 O'Neill`, `Robert'); DROP TABLE student;--`, `<b>Ana</b> & Cia`} {
		quoted, err := json.Marshal(name)
		if err != nil {
			t.Fatal(err)
		}
		if a := s.staff("PATCH", where, `{"nome":`+string(quoted)+`}`, "If-Match", "*"); a.status != 200 || a.body["nome"] != name {
			t.Errorf("%q: %d %s", name, a.status, a.raw)
		}
	}
	if a := s.staff("GET", where, ""); a.etag() == before.etag() {
		t.Error("three accepted names changed nothing")
	}
	if strings.Contains(s.log.String(), "ana@exemplo.com.br") || strings.Contains(s.log.String(), cpf(1)) {
		t.Errorf("personal data in the log:\n%s", s.log)
	}
}

func TestStudentRace(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		where := students + "/" + s.enrol(t, cpf(1), "ana@exemplo.com.br")
		won := make(chan int, 6)
		var tasks []func(context.Context) error
		for n := range 6 {
			tasks = append(tasks, func(context.Context) error {
				won <- s.staff("PUT", where, fmt.Sprintf(`{"nome":"Ana %d","email":"ana%d@exemplo.com.br"}`, n, n), "If-Match", `"1"`).status
				return nil
			})
		}
		together(t, tasks...)
		close(won)
		got := map[int]int{}
		for status := range won {
			got[status]++
		}
		if got[200] != 1 || got[412] != 5 {
			t.Errorf("answers %v", got)
		}
	})
}

func TestStudentListFilters(t *testing.T) {
	engines(t, func(t *testing.T, s *school) {
		first := s.enrol(t, cpf(1), "familia@exemplo.com.br")
		second := s.enrol(t, cpf(2), "familia@exemplo.com.br")
		s.enrol(t, cpf(3), "outra@exemplo.com.br")
		ids := func(query string) string {
			a := s.staff("GET", students+query, "")
			if a.status != 200 {
				t.Fatalf("%s: %d %s", query, a.status, a.raw)
			}
			out := ""
			for _, item := range a.body["itens"].([]any) {
				out += item.(map[string]any)["id"].(string) + " "
			}
			return out
		}
		formatted := cpf(1)[:3] + "." + cpf(1)[3:6] + "." + cpf(1)[6:9] + "-" + cpf(1)[9:]
		for query, want := range map[string]string{
			"?email=Familia@exemplo.com.br":                    second + " " + first + " ",
			"?cpf=" + cpf(2):                                   second + " ",
			"?cpf=" + formatted:                                first + " ",
			"?cpf=" + cpf(3) + "&email=familia@exemplo.com.br": "",
			"?cpf=" + cpf(4):                                   "",
			"?limite=1":                                        ids("")[:37],
		} {
			if got := ids(query); got != want {
				t.Errorf("%s gives %q, want %q", query, got, want)
			}
		}
		for query, rules := range map[string]string{"?cpf=123": "?cpf cpf", "?email=x": "?email email", "?limite=0": "?limite intervalo",
			"?limite=101": "?limite intervalo", "?limite=x": "?limite tipo", "?limite=1e2": "?limite tipo"} {
			if a := s.staff("GET", students+query, ""); a.status != 422 || a.rules() != rules {
				t.Errorf("%s: %d %q, want %q", query, a.status, a.rules(), rules)
			}
		}
	})
}
