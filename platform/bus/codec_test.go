package bus_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"trama/platform/bus"
	"trama/platform/fault"
)

func sample() bus.Event {
	return bus.Event{SpecVersion: "1.0", ID: "01930000-0000-7000-8000-000000000001", Source: "/financeiro",
		Type: "br.trama.financeiro.PagamentoProcessado.v1", Subject: "s1", Time: time.Date(2026, 11, 23, 12, 0, 0, 5e6, time.UTC),
		DataContentType: "application/json", DataSchema: "/eventos/x", TraceParent: "00-x", Sequence: "7", Data: json.RawMessage(`{"a":[1,"ç"]}`)}
}

func TestEncodeDecode(t *testing.T) {
	body, err := bus.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "traceparent", "sequence", "data"} {
		if !bytes.Contains(body, []byte(`"`+name+`":`)) {
			t.Errorf("no attribute %s in %s", name, body)
		}
	}
	got, err := bus.Decode(body)
	if err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("got %+v, %v; sent %+v", got, err, sample())
	}
	newer := bytes.Replace(body, []byte(`{`), []byte(`{"futuro":{"x":1},`), 1)
	if got, err := bus.Decode(newer); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("with an unknown attribute: %+v, %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": ``, "no object": `[]`, "half": `{"id":"x"`, "no attributes": `{}`, "null": `null`, "trailing": `{} {}`,
		"wrong type": `{"specversion":1}`, "bad time": `{"specversion":"1.0","id":"x","source":"/x","type":"t","subject":"s","time":"now","data":1}`,
		"long id": `{"specversion":"1.0","id":"` + strings.Repeat("x", 201) + `","source":"/x","type":"t","subject":"s","time":"2026-01-01T00:00:00Z","data":1}`,
	} {
		if _, err := bus.Decode([]byte(body)); err == nil || fault.KindOf(err) != fault.Malformed {
			t.Errorf("%s: %v, want Malformed", name, err)
		}
	}
}

// Whatever Decode accepts can be encoded and decoded to the same.
func FuzzDecode(f *testing.F) {
	body, err := bus.Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"specversion":"1.0","id":"x","source":"/x","type":"t","subject":"s","time":"2026-01-01T00:00:00.123456789-03:00","data":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := bus.Decode(body)
		if err != nil {
			if fault.KindOf(err) != fault.Malformed {
				t.Fatalf("%v, want Malformed", err)
			}
			return
		}
		again, err := bus.Encode(e)
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		got, err := bus.Decode(again)
		if err != nil || got.ID != e.ID || got.Subject != e.Subject || !got.Time.Equal(e.Time) {
			t.Fatalf("%+v became %+v, %v", e, got, err)
		}
	})
}
