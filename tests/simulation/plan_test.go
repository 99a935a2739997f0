package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// phases of a run; between two of them the clock jumps.
var jumps = []time.Duration{0, time.Hour, 25 * time.Hour, 8 * 24 * time.Hour, 4 * 24 * time.Hour}

// plan is what a seed decides.
type plan struct {
	seed     uint64
	outages  []outage
	deaths   []death
	jump     time.Duration // of the clock, in the midst of things, at jumpAt
	jumpAt   time.Duration
	replay   string // subscription to which an operator gives the whole log again, at replayAt
	replayAt time.Duration
	poison   string // subscription whose handler refuses some events until it is mended
	garbage  string // subscription that gets bytes which are no event
	work     workload
}

// outage is a time, within a phase, in which something does not work.
type outage struct {
	what     string // "store:payments", "bus", "call:identity"
	phase    int
	from, to time.Duration
	after    bool // it does its work and loses the answer
}

func (o outage) String() string {
	how := "down"
	if o.after {
		how = "loses answers"
	}
	return fmt.Sprintf("phase %d, %s to %s: %s %s", o.phase, o.from, o.to, o.what, how)
}

// death is the end of a process: at the nth passing of a point once the phase
// has lasted so long, or just then when point is empty.
type death struct {
	phase int
	point string
	nth   int
	at    time.Duration
	down  time.Duration // until it is started again
}

// newPlan decides everything that is decided before the run.
func newPlan(seed uint64, points []string) *plan {
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	p := &plan{seed: seed}
	p.work = newWorkload(rng)
	targets := []string{"store:payments", "store:academics", "store:identity", "store:notifications", "store:marketing",
		"store:acquirersim", "bus", "bus", "call:academics", "call:acquirersim", "call:acquirersim", "call:identity"}
	for range rng.IntN(6) {
		what, longest := targets[rng.IntN(len(targets))], 4000
		if what == "call:identity" {
			longest = 700 // each answer lost is a password hashed in vain, which is most of what a run costs
		}
		from := time.Duration(rng.IntN(12_000)) * time.Millisecond
		p.outages = append(p.outages, outage{what: what, phase: p.phase(rng), from: from,
			to: from + time.Duration(50+rng.IntN(longest))*time.Millisecond, after: rng.IntN(3) == 0})
	}
	for range rng.IntN(4) {
		d := death{phase: p.phase(rng), at: time.Duration(rng.IntN(9000)) * time.Millisecond, nth: 1 + rng.IntN(4),
			down: time.Duration(10+rng.IntN(3000)) * time.Millisecond}
		if rng.IntN(5) > 0 {
			d.point = points[rng.IntN(len(points))]
		}
		if d.phase > 0 && rng.IntN(3) == 0 { // not while clients wait: an Idempotency-Key is promised for 24 hours
			d.down = 30 * time.Hour
		}
		p.deaths = append(p.deaths, d)
	}
	if rng.IntN(3) == 0 {
		p.jump = []time.Duration{time.Hour, 20 * time.Hour, -time.Hour, -2 * time.Second}[rng.IntN(4)]
		p.jumpAt = time.Duration(rng.IntN(9000)) * time.Millisecond
	}
	if rng.IntN(4) == 0 {
		subs := []string{"payments.analise", "academics.pagamentos", "academics.estornos", "identity.alunos", "notifications.boas-vindas",
			"notifications.lembretes", "payments.estornos", "marketing.matriculas"}
		p.replay, p.replayAt = subs[rng.IntN(len(subs))], time.Duration(2000+rng.IntN(10_000))*time.Millisecond
	}
	if rng.IntN(2) == 0 {
		subs := []string{"payments.analise", "academics.pagamentos", "identity.alunos", "notifications.boas-vindas", "payments.matriculas"}
		p.poison = subs[rng.IntN(len(subs))]
	}
	if rng.IntN(4) == 0 {
		subs := []string{"payments.analise", "notifications.matriculas", "marketing.matriculas"}
		p.garbage = subs[rng.IntN(len(subs))]
	}
	return p
}

// phase chooses one; most things happen in the first.
func (p *plan) phase(rng *rand.Rand) int {
	if rng.IntN(3) > 0 {
		return 0
	}
	return rng.IntN(len(jumps))
}

// down says whether something is out of order now, and how.
func (p *plan) down(what string, phase int, at time.Duration) (down, after bool) {
	for _, o := range p.outages {
		if o.what == what && o.phase == phase && at >= o.from && at < o.to {
			return true, o.after
		}
	}
	return false, false
}

// die rolls n-sided dice for a stable name: the same each time.
func (p *plan) dice(n int, name ...any) int {
	h := fnv.New64a()
	fmt.Fprintln(h, append([]any{p.seed}, name...)...)
	x := h.Sum64() // finished as in splitmix64, because FNV's low bits are weak
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// blow is what happens to one attempt to publish.
type blow int

const (
	unhurt     blow = iota
	lostBefore      // the broker never got it
	lostAfter       // the broker has it, the publisher does not know
)

// publish decides on the nth attempt to publish an event.
func (p *plan) publish(key string, n int) blow {
	if n > 2 {
		return unhurt
	}
	switch p.dice(16, "publish", key, n) {
	case 0:
		return lostBefore
	case 1:
		return lostAfter
	}
	return unhurt
}

// latency of the transport, before a delivery: mostly short.
func (p *plan) latency(name ...any) time.Duration {
	d := time.Duration(1_000_000 + p.dice(20_000_000, append(name, "short")...))
	switch p.dice(12, append(name, "class")...) {
	case 0:
		d += time.Duration(p.dice(4000, append(name, "long")...)) * time.Millisecond
	case 1:
		d += time.Duration(p.dice(400, append(name, "middle")...)) * time.Millisecond
	}
	return d
}

// copies gives when an event is delivered again to a subscription, counted from
// its publishing; nothing for most.
func (p *plan) copies(subscription, key string) []time.Duration {
	pause := []time.Duration{10 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second, 26 * time.Hour, 8 * 24 * time.Hour}
	var out []time.Duration
	for n := 0; p.dice(5, "copy", subscription, key, n) == 0 && n < 4; n++ {
		out = append(out, pause[p.dice(len(pause), "when", subscription, key, n)]+p.latency("copy", subscription, key, n))
	}
	return out
}

// ackLost says whether the nth acknowledgement of a delivery is lost.
func (p *plan) ackLost(subscription, key string, n int) bool {
	return n == 0 && p.dice(15, "ack", subscription, key) == 0
}

// request decides on the nth sending of a request of the workload.
func (p *plan) request(name string, n int) blow {
	if n > 3 {
		return unhurt
	}
	switch p.dice(12, "request", name, n) {
	case 0:
		return lostBefore
	case 1, 2:
		return lostAfter
	}
	return unhurt
}
