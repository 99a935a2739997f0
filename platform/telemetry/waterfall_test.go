package telemetry_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trama/platform/telemetry"
)

var update = flag.Bool("update", false, "write golden files anew")

// span is a record of the trace "t", in milliseconds.
func span(id, parent, service, kind, name string, at, took float64) telemetry.SpanRecord {
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	return telemetry.SpanRecord{
		TraceID: remoteTrace, SpanID: id, ParentID: parent, Service: service, Kind: kind, Name: name, Process: "p-" + service,
		Start: time.Date(2026, 11, 20, 14, 3, 7, 0, time.UTC).Add(ms(at)), Duration: ms(took),
	}
}

func purchase() []telemetry.SpanRecord {
	publish := span("05", "", "payments", "producer", "publish 2 events", 45, 8)
	publish.TraceID, publish.Links = strings.Repeat("c", 32), []telemetry.SpanLink{{TraceID: remoteTrace, SpanID: "02"}, {TraceID: "elsewhere", SpanID: "99"}}
	failed := span("09", "08", "notifications", "client", "smtp", 700, 30)
	failed.Failed, failed.Error = true, "dial: \x1b[31mrefused\nby the host"
	return []telemetry.SpanRecord{
		publish, failed,
		span("08", "06", "notifications", "consumer", "notifications.matriculas", 690, 50),
		span("06", "02", "academics", "consumer", "academics.pagamentos", 560, 90),
		span("01", "remote", "gateway", "server", "POST /v1/financeiro/pagamentos", 0, 35),
		span("02", "01", "payments", "server", "POST /v1/financeiro/pagamentos", 2, 30.5),
		span("03", "02", "payments", "client", "academics.v1.CourseService/GetCourse", 4, 9),
		span("04", "03", "academics", "server", "academics.v1.CourseService/GetCourse", 6, 5.25),
		span("07", "06", "academics", "internal", strings.Repeat("a-name-that-is-long-", 4), 570, 0.4),
	}
}

func TestWaterfall(t *testing.T) {
	for name, spans := range map[string][]telemetry.SpanRecord{
		"purchase": purchase(),
		"nothing":  nil,
		"circle":   {span("01", "02", "a", "internal", "one", 0, 2), span("02", "01", "a", "internal", "two", 1, 4), span("03", "03", "a", "internal", "itself", 2, 1)},
		"instant":  {span("01", "", "a", "server", "no time", 0, 0)},
	} {
		var out bytes.Buffer
		if err := telemetry.Waterfall(&out, spans); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "waterfall-"+name+".txt")
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, &out, want)
		}
	}
}

func TestGatherFollowsTheTraceIntoOthers(t *testing.T) {
	batch := strings.Repeat("b", 32)
	memory := map[string][]telemetry.SpanRecord{remoteTrace: purchase()}
	joined := span("0a", "", "academics", "consumer", "batch", 60, 5)
	joined.TraceID, joined.Links = batch, []telemetry.SpanLink{{TraceID: remoteTrace, SpanID: "02"}}
	below := span("0b", "0a", "academics", "client", "below the batch", 61, 2)
	below.TraceID = batch
	memory[remoteTrace] = append(memory[remoteTrace], joined)
	memory[batch] = []telemetry.SpanRecord{joined, below}

	lost := errors.New("a process did not answer")
	got, err := telemetry.Gather(remoteTrace, func(id string) ([]telemetry.SpanRecord, error) {
		if id == batch {
			return memory[id], lost
		}
		return memory[id], nil
	})
	if !errors.Is(err, lost) || len(got) != len(purchase())+2 {
		t.Fatalf("%d spans, %v", len(got), err)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Start.Before(got[i-1].Start) {
			t.Errorf("%s is out of order", got[i].Name)
		}
	}
	var out bytes.Buffer
	if err := telemetry.Waterfall(&out, got); err != nil || !strings.Contains(out.String(), "    ↪ batch [consumer]") || !strings.Contains(out.String(), "      below the batch") {
		t.Errorf("%v\n%s", err, &out)
	}
}
