package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"trama/contracts/rest/operacao"
	"trama/platform/bus/bustest"
	"trama/platform/parking"
)

const letters = "mensagens-mortas"

func TestOnlyOperators(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"assinaturas", letters, letters + "/exportacao", "eventos", "tarefas", "nada"} {
		for header, code := range map[string]string{"": "token-ausente", "Bearer errado": "token-invalido"} {
			req, err := http.NewRequestWithContext(t.Context(), "GET", r.web.URL+"/v1/operacao/"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if header != "" {
				req.Header.Set("Authorization", header)
			}
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var p struct{ Type string }
			err = json.NewDecoder(answer.Body).Decode(&p)
			_ = answer.Body.Close()
			if err != nil || answer.StatusCode != 401 || !strings.HasSuffix(p.Type, code) {
				t.Errorf("%s with %q: %d %s %v", path, header, answer.StatusCode, p.Type, err)
			}
		}
	}
	if got := r.do("GET", letters, nil).Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// A service that does not answer is named; an act on it fails.
func TestSilentService(t *testing.T) {
	r := newRig(t)
	ids := r.dead("alfa.um", 1)
	r.dead("gama.um", 1)
	r.silent = "beta"
	var subs operacao.Assinaturas
	r.want(200, &subs, "GET", "assinaturas", nil)
	var page operacao.PaginaDeMensagensMortas
	r.want(200, &page, "GET", letters, nil)
	var causes operacao.Causas
	r.want(200, &causes, "GET", letters+"/causas", nil)
	var tasks operacao.Tarefas
	r.want(200, &tasks, "GET", "tarefas", nil)
	var audit operacao.PaginaDeAtos
	r.want(200, &audit, "GET", letters+"/auditoria", nil)
	for what, silent := range map[string][]string{"subscriptions": subs.SemResposta, "letters": page.SemResposta, "causes": causes.SemResposta,
		"tasks": tasks.SemResposta, "audit": audit.SemResposta} {
		if !slices.Equal(silent, []string{"beta"}) {
			t.Errorf("%s: silent are %v", what, silent)
		}
	}
	if len(subs.Itens) != 4 || len(page.Itens) != 2 || len(causes.Itens) != 2 || subs.Itens[0].Mortas != 1 {
		t.Errorf("the others: %d subscriptions, %d letters, %d causes", len(subs.Itens), len(page.Itens), len(causes.Itens))
	}
	r.refused(503, "servico-indisponivel", "POST", letters+"/novas-tentativas", map[string]any{"todas": true})
	r.refused(503, "servico-indisponivel", "GET", letters+"/beta.um/x", nil)
	r.refused(503, "servico-indisponivel", "POST", "assinaturas/beta.um/reprocessamentos", map[string]any{"desde": "2026-01-01T00:00:00Z"})
	r.refused(503, "servico-indisponivel", "GET", letters+"/exportacao", nil)
	r.want(200, nil, "POST", letters+"/alfa.um/"+ids[0]+"/nova-tentativa", nil) // nobody else is asked
}

// Every letter comes once, whatever the page's size, also where a page ends with
// a service.
func TestPagesOverServices(t *testing.T) {
	r := newRig(t)
	want := slices.Concat(r.dead("alfa.um", 4), r.dead("gama.dois", 3), r.dead("gama.um", 1))
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		next := ""
		for range len(want) + 3 {
			var page operacao.PaginaDeMensagensMortas
			r.want(200, &page, "GET", fmt.Sprintf("%s?limite=%d&cursor=%s", letters, limit, url.QueryEscape(next)), nil)
			if len(page.Itens) > limit {
				t.Errorf("limit %d: a page of %d", limit, len(page.Itens))
			}
			for _, l := range page.Itens {
				got = append(got, l.ID)
			}
			if next = page.Proximo.Value; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) || next != "" {
			t.Errorf("limit %d: got %d letters, want %d", limit, len(got), len(want))
		}
	}
	link := r.do("GET", letters+"?limite=2", nil).Header.Get("Link")
	if !strings.HasPrefix(link, "</v1/operacao/mensagens-mortas?cursor=") || !strings.HasSuffix(link, `&limite=2>; rel="next"`) {
		t.Errorf("Link: %s", link)
	}
}

