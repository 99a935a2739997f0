package password

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
)

// While as many hashes run as may, the next one waits: until there is a turn, or
// until its caller gives up.
func TestHashWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHasher(rand.Reader, 2, 0)
		h.slots <- struct{}{}
		h.slots <- struct{}{} // two others are at work

		ctx, giveUp := context.WithCancel(t.Context())
		impatient, patient := make(chan error, 1), make(chan error, 1)
		go func() { _, err := h.Hash(ctx, "x"); impatient <- err }()
		go func() { _, err := h.Hash(t.Context(), "x"); patient <- err }()
		synctest.Wait()
		if len(impatient)+len(patient) != 0 {
			t.Fatal("a hash ran though no turn was free")
		}
		giveUp()
		if err := <-impatient; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up, got %v", err)
		}
		synctest.Wait()
		if len(patient) != 0 {
			t.Fatal("the other one ran too")
		}
		<-h.slots // one of the two is done
		if err := <-patient; err != nil {
			t.Error(err)
		}
		if len(h.slots) != 1 || h.waiting.Load() != 0 {
			t.Errorf("afterwards %d turns are taken and %d wait, want 1 and 0", len(h.slots), h.waiting.Load())
		}
	})
}
