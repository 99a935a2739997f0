package rest

import (
	"slices"
	"testing"

	"trama/contracts/rest/academico"
)

// Whatever a client sends as a cursor is read as what was sealed for this list,
// or refused; it never becomes another place.
func FuzzCursor(f *testing.F) {
	c := cursors{key: []byte("a key of this test, thirty-two b")}
	honest, err := c.seal("list", "place", "01980a52-7c00-7000-8000-000000000001")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{honest, honest + "A", honest[1:], "", "AAAA", "%%%", "W10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sent string) {
		place, err := c.open("list", academico.NewOptString(sent), 2)
		switch {
		case sent == "":
			if err != nil || !slices.Equal(place, []string{"", ""}) {
				t.Errorf("no cursor: %q, %v", place, err)
			}
		case sent == honest:
			if err != nil || place[0] != "place" {
				t.Errorf("the honest cursor: %q, %v", place, err)
			}
		case err == nil:
			t.Errorf("%q was taken for %q", sent, place)
		}
		if _, err := c.open("other list", academico.NewOptString(sent), 2); err == nil && sent != "" {
			t.Errorf("%q was taken by another list", sent)
		}
	})
}
