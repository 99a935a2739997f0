package lead

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"trama/platform/id"
)

// Keys are the secrets of marketing.
type Keys struct {
	Unsubscribe []byte // signs unsubscribe tokens
	Address     []byte // hides the addresses of people who are enrolled
}

const (
	idSize  = 16
	macSize = 16 // 128 bits: not to be guessed
)

// Token gives the unsubscribe token of a lead: its id and a signature, so that
// nothing needs to be stored and nobody can make one for another lead. It is
// the same each time, works for ever, and dies with the lead.
func (k Keys) Token(leadID string) string {
	raw, err := hex.DecodeString(strings.ReplaceAll(leadID, "-", ""))
	if err != nil || len(raw) != idSize {
		return "" // not an id of ours: a token that no one accepts
	}
	return base64.RawURLEncoding.EncodeToString(append(raw, k.sign(raw)...))
}

// LeadOf gives the lead of a token; false when the token is not ours.
func (k Keys) LeadOf(token string) (string, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != idSize+macSize {
		return "", false
	}
	if !hmac.Equal(raw[idSize:], k.sign(raw[:idSize])) {
		return "", false
	}
	return id.Format([idSize]byte(raw[:idSize])), true
}

func (k Keys) sign(raw []byte) []byte {
	mac := hmac.New(sha256.New, k.Unsubscribe)
	mac.Write(raw)
	return mac.Sum(nil)[:macSize]
}

// Digest gives the keyed digest of an address, so that the store can recognise
// somebody who is enrolled without keeping who that is.
func (k Keys) Digest(email string) string {
	mac := hmac.New(sha256.New, k.Address)
	mac.Write([]byte(email))
	return hex.EncodeToString(mac.Sum(nil))
}

// MaskEmail hides the local part but its first character: "a**@exemplo.com.br".
func MaskEmail(email string) string {
	local, host, ok := strings.Cut(email, "@")
	if !ok || local == "" {
		return "***"
	}
	first := []rune(local)[0]
	return string(first) + "**@" + host
}
