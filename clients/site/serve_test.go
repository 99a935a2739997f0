package site

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"trama/contracts/rest/academico"
	"trama/contracts/rest/financeiro"
	"trama/contracts/rest/notificacoes"
	"trama/platform/auth"
)

// TestServe is for whoever works on the look of the pages without the services:
//
//	TRAMA_SITE_SERVE=127.0.0.1:8090 go test ./clients/site -run TestServe -timeout 0
//
// serves them before the fake API, whose payments move one step each time they
// are looked at, until Ctrl-C.
func TestServe(t *testing.T) {
	address := os.Getenv("TRAMA_SITE_SERVE")
	if address == "" {
		t.Skip("TRAMA_SITE_SERVE is not set")
	}
	f := newFakeAPI()
	for i, title := range []string{"Python do zero: lógica e automação", "Redação para quem decide", "Design de interfaces", "Inglês para reuniões",
		"Gestão de projetos sem drama", "Segurança para quem programa", "Marketing de conteúdo", "Excel que resolve"} {
		f.courses = append(f.courses, f.newCourse(title, []string{"Programação", "Escrita", "Imagem", "Idiomas"}[i%4], "497.00", academico.NivelIniciante, 20+i))
	}
	f.student = academico.Aluno{ID: f.ids.New(), Nome: "Ana Souza", Email: "ana@exemplo.com.br", Cpf: "***.982.247-**", CriadoEm: noon, AtualizadoEm: noon}
	f.mails = []notificacoes.Mensagem{{ID: f.ids.New(), Para: "ana@exemplo.com.br", Assunto: "Boas-vindas, Ana", Situacao: "enviada", EnviadaEm: noon,
		Texto: "Olá, Ana!", HTML: "<html lang=pt-BR><head><title>Boas-vindas</title></head><body><h1>Olá, Ana!</h1><p>Sua matrícula está feita.</p></body></html>"}}
	f.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		f.step(r.URL.Path)
		return false
	}
	api := httptest.NewServer(f)
	defer api.Close()
	site := newTestSite(t, api.URL)
	server := &http.Server{Addr: address, Handler: auth.NewChecker("x", true).Middleware(site)}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		_ = server.Close()
	}()
	t.Logf("pages on http://%s", address)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		t.Fatal(err)
	}
}

// step moves the payment that is looked at.
func (f *fakeAPI) step(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, p := range f.payments {
		if path != "/v1/financeiro/pagamentos/"+name {
			continue
		}
		switch {
		case p.Situacao == "recebido":
			move(p, "em_analise")
		case p.Situacao == "em_analise" && p.Metodo != "cartao":
			move(p, "aguardando_pagamento")
			f.pending[name] = true
			how := financeiro.Instrucoes{ExpiraEm: noon}
			if p.Metodo == "pix" {
				how.CopiaECola.SetTo("00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR5913Trama Escola6008BRASILIA62070503***63041D3D")
			} else {
				how.LinhaDigitavel.SetTo("00190500954014481606906809350314337370000000100")
			}
			p.Instrucoes.SetTo(how)
		case p.Situacao == "em_analise" && p.Cartao.Set && p.Parcelas == 12:
			move(p, "recusado")
			p.Mensagem.SetTo("O banco emissor não aprovou por falta de saldo ou limite.")
			p.Final = true
		case p.Situacao == "em_analise":
			move(p, "aprovado")
		case p.Situacao == "aprovado":
			p.Matricula.SetTo(financeiro.MatriculaDoPagamento{AlunoID: f.student.ID, MatriculaID: f.ids.New()})
			p.AtualizadoEm, p.Final = p.AtualizadoEm.Add(1), true
			f.enrolled = []academico.Matricula{{ID: f.ids.New(), CursoID: p.Curso.ID, Situacao: "ativa", PagamentoID: name, CriadaEm: noon,
				Curso: academico.CursoResumido{ID: p.Curso.ID, Titulo: p.Curso.Titulo}}}
		}
	}
}
