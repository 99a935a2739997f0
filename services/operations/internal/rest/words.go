package rest

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"trama/contracts/rest/operacao"
	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus"
	"trama/platform/parking"
)

// state gives the letters' state of a query's word; without one, dead letters.
func state(word string) string {
	switch word {
	case "aguardando":
		return string(bus.Waiting)
	case "atras":
		return string(bus.Behind)
	case "todas":
		return ""
	}
	return string(bus.Dead)
}

func stateWord(s string) operacao.MensagemMortaSituacao {
	switch bus.LetterState(s) {
	case bus.Waiting:
		return operacao.MensagemMortaSituacaoAguardando
	case bus.Behind:
		return operacao.MensagemMortaSituacaoAtras
	}
	return operacao.MensagemMortaSituacaoMorta
}

// acts gives the word of an act of the audit.
func acts(act string) string {
	switch act {
	case parking.ActRetry:
		return "nova-tentativa"
	case parking.ActEdit:
		return "edicao"
	case parking.ActDrop:
		return "descarte"
	case parking.ActExport:
		return "exportacao"
	case parking.ActReplay:
		return "reprocessamento"
	case parking.ActHold:
		return "parada"
	case parking.ActRelease:
		return "retomada"
	}
	return act
}

func letter(l *operationsv1.Letter) operacao.MensagemMorta {
	out := operacao.MensagemMorta{
		Assinatura: l.GetSubscription(), ID: l.GetId(), Assunto: l.GetSubject(), Tipo: l.GetType(), Situacao: stateWord(l.GetState()),
		Tentativas: int64(l.GetTries()), EstacionadaEm: instant(l.GetParkedAtMs()).Value, EstacionadaPor: optional(l.GetParkedBy()),
		TraceID: optional(l.GetTraceId()), Falha: optional(l.GetLastKind()), Codigo: optional(l.GetLastCode()), Erro: optional(l.GetLastError()),
		Atras: l.GetBehindIt(), Reprocessamento: optional(l.GetReplay()),
	}
	if bus.LetterState(l.GetState()) == bus.Waiting {
		out.ProximaTentativa = instant(l.GetDueMs())
	}
	return out
}

// whole shows a letter with its event, or with its text when it is none.
func whole(l *operationsv1.Letter) *operacao.MensagemMortaCompleta {
	out := &operacao.MensagemMortaCompleta{Mensagem: letter(l), Historico: make([]operacao.Tentativa, 0, len(l.GetHistory()))}
	var event map[string]jx.Raw
	if json.Unmarshal(l.GetBody(), (*rawMap)(&event)) == nil && event != nil {
		out.Evento = operacao.NewOptMensagemMortaCompletaEvento(event)
	} else {
		out.Texto = operacao.NewOptString(strings.ToValidUTF8(string(l.GetBody()), "\uFFFD"))
	}
	for _, a := range l.GetHistory() {
		out.Historico = append(out.Historico, operacao.Tentativa{
			Em: time.UnixMilli(a.GetAtMs()).UTC(), DuracaoMs: float64(a.GetTookUs()) / 1000, Falha: a.GetKind(), Codigo: a.GetCode(), Erro: a.GetError(),
		})
	}
	return out
}

// rawMap reads a JSON object; its values stay as they are, but on one line.
type rawMap map[string]jx.Raw

// UnmarshalJSON implements json.Unmarshaler.
func (m *rawMap) UnmarshalJSON(text []byte) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	if values == nil { // null
		return nil
	}
	*m = make(rawMap, len(values))
	for k, v := range values {
		var line bytes.Buffer
		if err := json.Compact(&line, v); err != nil {
			return err
		}
		(*m)[k] = line.Bytes()
	}
	return nil
}

// eventMap gives an event as the generated server writes it.
func eventMap(e bus.Event) (map[string]jx.Raw, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var m rawMap
	err = json.Unmarshal(text, &m)
	return m, err
}
