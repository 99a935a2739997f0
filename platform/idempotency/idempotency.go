// Package idempotency makes POST repeatable: the same Idempotency-Key with the
// same body gets the same answer, and the command is executed once.
//
// Middleware reads the header and puts a Key into the request's context. A use
// case asks Find inside its transaction before it changes anything and calls
// Save in the same transaction after it did: key and change are one commit, so
// no crash can separate them, and a request that failed leaves no key behind.
// Two requests with one key at the same time: within a process the second gets
// 409 at once; between processes the unique row decides and the loser's
// transaction fails with ErrRace, after which Find gives the winner's answer.
//
// Keys belong to a scope (method and path, and the caller where there is one)
// and live 24 hours. The stored request digest is keyed (HMAC), because a body
// may hold a card number.
//
// Source: draft-ietf-httpapi-idempotency-key-header.
package idempotency

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"trama/platform/fault"
	"trama/platform/store"
)

// Life is how long a key is remembered.
const Life = 24 * time.Hour

// maxKey is the longest key accepted, in bytes.
const maxKey = 255

var (
	// ErrReused: the key came before with another body (422).
	ErrReused = fault.New(fault.Invalid, "idempotency-key-reutilizada", fault.Text{
		PT: "Esta Idempotency-Key já foi usada com outro conteúdo. Use uma chave nova para um pedido novo.",
		EN: "This Idempotency-Key was used with another body. Use a new key for a new request.",
	})
	// ErrRunning: the same command is being executed right now (409).
	ErrRunning = fault.New(fault.Conflict, "pedido-em-andamento", fault.Text{
		PT: "Um pedido com esta Idempotency-Key ainda está em andamento. Espere um instante e repita.",
		EN: "A request with this Idempotency-Key is still running. Wait a moment and repeat.",
	}).After(time.Second)
	// ErrMalformed: the header is unusable (400).
	ErrMalformed = fault.New(fault.Malformed, "idempotency-key-invalida", fault.Text{
		PT: "Idempotency-Key deve ter de 1 a 255 caracteres ASCII visíveis.",
		EN: "Idempotency-Key must have 1 to 255 visible ASCII characters.",
	})
	// ErrRace: another process committed the same key first; call Find outside
	// the failed transaction and answer what it gives.
	ErrRace = errors.New("idempotency: the key was committed by another request")
)

// Key identifies one command of one caller.
type Key struct {
	Scope   string // caller and route
	Value   string // the header's value
	Request string // keyed digest of the body, hex
}

// Answer is what was answered the first time.
type Answer struct {
	Status   int    // HTTP status
	Resource string // id of what was made or changed
	Body     []byte // the exact answer, when Resource does not suffice to build it again; may be empty
}

type contextKey struct{}

// FromContext gives the request's key; false when the caller sent none.
func FromContext(ctx context.Context) (Key, bool) {
	k, ok := ctx.Value(contextKey{}).(Key)
	return k, ok
}

// NewContext puts a key into a context, as the middleware does.
func NewContext(ctx context.Context, k Key) context.Context {
	return context.WithValue(ctx, contextKey{}, k)
}

// Find gives the answer stored for the key; ErrReused if it was used for
// another body. With ok false the command is new.
func Find(ctx context.Context, q store.Queryer, k Key, now time.Time) (a Answer, ok bool, err error) {
	var request, body string
	err = q.QueryRow(ctx, `SELECT request, status, resource, body FROM idempotency
		WHERE scope = $1 AND value = $2 AND expires_at > $3`, k.Scope, k.Value, now.UnixMilli()).
		Scan(&request, &a.Status, &a.Resource, &body)
	if errors.Is(err, store.ErrNoRows) {
		return Answer{}, false, nil
	}
	if err != nil {
		return Answer{}, false, fmt.Errorf("idempotency: find: %w", err)
	}
	if !hmac.Equal([]byte(request), []byte(k.Request)) {
		return Answer{}, false, ErrReused
	}
	a.Body = []byte(body)
	return a, true, nil
}

// Save stores the answer in the command's own transaction; ErrRace when another
// request committed the key meanwhile.
func Save(ctx context.Context, tx store.Tx, k Key, a Answer, now time.Time) error {
	n, err := tx.Exec(ctx, `INSERT INTO idempotency (scope, value, request, status, resource, body, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (scope, value) DO UPDATE SET request = excluded.request, status = excluded.status,
			resource = excluded.resource, body = excluded.body, expires_at = excluded.expires_at
		WHERE idempotency.expires_at <= $8`,
		k.Scope, k.Value, k.Request, a.Status, a.Resource, string(a.Body), now.Add(Life).UnixMilli(), now.UnixMilli())
	if err != nil {
		return fmt.Errorf("idempotency: save: %w", err)
	}
	if n == 0 {
		return ErrRace
	}
	return nil
}

// Purge forgets expired keys and says how many.
func Purge(ctx context.Context, db store.DB, now time.Time) (n int64, err error) {
	err = db.Update(ctx, func(tx store.Tx) error {
		n, err = tx.Exec(ctx, `DELETE FROM idempotency WHERE expires_at <= $1`, now.UnixMilli())
		return err
	})
	return n, err
}

// Guard is the middleware with its set of running commands.
type Guard struct {
	secret []byte
	caller func(context.Context) string
	fail   func(http.ResponseWriter, *http.Request, error)

	mu      sync.Mutex
	running map[[2]string]struct{}
}

// NewGuard makes a guard. secret keys the body digest; caller names who asks
// ("" for anyone); fail writes a problem.
func NewGuard(secret []byte, caller func(context.Context) string, fail func(http.ResponseWriter, *http.Request, error)) *Guard {
	return &Guard{secret: secret, caller: caller, fail: fail, running: map[[2]string]struct{}{}}
}

// Middleware handles POST requests that carry the header; others pass untouched.
// The body must already be limited in size.
func (g *Guard) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values, sent := r.Header[http.CanonicalHeaderKey("Idempotency-Key")]
		if r.Method != http.MethodPost || !sent {
			next.ServeHTTP(w, r)
			return
		}
		if len(values) != 1 || !valid(values[0]) {
			g.fail(w, r, ErrMalformed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			g.fail(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mac := hmac.New(sha256.New, g.secret)
		mac.Write(body)
		key := Key{
			Scope:   r.Method + " " + r.URL.EscapedPath() + " " + g.caller(r.Context()),
			Value:   values[0],
			Request: hex.EncodeToString(mac.Sum(nil)),
		}
		if !g.enter(key) {
			g.fail(w, r, ErrRunning)
			return
		}
		defer g.leave(key)
		next.ServeHTTP(w, r.WithContext(NewContext(r.Context(), key)))
	})
}

func (g *Guard) enter(k Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	name := [2]string{k.Scope, k.Value}
	if _, busy := g.running[name]; busy {
		return false
	}
	g.running[name] = struct{}{}
	return true
}

func (g *Guard) leave(k Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.running, [2]string{k.Scope, k.Value})
}

func valid(key string) bool {
	if len(key) == 0 || len(key) > maxKey {
		return false
	}
	for _, c := range []byte(key) {
		if c < 0x21 || c > 0x7e {
			return false
		}
	}
	return true
}
