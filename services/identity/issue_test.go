package identity_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/fault"
	"trama/platform/store"
	"trama/services/identity"
	"trama/services/identity/internal/account"
	"trama/services/identity/internal/password"
	sql "trama/services/identity/internal/store"
)

// accepts says whether a password signs in to the stored account now.
func (o *office) accepts(t *testing.T, accountID, secret string) bool {
	t.Helper()
	a, err := sql.Account(t.Context(), o.db, accountID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Accepts(func(hash string) bool { return password.Matches(secret, hash) }, o.clock.Now())
}

func TestIssuedPasswordWorksUntilItEnds(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		accountID := o.open(t, "ana@exemplo.com.br")
		if o.accepts(t, accountID, "") {
			t.Error("an account without a password accepts the empty one")
		}
		before := o.clock.Now()
		got, err := o.issue(t, accountID)
		if err != nil {
			t.Fatal(err)
		}
		ends := time.UnixMilli(got.GetExpiresAtMillis())
		if ends.Before(before.Add(72*time.Hour)) || ends.After(o.clock.Now().Add(72*time.Hour)) {
			t.Errorf("ends %v after issue, want 72h", ends.Sub(before))
		}
		if !o.accepts(t, accountID, got.GetPassword()) {
			t.Error("the issued password is not accepted")
		}
		if o.accepts(t, accountID, got.GetPassword()+"x") || o.accepts(t, accountID, "") {
			t.Error("another password is accepted")
		}
		if a, err := sql.Account(t.Context(), o.db, accountID); err != nil || !a.Password.MustChange {
			t.Errorf("must be changed: %v, %v", a.Password.MustChange, err)
		}
		o.clock.Jump(72*time.Hour - time.Minute)
		if !o.accepts(t, accountID, got.GetPassword()) {
			t.Error("not accepted a minute before its end")
		}
		o.clock.Jump(time.Minute)
		if o.accepts(t, accountID, got.GetPassword()) {
			t.Error("accepted after its end")
		}
		// An expired one can be replaced.
		if next, err := o.issue(t, accountID); err != nil || !o.accepts(t, accountID, next.GetPassword()) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestIssuingAgainReplacesThePassword(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		accountID := o.open(t, "ana@exemplo.com.br")
		var secrets [4]string
		var wg sync.WaitGroup
		for i := range secrets { // also at the same moment
			wg.Go(func() {
				got, err := o.issue(t, accountID)
				if err != nil {
					t.Error(err)
					return
				}
				secrets[i] = got.GetPassword()
			})
		}
		wg.Wait()
		working := 0
		for _, s := range secrets {
			if o.accepts(t, accountID, s) {
				working++
			}
		}
		if working != 1 {
			t.Errorf("%d of %d passwords work, want the last one", working, len(secrets))
		}
		last, err := o.issue(t, accountID)
		if err != nil || !o.accepts(t, accountID, last.GetPassword()) {
			t.Fatalf("the last one does not work: %v", err)
		}
		for _, s := range secrets {
			if o.accepts(t, accountID, s) {
				t.Errorf("a replaced password works")
			}
		}
	})
}

func TestNoPasswordIsIssuedOnceThePersonHasChosen(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		accountID := o.open(t, "ana@exemplo.com.br")
		// Choosing comes with a later issue; this is the state it will leave.
		hash, err := password.NewHasher(bytes.NewReader(make([]byte, 16)), 1, 0).Hash(t.Context(), "escolhida pela Ana")
		if err != nil {
			t.Fatal(err)
		}
		err = o.db.Update(t.Context(), func(tx store.Tx) error {
			return sql.SavePassword(t.Context(), tx, &account.Account{ID: accountID, Password: account.Password{Hash: hash}, UpdatedAt: o.clock.Now()})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.issue(t, accountID)
		if err == nil || fault.KindOf(err) != fault.Conflict || fault.As(err).Code != "senha-ja-escolhida" {
			t.Errorf("got %v", err)
		}
		o.clock.Jump(1000 * time.Hour)
		if !o.accepts(t, accountID, "escolhida pela Ana") {
			t.Error("the chosen password does not work any more")
		}
	})
}

func TestUnknownAccount(t *testing.T) {
	engines(t, func(t *testing.T, o *office) {
		for _, unknown := range []string{"", "x", "' OR 1=1 --", o.ids.New()} {
			if _, err := o.issue(t, unknown); err == nil || fault.KindOf(err) != fault.NotFound || fault.As(err).Code != "conta-nao-encontrada" {
				t.Errorf("%q: %v", unknown, err)
			}
		}
	})
}

// The password is in the answer and nowhere else: not in a file of the store, not
// in the log, not in an event.
func TestPasswordLeavesNoTrace(t *testing.T) {
	folder := t.TempDir()
	db := openFile(t, filepath.Join(folder, "identity.db"))
	o := newOffice(t, db, nil)
	accountID := o.open(t, "ana@exemplo.com.br")
	var secrets []string
	for range 3 {
		got, err := o.issue(t, accountID)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, got.GetPassword(), strings.ReplaceAll(got.GetPassword(), "-", ""))
	}
	_ = o.created(t) // the outbox is in the store's files
	scan := func(when string) {
		t.Helper()
		files, seen := 0, false
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			seen = seen || bytes.Contains(content, []byte("ana@exemplo.com.br"))
			for _, s := range secrets {
				if bytes.Contains(content, []byte(s)) {
					t.Errorf("%s: %s holds a password", when, filepath.Base(path))
				}
			}
			return nil
		})
		if err != nil || files == 0 || !seen {
			t.Fatalf("%s: the scan proves nothing: %d files, address seen: %v, %v", when, files, seen, err)
		}
	}
	scan("open")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	scan("closed")
	for _, s := range secrets {
		if strings.Contains(o.log.String(), s) {
			t.Error("the log holds a password")
		}
	}
	if strings.Contains(o.log.String(), "ana@exemplo.com.br") {
		t.Error("the log holds an address")
	}
}

// A store that fails gives no password: one that nobody can use would be mailed.
func TestNoStoreNoPassword(t *testing.T) {
	o := newOffice(t, openFile(t, filepath.Join(t.TempDir(), "identity.db")), nil)
	accountID := o.open(t, "ana@exemplo.com.br")
	if err := o.db.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := o.issue(t, accountID)
	if err == nil || fault.KindOf(err) != fault.Unavailable || got.GetPassword() != "" {
		t.Errorf("got %v", err)
	}
}

func TestConfigCheck(t *testing.T) {
	if p := config().Check(); len(p) != 0 {
		t.Errorf("the defaults are refused: %v", p)
	}
	p := identity.Config{InitialPasswordLife: time.Second, ParallelHashes: 0, MaxInFlight: 5000}.Check()
	if len(p) != 3 {
		t.Errorf("%v", p)
	}
	for _, problem := range p {
		if problem.Key == "" || problem.Rule == "" || problem.Try == "" {
			t.Errorf("%+v", problem)
		}
	}
}
