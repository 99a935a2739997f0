package rest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"trama/contracts/rest/academico"
)

// A field added to an answer later must not break the clients generated today:
// that is what lets a version grow.
func TestAnAddedFieldDoesNotBreakAnOldClient(t *testing.T) {
	answer := `{"itens":[{"id":"01980a52-7c00-7000-8000-000000000001","slug":"go","titulo":"Go","resumo":"r","descricao":"d",
		"nivel":"iniciante","cargaHoraria":1,"preco":{"valor":"10.00","moeda":"BRL"},"instrutor":"Ana","categoria":"x",
		"aulas":[{"id":"01980a52-7c00-7000-8001-000000000001","titulo":"a","minutos":60,"novo":1}],"ativo":true,
		"criadoEm":"2026-11-20T14:05:00Z","atualizadoEm":"2026-11-20T14:05:00Z","novo":{"campo":[1,2]}}],"novo":"x"}`
	if !json.Valid([]byte(answer)) {
		t.Fatal("the sample is no JSON")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	client, err := academico.NewClient(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.ListarCursos(t.Context(), academico.ListarCursosParams{})
	if err != nil {
		t.Fatal(err)
	}
	page, ok := got.(*academico.PaginaDeCursosHeaders)
	if !ok || len(page.Response.Itens) != 1 || page.Response.Itens[0].Titulo != "Go" {
		t.Errorf("got %#v", got)
	}
}
