package config

// Secret is a text that never shows itself: printing, logging or encoding it
// gives "***". Reveal gives the text to the one who must use it.
type Secret string

// String hides the text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the text.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal gives the text.
func (s Secret) Reveal() string { return string(s) }

// Problem is one thing wrong with a configuration.
type Problem struct {
	Key   string // dotted, as "payments.fraud.maxPerCard"
	Value string // what was given; empty for secrets
	Where string // "trama.yaml:12", "TRAMA_BUS_URL", "--listen"; filled by the loader
	Rule  string // what must hold
	Try   string // a value that would work
}
