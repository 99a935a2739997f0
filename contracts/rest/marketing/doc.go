// Package marketing is the public REST wall of the interested people of the school: server interface, request
// and response types, and client, generated from ../marketing.yaml. The document is
// written first; nothing here is written by hand but this file.
//
// Handlers return (response, error); every error goes to the server's
// ErrorHandler, which is httpx. Ids are plain strings in canonical UUID form
// (checked in paths, not in bodies).
package marketing

//go:generate go run -C ../../../tools ./restgen -spec ../contracts/rest/marketing.yaml -target ../contracts/rest/marketing -package marketing
