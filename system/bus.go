package system

import (
	"context"
	"fmt"
	"strings"

	"trama/platform/bus"
	"trama/platform/bus/amqpbus"
	"trama/platform/bus/kafkabus"
	"trama/platform/bus/natsbus"
	"trama/platform/bus/pgbus"
	"trama/platform/bus/sqlitebus"
)

// openBus opens the event bus and declares the whole system's subscriptions.
func (h *Host) openBus(ctx context.Context) error {
	b, err := h.connectBus(ctx)
	if err != nil {
		return err
	}
	h.bus = b
	if err := h.bus.Declare(ctx, Subscriptions()...); err != nil {
		return fmt.Errorf("bus: declare the subscriptions: %w", reason(err))
	}
	return nil
}

// connectBus chooses the driver by the scheme of bus.url.
func (h *Host) connectBus(ctx context.Context) (b bus.Bus, err error) {
	if h.Bus != nil {
		return h.Bus, nil
	}
	u, c := h.Config.Bus.URL.Reveal(), h.Config.Bus
	log, who := h.Log.With("part", "bus"), process()
	switch scheme(u) {
	case "":
		b, err := sqlitebus.Open(ctx, sqlitebus.Options{Dir: h.Dir.Path("bus"), Clock: h.Clock, Logger: log, Crash: h.Crash,
			Telemetry: h.telemetry, Process: who})
		if err != nil {
			return nil, fmt.Errorf("bus: %w%s", reason(err), remedy(err, h.Dir.Path("bus")))
		}
		return b, nil
	case "postgres", "postgresql":
		b, err = pgbus.Open(pgbus.Options{URL: u, Clock: h.Clock, Logger: log, Crash: h.Crash, Telemetry: h.telemetry, Process: who})
	case "nats", "tls":
		b, err = natsbus.Open(ctx, natsbus.Options{URL: u, Prefix: c.Prefix, Clock: h.Clock, Logger: log, Crash: h.Crash, Telemetry: h.telemetry, Process: who})
	case "kafka":
		b, err = kafkabus.Open(ctx, kafkabus.Options{Brokers: strings.Split(strings.TrimSuffix(strings.TrimPrefix(u, "kafka://"), "/"), ","), Prefix: c.Prefix,
			Clock: h.Clock, Logger: log, Crash: h.Crash, Telemetry: h.telemetry, Process: who})
	default:
		b, err = amqpbus.Open(ctx, amqpbus.Options{URL: u, Prefix: c.Prefix, Clock: h.Clock, Logger: log, Crash: h.Crash, Telemetry: h.telemetry, Process: who})
	}
	if err != nil {
		return nil, fmt.Errorf("bus: %w", reason(err))
	}
	return b, nil
}
