package sqlitebus

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"trama/platform/bus"
	"trama/platform/bus/lane"
)

// item is an event of the log, or why it cannot be read.
type item struct {
	lane.Delivery
	err error
}

// next reads the next events of the consumer's types, and the position up to
// which there is none besides them.
func (c *consumer) next() ([]item, int64, error) {
	t := c.bus.tail
	if got, ok := t.take(c.reader, readEvents); ok {
		batch := make([]item, len(got))
		for i, e := range got {
			batch[i].Ref = uint64(e.seq)
			batch[i].Event, batch[i].err = e.rec.decode()
		}
		return batch, t.place(c.reader), nil
	}
	batch, upTo, err := c.readFile(t.place(c.reader))
	if err == nil {
		t.moved(c.reader, upTo)
	}
	return batch, upTo, err
}

// readFile reads what comes after pos from the file.
func (c *consumer) readFile(pos int64) ([]item, int64, error) {
	var head int64
	if err := c.bus.reads.QueryRowContext(c.life, sqlHead).Scan(&head); err != nil {
		return nil, 0, err
	}
	args := []any{pos, head, readEvents}
	for _, t := range c.sub.Types {
		args = append(args, t)
	}
	rows, err := c.behind.QueryContext(c.life, args...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var batch []item
	var last int64
	for n, bytes := 0, 0; rows.Next(); n++ {
		var subject string
		var body sql.RawBytes
		if err := rows.Scan(&last, &subject, &body); err != nil {
			return nil, 0, err
		}
		x := item{Delivery: lane.Delivery{Ref: uint64(last)}}
		x.Event, x.err = bus.Decode(body)
		x.Event.Subject = subject
		batch = append(batch, x)
		if bytes += len(body); bytes > readBytes || n+1 == readEvents {
			return batch, last, nil
		}
	}
	return batch, head, rows.Err()
}

// park makes a dead letter of a stored event that cannot be read, because the
// file was tampered with.
func (c *consumer) park(x lane.Delivery, err error) {
	c.log.Error("event bus: stored event cannot be read; parked as a dead letter",
		"subscription", c.sub.Name, "position", x.Ref, "error", err)
	c.books.settle(x, lane.Outcome{Verdict: lane.Dead, Attempts: x.Attempts, Kind: "malformed", Reason: err.Error()})
	c.bus.nudge()
}

// resume brings the next kept event of every subject whose last one is settled,
// as far as there is room. False: the consumer is draining.
func (c *consumer) resume() bool {
	list := c.books.takeFreed()
	trouble := newTrouble(c, "event bus: cannot read waiting events; will go on trying")
	for i := 0; i < len(list); {
		refused, err := c.resumeSubject(list[i])
		switch {
		case err != nil:
			if !trouble.wait(err) {
				return false
			}
		case refused:
			c.books.giveFreed(list[i:])
			return true
		default:
			i++
		}
	}
	trouble.over()
	return c.life.Err() == nil
}

func (c *consumer) resumeSubject(f freed) (refused bool, err error) {
	x, found, err := c.nextKept(f)
	if err == nil && !found && c.books.hides(f.subject) {
		if err = c.flush(c.life); err == nil {
			x, found, err = c.nextKept(f)
		}
	}
	if err != nil {
		return false, err
	}
	if !found {
		c.lanes.Release(f.subject)
		return false, nil
	}
	c.books.resumed(int64(x.Ref), true)
	if x.err != nil {
		c.park(x.Delivery, x.err)
	} else if !c.lanes.Resume(x.Delivery) {
		c.books.resumed(int64(x.Ref), false)
		return true, nil
	}
	return false, nil
}

func (c *consumer) nextKept(f freed) (x item, found bool, err error) {
	var due int64
	var body []byte
	err = c.bus.reads.QueryRowContext(c.life, sqlNextWaiting, c.sub.Name, f.subject, f.after).Scan(&x.Ref, &x.Attempts, &due, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return x, false, nil
	}
	if err != nil {
		return x, false, err
	}
	x.Due = time.UnixMilli(due).UTC()
	x.Event, x.err = bus.Decode(body)
	x.Event.Subject = f.subject
	return x, true, nil
}

// Drain implements bus.Consumer.
func (c *consumer) Drain(ctx context.Context) error {
	c.drain.Do(func() {
		c.stop()
		<-c.fed
		c.drainErr = c.lanes.Drain(ctx)
		if c.lock != nil {
			c.books.close()
			c.drainErr = errors.Join(c.drainErr, c.flush(ctx))
			c.lock.release()
		}
		if c.behind != nil {
			_ = c.behind.Close()
		}
		c.bus.forget(c)
	})
	return c.drainErr
}

// write puts the page into the writer's transaction.
func (p page) write(x execer, subscription string) error {
	for seq, r := range p.rows {
		state := "waiting"
		if r.dead {
			state = "dead"
		}
		if err := x.exec(sqlKeep, subscription, seq, r.subject, state, r.attempts, r.due, r.kind, r.reason, r.parkedAt); err != nil {
			return err
		}
	}
	for seq := range p.drops {
		if err := x.exec(sqlDrop, subscription, seq); err != nil {
			return err
		}
	}
	return x.exec(sqlCursor, subscription, p.low)
}

// flush writes down what is settled. On an error it is kept for the next time.
func (c *consumer) flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	p, any := c.books.take()
	if !any {
		return nil
	}
	done := false
	err := c.bus.writer.do(context.WithoutCancel(ctx), &job{apply: func(x execer) error {
		c.bus.opt.Crash.At("bus.cursor")
		return p.write(x, c.sub.Name)
	}})
	if done = err == nil; done {
		c.books.written(p)
		if c.flushFailing {
			c.log.Info("event bus: progress is written down again", "subscription", c.sub.Name)
		}
	} else {
		c.books.restore(p)
		c.bus.nudge()
		if !c.flushFailing && !errors.Is(err, errClosed) {
			c.log.Error("event bus: cannot write down progress; will go on trying, and events may be delivered again",
				"subscription", c.sub.Name, "error", err)
		}
	}
	c.flushFailing = !done
	return err
}

// trouble paces the repetition of something that fails, and logs once when it
// begins and once when it is over.
type trouble struct {
	c     *consumer
	msg   string
	tries int
}

func newTrouble(c *consumer, msg string) *trouble { return &trouble{c: c, msg: msg} }

// wait is false when the consumer is draining.
func (t *trouble) wait(err error) bool {
	if t.c.life.Err() != nil {
		return false
	}
	if t.tries == 0 {
		t.c.log.LogAttrs(t.c.life, slog.LevelError, t.msg, slog.String("subscription", t.c.sub.Name), slog.Any("error", err))
	}
	t.tries++
	return t.c.bus.clock.Wait(t.c.life, min(50*time.Millisecond<<min(t.tries, 7), 5*time.Second)) == nil
}

func (t *trouble) over() {
	if t.tries > 0 {
		t.c.log.LogAttrs(t.c.life, slog.LevelInfo, "event bus: going on", slog.String("subscription", t.c.sub.Name))
	}
	t.tries = 0
}
