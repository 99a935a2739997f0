// Package acceptance proves what Trama does through its public door: the binary
// as a user starts it, HTTP as a client speaks it. Each scenario runs on every
// topology (one process; a process per service; a process per service on
// PostgreSQL, RabbitMQ and a MongoDB-protocol server) and must not be able to
// tell which one it is on.
package acceptance

import (
	"fmt"
	"os"
	"testing"

	"trama/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Clean()
	os.Exit(code)
}

// world is one running system and the people of its scenarios.
type world struct {
	*harness.System
	courses []harness.Course
	cards   int // how many different cards were used
	next    func() harness.Person
}

// quick makes waits short enough for a test and long enough to be seen.
func quick(extra map[string]string) map[string]string {
	set := map[string]string{
		"acquirersim.delay": "5ms", "acquirersim.hang": "700ms", "payments.chargeTimeout": "400ms",
		"marketing.reminders": "300ms,600ms,1h", "log.level": "info",
	}
	for k, v := range extra {
		set[k] = v
	}
	return set
}

func TestSchool(t *testing.T) {
	t.Run("one process", func(t *testing.T) { scenarios(t, harness.Options{Set: quick(nil)}) })
	t.Run("split", func(t *testing.T) { // and on a machine whose clock is far from Brazil
		scenarios(t, harness.Options{Split: true, Set: quick(nil), Env: []string{"TZ=Pacific/Kiritimati"}})
	})
	t.Run("split on engines", func(t *testing.T) {
		scenarios(t, harness.Options{Split: true, Set: quick(harness.Engines(t))})
	})
}

func scenarios(t *testing.T, opt harness.Options) {
	s := harness.Start(t, opt)
	w := &world{System: s, courses: s.Courses(t)}
	people := 0
	w.next = func() harness.Person {
		people++
		return harness.NewPerson(fmt.Sprint(os.Getpid()), people)
	}
	if len(w.courses) < 12 {
		t.Fatalf("the demonstration has %d courses, want at least 12", len(w.courses))
	}
	for _, sc := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"a lead becomes an enrolled, greeted student", leadBecomesStudent},
		{"a second course adds an enrolment, not a student", secondCourse},
		{"a lead is kept once and can leave with one click", leadOnce},
		{"reminders come and stop", reminders},
		{"a refused card is told, with the way back", refusedCard},
		{"lost answers charge once", lostAnswers},
		{"pix and boleto wait for the payer", pixAndBoleto},
		{"a forged callback changes nothing", forgedCallback},
		{"a refund cancels the enrolment", refund},
		{"the same key is one payment", idempotency},
		{"bad input is told field by field", badInput},
		{"staff routes need the token", staffRoutes},
		{"courses can be written with care", courseWriting},
		{"every answer that fails is a problem", problems},
		{"contracts and pages are served", contracts},
		{"dead letters are seen, mended and dropped", deadLetters},
		{"the event log is read and replayed", eventLog},
		{"tasks are listed and run", tasks},
		{"one trace goes through every service", trace},
		{"card data is nowhere", cardDataNowhere},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, w) })
	}
	s.Stop()
}
