package sqlitestore_test

import (
	"fmt"
	"testing"

	"trama/platform/store/sqlitestore"
	"trama/platform/store/storetest"
)

// BenchmarkUpdate compares a commit per update ("alone") with group commit
// ("group", the default), both with synchronous=FULL.
func BenchmarkUpdate(b *testing.B) {
	for _, mode := range []struct {
		name string
		max  int
	}{{"alone", 1}, {"group", 128}} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/clients=%d", mode.name, clients), func(b *testing.B) {
				storetest.BenchUpdate(b, open(b, sqlitestore.Options{MaxBatch: mode.max}), clients, false)
			})
		}
	}
}

func BenchmarkQueryRow(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			storetest.BenchQueryRow(b, open(b, sqlitestore.Options{}), clients)
		})
	}
}
