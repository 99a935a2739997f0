// Package acquirersim is a SIMULATED card acquirer and payment provider. No money
// moves, no bank is reached, and nothing it issues can be paid for real. It
// stands where a real acquirer's adapter would, so that the whole school works
// on a machine without accounts anywhere; in production it is not started.
//
// It owns its ledger of charges, one per idempotency key for ever, and tells the
// merchant (payments) by signed notices when a pix or boleto was paid or its
// time is over. It calls nobody else, publishes and consumes no event.
//
// Roles:
//
//	acquirersim.api   contracts/rpc/acquirer/v1 (AcquirerService), the routes under
//	                  /v1/simulador by which a person plays the payer, and the loop
//	                  that sends notices (at least once, until one is answered 2xx)
//
// Cards: a number is exchanged for a token, which is its behaviour encrypted
// (AES-256-GCM). Number and CVV are held for the length of that call only and
// are never written. TestCards documents the numbers with a behaviour of
// their own; any other number with a right check digit is approved:
//
//	4111 1111 1111 1111   approved (also 5555 5555 5555 4444, 3782 822463 10005)
//	4000 0000 0000 0002   refused by the issuer
//	4000 0000 0000 9995   insufficient funds
//	4000 0000 0000 9979   blocked (stolen)
//	4000 0000 0000 0069   expired, says the issuer
//	4000 0000 0000 0127   wrong CVV, says the issuer
//	4000 0000 0000 0119   the charge is made, its answer never arrives; approved when asked
//	4000 0000 0000 0341   no answer, then not found for a while; the charge repeated by
//	                      the same key is approved once
//
// Pix codes are BR Codes with a right checksum whose location is under .invalid;
// boleto lines have right check digits and a bank code that no bank has.
//
// In the seed's words it is the "adquirente" that the financeiro service talks to.
package acquirersim
