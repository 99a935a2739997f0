package marketing_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"trama/contracts/events"
)

const leads = "/v1/marketing/leads"

func TestALeadIsStoredBeforeTheAnswer(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		a := s.send("POST", leads, newLead(" Ana@Exemplo.com.BR", courseGo))
		want(t, "status", a.status, http.StatusCreated)
		id, _ := a.field(t, "id").(string)
		want(t, "Location", a.header.Get("Location"), leads+"/"+id)
		for field, value := range map[string]any{"nome": "Ana Souza", "email": "ana@exemplo.com.br", "telefone": "+5511987654321",
			"cursoId": courseGo, "origem": "site", "consentimento": true} {
			want(t, field, a.field(t, field), value)
		}
		want(t, "state", s.state(t, id), "ativo")
		got := s.published(t, events.TypeLeadRegistrado)
		if len(got) != 1 || got[0].Subject != id || got[0].Source != "/marketing" {
			t.Fatalf("%+v", got)
		}
		if text := string(got[0].Data); strings.Contains(text, "exemplo") || strings.Contains(text, "Ana") {
			t.Errorf("the event holds personal data: %s", text)
		}

		again := s.send("POST", leads, strings.Replace(newLead("ana@exemplo.com.br", strings.ToUpper(courseGo)), "Ana", "Eva", 1))
		want(t, "status of the repetition", again.status, http.StatusOK)
		want(t, "id of the repetition", again.field(t, "id"), id)
		want(t, "Location of the repetition", again.header.Get("Location"), leads+"/"+id)
		for _, hidden := range []string{"nome", "telefone", "origem"} {
			want(t, hidden+" of the repetition", again.field(t, hidden), nil)
		}
		want(t, "name", s.send("GET", leads+"/"+id, "", staff).field(t, "nome"), "Ana Souza")
		want(t, "events", len(s.published(t, events.TypeLeadRegistrado)), 1)
	})
}

func TestFiftyIdenticalPostsMakeOneLead(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		var made, found atomic.Int32
		var ids sync.Map
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				a := s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo))
				switch a.status {
				case http.StatusCreated:
					made.Add(1)
				case http.StatusOK:
					found.Add(1)
				default:
					t.Errorf("%d %s", a.status, a.text)
				}
				ids.Store(a.field(t, "id"), true)
			})
		}
		wg.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if made.Load() != 1 || found.Load() != 49 || n != 1 {
			t.Errorf("%d × 201, %d × 200, %d ids", made.Load(), found.Load(), n)
		}
	})
}

func TestNamesAreTextNotCode(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		for i, name := range []string{"Zoë 🎓🚀 d'Ávila", `<script>alert("x")</script>`, "Robert'); DROP TABLE lead;--", "李小龍", strings.Repeat("ã", 120)} {
			body, _ := json.Marshal(map[string]any{"nome": name, "email": fmt.Sprintf("p%d@exemplo.com.br", i), "consentimento": true})
			a := s.send("POST", leads, string(body))
			want(t, name, a.status, http.StatusCreated)
			want(t, "name", s.send("GET", a.header.Get("Location"), "", staff).field(t, "nome"), name)
		}
	})
}