func TestBadCursors(t *testing.T) {
	r := newRig(t)
	r.dead("alfa.um", 2)
	var page operacao.PaginaDeMensagensMortas
	r.want(200, &page, "GET", letters+"?limite=1", nil)
	for _, path := range []string{
		letters + "?cursor=%20", letters + "?cursor=!!", letters + "?cursor=YWxmYQ", letters + "?cursor=bmluZ3VlbQow",
		letters + "?assinatura=beta.um&cursor=" + page.Proximo.Value, // of another list
		letters + "/auditoria?cursor=x", "eventos?cursor=x", letters + "?cursor=" + strings.Repeat("x", 2000),
	} {
		if got := r.refused(422, "campos-invalidos", "GET", path, nil); !slices.Equal(got, []string{"?cursor"}) {
			t.Errorf("%s: fields %v", path, got)
		}
	}
	if got := r.refused(422, "campos-invalidos", "POST", "assinaturas/alfa.um/reprocessamentos",
		map[string]any{"desde": "2026-01-01T00:00:00Z", "cursor": "x"}); !slices.Equal(got, []string{"/cursor"}) {
		t.Errorf("replay: fields %v", got)
	}
}

// A bulk act never takes more than its limit, and says what is left everywhere.
func TestBulkActs(t *testing.T) {
	r := newRig(t)
	r.dead("alfa.um", 3)
	r.dead("beta.um", 2)
	r.dead("gama.um", 4)
	for _, tt := range []struct{ limit, done, left int64 }{{2, 2, 7}, {1, 1, 6}, {3, 3, 3}, {2, 2, 1}, {500, 1, 0}, {500, 0, 0}} {
		var got operacao.Feito
		r.want(200, &got, "POST", letters+"/novas-tentativas", map[string]any{"falha": "invalid", "limite": tt.limit})
		if got.Feitas != tt.done || got.Restantes != tt.left {
			t.Errorf("limit %d: %d done, %d left; want %d, %d", tt.limit, got.Feitas, got.Restantes, tt.done, tt.left)
		}
	}
	ids := slices.Concat(r.dead("alfa.dois", 2), r.dead("gama.dois", 2))
	for _, want := range []operacao.Feito{{Feitas: 2, Restantes: 2}, {Feitas: 2}, {}} {
		var got operacao.Feito
		r.want(200, &got, "POST", letters+"/descartes", map[string]any{"ids": ids, "motivo": "teste", "limite": 2})
		if got != want {
			t.Errorf("dropped %+v, want %+v", got, want)
		}
	}
}

