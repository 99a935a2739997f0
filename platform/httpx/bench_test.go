package httpx_test

import "testing"

// BenchmarkService is a POST through the standard chain and the generated
// server, without a socket.
func BenchmarkService(b *testing.B) {
	h := serve(b, &payments{}, &courses{})
	b.ReportAllocs()
	for b.Loop() {
		if w, _ := do(h, "POST", pay, good); w.Code != 202 {
			b.Fatal(w.Code)
		}
	}
}
