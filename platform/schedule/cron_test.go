package schedule

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// A change of the clocks: New York (an hour, at 2 in the morning), São Paulo of
// 2018 (at midnight), Lord Howe (half an hour).
func TestCronWhenClocksChange(t *testing.T) {
	for _, c := range []struct {
		about, zone, spec, from string
		want                    string // the first times, with their offsets
	}{
		{"every day", "America/New_York", "30 4 * * *", "2026-06-01 12:00", "06-02 04:30 -04, 06-03 04:30 -04"},
		{"the first is after, not at", "UTC", "0 12 * * *", "2026-06-01 12:00", "06-02 12:00 +00"},
		{"skipped: the moment after the gap", "America/New_York", "30 2 * * *", "2026-03-07 12:00", "03-08 03:00 -04, 03-09 02:30 -04"},
		{"skipped and not, both at the gap's end", "America/New_York", "0 2,3 * * *", "2026-03-08 01:00", "03-08 03:00 -04, 03-09 02:00 -04, 03-09 03:00 -04"},
		{"skipped at midnight", "America/Sao_Paulo", "0 0 * * *", "2018-11-03 12:00", "11-04 01:00 -02, 11-05 00:00 -02"},
		{"the day of a skipped midnight", "America/Sao_Paulo", "0 1 4 11 *", "2018-11-03 23:00", "11-04 01:00 -02"},
		{"skipped by half an hour", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", "10-04 02:30 +11, 10-05 02:15 +11"},
		{"a rhythm over a gap", "America/New_York", "*/30 * * * *", "2026-03-08 01:00", "03-08 01:30 -05, 03-08 03:00 -04, 03-08 03:30 -04"},
		{"a rhythm by the hour over a gap", "America/New_York", "0 */2 * * *", "2026-03-08 00:00", "03-08 04:00 -04, 03-08 06:00 -04"},

		{"repeated: once, the first time", "America/New_York", "30 1 * * *", "2026-10-31 12:00", "11-01 01:30 -04, 11-02 01:30 -05"},
		{"asked within the repetition", "America/New_York", "30 1 * * *", "2026-11-01 01:10 -0500", "11-02 01:30 -05"},
		{"after the repetition", "America/New_York", "0 2 * * *", "2026-11-01 01:10 -0500", "11-01 02:00 -05"},
		{"repeated before midnight", "America/Sao_Paulo", "30 23 * * *", "2018-02-17 12:00", "02-17 23:30 -02, 02-18 23:30 -03"},
		{"repeated by half an hour", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", "04-05 01:45 +11, 04-06 01:45 +10"},
		{"a rhythm over a repetition", "America/New_York", "*/30 * * * *", "2026-11-01 00:45",
			"11-01 01:00 -04, 11-01 01:30 -04, 11-01 01:00 -05, 11-01 01:30 -05, 11-01 02:00 -05"},
		{"either day", "UTC", "0 0 13 * 5", "2026-11-01 12:00", "11-06 00:00 +00, 11-13 00:00 +00, 11-20 00:00 +00"},
		{"a leap day, over many changes", "America/New_York", "0 12 29 2 *", "2026-11-01 12:00", "02-29 12:00 -05"},
	} {
		t.Run(c.about, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.ParseInLocation("2006-01-02 15:04 -0700"[:len(c.from)], c.from, zone)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range strings.Split(c.want, ", ") {
				at = cron{spec: c.spec, zone: zone}.next(at)
				got = append(got, at.In(zone).Format("01-02 15:04 -07"))
			}
			if s := strings.Join(got, ", "); s != c.want {
				t.Errorf("\ngot  %s\nwant %s", s, c.want)
			}
		})
	}
}

// Fractions of a second neither repeat a time nor skip one.
func TestCronBetweenSeconds(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	every := cron{spec: "* * * * *"}
	for from, want := range map[time.Duration]time.Duration{
		-time.Millisecond: 0, 0: time.Minute, time.Millisecond: time.Minute, 59*time.Second + 999*time.Millisecond: time.Minute,
	} {
		if got := every.next(noon.Add(from)); !got.Equal(noon.Add(want)) {
			t.Errorf("after %v: %v", from, got)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, s := range []string{"* * * * *", "0 0 29 2 *", "*/5 1-3 L * 1#2", "@daily", "60 * * * *", "0 0 31 2 *", "5-1 * * * *"} {
		f.Add(s, int64(1_790_000_000))
	}
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		if len(spec) > 100 || unix < 0 || unix > 4_000_000_000 || checkCron(spec, time.Unix(unix, 0)) != nil {
			t.Skip()
		}
		from := time.Unix(unix, 0)
		if next := (cron{spec: spec, zone: zone}).next(from); !next.After(from) {
			t.Errorf("%q after %v is %v", spec, from, next)
		}
	})
}
