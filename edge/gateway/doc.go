// Package gateway owns the one door through which clients reach the services:
// which service gets a request, what it may carry, how long it may take, and
// what the client sees when a service cannot answer. It is a library (an
// http.Handler) and knows no service: routes are data, and a service is either
// a handler in this process or addresses that a resolver gives.
//
//	client → Server (header limits, smuggling) → request id, trace, language,
//	access log, recovery, body limit, who calls → route → service here
//	                                                    → service elsewhere
//
// Promises:
//
//   - A service sees the same request (but for RemoteAddr) and a client the same
//     answer whichever side of the process wall the service is on; one test suite
//     runs over both.
//   - What a client claims about itself is dropped (X-Forwarded-*, Forwarded,
//     Trama-*), and what the gateway knows is put in its place. Hop-by-hop headers
//     end here, in both directions. Authorization passes: services decide.
//   - A path reaches a service as the client wrote it, with its version in front.
//     Paths that two programs may read differently are refused (400): dot
//     segments, encoded slashes, backslashes, NUL, control characters, empty
//     segments, invalid UTF-8. Nothing is decoded twice.
//   - A command is sent to a service at most once, whatever its Idempotency-Key,
//     except when no byte of it can have been received; reads (GET, HEAD, OPTIONS)
//     are repeated when a kept connection turns out to be broken. No address
//     accepts a connection: 503 with Retry-After. No answer in time: 504, also
//     when a service in this process does not look at its context. An answer that
//     breaks off breaks the client's connection, so that half an answer is never
//     taken for a whole one.
//   - Every error that arises here is a problem (RFC 9457), and so is a bare text
//     error of an API service. There is no CORS.
//   - /livez says that the process serves; /readyz says what it lacks, measured
//     at most once per Config.Health.Cache however often it is asked.
//
// The route table is immutable; a Gateway keeps no state between requests but
// idle connections, which addresses failed lately, and the last readiness.
package gateway
