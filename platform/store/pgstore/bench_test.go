package pgstore_test

import (
	"fmt"
	"testing"

	"trama/platform/enginetest"
	"trama/platform/store/pgstore"
	"trama/platform/store/storetest"
)

// BenchmarkUpdate compares a round trip per statement ("single") with one for all
// of them ("batch", store.ExecAll).
func BenchmarkUpdate(b *testing.B) {
	for _, mode := range []string{"single", "batch"} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", mode, clients), func(b *testing.B) {
				db := open(b, pgstore.Options{URL: schema(b, enginetest.PostgresDatabase(b)), MaxConns: 16})
				storetest.BenchUpdate(b, db, clients, mode == "batch")
			})
		}
	}
}

func BenchmarkQueryRow(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			db := open(b, pgstore.Options{URL: schema(b, enginetest.PostgresDatabase(b)), MaxConns: 16})
			storetest.BenchQueryRow(b, db, clients)
		})
	}
}
