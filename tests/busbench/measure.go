package main

import (
	"slices"
	"syscall"
	"time"
)

// meter measures time and processor time of this process from begin to end.
type meter struct {
	at  time.Time
	cpu time.Duration
}

func begin() meter { return meter{at: time.Now(), cpu: processor()} }

func (m meter) end(work string, events int64) sample {
	took, used := time.Since(m.at), processor()-m.cpu
	n := float64(max(events, 1))
	return sample{Work: work, PerSecond: float64(events) / took.Seconds(), CPU: float64(used.Microseconds()) / n}
}

// processor gives the user and system time this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// quantile gives milliseconds. It sorts xs.
func quantile(xs []time.Duration, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	return float64(xs[int(q*float64(len(xs)-1))].Microseconds()) / 1000
}

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}
