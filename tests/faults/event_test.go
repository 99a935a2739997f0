package faults

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"trama/platform/bus"
	"trama/platform/clock"
	"trama/platform/id"
)

func newID() string { return id.New(clock.System{}, rand.Reader).New() }

// event makes an event that no service has said.
func event(typ, subject, data string) bus.Event {
	return bus.Event{
		SpecVersion: "1.0", ID: newID(), Source: "/teste", Type: typ, Subject: subject,
		Time: time.Now().UTC(), DataContentType: "application/json", Data: json.RawMessage(data),
	}
}
