package store

import "context"

// Statement is one statement of ExecAll.
type Statement struct {
	SQL  string
	Args []any
}

// ExecAll runs statements in order whose results nobody looks at. On PostgreSQL
// they cost one round trip together. The first that fails dooms the transaction.
func ExecAll(ctx context.Context, tx Tx, all ...Statement) error {
	if b, ok := tx.(interface {
		ExecAll(ctx context.Context, all []Statement) error
	}); ok {
		return b.ExecAll(ctx, all)
	}
	for _, s := range all {
		if _, err := tx.Exec(ctx, s.SQL, s.Args...); err != nil {
			return err
		}
	}
	return nil
}
