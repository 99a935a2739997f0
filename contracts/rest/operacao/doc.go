// Package operacao is the public REST wall of what operators see and do: server interface, request
// and response types, and client, generated from ../operacao.yaml. The document is
// written first; nothing here is written by hand but this file.
//
// Handlers return (response, error); every error goes to the server's
// ErrorHandler, which is httpx. Ids are plain strings in canonical UUID form
// (checked in paths, not in bodies).
package operacao

//go:generate go run -C ../../../tools ./restgen -spec ../contracts/rest/operacao.yaml -target ../contracts/rest/operacao -package operacao
