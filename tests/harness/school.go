package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// request builds a request; a string or []byte body is sent as it is, anything
// else as JSON.
func request(ctx context.Context, method, url string, body any) (*http.Request, error) {
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	case []byte:
		reader = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return nil, err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err == nil && reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}

// Must sends a request that has to be answered with the given status, and
// decodes the answer into out when out is not nil.
func (s *System) Must(t testing.TB, want int, out any, method, path string, body any, header ...string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	a, err := s.Do(ctx, method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.Status != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.Status, want, a.Body)
	}
	if out != nil {
		if err := json.Unmarshal(a.Body, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.Body)
		}
	}
	return a
}

// Bearer gives the header pair of the operator.
func (s *System) Bearer() []string { return []string{"Authorization", "Bearer " + s.Token} }

// Money is an amount on the wire.
type Money struct {
	Valor string `json:"valor"`
	Moeda string `json:"moeda"`
}

// Course is what suites read of a course.
type Course struct {
	ID     string `json:"id"`
	Titulo string `json:"titulo"`
	Preco  Money  `json:"preco"`
}

// Courses gives the catalogue's first page.
func (s *System) Courses(t testing.TB) []Course {
	t.Helper()
	var page struct{ Itens []Course }
	s.Must(t, 200, &page, "GET", "/v1/academico/cursos?limite=100", nil)
	return page.Itens
}

// Payment is what suites read of a payment.
type Payment struct {
	ID        string `json:"id"`
	Situacao  string `json:"situacao"`
	Motivo    string `json:"motivo"`
	Matricula *struct {
		AlunoID     string `json:"alunoId"`
		MatriculaID string `json:"matriculaId"`
	} `json:"matricula"`
}

// Person is a made-up payer with a valid CPF.
type Person struct{ Nome, Email, CPF string }

// NewPerson makes the n-th person of a run: other name, address and CPF each.
func NewPerson(run string, n int) Person {
	return Person{Nome: fmt.Sprintf("Aluna Teste %c%c", 'A'+n/26%26, 'A'+n%26), Email: fmt.Sprintf("aluna-%s-%d@example.com", run, n), CPF: CPF(n)}
}

// CPF gives the n-th valid CPF.
func CPF(n int) string {
	d := []byte(fmt.Sprintf("%09d", 100_000_000+n*7919%800_000_000))
	for _, k := range []int{9, 10} {
		sum := 0
		for i := range k {
			sum += int(d[i]-'0') * (k + 1 - i)
		}
		d = append(d, byte(sum*10%11%10)+'0')
	}
	return string(d)
}

// Card gives the n-th Luhn-valid number that is no test card: the simulated
// acquirer approves it.
func Card(n int) string {
	d := []byte(fmt.Sprintf("453201%09d", n))
	sum := 0
	for i, c := range d {
		v := int(c - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return string(append(d, byte('0'+(10-sum%10)%10)))
}

// CardPayment is the body of a card payment.
func CardPayment(p Person, courseID, number string) map[string]any {
	return map[string]any{
		"aluno":   map[string]any{"nome": p.Nome, "email": p.Email, "cpf": p.CPF},
		"cursoId": courseID,
		"metodo":  "cartao",
		"cartao":  map[string]any{"titular": p.Nome, "numero": number, "validade": "12/39", "cvv": "123"},
	}
}

// Payment reads a payment; an error is any answer but it.
func (s *System) Payment(location string) (p Payment, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := s.Do(ctx, http.MethodGet, location, nil)
	switch {
	case err != nil:
		return p, err
	case a.Status != http.StatusOK:
		return p, fmt.Errorf("%s: status %d: %s", location, a.Status, a.Body)
	}
	return p, json.Unmarshal(a.Body, &p)
}

// AwaitPayment polls a payment until done says yes.
func (s *System) AwaitPayment(t testing.TB, location string, limit time.Duration, done func(Payment) bool) Payment {
	t.Helper()
	var p Payment
	Eventually(t, limit, "payment "+location, func() bool {
		var err error
		p, err = s.Payment(location)
		return err == nil && done(p)
	})
	return p
}

// Enrolled says whether a payment has become an enrolment.
func Enrolled(p Payment) bool { return p.Situacao == "aprovado" && p.Matricula != nil }
