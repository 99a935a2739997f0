package rest

import (
	"encoding/base64"

	"trama/contracts/rest/marketing"
	"trama/platform/id"
	"trama/platform/rule"
)

// defaultLimit is the length of a page nobody asked for.
const defaultLimit = 20

// sealCursor makes the cursor of the page after the lead with this id.
func sealCursor(leadID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(leadID))
}

// openCursor gives the id a cursor stands for, "" when none was sent.
func openCursor(cursor marketing.OptString) (string, error) {
	if cursor.Value == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor.Value)
	if err != nil || !id.Valid(string(raw)) {
		var c rule.Checker
		c.Add("?cursor", "cursor", "Este cursor não é desta lista; use o valor de proximo da página anterior.",
			"This cursor is not of this list; use the value of proximo from the page before.")
		return "", c.Err()
	}
	return string(raw), nil
}
