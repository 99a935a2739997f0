package discovery_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"trama/platform/discovery"
	"trama/platform/fault"
)

func TestStatic(t *testing.T) {
	table := map[string][]string{
		"payments": {"http://b:1", "http://a:1", "http://b:1"},
		"empty":    {},
	}
	r := discovery.Static(table)
	table["payments"][0] = "http://changed:1"

	got, err := r.Resolve(t.Context(), "payments")
	if want := []string{"http://a:1", "http://b:1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("Resolve = %v, %v; want %v", got, err, want)
	}
	for _, service := range []string{"empty", "nobody", ""} {
		_, err := r.Resolve(t.Context(), service)
		if !errors.Is(err, discovery.ErrUnknown) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("Resolve(%q) = %v; want ErrUnknown", service, err)
		}
	}
}

// failing cannot look; it counts how often it was told to forget.
type failing struct {
	err     error
	forgets int
}

func (f *failing) Resolve(context.Context, string) ([]string, error) { return nil, f.err }
func (f *failing) Invalidate()                                       { f.forgets++ }

func TestFirst(t *testing.T) {
	broken := &failing{err: errors.New("disk on fire")}
	a := discovery.Static(map[string][]string{"payments": {"http://a:1"}})
	b := discovery.Static(map[string][]string{"payments": {"http://b:1"}, "academics": {"http://b:2"}})
	r := discovery.First(broken, a, b)

	for service, want := range map[string]string{"payments": "http://a:1", "academics": "http://b:2"} {
		if got, err := r.Resolve(t.Context(), service); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("Resolve(%s) = %v, %v; want %s", service, got, err, want)
		}
	}
	_, err := r.Resolve(t.Context(), "nobody")
	if !errors.Is(err, discovery.ErrUnknown) || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("error %v must be ErrUnknown and carry the cause for the log", err)
	}
	_, err = discovery.First(a, b).Resolve(t.Context(), "nobody")
	if !errors.Is(err, discovery.ErrUnknown) {
		t.Errorf("error %v; want ErrUnknown", err)
	}
	discovery.Invalidate(r)
	if broken.forgets != 1 {
		t.Errorf("Invalidate reached the chain's members %d times; want 1", broken.forgets)
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:80", "https://payments.example", "http://[::1]:8080"} {
		if err := discovery.CheckURL(good); err != nil {
			t.Errorf("CheckURL(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:80", "ftp://a", "http://", "http://:80", "http://a/", "http://a/x", "http://a?x",
		"http://a?", "http://a#x", "http://a#", "http://u:p@a", "http://a b", "http://a:x", "//a"} {
		if err := discovery.CheckURL(bad); err == nil {
			t.Errorf("CheckURL(%q) accepts it", bad)
		}
	}
}
