package marketing

import (
	"strings"
	"time"

	"trama/platform/config"
	"trama/platform/store/mongostore"
)

// Config is what can be set of marketing.
type Config struct {
	Reminders    []time.Duration `key:"reminders" default:"24h,72h,168h" help:"when a lead that has not enrolled is reminded, counted from the registration, in growing order; seconds for a trial; empty: never"`
	ReminderLife time.Duration   `key:"reminderLife" default:"24h" help:"how long a reminder that is due may wait for the mail server before it is not worth sending any more"`

	// Mongo is where leads are kept instead of Deps.Store, when the host opened a
	// MongoDB for this service; nil otherwise.
	Mongo *mongostore.DB
}

const (
	maxReminders = 20
	minReminder  = 100 * time.Millisecond
	maxReminder  = 366 * 24 * time.Hour
)

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	var out []config.Problem
	bad := len(c.Reminders) > maxReminders
	before := time.Duration(0)
	for _, d := range c.Reminders {
		bad = bad || d < minReminder || d > maxReminder || d <= before
		before = d
	}
	if bad {
		out = append(out, config.Problem{Key: "reminders", Value: list(c.Reminders), Try: "24h,72h,168h",
			Rule: "at most 20 durations from 100ms to 8784h, each longer than the one before"})
	}
	if c.ReminderLife < time.Minute || c.ReminderLife > maxReminder {
		out = append(out, config.Problem{Key: "reminderLife", Value: c.ReminderLife.String(), Rule: "from 1m to 8784h", Try: "24h"})
	}
	return out
}

func list(all []time.Duration) string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = d.String()
	}
	return strings.Join(texts, ",")
}
