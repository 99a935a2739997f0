package pgstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// The example of RFC 7677, section 3: from our verifier's server key must come the
// server signature printed there, and the client proof must fit the stored key.
func TestVerifier(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	v, err := verifierOf("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	rest, ok := strings.CutPrefix(v, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
	stored, server, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		t.Fatalf("verifier %q", v)
	}
	serverKey, err1 := base64.StdEncoding.DecodeString(server)
	storedKey, err2 := base64.StdEncoding.DecodeString(stored)
	proof, err3 := base64.StdEncoding.DecodeString("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	auth := "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," +
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	mac := func(key []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(auth))
		return m.Sum(nil)
	}
	if got := base64.StdEncoding.EncodeToString(mac(serverKey)); got != "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" {
		t.Errorf("server signature %s", got)
	}
	signature := mac(storedKey)
	for i := range proof {
		proof[i] ^= signature[i]
	}
	if sum := sha256.Sum256(proof); string(sum[:]) != string(storedKey) {
		t.Error("the client proof does not fit the stored key")
	}
	if _, err := verifier("não"); err == nil {
		t.Error("a password beyond ASCII was accepted")
	}
}
