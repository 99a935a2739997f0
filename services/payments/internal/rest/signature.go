package rest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/httpx"
)

// SignatureHeader carries the signature of a notice.
const SignatureHeader = "Trama-Assinatura"

const notices = "/v1/financeiro/retornos"

// Signature checks that notices come from the acquirer: the header is
// "t=<unix seconds>,v1=<hex>" with HMAC-SHA256 of "<t>.<body>", over the bytes as
// they came in. Several v1 may stand there while a key is changed.
type Signature struct {
	Secret    []byte
	Tolerance time.Duration // how far t may be from our clock, either way
	Clock     clock.Clock
}

// ErrSignature: the notice is not signed, wrongly signed, or too old.
var ErrSignature = fault.New(fault.Unauthenticated, "assinatura-invalida", fault.Text{
	PT: "A assinatura do aviso falta, não confere ou é antiga.", EN: "The signature of the notice is missing, wrong or old.",
})

// Middleware lets only signed notices through; other routes pass untouched.
func (s Signature) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != notices || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			httpx.WriteProblem(w, r, err)
			return
		}
		if !s.valid(r.Header.Values(SignatureHeader), body) {
			httpx.WriteProblem(w, r, ErrSignature)
			return
		}
		r2 := *r
		r2.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, &r2)
	})
}

func (s Signature) valid(headers []string, body []byte) bool {
	if len(headers) != 1 {
		return false
	}
	var stamp string
	var given [][]byte
	for part := range strings.SplitSeq(headers[0], ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			if stamp != "" {
				return false
			}
			stamp = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				given = append(given, mac)
			}
		}
	}
	unix, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || s.Clock.Now().Sub(time.Unix(unix, 0)).Abs() > s.Tolerance {
		return false
	}
	h := hmac.New(sha256.New, s.Secret)
	h.Write([]byte(stamp + "."))
	h.Write(body)
	want, ok := h.Sum(nil), false
	for _, mac := range given {
		ok = hmac.Equal(mac, want) || ok
	}
	return ok
}
