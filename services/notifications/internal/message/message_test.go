package message_test

import (
	"reflect"
	"testing"
	"time"

	"trama/services/notifications/internal/message"
)

var (
	start = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	retry = message.Retry{First: time.Second, Longest: 10 * time.Second, GiveUp: time.Hour}
)

func waiting(k message.Kind) message.Message {
	return message.Message{ID: "id", EventID: "e", Kind: k, Topic: "t", Name: "Ana", Email: "ana@exemplo.com.br", State: message.Waiting,
		Facts: message.Facts{CourseTitle: "Go", Token: "x"}, CreatedAt: start, Due: start}
}

func TestPausesGrowUntilTheMessageIsGivenUp(t *testing.T) {
	m := waiting(message.Welcome)
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		m.Postpone(start, "down", retry)
		if got := m.Due.Sub(start); got != want*time.Second || m.State != message.Waiting || m.Attempts != i+1 {
			t.Errorf("try %d: pause %v, %s", i+1, got, m.State)
		}
	}
	for range 100 { // no overflow of the pause
		m.Postpone(start, "down", retry)
	}
	if m.Due.Sub(start) != 10*time.Second {
		t.Errorf("after 106 tries: %v", m.Due.Sub(start))
	}
	m.Postpone(start.Add(time.Hour), "down", retry)
	if m.State != message.Failed || m.Reason != "down" || !m.Due.IsZero() {
		t.Errorf("%+v", m)
	}
}

func TestAFinishedMessageKeepsTheLeast(t *testing.T) {
	sent, failed := waiting(message.Welcome), waiting(message.Reminder)
	sent.Delivered(start, "Boas-vindas")
	failed.GiveUp(start, "recusada")
	for _, m := range []message.Message{sent, failed} {
		if m.Name != "" || m.Topic != "" || !reflect.DeepEqual(m.Facts, message.Facts{}) || m.Email == "" || !m.FinishedAt.Equal(start) {
			t.Errorf("%+v", m)
		}
	}
	refund := waiting(message.Refunded)
	if refund.Delivered(start, "Estorno"); refund.Topic == "" {
		t.Error("a refund's topic is needed to know that it was told of")
	}
}

func TestExpiry(t *testing.T) {
	m := waiting(message.Reminder)
	if m.Expired(start.Add(1000 * time.Hour)) {
		t.Error("without a limit it expires")
	}
	m.ExpiresAt = start
	if m.Expired(start) || !m.Expired(start.Add(time.Millisecond)) {
		t.Error("the limit does not hold")
	}
}
