package httpx

import (
	"net/http"

	"trama/platform/fault"
)

// The faults of the HTTP wall itself. Those whose kind has a coarser status
// than HTTP offers get their own from Status.
var (
	// ErrNoRoute: no operation has this path (404).
	ErrNoRoute = fault.New(fault.NotFound, "rota-inexistente", fault.Text{
		PT: "Este endereço não existe. A lista de todos está em /docs.",
		EN: "This address does not exist. All of them are listed at /docs.",
	})
	// ErrNotFound: the path exists but names no resource (404).
	ErrNotFound = fault.New(fault.NotFound, "nao-encontrado", fault.Text{
		PT: "Não existe, ou não é seu.",
		EN: "It does not exist, or it is not yours.",
	})
	// ErrMethod: the path has no such method (405, with Allow).
	ErrMethod = fault.New(fault.Malformed, "metodo-nao-permitido", fault.Text{
		PT: "Este endereço não aceita este método; o cabeçalho Allow diz quais aceita.",
		EN: "This address does not accept this method; the Allow header tells which it does.",
	})
	// ErrBodyTooLarge: the body is over the limit (413).
	ErrBodyTooLarge = fault.New(fault.Malformed, "corpo-grande-demais", fault.Text{
		PT: "O corpo do pedido é maior que o permitido.",
		EN: "The request body is larger than allowed.",
	})
	// ErrURITooLong: path and query are over the limit (414).
	ErrURITooLong = fault.New(fault.Malformed, "endereco-longo-demais", fault.Text{
		PT: "O endereço do pedido é mais longo que o permitido.",
		EN: "The address of the request is longer than allowed.",
	})
	// ErrHeaderTooLarge: the request's header fields are over the limit (431).
	ErrHeaderTooLarge = fault.New(fault.Malformed, "cabecalho-grande-demais", fault.Text{
		PT: "Os cabeçalhos do pedido são maiores que o permitido.",
		EN: "The header fields of the request are larger than allowed.",
	})
	// ErrMediaType: the Content-Type is missing or not accepted (415).
	ErrMediaType = fault.New(fault.Malformed, "tipo-nao-suportado", fault.Text{
		PT: "Envie o corpo como application/json em UTF-8 (ou application/merge-patch+json, em PATCH).",
		EN: "Send the body as application/json in UTF-8 (or application/merge-patch+json, in PATCH).",
	})
	// ErrIfMatchMissing: a write needs If-Match (428).
	ErrIfMatchMissing = fault.New(fault.Precondition, "if-match-ausente", fault.Text{
		PT: "Envie If-Match com o ETag da versão que você leu.",
		EN: "Send If-Match with the ETag of the version you have read.",
	})
	// ErrStale: the resource changed since it was read (412).
	ErrStale = fault.New(fault.Precondition, "versao-desatualizada", fault.Text{
		PT: "O recurso mudou desde que você o leu. Leia de novo e repita a mudança.",
		EN: "The resource changed since you have read it. Read it again and repeat the change.",
	})
	// ErrBodyMissing: the operation needs a body (400).
	ErrBodyMissing = fault.New(fault.Malformed, "corpo-ausente", fault.Text{
		PT: "Esta operação precisa de um corpo JSON.",
		EN: "This operation needs a JSON body.",
	})
	// ErrBodyBroken: the body could not be read to its end (400).
	ErrBodyBroken = fault.New(fault.Malformed, "corpo-incompleto", fault.Text{
		PT: "O corpo do pedido não chegou inteiro.",
		EN: "The request body did not arrive whole.",
	})
	// ErrRequest: something of the request outside its body cannot be read (400).
	ErrRequest = fault.New(fault.Malformed, "pedido-ilegivel", fault.Text{
		PT: "O endereço do pedido tem caracteres que não podem ser lidos.",
		EN: "The address of the request has characters that cannot be read.",
	})
	// ErrGone: the caller left, or the server is going down, before the answer (503).
	ErrGone = fault.New(fault.Unavailable, "pedido-interrompido", fault.Text{
		PT: "O pedido foi interrompido antes da resposta. Tente de novo com a mesma Idempotency-Key.",
		EN: "The request was interrupted before its answer. Try again with the same Idempotency-Key.",
	})
)

// Status gives the HTTP status of a fault: that of its kind, unless its code
// has a finer one.
func Status(f *fault.Error) int {
	switch f.Code {
	case ErrMethod.Code:
		return http.StatusMethodNotAllowed
	case ErrBodyTooLarge.Code:
		return http.StatusRequestEntityTooLarge
	case ErrURITooLong.Code:
		return http.StatusRequestURITooLong
	case ErrHeaderTooLarge.Code:
		return http.StatusRequestHeaderFieldsTooLarge
	case ErrMediaType.Code:
		return http.StatusUnsupportedMediaType
	case ErrIfMatchMissing.Code:
		return http.StatusPreconditionRequired
	}
	return f.Kind.Status()
}

// title names a kind of problem; it depends on the status alone.
func title(status int) fault.Text {
	switch status {
	case 400:
		return fault.Text{PT: "Pedido ilegível", EN: "Unreadable request"}
	case 401:
		return fault.Text{PT: "Identificação necessária", EN: "Identification needed"}
	case 403:
		return fault.Text{PT: "Não permitido", EN: "Not allowed"}
	case 404:
		return fault.Text{PT: "Não encontrado", EN: "Not found"}
	case 405:
		return fault.Text{PT: "Método não permitido", EN: "Method not allowed"}
	case 409:
		return fault.Text{PT: "O estado atual não permite", EN: "The current state does not allow it"}
	case 412:
		return fault.Text{PT: "Versão desatualizada", EN: "Outdated version"}
	case 413:
		return fault.Text{PT: "Corpo grande demais", EN: "Body too large"}
	case 414:
		return fault.Text{PT: "Endereço longo demais", EN: "Address too long"}
	case 415:
		return fault.Text{PT: "Tipo de conteúdo não suportado", EN: "Content type not supported"}
	case 422:
		return fault.Text{PT: "Campos inválidos", EN: "Invalid fields"}
	case 428:
		return fault.Text{PT: "If-Match necessário", EN: "If-Match needed"}
	case 429:
		return fault.Text{PT: "Pedidos demais", EN: "Too many requests"}
	case 431:
		return fault.Text{PT: "Cabeçalhos grandes demais", EN: "Header fields too large"}
	case 503:
		return fault.Text{PT: "Indisponível no momento", EN: "Unavailable at the moment"}
	case 504:
		return fault.Text{PT: "Sem resposta a tempo", EN: "No answer in time"}
	default:
		return fault.Text{PT: "Erro nosso", EN: "Our error"}
	}
}
