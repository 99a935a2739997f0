package password

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
)

// The parameters of new hashes (OWASP Password Storage Cheat Sheet, argon2id).
const (
	memory  = 19 * 1024 // KiB
	passes  = 2
	threads = 1
	saltLen = 16 // bytes
	keyLen  = 32 // bytes
)

// restFactor is how long a turn rests, in times of the work it did.
const restFactor = 1

// Hasher computes argon2id hashes, a bounded number at a time: each takes 19 MiB
// and 20 to 40 ms of a core. After a hash its turn rests as long as it worked, so
// that a rush of new students takes half a core, and not a whole one, from those
// who are paying meanwhile.
type Hasher struct {
	random  io.Reader
	memory  uint32 // KiB
	slots   chan struct{}
	waiting atomic.Int32
}

// NewHasher makes a hasher that runs up to parallel hashes at a time, each in so
// much memory, in KiB; 0 is the 19 MiB that are recommended. random gives the salts.
func NewHasher(random io.Reader, parallel, kib int) *Hasher {
	if kib <= 0 {
		kib = memory
	}
	return &Hasher{random: random, memory: uint32(kib), slots: make(chan struct{}, parallel)}
}

// Hash gives the hash of a password in PHC form. It waits for its turn; the
// context's error comes back when that ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(h.random, salt); err != nil {
		return "", fmt.Errorf("password: random source: %w", err)
	}
	h.waiting.Add(1)
	select {
	case h.slots <- struct{}{}:
		h.waiting.Add(-1)
	case <-ctx.Done():
		h.waiting.Add(-1)
		return "", fmt.Errorf("password: wait for a turn: %w", ctx.Err())
	}
	begun := time.Now()
	key := argon2.IDKey([]byte(password), salt, passes, h.memory, threads, keyLen)
	h.tidy()
	h.rest(restFactor * time.Since(begun))
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, passes, threads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

// rest gives the turn back after d; the caller need not wait for that.
func (h *Hasher) rest(d time.Duration) {
	if d <= 0 {
		<-h.slots
		return
	}
	time.AfterFunc(d, func() { <-h.slots })
}

// tidy makes the 19 MiB reusable for the next hash or, when none is waiting,
// gives them back to the system. Without it the garbage collector lets three or
// four such blocks pile up before it acts (measured: 65 MiB against 27). It runs
// within the turn, costs 4 to 6 ms and holds nobody else up.
func (h *Hasher) tidy() {
	if h.memory < memory {
		return
	}
	if h.waiting.Load() > 0 {
		runtime.GC()
		return
	}
	debug.FreeOSMemory()
}

// Bounds of what Matches computes: a stored hash may be of other parameters than
// today's, but not ask for any amount of memory or time, nor for next to none.
const (
	maxMemory  = 16 * memory // KiB
	maxPasses  = 16
	maxThreads = 16
	minKeyLen  = 16  // bytes: a shorter one would be matched by chance
	maxKeyLen  = 128 // bytes
)

// Matches says, in constant time, whether the password has this hash. A text
// that is no argon2id hash in PHC form, within bounds, matches nothing.
func Matches(password, phc string) bool {
	var version int
	var m, t uint32
	var p uint8
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return false
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &p); err != nil ||
		t < 1 || p < 1 || m > maxMemory || t > maxPasses || p > maxThreads {
		return false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) < minKeyLen || len(want) > maxKeyLen {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, t, m, p, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1
}
