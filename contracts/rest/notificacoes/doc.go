// Package notificacoes is the public REST wall of the local mailbox: server interface, request
// and response types, and client, generated from ../notificacoes.yaml. The document is
// written first; nothing here is written by hand but this file.
//
// Handlers return (response, error); every error goes to the server's
// ErrorHandler, which is httpx. Ids are plain strings in canonical UUID form
// (checked in paths, not in bodies).
package notificacoes

//go:generate go run -C ../../../tools ./restgen -spec ../contracts/rest/notificacoes.yaml -target ../contracts/rest/notificacoes -package notificacoes
