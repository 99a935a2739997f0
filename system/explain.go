package system

import (
	"errors"
	"fmt"
	"strings"

	"trama/platform/fault"
	"trama/platform/store/pgstore"
)

// storeError says in one line, to who runs the system, why the store of a
// service cannot be used and what to do; file is where its SQLite file would be.
// It gives nil for nil.
func storeError(c Config, file, service string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	switch {
	case c.Stores.url(service) == "":
		hint = remedy(err, file)
	case pgstore.IsRefused(err):
		hint = "; look at stores." + service + ", or let trama database prepare make what it names"
	}
	return fmt.Errorf("store of %s: %w%s", service, reason(err), hint)
}

// remedy says what to do about a file of SQLite's that cannot be read.
func remedy(err error, path string) string {
	for _, sign := range []string{"file is not a database", "database disk image is malformed"} {
		if strings.Contains(err.Error(), sign) {
			return "; restore " + path + " from a copy, or move it away to begin with an empty one"
		}
	}
	return ""
}

// told is an error whose text is for who runs the system.
type told struct {
	text  string
	cause error
}

func (e *told) Error() string { return e.text }

// Unwrap gives the whole error.
func (e *told) Unwrap() error { return e.cause }

// reason gives err a text of one line without the sentences that faults carry
// for users of the API, and without repetitions: some drivers say the same thing
// once for every address they tried.
func reason(err error) error {
	cause := err
	for {
		var f *fault.Error
		if !errors.As(cause, &f) || f.Unwrap() == nil {
			break
		}
		cause = f.Unwrap()
	}
	var parts []string
	for line := range strings.Lines(cause.Error()) {
		line = strings.TrimSpace(line)
		if line != "" && (len(parts) == 0 || parts[len(parts)-1] != line) {
			parts = append(parts, line)
		}
	}
	text := strings.Join(parts, "; ")
	return &told{text: strings.ReplaceAll(text, ":; ", ": "), cause: err}
}
