package kafkabus

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// Headers of CloudEvents in structured mode over Kafka.
const (
	typeHeader    = "ce_type"
	contentHeader = "content-type"
	eventContent  = "application/cloudevents+json"
)

func (b *Bus) record(e bus.Event, body []byte) *kgo.Record {
	return &kgo.Record{Topic: b.topicName(), Key: []byte(e.Subject), Value: body, Headers: []kgo.RecordHeader{
		{Key: contentHeader, Value: []byte(eventContent)}, {Key: typeHeader, Value: []byte(e.Type)}}}
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// eventOf reads a record of the log.
func eventOf(r *kgo.Record) (bus.Event, error) {
	if ct := header(r, contentHeader); ct != "" && ct != eventContent {
		return bus.Event{}, bus.ErrMalformed.Wrap(fmt.Errorf("content type %.100q, not %s", ct, eventContent))
	}
	if len(r.Value) > bus.MaxEventBytes {
		return bus.Event{}, bus.ErrMalformed.Wrap(fmt.Errorf("more than %d bytes", bus.MaxEventBytes))
	}
	return bus.Decode(r.Value)
}

// delivery makes what a subscription sees of a record; ok is false when that is
// nothing.
func delivery(s bus.Subscription, r *kgo.Record) (x lane.Delivery, ok bool) {
	if r.Attrs.IsControl() {
		return x, false
	}
	typ := header(r, typeHeader)
	if typ != "" && !slices.Contains(s.Types, typ) {
		return x, false
	}
	x = lane.Delivery{Ref: ref(r.Partition, r.Offset), Body: r.Value}
	x.Event, x.Bad = eventOf(r)
	if x.Bad != nil || slices.Contains(s.Types, x.Event.Type) {
		return x, true
	}
	if typ == "" || slices.Contains(s.Former, x.Event.Type) {
		return x, false
	}
	x.Bad = bus.ErrMalformed.Wrap(fmt.Errorf("type %s under the header of %s", x.Event.Type, typ))
	return x, true
}

// ref packs a record's place into a lane.Delivery.Ref.
func ref(partition int32, offset int64) uint64 { return uint64(partition)<<48 | uint64(offset) }

func unref(ref uint64) (partition int32, offset int64) {
	return int32(ref >> 48), int64(ref & (1<<48 - 1))
}
