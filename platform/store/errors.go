package store

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"trama/platform/fault"
)

// Codes of the faults every adapter gives.
const (
	CodeUnavailable = "armazenamento-indisponivel" // Unavailable: nothing was done
	CodeUncertain   = "armazenamento-incerto"      // Timeout: it may have been done
	CodeConstraint  = "conflito-de-registro"       // Conflict: a constraint is broken
)

// ErrClosed is the cause of the Unavailable that a closed store gives.
var ErrClosed = errors.New("store: closed")

// ErrRowsOpen: within a transaction, a statement was issued before the Rows of
// the one before were closed. PostgreSQL's protocol cannot do that, so no
// adapter allows it.
var ErrRowsOpen = errors.New("store: rows of the statement before are still open")

// ErrTxOver: a Tx was used after its closure returned.
var ErrTxOver = errors.New("store: the transaction is over")

// Unavailable makes the fault for an engine that is down, full or locked:
// nothing was done.
func Unavailable(cause error) error {
	return fault.New(fault.Unavailable, CodeUnavailable, fault.Text{
		PT: "O armazenamento não está disponível agora; nada foi gravado. Tente de novo em instantes.",
		EN: "The store is not available now; nothing was written. Please try again in a moment.",
	}).Wrap(cause)
}

// Uncertain makes the fault for a commit whose outcome is not known.
func Uncertain(cause error) error {
	return fault.New(fault.Timeout, CodeUncertain, fault.Text{
		PT: "O armazenamento não confirmou a gravação, que pode ter sido feita. Tente de novo com a mesma Idempotency-Key.",
		EN: "The store did not confirm the write, which may have been done. Try again with the same Idempotency-Key.",
	}).Wrap(cause)
}

// Constraint makes the error for a broken constraint: a *ConstraintError whose
// cause is a Conflict that carries the engine's error.
func Constraint(name string, unique bool, cause error) error {
	return &ConstraintError{Constraint: name, Unique: unique, Cause: fault.New(fault.Conflict, CodeConstraint, fault.Text{
		PT: "O registro entra em conflito com outro que já existe.",
		EN: "The record conflicts with one that exists.",
	}).Wrap(cause)}
}

// Protect calls fn and turns a panic into an error, for adapters: one closure
// must not take the store down.
func Protect(tx Tx, fn func(Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("store: panic in Update: %v\n%s", v, debug.Stack())
		}
	}()
	return fn(tx)
}

// CheckStatement refuses what a closure must not do to the transaction it was
// given: begin, end or nest transactions itself. Adapters call it once per text.
func CheckStatement(sql string) error {
	word := strings.TrimLeft(sql, " \t\r\n(;")
	if i := strings.IndexFunc(word, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }); i >= 0 {
		word = word[:i]
	}
	switch strings.ToUpper(word) {
	case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH":
		return fmt.Errorf("store: %s is the store's to say, not a closure's", strings.ToUpper(word))
	}
	return nil
}
