package gateway

import (
	"net/http"
	"strings"
	"time"

	"trama/platform/fault"
	"trama/platform/httpx"
)

// The faults that arise at the door itself; those of the HTTP wall in general
// are httpx's.
var (
	// ErrPath: the path can be read in more than one way (400).
	ErrPath = fault.New(fault.Malformed, "caminho-invalido", fault.Text{
		PT: "O caminho não pode ter segmentos vazios, '.' ou '..', barras codificadas, barras invertidas, caracteres de controle nem UTF-8 inválido.",
		EN: "The path cannot have empty segments, '.' or '..', encoded slashes, backslashes, control characters or invalid UTF-8.",
	})
	// ErrSmuggling: the message states its length in two ways (400).
	ErrSmuggling = fault.New(fault.Malformed, "tamanho-ambiguo", fault.Text{
		PT: "O pedido declara Content-Length e Transfer-Encoding ao mesmo tempo; envie só um deles.",
		EN: "The request declares both Content-Length and Transfer-Encoding; send only one of them.",
	})
	// ErrDown: no address of the service accepts a connection (503); nothing was sent.
	ErrDown = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
		PT: "Uma parte do sistema está fora do ar. Nada se perdeu; tente de novo em instantes.",
		EN: "A part of the system is down. Nothing was lost; try again in a moment.",
	}).After(2 * time.Second)
	// ErrBroken: the service's answer broke off or was none (503); it may have acted.
	ErrBroken = fault.New(fault.Unavailable, "resposta-interrompida", fault.Text{
		PT: "Uma parte do sistema parou no meio da resposta; a operação pode ter sido feita. Tente de novo com a mesma Idempotency-Key.",
		EN: "A part of the system stopped in the middle of its answer; the operation may have been done. Try again with the same Idempotency-Key.",
	}).After(2 * time.Second)
	// ErrTimeout: no answer within the route's time limit (504); it may have been done.
	ErrTimeout = fault.New(fault.Timeout, "tempo-esgotado", fault.Text{
		PT: "A resposta não veio a tempo; a operação pode ter sido feita. Tente de novo com a mesma Idempotency-Key.",
		EN: "No answer in time; the operation may have been done. Try again with the same Idempotency-Key.",
	})
	// ErrInternal: a service failed without saying how (500).
	ErrInternal = fault.New(fault.Internal, "erro-interno", fault.Text{
		PT: "Erro nosso. Já está registrado; tente de novo mais tarde.",
		EN: "Our error. It is on record; please try again later.",
	})
)

// errVersion names the versions in which a route exists (404).
func errVersion(versions []string) error {
	list := strings.Join(versions, ", ")
	return fault.New(fault.NotFound, "versao-inexistente", fault.Text{
		PT: "Este endereço não existe nesta versão; existe em: " + list + ".",
		EN: "This address does not exist in this version; it exists in: " + list + ".",
	})
}

// bareFault gives the problem that stands for a service's error without a
// problem body; nil when the status has no counterpart and passes as it is.
func bareFault(status int) *fault.Error {
	switch status {
	case http.StatusBadRequest:
		return httpx.ErrRequest
	case http.StatusNotFound:
		return httpx.ErrNoRoute
	case http.StatusMethodNotAllowed:
		return httpx.ErrMethod
	case http.StatusRequestEntityTooLarge:
		return httpx.ErrBodyTooLarge
	case http.StatusUnsupportedMediaType:
		return httpx.ErrMediaType
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return ErrDown
	case http.StatusGatewayTimeout:
		return ErrTimeout
	}
	if status >= http.StatusInternalServerError {
		return ErrInternal
	}
	return nil
}
