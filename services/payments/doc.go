// Package payments takes money for courses: it is the seed's "financeiro" service.
//
// It owns payments from acceptance to refund, what is kept of cards (the
// acquirer's token until there is an outcome, brand, last four digits, a keyed
// fingerprint, country; never number or security code), and the fraud analysis.
//
//	recebido ─▶ em_analise ─▶ aprovado ─▶ estornado
//	               │  │           ▲
//	               │  └▶ aguardando_pagamento (pix, boleto)
//	               ▼              ▼
//	            recusado ◀────────┘
//
// It promises:
//
//   - A 202 means that the payment and its first event are on disk. Before it the
//     price was asked of academics and the card exchanged for a token; if either
//     cannot be done, nothing was accepted (503).
//   - Nobody is charged twice. A charge is made under the payment's own id; one
//     whose outcome is unknown is asked for by that key and only ever repeated
//     under it. Of several payments of one person for one course at most one
//     keeps its money: cards are not charged for a course that is paid, and pix
//     or boleto that arrive for one are sent back (recusado, curso-ja-pago).
//   - A process may die between any two steps; the event that started the work is
//     delivered again and it goes on where the store says.
//   - Money wins over our clock: a pix refused as expired becomes aprovado when
//     the acquirer says that it was paid.
//
// Roles:
//
//	payments.api      the routes of contracts/rest/financeiro
//	payments.worker   consumes PagamentoRecebido (payments.analise: fraud analysis and
//	                  charge), EstornoSolicitado (payments.estornos: refund) and
//	                  MatriculaConfirmada (payments.matriculas: fills matricula)
//	payments.tasks    ends the time of pix and boleto, forgets old Idempotency-Keys
//
// Publishes PagamentoRecebido, CobrancaEmitida, PagamentoProcessado,
// PagamentoRecusado, EstornoSolicitado, PagamentoEstornado; the subject is the
// payment. A refusal is followed by an approval only for a payer who was late on
// our clock and in time on the acquirer's.
//
// Calls academics (price of a course) and the acquirer (contracts/rpc/acquirer/v1,
// by the name "acquirersim").
//
// Points at which a fault test may kill it: payments.accepted (committed, not
// answered), payments.analysed, payments.charged (the acquirer answered, nothing
// recorded), payments.settled (recorded, event not acknowledged),
// payments.refunded (the acquirer gave back, nothing recorded),
// payments.expiry-asked.
package payments