func TestBadInput(t *testing.T) {
	s := newService(t, openSQLite(t))
	for name, test := range map[string]struct {
		body   string
		status int
		broken string
	}{
		"empty":            {``, 400, ""},
		"not JSON":         {`{"nome":`, 400, ""},
		"invalid UTF-8":    {"{\"nome\":\"Ana \xff\xfe\",\"email\":\"a@b.br\",\"consentimento\":true}", 400, ""},
		"a name twice":     {`{"nome":"Ana B","nome":"Bia C","email":"a@b.br","consentimento":true}`, 400, ""},
		"unknown field":    {`{"nome":"Ana Souza","email":"a@b.br","consentimento":true,"admin":true}`, 422, "/admin"},
		"wrong type":       {`{"nome":7,"email":"a@b.br","consentimento":true}`, 422, "/nome"},
		"consent as text":  {`{"nome":"Ana Souza","email":"a@b.br","consentimento":"true"}`, 422, "/consentimento"},
		"no consent field": {`{"nome":"Ana Souza","email":"a@b.br"}`, 422, "/consentimento"},
		"consent refused":  {`{"nome":"Ana Souza","email":"a@b.br","consentimento":false}`, 422, "/consentimento consentimento"},
		"a@b":              {`{"nome":"Ana Souza","email":"a@b","consentimento":true}`, 422, "/email email"},
		"header in email":  {`{"nome":"Ana Souza","email":"a@b.br\r\nBcc: x@y.br","consentimento":true}`, 422, "/email email"},
		"header in name":   {`{"nome":"Ana\u0000Souza","email":"a@b.br","consentimento":true}`, 400, ""},
		"300 characters":   {`{"nome":"` + strings.Repeat("é", 300) + `","email":"a@b.br","consentimento":true}`, 422, "/nome tamanho"},
		"only emoji":       {`{"nome":"🎓🎓","email":"a@b.br","consentimento":true}`, 422, "/nome nome"},
		"telephone":        {`{"nome":"Ana Souza","email":"a@b.br","telefone":"123","consentimento":true}`, 422, "/telefone telefone"},
		"long origin":      {`{"nome":"Ana Souza","email":"a@b.br","origem":"` + strings.Repeat("x", 61) + `","consentimento":true}`, 422, "/origem tamanho"},
		"origin with bell": {`{"nome":"Ana Souza","email":"a@b.br","origem":"a\u0007b","consentimento":true}`, 422, "/origem caracteres"},
		"no course":        {newLead("a@b.br", courseNone), 422, "/cursoId curso"},
		"course not sold":  {newLead("a@b.br", courseOld), 422, "/cursoId curso"},
		"course no id":     {newLead("a@b.br", "go"), 422, "/cursoId uuid"},
		"all at once":      {`{"nome":"","email":"x","telefone":"1","consentimento":false}`, 422, "/nome obrigatorio, /email email, /telefone telefone, /consentimento consentimento"},
	} {
		a := s.send("POST", leads, test.body, "Content-Type: application/json")
		if a.status != test.status || !strings.HasPrefix(a.broken(t), test.broken) {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.broken(t), test.status, test.broken)
		}
	}
	big := `{"nome":"` + strings.Repeat("x", 2<<20) + `"}`
	want(t, "2 MB", s.send("POST", leads, big).status, http.StatusRequestEntityTooLarge)
	want(t, "form", s.send("POST", leads, "nome=Ana", "Content-Type: application/x-www-form-urlencoded").status, http.StatusUnsupportedMediaType)
	want(t, "events after bad input", len(s.published(t, events.TypeLeadRegistrado)), 0)
	if text := s.log.String(); strings.Contains(text, "Ana") || strings.Contains(text, "a@b") {
		t.Errorf("personal data in the log:\n%s", text)
	}
}

func TestALeadIsNotLostBecauseAcademicsIsDown(t *testing.T) {
	s := newService(t, openSQLite(t))
	s.academics.down = true
	id := s.register(t, "ana@exemplo.com.br", courseNone)
	want(t, "state", s.state(t, id), "ativo")
}

func TestAKeyHasOneAnswer(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		const key = "Idempotency-Key: k-1"
		first := s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo), key)
		want(t, "first", first.status, http.StatusCreated)
		again := s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo), key)
		want(t, "replayed", again.status, http.StatusCreated)
		want(t, "replayed body", again.text, first.text)
		want(t, "without the key", s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo)).status, http.StatusOK)
		other := s.send("POST", leads, newLead("bia@exemplo.com.br", courseGo), key)
		want(t, "other body", other.status, http.StatusUnprocessableEntity)
		want(t, "problem", other.field(t, "type"), "/problemas/idempotency-key-reutilizada")
		bad := s.send("POST", leads, newLead("bia@exemplo.com.br", courseNone), "Idempotency-Key: k-2")
		want(t, "refused", bad.status, http.StatusUnprocessableEntity)
		want(t, "the key of a refused request", s.send("POST", leads, newLead("bia@exemplo.com.br", courseGo), "Idempotency-Key: k-2").status, http.StatusCreated)
		want(t, "events", len(s.published(t, events.TypeLeadRegistrado)), 2)
	})
}

func TestConcurrentRequestsWithOneKey(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		var wg sync.WaitGroup
		var ids sync.Map
		for range 30 {
			wg.Go(func() {
				a := s.send("POST", leads, newLead("ana@exemplo.com.br", courseGo), "Idempotency-Key: k")
				switch a.status {
				case http.StatusCreated:
					ids.Store(a.field(t, "id"), true)
				case http.StatusConflict: // still running
				default:
					t.Errorf("%d %s", a.status, a.text)
				}
			})
		}
		wg.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if events := s.published(t, events.TypeLeadRegistrado); n != 1 || len(events) != 1 {
			t.Errorf("%d ids, %d events", n, len(events))
		}
	})
}

func TestAStoreThatIsDownAnswers503(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		s.register(t, "ana@exemplo.com.br", "")
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		a := s.send("POST", leads, newLead("bia@exemplo.com.br", ""))
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}
