package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

// cron tells the times of an expression in a zone. The library only ever sees
// UTC, where there are no gaps and no repetitions; what the zone does to the
// clock on the wall is decided here, since no library does it right.
type cron struct {
	spec string
	zone *time.Location // nil is UTC
}

// fields is what an expression consists of: the library would also take seconds,
// years and names like @daily.
const fields = 5

func checkCron(spec string, now time.Time) error {
	if len(strings.Fields(spec)) != fields || !gronx.IsValid(spec) {
		return fmt.Errorf("cron expression %q: want five fields: minute, hour, day of month, month, day of week", spec)
	}
	if _, err := gronx.NextTickAfter(spec, now.UTC(), false); err != nil {
		return fmt.Errorf("cron expression %q: it never comes: %w", spec, err)
	}
	return nil
}

// fixed says whether the expression names times of day rather than a rhythm.
func (c cron) fixed() bool {
	f := strings.Fields(c.spec)
	return !strings.HasPrefix(f[0], "*") && !strings.HasPrefix(f[1], "*")
}

// next gives the first time after after. Times of one offset of the zone are
// looked for at a time, from one change of the clocks to the next.
func (c cron) next(after time.Time) time.Time {
	zone := c.zone
	if zone == nil {
		zone = time.UTC
	}
	after = after.Truncate(time.Second)
	for from, period := after, after; ; {
		period = period.In(zone)
		_, offset := period.Zone()
		start, end := period.ZoneBounds()
		if over := c.repeated(start, offset); from.Before(over) {
			from = over.Add(-time.Second)
		}
		wall, err := gronx.NextTickAfter(c.spec, onWall(from, offset), false)
		if err != nil {
			return after.AddDate(1, 0, 0) // 29 February around 2100: look again in a year
		}
		at := wall.Add(-time.Duration(offset) * time.Second).UTC()
		if end.IsZero() || at.Before(end) {
			return at
		}
		_, then := end.Zone()
		if c.fixed() && wall.Before(onWall(end, then)) { // in the gap
			return end.UTC()
		}
		from, period = end.Add(-time.Second), end
	}
}

// repeated gives the end of the time that the wall's clock shows again after it
// was set back at start; start when it was not, or when times shall count twice.
func (c cron) repeated(start time.Time, offset int) time.Time {
	if start.IsZero() || !c.fixed() {
		return start
	}
	_, before := start.Add(-time.Second).Zone()
	return start.Add(time.Duration(max(before-offset, 0)) * time.Second)
}

// onWall gives what the clock on the wall shows, as if it were UTC.
func onWall(t time.Time, offset int) time.Time {
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
