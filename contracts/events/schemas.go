package events

import (
	"embed"
	"fmt"
)

//go:generate go run ./internal/describecmd

//go:embed schemas/*.json
var schemas embed.FS

//go:embed asyncapi.gen.json
var asyncAPI string

// Schema gives the JSON Schema (2020-12) of a type's payload; false when the
// catalogue has no such type.
func Schema(eventType string) ([]byte, bool) {
	if _, ok := Lookup(eventType); !ok {
		return nil, false
	}
	text, err := schemas.ReadFile("schemas/" + eventType + ".json")
	return text, err == nil
}

// EnvelopeSchema gives the JSON Schema of the attributes around every payload.
func EnvelopeSchema() []byte {
	text, err := schemas.ReadFile("schemas/envelope.json")
	if err != nil {
		panic(fmt.Sprintf("contracts/events: %v", err)) // it is part of the program
	}
	return text
}

// AsyncAPI gives the AsyncAPI 3 document of the whole catalogue as JSON.
func AsyncAPI() []byte { return []byte(asyncAPI) }
