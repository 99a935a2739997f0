package system_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trama/contracts/rest"
	"trama/platform/datadir"
	"trama/system"
	"trama/tests/harness"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestTwoHostsShareTheWork: whatever way the modules are dealt between two hosts
// on one data folder, a payment becomes a student.
func TestTwoHostsShareTheWork(t *testing.T) {
	for _, here := range []string{
		"edge",
		"edge payments.api academics.worker identity.api notifications.api marketing.api",
		"gateway payments.api identity notifications.worker",
		"all",
	} {
		t.Run(here, func(t *testing.T) {
			var rest []string
			mine, err := system.Select(strings.Fields(here)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range system.Table() {
				if !slices.Contains(mine, e.Module) {
					rest = append(rest, e.Module)
				}
			}
			if here == "all" {
				rest = []string{"payments.worker", "academics"} // more hands for the same work
			}
			path := filepath.Join(t.TempDir(), "data")
			one, two := folder(t, path, datadir.Shared), folder(t, path, datadir.Shared)
			ended := watchLeaks(t, one)
			front := makeHost(t, system.Options{Config: with(t, nil), Dir: one, Shared: true}, strings.Fields(here)...)
			back := makeHost(t, system.Options{Config: with(t, nil), Dir: two, Shared: true}, rest...)
			start(t, front)
			s := school(front, one)
			if here != "all" {
				s.Must(t, 503, nil, "GET", "/readyz", nil)
			}
			start(t, back)
			harness.Eventually(t, patience, "the gateway finds everybody", func() bool {
				a, err := s.Do(t.Context(), http.MethodGet, "/readyz", nil)
				return err == nil && a.Status == 200
			})
			if page := s.Must(t, 200, nil, "GET", "/", nil); !strings.Contains(string(page.Body), s.Courses(t)[0].Titulo) {
				t.Error("the home page shows no course")
			}
			for n := range 3 {
				paid := enroll(t, s, n)
				s.Must(t, 200, nil, "GET", "/academico/alunos/"+paid.Matricula.AlunoID, nil)
			}
			stop(t, back)
			stop(t, front)
			ended()
		})
	}
}

// TestStaffRoutesAreExactlyThoseOfTheContract asks every operation of the
// contract, and every other name it has, through the gateway without a token.
func TestStaffRoutesAreExactlyThoseOfTheContract(t *testing.T) {
	dir := folder(t, t.TempDir(), datadir.Exclusive)
	h := start(t, makeHost(t, system.Options{Config: with(t, nil), Dir: dir, Log: discard()}, "all"))
	s := school(h, dir)
	operations, err := rest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	staff := 0
	for _, o := range operations {
		path := sample(o.Path)
		if o.Staff {
			staff++
		}
		t.Run(o.Method+" "+o.Path, func(t *testing.T) {
			if code := refusal(t, s, o.Method, path); (code == "token-ausente") != o.Staff {
				t.Errorf("without a token: %q, and the contract says staff: %v", code, o.Staff)
			}
			if code := refusal(t, s, o.Method, path, "Authorization", "Bearer wrong"); o.Staff && code != "token-invalido" {
				t.Errorf("with a wrong token: %q", code)
			}
			if code := refusal(t, s, o.Method, path, s.Bearer()...); strings.HasPrefix(code, "token-") {
				t.Errorf("with the token: %q", code)
			}
			if strings.HasPrefix(path, "/v1") { // the path without a version is the same route
				if code := refusal(t, s, o.Method, strings.TrimPrefix(path, "/v1")); (code == "token-ausente") != o.Staff {
					t.Errorf("without a version: %q", code)
				}
			}
		})
	}
	if staff < 5 || staff == len(operations) {
		t.Errorf("%d of %d operations are staff's", staff, len(operations))
	}
}

// sample fills the parameters of a path.
func sample(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "01980a52-7c00-7000-8000-00000000dead"
		}
	}
	return strings.Join(parts, "/")
}

// refusal sends an empty request and gives the problem's code if it is a 401.
func refusal(t *testing.T, s *harness.System, method, path string, header ...string) string {
	t.Helper()
	var body any
	if method != http.MethodGet && method != http.MethodDelete {
		body = "{}"
	}
	a, err := s.Do(t.Context(), method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	if a.Status >= 500 {
		t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
	}
	if a.Status != http.StatusUnauthorized {
		return ""
	}
	_, code, _ := strings.Cut(string(a.Body), "/problemas/")
	code, _, _ = strings.Cut(code, `"`)
	if code == "" {
		t.Errorf("%s %s: 401 without a problem: %s", method, path, a.Body)
	}
	return code
}
