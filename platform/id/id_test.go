package id_test

import (
	"crypto/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/id"
)

func TestIdsAreVersion7AndIncreaseStrictlyUnderConcurrency(t *testing.T) {
	g := id.New(clock.System{}, rand.Reader)
	var mu sync.Mutex
	seen := map[string]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			mine := make([]string, 5000)
			for i := range mine {
				mine[i] = g.New()
			}
			if !slices.IsSorted(mine) {
				t.Error("not increasing")
			}
			mu.Lock()
			defer mu.Unlock()
			for _, v := range mine {
				if seen[v] || !id.Valid(v) || v[14] != '7' || (v[19] != '8' && v[19] != '9' && v[19] != 'a' && v[19] != 'b') {
					t.Fatalf("bad id %s", v)
				}
				seen[v] = true
			}
		})
	}
	wg.Wait()
}

func TestClockThatGoesBackDoesNotDisturbTheOrder(t *testing.T) {
	var c clock.Shifted
	g := id.New(&c, rand.Reader)
	before := g.New()
	c.Jump(-24 * time.Hour)
	if after := g.New(); after <= before {
		t.Errorf("%s after %s", after, before)
	}
}

func TestValid(t *testing.T) {
	for s, want := range map[string]bool{
		"01976f5e-3f2a-7c11-9d1e-0123456789ab":  true,
		"01976F5E-3F2A-7C11-9D1E-0123456789AB":  false,
		"01976f5e3f2a7c119d1e0123456789ab":      false,
		"01976f5e-3f2a-7c11-9d1e-0123456789ag":  false,
		"01976f5e-3f2a-7c11-9d1e-0123456789ab0": false,
		"":                                      false,
	} {
		if id.Valid(s) != want {
			t.Errorf("Valid(%q) is %v", s, !want)
		}
	}
}
