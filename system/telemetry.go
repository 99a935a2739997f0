package system

import (
	"fmt"
	"os"

	"trama/platform/call"
	"trama/platform/telemetry"
)

// process names this process among all: "host:pid".
func process() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s:%d", host, os.Getpid())
}

// record opens what takes spans and measurements, and the network of calls, which
// makes spans.
func (h *Host) record() error {
	c := h.Config.Telemetry
	var err error
	h.telemetry, err = telemetry.Open(telemetry.Options{
		Service: "trama", Instance: process(), Version: h.Version, Clock: h.Clock, OTLP: c.OTLP, Ring: c.Spans, SampleRatio: c.Sample,
		Logger: h.Log.With("part", "telemetry"),
	})
	if err != nil {
		return fmt.Errorf("telemetry: %w", err)
	}
	h.network = call.New(h.resolver, call.WithTelemetry(h.telemetry))
	return nil
}
