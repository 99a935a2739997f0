package app

import (
	"context"

	"trama/services/payments/internal/payment"
)

// Filter chooses payments of a list.
type Filter struct {
	Status payment.Status // "": any
	Email  string         // lower case; "": any
	Before string         // ids below this one only; "": from the newest
	Limit  int
}

// Lister lists payments.
type Lister interface {
	// List gives payments, newest first.
	List(ctx context.Context, f Filter) ([]*payment.Payment, error)
}
