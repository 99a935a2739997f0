package marketing_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"trama/contracts/events"
)

func TestStaffRoutesNeedTheOperator(t *testing.T) {
	s := newService(t, openSQLite(t))
	id := s.register(t, "ana@exemplo.com.br", "")
	for _, route := range [][2]string{{"GET", leads}, {"GET", leads + "/" + id}, {"DELETE", leads + "/" + id}} {
		for _, token := range []string{"", "Bearer ", "Bearer wrong", operatorToken} {
			a := s.send(route[0], route[1], "", "Authorization: "+token)
			want(t, fmt.Sprint(route, token), a.status, http.StatusUnauthorized)
		}
	}
	want(t, "state", s.state(t, id), "ativo")
}

func TestStaffPagesThroughLeads(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		var all []string
		for i := range 5 {
			all = append([]string{s.register(t, fmt.Sprintf("p%d@exemplo.com.br", i), "")}, all...)
		}
		var got []string
		path := leads + "?limite=2"
		for range 3 {
			a := s.send("GET", path, "", staff)
			var page struct {
				Itens   []struct{ ID, Situacao string }
				Proximo string
			}
			if err := json.Unmarshal([]byte(a.text), &page); err != nil {
				t.Fatal(err)
			}
			for _, l := range page.Itens {
				got = append(got, l.ID)
			}
			link, _, more := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">; rel=\"next\"")
			if more != (page.Proximo != "") || (more && !strings.Contains(link, "cursor="+page.Proximo)) {
				t.Errorf("Link %q, proximo %q", a.header.Get("Link"), page.Proximo)
			}
			path = link
		}
		want(t, "leads", got, all)
		want(t, "after the last page", path, "")
	})
}

func TestBadParametersOfTheList(t *testing.T) {
	s := newService(t, openSQLite(t))
	for query, status := range map[string]int{
		"": 200, "?limite=100": 200, "?limite=0": 422, "?limite=101": 422, "?limite=x": 422, "?cursor=zzz": 422, "?cursor=" + strings.Repeat("A", 2000): 422,
	} {
		want(t, query, s.send("GET", leads+query, "", staff).status, status)
	}
	want(t, "no list of anything", s.send("GET", leads, "", staff).text, `{"itens":[]}`)
}

func TestALeadHasAnETag(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		path := leads + "/" + s.register(t, "ana@exemplo.com.br", courseGo)
		tag := s.send("GET", path, "", staff).header.Get("ETag")
		if !strings.HasPrefix(tag, `"`) {
			t.Fatalf("ETag %q", tag)
		}
		same := s.send("GET", path, "", staff, "If-None-Match: "+tag)
		want(t, "unchanged", same.status, http.StatusNotModified)
		want(t, "ETag of 304", same.header.Get("ETag"), tag)
		if err := s.handler(t.Context(), confirmed("e1", courseGo, "ana@exemplo.com.br", "")); err != nil {
			t.Fatal(err)
		}
		want(t, "changed", s.send("GET", path, "", staff, "If-None-Match: "+tag).status, http.StatusOK)
		for _, none := range []string{courseNone, "nonsense"} {
			want(t, none, s.send("GET", leads+"/"+none, "", staff).status, http.StatusNotFound)
		}
	})
}

func TestErasureRemovesThePerson(t *testing.T) {
	engines(t, func(t *testing.T, s *service) {
		one, two := s.register(t, "ana@exemplo.com.br", courseGo), s.register(t, "ana@exemplo.com.br", "")
		other := s.register(t, "bia@exemplo.com.br", courseGo)
		s.clock.Jump(25 * time.Hour)
		s.pass(t)
		want(t, "reminders", len(s.reminders(t)), 3)
		want(t, "erase", s.send("DELETE", leads+"/"+one, "", staff).status, http.StatusNoContent)
		want(t, "erase again", s.send("DELETE", leads+"/"+one, "", staff).status, http.StatusNotFound)
		for _, id := range []string{one, two} {
			want(t, "get", s.send("GET", leads+"/"+id, "", staff).status, http.StatusNotFound)
		}
		want(t, "another person", s.state(t, other), "ativo")
		for _, r := range s.reminders(t) {
			if r.LeadID != other {
				t.Errorf("a reminder of the erased still waits: %+v", r)
			}
		}
		want(t, "goodbyes", len(s.published(t, events.TypeLeadDescadastrado)), 2)
		s.clock.Jump(10 * 24 * time.Hour)
		s.pass(t)
		want(t, "reminders ten days later", len(s.reminders(t)), 2)
		if again := s.register(t, "ana@exemplo.com.br", courseGo); again == one {
			t.Error("the erased lead is back")
		}
	})
}
