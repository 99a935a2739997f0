// Package id makes and checks identifiers: UUID version 7 (RFC 9562), in the
// canonical lower-case text form. Ids of one Generator increase strictly, so
// that rows written in order are found in order; 62 random bits keep them
// unguessable enough to be a capability (the location of a payment).
package id

import (
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"trama/platform/clock"
)

// Source makes ids. It is safe for concurrent use.
type Source interface {
	// New gives a fresh id.
	New() string
}

// Generator is the Source for production and, with a seeded reader, for simulation.
type Generator struct {
	clock clock.Clock
	rand  io.Reader

	mu   sync.Mutex
	last int64 // Unix milliseconds × 4096 + counter of the last id
}

// New makes a generator; rand is crypto/rand.Reader outside simulations.
func New(c clock.Clock, rand io.Reader) *Generator {
	return &Generator{clock: c, rand: rand}
}

// New gives the next id. It panics when the random source fails, because there
// is no safe way to go on without one.
func (g *Generator) New() string {
	var b [16]byte
	if _, err := io.ReadFull(g.rand, b[8:]); err != nil {
		panic(fmt.Sprintf("id: random source failed: %v", err))
	}
	g.mu.Lock()
	stamp := g.clock.Now().UnixMilli() << 12
	if stamp <= g.last { // same millisecond, or the clock went back: count on (RFC 9562, 6.2 method 1)
		stamp = g.last + 1
	}
	g.last = stamp
	g.mu.Unlock()

	ms, counter := stamp>>12, stamp&0xfff
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = 0x70 | byte(counter>>8)
	b[7] = byte(counter)
	b[8] = b[8]&0x3f | 0x80
	return Format(b)
}

// Format writes the 16 bytes in canonical form.
func Format(b [16]byte) string {
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// Valid says whether s is a UUID in canonical lower-case form, of any version.
func Valid(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}
