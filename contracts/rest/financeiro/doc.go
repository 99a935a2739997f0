// Package financeiro is the public REST wall of payments: server interface, request
// and response types, and client, generated from ../financeiro.yaml. The document is
// written first; nothing here is written by hand but this file.
//
// Handlers return (response, error); every error goes to the server's
// ErrorHandler, which is httpx. Ids are plain strings in canonical UUID form
// (checked in paths, not in bodies).
package financeiro

//go:generate go run -C ../../../tools ./restgen -spec ../contracts/rest/financeiro.yaml -target ../contracts/rest/financeiro -package financeiro
