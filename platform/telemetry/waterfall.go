package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The columns of a waterfall, in characters.
const (
	nameWidth    = 56
	serviceWidth = 14
	barWidth     = 40
)

// Waterfall draws the spans of one trace: a line each, indented below what
// caused it, with offset, duration and a bar of its time. Between an event's
// publishing and its handling a line shows how long it waited. The slowest hop,
// which is the longest time that a span spent itself or an event waited, is
// marked. A span that hangs on another by a link (a batch) has an arrow.
func Waterfall(w io.Writer, spans []SpanRecord) error {
	out := bufio.NewWriter(w)
	if len(spans) == 0 {
		_, _ = fmt.Fprintln(out, "no spans") // a bufio.Writer keeps its error for Flush
		return out.Flush()
	}
	c := newChart(spans)
	processes := map[string]bool{}
	for _, s := range spans {
		processes[s.Process] = true
	}
	_, _ = fmt.Fprintf(out, "trace %s  spans %d  processes %d  took %s\n\n", clip(c.lines[0].span.TraceID, 32), len(spans), len(processes), short(c.total))
	_, _ = fmt.Fprintf(out, "%s %s %s %8s %8s\n", pad("SERVICE", serviceWidth), pad("SPAN", nameWidth), pad("", barWidth+2), "AT", "TOOK")
	slowest := c.slowest()
	for i, l := range c.lines {
		mark := ""
		if i == slowest {
			mark = "  <- slowest"
		}
		c.draw(out, l, mark)
	}
	return out.Flush()
}

// line is one line of a chart: a span, or the wait before one.
type line struct {
	span   *SpanRecord
	depth  int
	wait   bool
	linked bool
	start  time.Duration // since the chart's beginning
	took   time.Duration
	self   time.Duration // of it, what no child of its own accounts for
}

type chart struct {
	begin    time.Time
	total    time.Duration
	children map[string][]int // of a span, by its id: indexes into spans
	spans    []SpanRecord
	drawn    []bool
	lines    []line
}

func newChart(given []SpanRecord) *chart {
	spans := append([]SpanRecord(nil), given...)
	byStart(spans)
	c := &chart{begin: spans[0].Start, spans: spans, children: map[string][]int{}, drawn: make([]bool, len(spans))}
	there := map[string]bool{}
	for _, s := range spans {
		there[s.SpanID] = true
		c.total = max(c.total, s.Start.Add(s.Duration).Sub(c.begin))
	}
	var roots []int
	for i, s := range spans {
		if over := c.cause(&s, there); over != "" {
			c.children[over] = append(c.children[over], i)
		} else {
			roots = append(roots, i)
		}
	}
	for _, i := range roots {
		c.add(i, 0, nil)
	}
	for i := range spans { // what hangs on itself is no reason to leave it out
		c.add(i, 0, nil)
	}
	return c
}

// cause gives the span under which s is drawn: its parent, or else the first one
// that it links to.
func (c *chart) cause(s *SpanRecord, there map[string]bool) string {
	if there[s.ParentID] && s.ParentID != s.SpanID {
		return s.ParentID
	}
	for _, l := range s.Links {
		if there[l.SpanID] && l.SpanID != s.SpanID {
			return l.SpanID
		}
	}
	return ""
}

// add puts the span and everything below it into the chart.
func (c *chart) add(i, depth int, over *SpanRecord) {
	if c.drawn[i] {
		return
	}
	c.drawn[i] = true
	s := &c.spans[i]
	l := line{span: s, depth: depth, start: s.Start.Sub(c.begin), took: s.Duration, self: c.self(s)}
	if over != nil {
		l.linked = s.ParentID != over.SpanID
		published := over.Start.Add(over.Duration)
		if gap := s.Start.Sub(published); gap > 0 && (s.Kind == "consumer" || s.Kind == "producer") {
			c.lines = append(c.lines, line{span: s, depth: depth, wait: true, start: published.Sub(c.begin), took: gap, self: gap})
		}
	}
	c.lines = append(c.lines, l)
	for _, child := range c.children[s.SpanID] {
		c.add(child, depth+1, s)
	}
}

// self is the time of s during which none of its children ran. Children come in
// order of their start.
func (c *chart) self(s *SpanRecord) time.Duration {
	end := s.Start.Add(s.Duration)
	covered, upTo := time.Duration(0), s.Start
	for _, i := range c.children[s.SpanID] {
		from, to := c.spans[i].Start, c.spans[i].Start.Add(c.spans[i].Duration)
		if from.Before(upTo) {
			from = upTo
		}
		if to.After(end) {
			to = end
		}
		if to.After(from) {
			covered += to.Sub(from)
			upTo = to
		}
	}
	return s.Duration - covered
}

func (c *chart) slowest() int {
	best := 0
	for i, l := range c.lines {
		if l.self > c.lines[best].self {
			best = i
		}
	}
	return best
}

func (c *chart) draw(w io.Writer, l line, mark string) {
	name, fill := l.span.Name, "█"
	switch {
	case l.wait:
		name, fill = "(waited)", "·"
	case l.linked:
		name = "↪ " + name
	}
	if !l.wait && l.span.Kind != "internal" {
		name += " [" + l.span.Kind + "]"
	}
	service := l.span.Service
	if l.wait {
		service = ""
	}
	indent := strings.Repeat("  ", min(l.depth, nameWidth/4))
	_, _ = fmt.Fprintf(w, "%s %s |%s| %8s %8s%s\n", pad(service, serviceWidth), pad(indent+name, nameWidth),
		c.bar(l, fill), short(l.start), short(l.took), mark)
	if !l.wait && l.span.Failed {
		_, _ = fmt.Fprintf(w, "%s %s  failed: %s\n", pad("", serviceWidth), indent, clip(l.span.Error, 160))
	}
}

// bar is at least one character wide.
func (c *chart) bar(l line, fill string) string {
	if c.total <= 0 {
		return pad(fill, barWidth)
	}
	at := func(d time.Duration) int {
		return int(float64(barWidth) * float64(min(max(d, 0), c.total)) / float64(c.total))
	}
	from := min(at(l.start), barWidth-1)
	to := max(at(l.start+l.took), from+1)
	return strings.Repeat(" ", from) + strings.Repeat(fill, to-from) + strings.Repeat(" ", barWidth-to)
}

func pad(s string, width int) string {
	s = clip(s, width)
	return s + strings.Repeat(" ", width-utf8.RuneCountInString(s))
}

// clip shortens s and takes out what a terminal would obey.
func clip(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// short gives a duration with three digits, or a few more.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < time.Second:
		return digits(float64(d)/float64(time.Millisecond)) + "ms"
	case d < time.Minute:
		return digits(d.Seconds()) + "s"
	default:
		return d.Round(time.Second).String()
	}
}

func digits(v float64) string {
	after := 2
	switch {
	case v >= 100:
		after = 0
	case v >= 10:
		after = 1
	}
	return strconv.FormatFloat(v, 'f', after, 64)
}
