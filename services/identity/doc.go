// Package identity owns accounts: who can sign in, and with what secret. In this
// version it makes accounts and gives out first passwords; signing in comes
// with a later issue.
//
// Modules
//
//	identity.api     RPC AccountService (IssueInitialPassword)
//	identity.worker  consumes AlunoCriado
//
// Events
//
//	consumes  AlunoCriado  as identity.alunos
//	publishes ContaCriada  (subject: the account)
//
// It calls no other service.
//
// Promises
//
//   - One e-mail address is one account. A second student with the same address
//     is linked to it, and ContaCriada says so (nova=false).
//   - Account, link, event and inbox row are one commit.
//   - A first password exists in memory only: it is in the answer of the one call
//     that made it, and as an argon2id hash in the store. No file, log or event
//     ever holds it.
//   - A first password must be changed, ends after 72 h, and ends at once when
//     another is issued. Once the person has chosen a password none is issued.
//   - Hashing takes 19 MiB for a moment; by default one hash runs at a time and
//     the memory goes back at once.
//
// States of an account's password
//
//	        issue              choose (later issue)
//	none ──────────▶ issued ───────────────────────▶ chosen
//	                  │  ▲                         (issue refused)
//	                  └──┘ issue again; the one before stops working
//
// Crash points: identity.linking (everything is written, nothing committed),
// identity.account (committed, the event not acknowledged), identity.hashed (a
// password is made, nothing stored), identity.issued (stored, not answered).
package identity
