package store

import "context"

// Leaser gives named exclusive leases: of all processes that use the same store,
// and of all callers within one process, one holds a name at a time.
type Leaser interface {
	// Lease waits until the caller holds name, or until ctx ends (its error), or
	// until the engine fails (Unavailable). The names of a store are its own; they
	// consist of a-z, 0-9, ".", "_" and "-". A lease dies with the process, also
	// with one that is killed, and with the store's Close.
	Lease(ctx context.Context, name string) (Lease, error)
}

// Lease is one held lease.
type Lease interface {
	// Lost is closed once the lease is no longer held: because the engine
	// dropped it (PostgreSQL: the connection died), or after Release or Close.
	// There is a window between the loss and the notice, so work under a lease
	// must be harmless when done twice.
	Lost() <-chan struct{}
	// Release gives the lease back. Releasing twice is no error.
	Release() error
}

// ValidLeaseName says whether name may name a lease.
func ValidLeaseName(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
