package httpx

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"trama/platform/fault"
)

// BodyLimit refuses bodies of more than n bytes with 413: at once when the
// length is announced, else (chunked) as soon as byte n+1 is read.
func BodyLimit(n int64) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > n {
				w.Header().Set("Connection", "close") // the rest of the body is not worth reading
				WriteProblem(w, r, ErrBodyTooLarge)
				return
			}
			if r.Body != nil && r.Body != http.NoBody {
				r2 := *r
				r2.Body = http.MaxBytesReader(w, r.Body, n)
				r = &r2
			}
			next.ServeHTTP(w, r)
		})
	}
}

// JSONBody checks JSON bodies before anybody interprets them: UTF-8, well
// formed, no name twice in one object, no NUL character, not too deep, and a
// charset other than UTF-8 is 415. It also refuses a query or path with invalid
// UTF-8 or NUL, and gives a merge patch the content type that generated servers
// know. Bodies of other types pass unread. The body must already be limited.
func JSONBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !cleanURL(r) {
			WriteProblem(w, r, ErrRequest)
			return
		}
		mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || !isJSON(mediaType) || r.Body == nil || r.Body == http.NoBody {
			next.ServeHTTP(w, r) // the generated server says 415 where it needs a body
			return
		}
		if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
			WriteProblem(w, r, ErrMediaType)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			WriteProblem(w, r, readError(err))
			return
		}
		if err := CheckJSON(body); len(body) > 0 && err != nil {
			WriteProblem(w, r, err)
			return
		}
		r2 := *r
		r2.Body, r2.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if mediaType == "application/merge-patch+json" && r.Method == http.MethodPatch {
			r2.Header = r.Header.Clone()
			r2.Header.Set("Content-Type", "application/json")
		}
		next.ServeHTTP(w, &r2)
	})
}

func isJSON(mediaType string) bool {
	return mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")
}

func cleanURL(r *http.Request) bool {
	if bad(r.URL.Path) {
		return false
	}
	if !strings.ContainsAny(r.URL.RawQuery, "%\x00") && utf8.ValidString(r.URL.RawQuery) {
		return true
	}
	for name, values := range r.URL.Query() {
		if bad(name) {
			return false
		}
		for _, v := range values {
			if bad(v) {
				return false
			}
		}
	}
	return true
}

func bad(s string) bool { return !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 }

// readError says why a body could not be read; a caller that hangs up is to
// blame itself.
func readError(err error) error {
	var tooLarge *http.MaxBytesError
	var f *fault.Error
	if errors.As(err, &tooLarge) || errors.As(err, &f) {
		return err
	}
	return ErrBodyBroken.Wrap(err)
}
