package site

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"trama/contracts/rest/academico"
	"trama/contracts/rest/notificacoes"
	"trama/platform/auth"
)

func TestHomeShowsAllCourses(t *testing.T) {
	g := newRig(t)
	w := g.get("/")
	expect(t, w, 200, "<h1>Conhecimento se tece fio a fio.</h1>", `role="search"`, "4\u00a0cursos abertos", "R$\u00a01.299,00", "R$\u00a0349,90")
	for _, c := range g.api.courses {
		expect(t, w, 200, `<a href="/cursos/`+c.ID+`">`+c.Titulo+`</a>`)
	}
	if n := strings.Count(w.Body.String(), `<svg class="cover"`); n != 4 {
		t.Errorf("%d covers, want 4", n)
	}
	header(t, w.Header(), "Cache-Control", "private, no-cache")
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	if again := g.do(r); again.Code != 304 || again.Body.Len() > 0 {
		t.Errorf("revalidation answers %d with %d bytes", again.Code, again.Body.Len())
	}
}

func TestHomeSearchAndCategory(t *testing.T) {
	g := newRig(t)
	expect(t, g.get("/?busca=sql"), 200, `value="sql"`, "1\u00a0curso encontrado para “sql”", "SQL do básico")
	w := g.get("/?categoria=Dados")
	expect(t, w, 200, "2\u00a0cursos encontrados em Dados", `<input type="hidden" name="categoria" value="Dados">`, "Estatística", `aria-current="true">Dados`)
	refuse(t, w, "Fotografia com celular</a>")
	w = g.get("/?busca=e&categoria=Dados")
	expect(t, w, 200, `href="/?busca=e&amp;categoria=Imagem#cursos"`)
	expect(t, g.get("/?busca=zzz"), 200, "Nenhum curso com essas palavras", `href="/interesse"`)
}

func TestHomeWithoutCourses(t *testing.T) {
	g := newRig(t)
	g.api.courses = nil
	expect(t, g.get("/"), 200, "Ainda não há cursos abertos")
}

