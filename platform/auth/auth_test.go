package auth_test

import (
	"net/http/httptest"
	"testing"

	"trama/platform/auth"
	"trama/platform/fault"
)

func TestWhoIsAtTheGateway(t *testing.T) {
	c := auth.NewChecker("s3cret-token", true)
	tests := []struct {
		name, remote, host, token, forwarded string
		operator, local                      bool
	}{
		{"anyone", "203.0.113.9:4000", "escola.example", "", "", false, false},
		{"operator", "203.0.113.9:4000", "escola.example", "Bearer s3cret-token", "", true, false},
		{"scheme in another case", "203.0.113.9:4000", "escola.example", "bearer s3cret-token", "", true, false},
		{"wrong token", "203.0.113.9:4000", "escola.example", "Bearer x", "", false, false},
		{"on this machine", "127.0.0.1:4000", "localhost:8080", "", "", false, true},
		{"on this machine, IPv6", "[::1]:4000", "[::1]:8080", "", "", false, true},
		{"behind a proxy on this machine", "127.0.0.1:4000", "127.0.0.1:8080", "", "198.51.100.1", false, false},
		{"a foreign name that resolves here", "127.0.0.1:4000", "evil.example:8080", "", "", false, false},
		{"claims a local host from afar", "203.0.113.9:4000", "localhost", "", "", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Host = tt.remote, tt.host
			r.Header.Set(auth.LocalHeader, "1") // what clients send does not count at the gateway
			if tt.token != "" {
				r.Header.Set("Authorization", tt.token)
			}
			if tt.forwarded != "" {
				r.Header.Set(auth.ForwardedHeader, tt.forwarded)
			}
			got := c.Caller(r)
			if got.Operator != tt.operator || got.Local != tt.local {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestServiceBelievesOnlyThisMachine(t *testing.T) {
	c := auth.NewChecker("t", false)
	for remote, want := range map[string]bool{"127.0.0.1:1": true, "203.0.113.9:1": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header.Set(auth.LocalHeader, "1")
		if got := c.Caller(r).Local; got != want {
			t.Errorf("%s: local %v", remote, got)
		}
	}
}

func TestRequire(t *testing.T) {
	for _, tt := range []struct {
		caller         auth.Caller
		operator, near bool
	}{
		{auth.Caller{}, false, false},
		{auth.Caller{Operator: true}, true, true},
		{auth.Caller{Local: true}, false, true},
		{auth.Caller{Local: true, BadToken: true}, false, false},
	} {
		ctx := auth.NewContext(t.Context(), tt.caller)
		if err := auth.RequireOperator(ctx); (err == nil) != tt.operator || err != nil && fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%+v: %v", tt.caller, err)
		}
		if err := auth.RequireLocalOrOperator(ctx); (err == nil) != tt.near {
			t.Errorf("%+v: %v", tt.caller, err)
		}
	}
}
