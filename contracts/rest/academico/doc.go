// Package academico is the public REST wall of courses, students and enrolments: server interface, request
// and response types, and client, generated from ../academico.yaml. The document is
// written first; nothing here is written by hand but this file.
//
// Handlers return (response, error); every error goes to the server's
// ErrorHandler, which is httpx. Ids are plain strings in canonical UUID form
// (checked in paths, not in bodies).
package academico

//go:generate go run -C ../../../tools ./restgen -spec ../contracts/rest/academico.yaml -target ../contracts/rest/academico -package academico
