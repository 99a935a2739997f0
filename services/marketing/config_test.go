package marketing_test

import (
	"testing"
	"time"

	"trama/platform/config"
	"trama/services/marketing"
)

func TestDefaultsAreValid(t *testing.T) {
	var c marketing.Config
	if _, problems := config.Load(&c, config.Sources{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := c.Check(); len(got) > 0 {
		t.Error(got)
	}
	want(t, "reminders", c.Reminders, []time.Duration{day, 3 * day, 7 * day})
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for name, reminders := range map[string][]time.Duration{
		"backwards": {day, time.Hour}, "twice": {day, day}, "negative": {-time.Hour}, "zero": {0}, "years": {400 * day}, "many": make([]time.Duration, 30),
	} {
		got := marketing.Config{Reminders: reminders, ReminderLife: day}.Check()
		if len(got) != 1 || got[0].Key != "reminders" || got[0].Try == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, good := range [][]time.Duration{nil, {time.Second, 2 * time.Second}} {
		if got := (marketing.Config{Reminders: good, ReminderLife: day}).Check(); len(got) > 0 {
			t.Errorf("%v: %+v", good, got)
		}
	}
	if got := (marketing.Config{}).Check(); len(got) != 1 || got[0].Key != "reminderLife" {
		t.Errorf("no life: %+v", got)
	}
}
