package lead_test

import (
	"strings"
	"testing"
	"time"

	"trama/services/marketing/internal/lead"
)

var (
	day   = 24 * time.Hour
	start = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
	week  = lead.Schedule{day, 3 * day, 7 * day}
)

func TestRemindersComeWhenPlannedAndNotAgain(t *testing.T) {
	l := lead.New("id", start, week)
	for _, step := range []struct {
		at   time.Duration
		want int // 0: nothing
	}{
		{0, 0}, {day - time.Millisecond, 0}, {day, 1}, {day, 0}, {3*day - time.Millisecond, 0},
		{3 * day, 2}, {7 * day, 3}, {30 * day, 0},
	} {
		got, ok := l.Remind(start.Add(step.at), week)
		if got != step.want || ok != (step.want > 0) {
			t.Errorf("at +%v: step %d %v, want %d", step.at, got, ok, step.want)
		}
	}
	if !l.Due.IsZero() {
		t.Errorf("after the last reminder another is due at %v", l.Due)
	}
}

func TestALateReminderPushesTheNext(t *testing.T) {
	l := lead.New("id", start, week)
	now := start.Add(10 * day) // we were down for ten days
	if step, ok := l.Remind(now, week); step != 1 || !ok {
		t.Fatalf("step %d %v", step, ok)
	}
	if want := now.Add(day); !l.Due.Equal(want) { // half of the two days between the first and the second
		t.Errorf("next due %v, want %v", l.Due, want)
	}
}

func TestAShorterScheduleEndsTheReminders(t *testing.T) {
	l := lead.New("id", start, week)
	l.Remind(start.Add(day), week)
	if _, ok := l.Remind(start.Add(3*day), week[:1]); ok || !l.Due.IsZero() {
		t.Errorf("ok %v, due %v", ok, l.Due)
	}
	if none := lead.New("id", start, nil); !none.Due.IsZero() {
		t.Error("an empty schedule still plans a reminder")
	}
}

func TestEnrolmentAndUnsubscriptionEndTheReminders(t *testing.T) {
	enrolled := lead.New("id", start, week)
	enrolled.Enrol(start.Add(time.Hour))
	unsubscribed := lead.New("id", start, week)
	if !unsubscribed.Unsubscribe(start.Add(time.Hour)) || unsubscribed.Unsubscribe(start.Add(2*time.Hour)) {
		t.Error("unsubscribing is news the first time only")
	}
	for want, l := range map[lead.State]*lead.Lead{lead.Enrolled: &enrolled, lead.Unsubscribed: &unsubscribed} {
		if _, ok := l.Remind(start.Add(8*day), week); ok || l.State() != want {
			t.Errorf("state %s, reminded %v", l.State(), ok)
		}
	}
	unsubscribed.Enrol(start.Add(3 * time.Hour))
	if unsubscribed.State() != lead.Enrolled || unsubscribed.UnsubscribedAt.IsZero() {
		t.Error("an unsubscribed lead that enrols is enrolled and stays unsubscribed")
	}
}

func TestTokens(t *testing.T) {
	const one, two = "01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01", "01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e02"
	k := lead.Keys{Unsubscribe: []byte("k1")}
	token := k.Token(one)
	if got, ok := k.LeadOf(token); !ok || got != one {
		t.Fatalf("%q %v", got, ok)
	}
	if strings.ContainsAny(token, "+/=&?% ") {
		t.Errorf("token %q needs escaping in an address", token)
	}
	other := lead.Keys{Unsubscribe: []byte("k2")}.Token(one)
	flipped := []byte(token)
	flipped[3] ^= 1
	for _, bad := range []string{"", "x", other, string(flipped), token + "A", k.Token(two)[:22] + token[22:], one, k.Token("not an id")} {
		if id, ok := k.LeadOf(bad); ok {
			t.Errorf("%q is accepted as a token of %s", bad, id)
		}
	}
}

func TestMaskEmail(t *testing.T) {
	for in, want := range map[string]string{"ana@exemplo.com.br": "a**@exemplo.com.br", "é@x.br": "é**@x.br", "": "***", "@x": "***"} {
		if got := lead.MaskEmail(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzLeadOf(f *testing.F) {
	k := lead.Keys{Unsubscribe: []byte("k")}
	f.Add(k.Token("01980a52-7c4f-7d3a-9b1e-5f2c8a6d4e01"))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := k.LeadOf(s); ok && k.Token(id) != s {
			t.Errorf("%q is a second token of %s", s, id)
		}
	})
}
