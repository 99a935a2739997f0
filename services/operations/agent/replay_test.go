package agent_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/bus/bustest"
	"trama/platform/fault"
	"trama/platform/parking"
)

// Without rebuild a replay fills what the inbox lacks and nothing else.
func TestReplayHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	all := k.publish(4, 1, 5)
	stop := k.consume(effect, nil)
	k.await("all effects", func() bool { return k.total(effect) == len(all) })
	stop()
	lost := all[7]
	k.exec(`DELETE FROM inbox WHERE event_id = $1`, lost.ID)
	k.exec(`DELETE FROM effect WHERE subject = $1 AND n = $2`, lost.Subject, bustest.Number(lost))

	parked, _ := k.replay(&operationsv1.ReplayRequest{Id: "r1", Subscription: effect, Limit: 6, Who: "operador"})
	if parked != int64(len(all)) {
		t.Errorf("%d events parked, want %d", parked, len(all))
	}
	k.consume(effect, nil)
	k.await("the replay to be handled", func() bool { return k.parked(effect) == 0 })
	for subject, got := range k.effects(effect) {
		slices.SortFunc(got, func(a, b done) int { return a.N - b.N }) // the lost one came late
		if want := []done{{1, ""}, {2, ""}, {3, ""}, {4, ""}, {5, ""}}; !slices.Equal(got, want) {
			t.Errorf("%s: %v", subject, got)
		}
	}
	if k.held(effect) {
		t.Error("it is still held")
	}
}

// With rebuild every event is handled once more for each replay id, in order,
// while others are being published.
func TestRebuildKeepsOrderWhileEventsArrive(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int32
	}{{"at once", 5000}, {"in parts", 17}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const subjects, before = 5, 20
			k := newKit(t)
			k.publish(subjects, 1, before)
			k.consume(view, nil)
			k.await("the first effects", func() bool { return k.total(view) == subjects*before })

			newest, stop := before, make(chan struct{})
			var publishing sync.WaitGroup
			publishing.Go(func() {
				for going := true; going; {
					newest++
					k.publish(subjects, newest, newest)
					bustest.Pause(5 * time.Millisecond)
					select {
					case <-stop:
						going = false
					default:
					}
				}
			})
			k.replay(&operationsv1.ReplayRequest{Id: "r1", Subscription: view, Rebuild: true, Limit: tt.limit, Who: "operador"})
			close(stop)
			publishing.Wait()
			k.await("everything", func() bool {
				n := 0
				for _, got := range k.effects(view) {
					if got[len(got)-1].N == newest {
						n++
					}
				}
				return n == subjects && k.parked(view) == 0
			})
			for subject, got := range k.effects(view) {
				checkRebuilt(t, subject, got, before, newest)
			}
		})
	}
}

// checkRebuilt wants what was there before to be handled, and from the first event
// of the replay on every event once more, in order: also those that were new, which
// have the replay's mark or, when the consumer met them first, none.
func checkRebuilt(t *testing.T, subject string, got []done, before, newest int) {
	t.Helper()
	first := slices.IndexFunc(got, func(d done) bool { return d.Replay != "" })
	if first < before || len(got)-first != newest {
		t.Errorf("%s: %d effects, then %d with the replay; want %d or more, then %d", subject, first, len(got)-first, before, newest)
	}
	last := 0
	for i, d := range got {
		if i == first {
			last = 0
		}
		if d.N != last+1 {
			t.Errorf("%s: %v comes after %d, at place %d (the replay begins at %d)", subject, d, last, i, first)
		}
		last = d.N
	}
}

// Saying a request again changes nothing, and each replay id has its own effects.
func TestRepeatedReplayRequests(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	all := k.publish(3, 1, 4)
	stop := k.consume(view, nil)
	k.await("the first effects", func() bool { return k.total(view) == len(all) })
	for _, id := range []string{"r1", "r1", "r2"} {
		stop() // a consumer at work would take seconds to step aside
		for range 2 {
			if _, err := k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: id, Subscription: view, Rebuild: true, Limit: 7}); err != nil {
				t.Fatal(err)
			}
		}
		k.replay(&operationsv1.ReplayRequest{Id: id, Subscription: view, Rebuild: true, Limit: 7})
		stop = k.consume(view, nil)
		k.await(id+" to be handled", func() bool { return k.parked(view) == 0 })
	}
	for subject, got := range k.effects(view) {
		for _, id := range []string{"", "r1", "r2"} {
			var n []int
			for _, d := range got {
				if d.Replay == id {
					n = append(n, d.N)
				}
			}
			if !slices.Equal(n, []int{1, 2, 3, 4}) {
				t.Errorf("%s of replay %q: %v", subject, id, n)
			}
		}
	}
}

