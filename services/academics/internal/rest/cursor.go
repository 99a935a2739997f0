package rest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"

	"trama/contracts/rest/academico"
	"trama/platform/fault"
)

// cursors makes and reads the opaque places in lists. A cursor belongs to one
// list with its filters: the signature covers both, so one that was changed, or
// taken from another list, is refused instead of giving a wrong page.
type cursors struct{ key []byte }

const tagBytes = 12

// seal makes the cursor of a place in a list.
func (c cursors) seal(list string, place ...string) (string, error) {
	body, err := json.Marshal(place)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(c.tag(list, body), body...)), nil
}

// open gives the place, with as many parts as asked for; empty parts when no
// cursor was sent, an Invalid fault when it is not one of this list's.
func (c cursors) open(list string, cursor academico.OptString, parts int) ([]string, error) {
	if cursor.Value == "" {
		return make([]string, parts), nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor.Value)
	if err != nil || len(raw) < tagBytes || !hmac.Equal(raw[:tagBytes], c.tag(list, raw[tagBytes:])) {
		return nil, errCursor()
	}
	var place []string
	if err := json.Unmarshal(raw[tagBytes:], &place); err != nil || len(place) != parts {
		return nil, errCursor()
	}
	return place, nil
}

func (c cursors) tag(list string, body []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write([]byte(strconv.Itoa(len(list)) + ":" + list))
	mac.Write(body)
	return mac.Sum(nil)[:tagBytes]
}

func errCursor() error {
	return fault.Fields([]fault.Field{{Pointer: "?cursor", Rule: "cursor", Text: fault.Text{
		PT: "Este cursor não é desta lista; use o valor de proximo da página anterior, com os mesmos filtros.",
		EN: "This cursor is not of this list; use the value of proximo from the page before, with the same filters.",
	}}})
}

// listName names a list with its filters, for cursors.
func listName(path string, filters url.Values) string { return path + "?" + filters.Encode() }

// next gives the Link header of a page with another behind it.
func nextLink(path string, filters url.Values, limit int, cursor string) academico.OptString {
	q := url.Values{"limite": {strconv.Itoa(limit)}, "cursor": {cursor}}
	for name, values := range filters {
		q[name] = values
	}
	return academico.NewOptString(`<` + path + `?` + q.Encode() + `>; rel="next"`)
}

// filtersOf keeps the filters that were sent.
func filtersOf(pairs map[string]academico.OptString) url.Values {
	out := url.Values{}
	for name, value := range pairs {
		if value.Value != "" {
			out.Set(name, value.Value)
		}
	}
	return out
}
