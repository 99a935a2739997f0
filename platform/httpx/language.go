package httpx

import (
	"context"
	"net/http"
	"strconv"
	"strings"
)

// The languages of the public wall.
const (
	Portuguese = "pt" // the default
	English    = "en"
)

type langKey struct{}

// Language puts the caller's preferred language into the context.
func Language(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := AcceptedLanguage(strings.Join(r.Header.Values("Accept-Language"), ","))
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), langKey{}, lang)))
	})
}

// Lang gives the request's language, "pt" or "en", also when the Language
// middleware did not run.
func Lang(r *http.Request) string {
	if lang, ok := r.Context().Value(langKey{}).(string); ok {
		return lang
	}
	return AcceptedLanguage(strings.Join(r.Header.Values("Accept-Language"), ","))
}

func langTag(lang string) string {
	if lang == English {
		return "en"
	}
	return "pt-BR"
}

// AcceptedLanguage chooses between Portuguese and English by an Accept-Language
// value (RFC 9110, 12.5.4): the higher quality wins, then Portuguese. What
// cannot be read is passed over; Portuguese when nothing is left.
func AcceptedLanguage(header string) string {
	const unset = -1.0
	pt, en, rest := unset, unset, unset
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(part, ";")
		quality, ok := parseQuality(params)
		if !ok {
			continue
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		switch primary {
		case Portuguese:
			pt = max(pt, quality)
		case English:
			en = max(en, quality)
		case "*":
			rest = max(rest, quality)
		}
	}
	if pt == unset {
		pt = rest
	}
	if en == unset {
		en = rest
	}
	if en > pt && en > 0 {
		return English
	}
	return Portuguese
}

// parseQuality reads "q=0.8"; no parameter means 1.
func parseQuality(params string) (float64, bool) {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1, true
	}
	name, value, found := strings.Cut(params, "=")
	if !found || !strings.EqualFold(strings.TrimSpace(name), "q") {
		return 0, false
	}
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(q >= 0 && q <= 1) { // the form also refuses NaN
		return 0, false
	}
	return q, true
}