func TestActsAreRefused(t *testing.T) {
	r := newRig(t)
	id := r.dead("alfa.um", 1)[0]
	for _, path := range []string{"/novas-tentativas", "/descartes"} {
		for _, body := range []string{`{}`, `{"motivo": "x", "limite": 3}`, `{"todas": false}`, `{"ids": []}`, `{"iniciadoEm": "2026-01-01T00:00:00Z"}`} {
			r.refused(422, "filtro-vazio", "POST", letters+path, body)
		}
		if got := r.refused(422, "campos-invalidos", "POST", letters+path, `{"todas": true, "extra": 1}`); !slices.Equal(got, []string{"/extra"}) {
			t.Errorf("an unknown field: %v", got)
		}
		if got := r.refused(422, "campos-invalidos", "POST", letters+path, `{"assinatura": 1}`); !slices.Equal(got, []string{"/assinatura"}) {
			t.Errorf("a wrong type: %v", got)
		}
		if got := r.refused(422, "campos-invalidos", "POST", letters+path, `{"todas": true, "limite": 501}`); !slices.Equal(got, []string{"/limite"}) {
			t.Errorf("too much: %v", got)
		}
		r.refused(400, "json-invalido", "POST", letters+path, `{"todas": tru}`)
	}
	r.refused(422, "motivo-ausente", "POST", letters+"/descartes", `{"todas": true}`)
	r.refused(422, "motivo-ausente", "POST", letters+"/descartes", `{"todas": true, "motivo": "  "}`)
	if got := r.refused(422, "campos-invalidos", "DELETE", letters+"/alfa.um/"+id, nil); !slices.Equal(got, []string{"?motivo"}) {
		t.Errorf("dropped without a reason: %v", got)
	}
	r.refused(404, "assinatura-nao-encontrada", "POST", letters+"/novas-tentativas", `{"assinatura": "delta.um"}`)
	r.refused(404, "assinatura-nao-encontrada", "GET", letters+"/delta.um/x", nil)
	r.refused(404, "assinatura-nao-encontrada", "GET", letters+"/exportacao?assinatura=delta.um", nil)
	for method, path := range map[string]string{"GET": "", "POST": "/nova-tentativa", "DELETE": "?motivo=x"} {
		r.refused(404, "mensagem-nao-encontrada", method, letters+"/alfa.um/nada"+path, nil)
	}
	r.refused(404, "mensagem-nao-encontrada", "POST", letters+"/alfa.um/nada/correcoes", map[string]any{"evento": bustest.NewEvent(r.ids, bustest.TypeA, "s", 1)})
	r.refused(404, "tarefa-inexistente", "POST", "tarefas/alfa.nada/execucoes", nil)
	r.refused(404, "tarefa-inexistente", "POST", "tarefas/nada/execucoes", nil)
	if acts, _, err := r.lots["alfa"].Audit(t.Context(), parking.Filter{}, "", 10); err != nil || len(acts) != 0 {
		t.Errorf("what was refused is in the audit: %v %v", acts, err)
	}
}

// The same correction again is the same one, whatever the order of its keys, also
// when the letter has been handled since.
func TestCorrectionTwiceIsOne(t *testing.T) {
	r := newRig(t)
	id := r.dead("alfa.um", 1)[0]
	var l operacao.MensagemMortaCompleta
	path := letters + "/alfa.um/" + id
	r.want(200, &l, "GET", path, nil)
	event := map[string]any{}
	for k, v := range l.Evento.Value {
		event[k] = json.RawMessage(v)
	}
	event["data"] = map[string]any{"n": 7}
	for range 6 {
		var after operacao.MensagemMortaCompleta
		r.want(200, &after, "POST", path+"/correcoes", map[string]any{"evento": event, "motivo": "teste"})
		if after.Mensagem.Situacao != "aguardando" || string(after.Evento.Value["data"]) != `{"n":7}` || after.Mensagem.Assunto != "alfa.um-0" {
			t.Errorf("after the correction: %+v", after.Mensagem)
		}
	}
	if err := r.lots["alfa"].Done(t.Context(), "alfa.um", id); err != nil {
		t.Fatal(err)
	}
	r.want(200, &l, "POST", path+"/correcoes", map[string]any{"evento": event})
	if l.Mensagem.ID != id || l.Mensagem.Tipo != bustest.TypeA || len(l.Evento.Value) != len(event) {
		t.Errorf("corrected before, handled since: %+v", l)
	}
	var audit operacao.PaginaDeAtos
	r.want(200, &audit, "GET", letters+"/auditoria", nil)
	if len(audit.Itens) != 1 || audit.Itens[0].Ato != "edicao" || audit.Itens[0].Quem != "operador" {
		t.Errorf("the audit is %+v", audit.Itens)
	}
	event["subject"] = "outro"
	other := r.dead("alfa.dois", 1)[0]
	event["id"] = other
	r.refused(422, "edicao-de-outro-evento", "POST", letters+"/alfa.dois/"+other+"/correcoes", map[string]any{"evento": event})
	r.refused(400, "evento-malformado", "POST", letters+"/alfa.dois/"+other+"/correcoes", map[string]any{"evento": map[string]any{}})
}
