package describe

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"trama/contracts/events"
)

const cloudEvent = "application/cloudevents+json"

// asyncAPI gives the AsyncAPI 3 document: a channel per event type, an operation
// per service that sends or receives it.
func asyncAPI(c comments) (object, error) {
	s := schemas{comments: c, prefix: "#/components/schemas/"}
	var channels, operations, messages, payloads object
	for i, e := range events.Registry() {
		body, err := s.structure(reflect.TypeOf(e.Payload))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Type, err)
		}
		payloads = payloads.with(e.Name, body)
		message, err := messageOf(c, e, i)
		if err != nil {
			return nil, err
		}
		messages = messages.with(e.Name, message)
		channels = channels.with(e.Name, object{
			{"address", e.Type},
			{"title", e.Name},
			{"description", sentence(c[e.Name])},
			{"messages", object{{e.Name, ref("#/components/messages/" + e.Name)}}},
		})
		operations = operations.with(e.Producer+"-publica-"+e.Name, operation(e, "send", e.Producer+" publishes "+e.Name+"."))
		for _, consumer := range e.Consumers {
			operations = operations.with(consumer+"-recebe-"+e.Name, operation(e, "receive", consumer+" consumes "+e.Name+"."))
		}
	}
	envelope, err := envelopeBody()
	if err != nil {
		return nil, err
	}
	all := append(object{{"Evento", envelope}}, payloads...)
	return object{
		{"asyncapi", "3.0.0"},
		{"info", object{
			{"title", "Trama"},
			{"version", "1.0.0"},
			{"description", "What the services of Trama tell each other, as CloudEvents 1.0. " +
				"Delivery is at least once and in order per subject; consumers remember ids, so that each event has one effect. " +
				"Within a version only optional data is added."},
			{"license", object{{"name", "Apache-2.0"}}},
		}},
		{"defaultContentType", cloudEvent},
		{"channels", channels},
		{"operations", operations},
		{"components", object{{"messages", messages}, {"schemas", append(all, s.shared...)}}},
	}, nil
}

func ref(to string) object { return object{{"$ref", to}} }

func operation(e events.Entry, action, summary string) object {
	return object{
		{"action", action},
		{"channel", ref("#/channels/" + e.Name)},
		{"summary", summary},
		{"messages", []object{ref("#/channels/" + e.Name + "/messages/" + e.Name)}},
	}
}

func messageOf(c comments, e events.Entry, i int) (object, error) {
	data, err := json.Marshal(e.Payload)
	if err != nil {
		return nil, err
	}
	subject, err := subjectOf(e, data)
	if err != nil {
		return nil, err
	}
	example := object{
		{"specversion", "1.0"},
		{"id", fmt.Sprintf("01980a53-2000-7000-8000-0000000000%02x", i+1)},
		{"source", e.Source},
		{"type", e.Type},
		{"subject", subject},
		{"time", time.Date(2026, 11, 20, 14, 5, 0, 0, time.UTC).Format(time.RFC3339)},
		{"datacontenttype", "application/json"},
		{"dataschema", events.SchemaURI(e.Type)},
		{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"data", json.RawMessage(data)},
	}
	return object{
		{"name", e.Type},
		{"title", e.Name},
		{"summary", sentence(c[e.Name])},
		{"contentType", cloudEvent},
		{"payload", object{{"allOf", []object{
			ref("#/components/schemas/Evento"),
			{{"type", "object"}, {"properties", object{
				{"type", object{{"const", e.Type}}},
				{"source", object{{"const", e.Source}}},
				{"data", ref("#/components/schemas/" + e.Name)},
			}}},
		}}}},
		{"examples", []object{{{"name", e.Name}, {"payload", example}}}},
	}, nil
}

// subjectOf finds the subject in the example: the id of what Subject names.
func subjectOf(e events.Entry, data []byte) (string, error) {
	name := map[string]string{
		"the lead": "leadId", "the payment": "pagamentoId", "the student": "alunoId", "the account": "contaId",
	}[e.Subject]
	var all map[string]json.RawMessage
	var id string
	if err := json.Unmarshal(data, &all); err != nil {
		return "", err
	}
	if err := json.Unmarshal(all[name], &id); err != nil || id == "" {
		return "", fmt.Errorf("%s: the example has no %s for its subject, %q", e.Type, name, e.Subject)
	}
	return id, nil
}

// envelopeBody gives the envelope's schema without what makes it a document, in
// the words that AsyncAPI's dialect (JSON Schema draft 7) shares with 2020-12.
func envelopeBody() (json.RawMessage, error) {
	var out []string
	for line := range strings.Lines(string(events.EnvelopeSchema())) {
		if !strings.HasPrefix(line, `  "$schema"`) && !strings.HasPrefix(line, `  "$id"`) {
			out = append(out, line)
		}
	}
	body := json.RawMessage(strings.Join(out, ""))
	if !json.Valid(body) {
		return nil, fmt.Errorf("envelope.json: $schema and $id must stand on lines of their own")
	}
	return body, nil
}