// A caller that dies in the middle of a replay leaves a hold that ends by itself.
func TestDeadCallersHoldEnds(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(2, 1, 5)
	k.consume(effect, nil)
	k.await("the first effects", func() bool { return k.total(effect) == 10 })
	out, err := k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r1", Subscription: effect, Limit: 3, Who: "operador"})
	if err != nil || out.GetDone() || out.GetParked() != 3 || !k.held(effect) {
		t.Fatalf("%v %v, held %v", out, err, k.held(effect))
	}
	k.clock.Jump(holdTime - 10*time.Second)
	if !k.held(effect) {
		t.Error("the hold ends before its time")
	}
	k.clock.Jump(20 * time.Second)
	if k.held(effect) {
		t.Error("the hold lasts for ever")
	}
	k.publish(2, 6, 6)
	k.await("the consumer to work again", func() bool { return k.total(effect) == 12 && k.parked(effect) == 0 })
	acts, _, err := k.lot.Audit(t.Context(), parking.Filter{Subscription: effect}, "", 10)
	if err != nil || len(acts) != 2 || acts[0].Act != parking.ActHold || acts[1].Act != parking.ActReplay || acts[1].Who != "operador" {
		t.Errorf("the audit of a replay that never ended: %+v, %v", acts, err)
	}
}

// holdTime is what the contract says: a minute.
const holdTime = time.Minute

func TestReplayRefused(t *testing.T) {
	t.Parallel()
	k := newPatientKit(t, 200*time.Millisecond)
	k.publish(1, 1, 3)
	_, err := k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r", Subscription: effect, Rebuild: true})
	k.want(err, fault.Conflict, "assinatura-nao-reconstruivel")
	_, err = k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r", Subscription: "loja.nada"})
	k.want(err, fault.NotFound, "assinatura-nao-encontrada")
	_, err = k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r", Subscription: effect, After: "x"})
	k.want(err, fault.Malformed, "evento-malformado")
	if n := k.parked(effect); n != 0 {
		t.Errorf("%d events parked by what was refused", n)
	}

	lease, err := k.lot.Lease(t.Context(), effect)
	k.must(err)
	_, err = k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r", Subscription: effect})
	k.want(err, fault.Unavailable, "assinatura-ocupada")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = k.Replay(ctx, &operationsv1.ReplayRequest{Id: "r", Subscription: effect})
	if fault.KindOf(err) != fault.Timeout {
		t.Errorf("a caller in a hurry: %v", err)
	}
	k.must(lease.Release())
	if parked, _ := k.replay(&operationsv1.ReplayRequest{Id: "r", Subscription: effect}); parked != 3 {
		t.Errorf("after all that %d are parked, want 3", parked)
	}
}

// next and done are right where a part ends with the log, and From is obeyed.
func TestReplayInParts(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(1, 1, 6)
	k.clock.Jump(time.Hour)
	from := k.clock.Now().UnixMilli()
	all := k.publish(1, 7, 16)
	for _, tt := range []struct {
		limit int32
		calls int
	}{{3, 4}, {5, 3}, {10, 2}, {11, 1}, {0, 1}, {1, 11}} {
		parked, calls := k.replay(&operationsv1.ReplayRequest{Id: "r", Subscription: effect, FromMs: from, Limit: tt.limit})
		if parked != 10 || calls != tt.calls {
			t.Errorf("limit %d: %d parked in %d calls, want 10 in %d", tt.limit, parked, calls, tt.calls)
		}
	}
	letters, _, err := k.lot.List(t.Context(), parking.Filter{Subscription: effect}, "", 100)
	if err != nil || len(letters) != len(all) {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	for i, l := range letters {
		if l.ID != all[i].ID || l.ParkedBy != "teste:1" {
			t.Errorf("place %d: %+v, want %s", i, l, all[i].ID)
		}
	}
	if out, err := k.Replay(k.ctx(), &operationsv1.ReplayRequest{Id: "r", Subscription: view, FromMs: k.clock.Now().Add(time.Hour).UnixMilli()}); err != nil || !out.GetDone() || out.GetParked() != 0 {
		t.Errorf("nothing to replay: %v %v", out, err)
	}
}

// A large replay is a matter of seconds.
func TestReplayIsQuick(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	n := 20_000
	if raceDetector {
		n = 2_000
	}
	k.publish(100, 1, n/100)
	began := time.Now()
	parked, calls := k.replay(&operationsv1.ReplayRequest{Id: "r", Subscription: view, Rebuild: true, Limit: 5000})
	took := time.Since(began)
	if parked != int64(n) || calls != n/5000+1 {
		t.Errorf("%d in %d calls", parked, calls)
	}
	t.Logf("%d events in %s", n, took.Round(time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("%d events took %s", n, took)
	}
}