func TestHostileTextIsText(t *testing.T) {
	g := newRig(t)
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	g.api.courses[0].Titulo, g.api.courses[0].Resumo = evil, evil
	g.api.courses[0].Categoria, g.api.courses[0].Instrutor, g.api.courses[0].Descricao = evil, evil, evil
	g.api.courses[0].Aulas[0].Titulo = evil
	g.api.student = academico.Aluno{ID: g.api.ids.New(), Nome: evil, Email: evil, Cpf: evil, CriadoEm: noon, AtualizadoEm: noon}
	g.api.mails = []notificacoes.Mensagem{{ID: g.api.ids.New(), Para: evil, Assunto: evil, Texto: evil, HTML: evil, Situacao: "enviada", EnviadaEm: noon}}
	p := g.api.payment("pix", "em_analise", "recusado")
	p.Aluno.Nome, p.Aluno.Email, p.Curso.Titulo = evil, evil, evil
	p.Mensagem.SetTo(evil)
	course := g.api.courses[0].ID
	for _, path := range []string{
		"/", "/?busca=" + url.QueryEscape(evil), "/?categoria=" + url.QueryEscape(evil), "/cursos/" + course, "/cursos/" + course + "/interesse",
		"/cursos/" + course + "/matricula", "/pagamentos/" + p.ID, "/pagamentos/" + p.ID + "/estado", "/alunos/" + g.api.student.ID,
		"/descadastro?token=" + url.QueryEscape(evil), "/correio", "/correio/" + g.api.mails[0].ID, "/" + url.PathEscape(evil),
	} {
		w := g.local(path)
		refuse(t, w, "<script>", "<img", "onerror=alert(2)>")
		if w.Code >= 500 {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
	w := g.post("/cursos/"+course+"/interesse", map[string]string{"nome": evil, "email": evil[:8], "telefone": evil})
	expect(t, w, 422)
	refuse(t, w, "<script>", "<img")
}

func TestCoursePage(t *testing.T) {
	g := newRig(t)
	c := g.api.courses[0]
	w := g.get("/cursos/" + c.ID)
	expect(t, w, 200, "<h1>Go para serviços</h1>", "Intermediário", "40\u00a0horas", "3\u00a0aulas", "R$\u00a01.299,00", "em até 12 vezes sem juros",
		"Beatriz Nogueira", "<p>Primeiro parágrafo.</p>", "<p>Segundo parágrafo.</p>", "O que costuma dar errado", "2\u00a0h 15\u00a0min",
		`href="/cursos/`+c.ID+`/matricula"`, `action="/cursos/`+c.ID+`/interesse"`)
	w = g.get("/cursos/go-para-serviços/matricula")
	expect(t, w, 307)
	header(t, w.Header(), "Location", "/cursos/"+c.ID+"/matricula")
	g.api.courses[0].Ativo = false
	expect(t, g.get("/cursos/"+c.ID), 404)
	expect(t, g.get("/cursos/"+c.ID+"/matricula"), 404)
}

func TestInterest(t *testing.T) {
	g := newRig(t)
	c := g.api.courses[1]
	w := g.post("/cursos/"+c.ID+"/interesse", map[string]string{
		"nome": " Ana Souza ", "email": "ana@exemplo.com.br", "telefone": "11 98765-4321", "consentimento": "sim",
		"chave": "01980a52-7c00-7000-8000-0000000000aa",
	})
	expect(t, w, 303)
	header(t, w.Header(), "Location", "/cursos/"+c.ID+"/interesse/obrigado")
	lead := g.api.leads[0]
	if lead.Nome != "Ana Souza" || lead.Email != "ana@exemplo.com.br" || lead.Telefone.Value != "11 98765-4321" || !lead.Consentimento ||
		lead.CursoID.Value != c.ID || lead.Origem.Value != "site" {
		t.Errorf("lead is %+v", lead)
	}
	header(t, g.api.lastTo(t, "/v1/marketing/leads").Header, "Idempotency-Key", "01980a52-7c00-7000-8000-0000000000aa")
	expect(t, g.get("/cursos/"+c.ID+"/interesse/obrigado"), 200, "Seu contato está anotado", c.Titulo)
}

func TestInterestWithoutACourse(t *testing.T) {
	g := newRig(t)
	expect(t, g.get("/interesse"), 200, `action="/interesse"`)
	w := g.post("/interesse", map[string]string{"nome": "Ana", "email": "ana@exemplo.com.br"})
	expect(t, w, 303)
	header(t, w.Header(), "Location", "/interesse/obrigado")
	if lead := g.api.leads[0]; lead.CursoID.Set || lead.Telefone.Set || lead.Consentimento {
		t.Errorf("lead is %+v", lead)
	}
	expect(t, g.get("/interesse/obrigado"), 200, "Obrigado")
}

func TestInterestErrorsStandBesideTheField(t *testing.T) {
	g := newRig(t)
	w := g.post("/cursos/"+g.api.courses[0].ID+"/interesse", map[string]string{"nome": "Ana & Eva", "email": "ana", "consentimento": "sim"})
	expect(t, w, 422, "<title>Erro: Quero saber mais", `<a href="#campo-email">Informe um e-mail válido.</a>`,
		`aria-invalid="true" aria-describedby="erro-email"`, `id="erro-email"`, `value="Ana &amp; Eva"`, `value="ana"`, " checked", "autofocus")
}

func TestInterestKeepsWhatWasTypedWhenTheAPIIsDown(t *testing.T) {
	g := newRig(t)
	g.api.answer = downFor("POST")
	w := g.post("/cursos/"+g.api.courses[0].ID+"/interesse", map[string]string{"nome": "Ana Souza", "email": "ana@exemplo.com.br"})
	expect(t, w, 503, "O que você digitou continua aqui", `value="Ana Souza"`, `value="ana@exemplo.com.br"`)
}

func TestStudentPage(t *testing.T) {
	g := newRig(t)
	g.api.student = academico.Aluno{ID: g.api.ids.New(), Nome: "Ana Souza", Email: "ana@exemplo.com.br", Cpf: "***.982.247-**", CriadoEm: noon, AtualizadoEm: noon}
	expect(t, g.get("/alunos/"+g.api.student.ID), 200, "Nenhuma matrícula ainda")
	cancelled := academico.Matricula{ID: g.api.ids.New(), CursoID: g.api.courses[1].ID, Situacao: "cancelada", PagamentoID: g.api.ids.New(), CriadaEm: noon,
		Curso: academico.CursoResumido{ID: g.api.courses[1].ID, Titulo: "Fotografia com celular"}}
	cancelled.CanceladaEm.SetTo(noon.Add(24 * time.Hour))
	g.api.enrolled = []academico.Matricula{cancelled, {ID: g.api.ids.New(), CursoID: g.api.courses[0].ID, Situacao: "ativa", PagamentoID: g.api.ids.New(), CriadaEm: noon,
		Curso: academico.CursoResumido{ID: g.api.courses[0].ID, Titulo: "Go para serviços"}}}
	w := g.get("/alunos/" + g.api.student.ID)
	expect(t, w, 200, "<h1>Ana Souza</h1>", "***.982.247-**", "Ativa", "Cancelada", "21\u00a0de novembro de\u00a02026", "/cursos/"+g.api.courses[0].ID,
		`name="robots" content="noindex"`)
	header(t, w.Header(), "Cache-Control", "no-store")
}

func TestUnsubscribe(t *testing.T) {
	g := newRig(t)
	w := g.get("/descadastro?token=bom")
	expect(t, w, 200, "Parar os lembretes?", `<input type="hidden" name="token" value="bom">`)
	for _, r := range g.api.seen {
		if strings.Contains(r.URL.Path, "descadastro") {
			t.Fatal("opening the page already asked the API; mail scanners open every link")
		}
	}
	expect(t, g.post("/descadastro", map[string]string{"token": "bom"}), 200, "Os lembretes já estavam parados", "a**@exemplo.com.br", "20/11/2026, 12h00")
	g.api.stopped = time.Now()
	expect(t, g.post("/descadastro", map[string]string{"token": "bom"}), 200, "Pronto, os lembretes pararam")
	expect(t, g.post("/descadastro", map[string]string{"token": "falso"}), 404, "Este endereço não vale mais")
	expect(t, g.get("/descadastro"), 404, "Este endereço não vale mais")
	g.api.answer = downFor("POST")
	expect(t, g.post("/descadastro", map[string]string{"token": "bom"}), 503)
}

func TestUnsubscribeByAMailProgram(t *testing.T) {
	g := newRig(t)
	for _, contentType := range []string{"application/x-www-form-urlencoded", `multipart/form-data; boundary="b"`} {
		r := httptest.NewRequest("POST", "/descadastro?token=bom", strings.NewReader("List-Unsubscribe=One-Click"))
		r.Header.Set("Content-Type", contentType)
		expect(t, g.do(r), 200)
	}
}

func TestMailboxIsForThisMachine(t *testing.T) {
	g := newRig(t)
	g.api.mails = []notificacoes.Mensagem{{ID: g.api.ids.New(), Para: "ana@exemplo.com.br", Assunto: "Boas-vindas, Ana", Situacao: "enviada",
		EnviadaEm: noon, Texto: "Sua senha: abc", HTML: "<html><head><title>x</title></head><body><p>Sua senha: <b>abc</b> <a href=\"/entrar\">Entrar</a></p></body></html>"}}
	mail := "/correio/" + g.api.mails[0].ID
	for _, path := range []string{"/correio", mail, mail + "/html"} {
		w := g.get(path)
		expect(t, w, 403, "O correio só abre na própria máquina")
		refuse(t, w, "ana@exemplo.com.br", "senha: ")
	}
	if len(g.api.seen) > 0 {
		t.Error("the API was asked on behalf of a remote visitor")
	}

	expect(t, g.local("/correio"), 200, "Boas-vindas, Ana", "para ana@exemplo.com.br", `href="`+mail+`"`)
	w := g.local(mail)
	expect(t, w, 200, `<iframe class="mail-frame" title="Mensagem: Boas-vindas, Ana" src="`+mail+`/html" sandbox=`, "Sua senha: abc")
	mustContain(t, "policy", w.Header().Get("Content-Security-Policy"), "frame-src 'self'")
	header(t, w.Header(), "Cache-Control", "no-store")

	w = g.local(mail + "/html")
	expect(t, w, 200, `<head><base target="_blank"><title>`, "<b>abc</b>")
	csp := w.Header().Get("Content-Security-Policy")
	mustContain(t, "policy", csp, "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'")
	if strings.Contains(csp, "allow-scripts") || strings.Contains(csp, "allow-same-origin") {
		t.Errorf("policy %q", csp)
	}
	header(t, w.Header(), "X-Frame-Options", "SAMEORIGIN")
	expect(t, g.local("/correio/01980a52-7c00-7000-8000-00000000ffff"), 404)
	expect(t, g.local("/correio/x"), 404)
}

func TestMailboxOfAnOperatorElsewhere(t *testing.T) {
	g := newRig(t)
	r := httptest.NewRequest("GET", "/correio", nil)
	r.Header.Set("Authorization", "Bearer abc")
	w := g.do(as(r, auth.Caller{Operator: true}))
	expect(t, w, 403, "Esta página não é pública") // this API knows no operators
	header(t, g.api.lastTo(t, "/v1/notificacoes/mensagens").Header, "Authorization", "Bearer abc")
}

func TestEmptyMailbox(t *testing.T) {
	expect(t, newRig(t).local("/correio"), 200, "Nenhuma mensagem")
}

func TestSignInIsHonest(t *testing.T) {
	expect(t, newRig(t).get("/entrar"), 200, "ainda não existe", "72 horas")
}
