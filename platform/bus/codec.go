package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"trama/platform/fault"
)

// MaxEventBytes bounds one encoded event. Facts are small; what is larger
// belongs in a store, with its id in the event.
const MaxEventBytes = 1 << 20

// longestName bounds ids and types: AMQP carries them in 255 bytes.
const longestName = 200

// ErrUnavailable is the fault of every driver whose engine does not answer: the
// events may or may not be stored, and publishing the same ones again is safe.
var ErrUnavailable = fault.New(fault.Unavailable, "barramento-indisponivel", fault.Text{
	PT: "O barramento de eventos não está respondendo; tente de novo em instantes.",
	EN: "The event bus is not answering; please try again shortly.",
})

// ErrMalformed is the fault for an event that cannot be published or read.
var ErrMalformed = fault.New(fault.Malformed, "evento-malformado", fault.Text{
	PT: "O evento não segue o formato CloudEvents 1.0 em JSON.",
	EN: "The event does not follow the CloudEvents 1.0 JSON format.",
})

// ErrSubscription is the fault for a subscription that cannot be declared.
var ErrSubscription = fault.New(fault.Invalid, "assinatura-de-eventos-invalida", fault.Text{
	PT: "A assinatura de eventos não está bem definida.",
	EN: "The event subscription is not well defined.",
})

// Check says what keeps e from being published; nil when nothing does.
func (e Event) Check() error {
	switch {
	case e.SpecVersion != "1.0":
		return ErrMalformed.Wrap(fmt.Errorf("specversion is %q, not 1.0", e.SpecVersion))
	case e.ID == "" || len(e.ID) > longestName:
		return ErrMalformed.Wrap(errors.New("id is missing or too long"))
	case e.Source == "":
		return ErrMalformed.Wrap(fmt.Errorf("event %s: source is missing", e.ID))
	case e.Type == "" || len(e.Type) > longestName:
		return ErrMalformed.Wrap(fmt.Errorf("event %s: type is missing or too long", e.ID))
	case e.Subject == "":
		return ErrMalformed.Wrap(fmt.Errorf("event %s: subject is missing", e.ID))
	case strings.ContainsRune(e.ID+e.Type+e.Subject, 0): // some stores cannot hold it, others would take two subjects for one
		return ErrMalformed.Wrap(fmt.Errorf("event %q: NUL in id, type or subject", e.ID))
	case e.Time.IsZero():
		return ErrMalformed.Wrap(fmt.Errorf("event %s: time is missing", e.ID))
	case len(e.Data) == 0:
		return ErrMalformed.Wrap(fmt.Errorf("event %s: data is missing", e.ID))
	}
	return nil
}

// Encode checks e and writes it as one JSON document, what every driver stores.
func Encode(e Event) ([]byte, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, ErrMalformed.Wrap(fmt.Errorf("event %s: %w", e.ID, err))
	}
	if len(body) > MaxEventBytes {
		return nil, ErrMalformed.Wrap(fmt.Errorf("event %s: %d bytes, more than %d", e.ID, len(body), MaxEventBytes))
	}
	return body, nil
}

// Decode reads what Encode wrote. Attributes it does not know are skipped: a
// newer producer may add some.
func Decode(body []byte) (Event, error) {
	if len(body) > MaxEventBytes {
		return Event{}, ErrMalformed.Wrap(fmt.Errorf("%d bytes, more than %d", len(body), MaxEventBytes))
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, ErrMalformed.Wrap(err)
	}
	return e, e.Check()
}

// Check says what keeps s from being declared; nil when nothing does. A name
// is 1 to 100 characters of a-z, 0-9, dot, hyphen and underscore, and starts
// with a letter: it becomes part of file and queue names.
func (s Subscription) Check() error {
	if s.Name == "" || len(s.Name) > 100 || s.Name[0] < 'a' || s.Name[0] > 'z' ||
		strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return ErrSubscription.Wrap(fmt.Errorf("name %q", s.Name))
	}
	if len(s.Types) == 0 {
		return ErrSubscription.Wrap(fmt.Errorf("%s: no event types", s.Name))
	}
	for _, t := range s.Types {
		if t == "" || len(t) > longestName || strings.ContainsAny(t, "*# \t\n") {
			return ErrSubscription.Wrap(fmt.Errorf("%s: event type %q", s.Name, t))
		}
	}
	return nil
}
