// Package vault turns cards into tokens. A token is what the simulator needs to
// know of a card, its behaviour, encrypted with AES-256-GCM: it holds no card
// number, nothing is stored for it, and only the holder of the key can make or
// read one. Two tokens of one card differ.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"strings"

	"trama/platform/fault"
	"trama/services/acquirersim/internal/card"
)

// prefix shows people what they look at; it is part of what is authenticated.
const prefix = "tok_sim_"

// ErrToken: the token was not made by this vault.
var ErrToken = fault.New(fault.Invalid, "token-de-cartao-invalido", fault.Text{
	PT: "Este token de cartão não é desta adquirente.", EN: "This card token is not one of this acquirer.",
})

// Vault makes and opens tokens. It is safe for concurrent use.
type Vault struct{ aead cipher.AEAD }

// New makes a vault; key has 32 bytes.
func New(key []byte) (*Vault, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return &Vault{aead: aead}, nil
}

// Seal gives a token for a card that behaves like b.
func (v *Vault) Seal(b card.Behaviour) string {
	return prefix + base64.RawURLEncoding.EncodeToString(v.aead.Seal(nil, nil, []byte(b), []byte(prefix)))
}

// Open gives the behaviour of the token's card, or ErrToken.
func (v *Vault) Open(token string) (card.Behaviour, error) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return "", ErrToken
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", ErrToken.Wrap(err)
	}
	plain, err := v.aead.Open(nil, nil, sealed, []byte(prefix))
	if err != nil {
		return "", ErrToken.Wrap(err)
	}
	b := card.Behaviour(plain)
	if !b.Valid() {
		return "", ErrToken.Wrap(fmt.Errorf("vault: unknown behaviour"))
	}
	return b, nil
}
