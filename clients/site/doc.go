// Package site is the school's traditional web client: pages rendered on the
// server, in Portuguese, that work without JavaScript and are watched live with
// a little of it. It is the seed's "Server-Side" client beside the single-page
// and the mobile one.
//
// It owns no data. Everything it shows and does goes through the public API, by
// the clients generated from contracts/rest, as any other client would; Deps.API
// carries its requests to the gateway together with the visitor's trace, language
// and standing (package internal/api says how).
//
// Pages:
//
//	/                          the courses (?busca= &categoria=)
//	/cursos/{id}               one course; {id} may be its slug
//	/cursos/{id}/interesse     interest form, POST and thanks; /interesse without a course
//	/cursos/{id}/matricula     payment form and POST (?de={payment} fills in who paid before)
//	/pagamentos/{id}           progress of a payment; …/estado is its live part
//	/pagamentos/{id}/simular   POST: the simulated acquirer receives a pix or boleto
//	/alunos/{id}               a student and their enrolments
//	/descadastro               no more reminders (?token=): GET asks, POST does
//	/correio, /correio/{id}    the local mailbox; …/html is the message's own document
//	/entrar                    what sign-in will be
//	/ativos/{name}             style, script, logo; addresses change with content
//
// Where the acquirer is the simulated one, which the site learns from the API,
// the payment form shows the test cards, and a visitor on this machine can pay a
// pix or boleto with a button.
//
// Promises:
//
//   - No inline script or style, nothing from other hosts, and a content security
//     policy that says so. A mail's HTML is shown in a sandbox of its own.
//   - A form that another site sends is refused (http.CrossOriginProtection). There
//     are no cookies.
//   - A payment form carries its Idempotency-Key: sent twice, it pays once.
//   - Card number and CVV go from the form to the API and nowhere else: they are
//     never shown again, logged or kept.
//   - When the API is down, a page says what happened, that nothing is lost, and
//     how to try again; a form keeps what was typed.
package site
