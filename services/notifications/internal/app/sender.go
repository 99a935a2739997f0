package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/telemetry"
	"trama/services/notifications/internal/letter"
	"trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/message"
)

const (
	poll      = 500 * time.Millisecond // for messages that other processes queued
	grace     = 5 * time.Second        // for mails in hand when the sender must end
	maxReason = 300                    // characters kept of a failure
)

// Sender sends what is due. One runs at a time among all processes of a store
// (its loop is a leader), so a message is in one hand; a sender that dies between
// sending and recording leaves a message that the next one sends again.
type Sender struct {
	Outgoing Outgoing
	Mailer   Mailer
	Accounts Accounts
	Writer   *letter.Writer
	Retry    message.Retry
	Parallel int // mails at a time
	Clock    clock.Clock
	Log      *slog.Logger
	Crash    *crash.Points
}

// Run works until ctx ends, then lets the mails in hand go out.
func (s *Sender) Run(ctx context.Context) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		_ = s.Clock.Wait(sending, grace)
		stop()
	})()
	r := &round{Sender: s, ctx: sending, inHand: map[string]bool{}, done: make(chan string, s.Parallel)}
	failing := false
	for ctx.Err() == nil {
		pause, err := r.dispatch(ctx)
		if err != nil && ctx.Err() == nil && !failing { // once per outage
			s.Log.WarnContext(ctx, "notifications: the queue cannot be read; mail waits", "kind", fault.KindOf(err).String(), "error", err)
		}
		failing = err != nil
		r.wait(ctx, pause)
	}
	for len(r.inHand) > 0 {
		delete(r.inHand, <-r.done)
	}
	return nil
}

// round is the state of one Run.
type round struct {
	*Sender
	ctx    context.Context // of the mails in hand
	inHand map[string]bool
	done   chan string // ids that are not in hand any more
}

// dispatch takes as many due messages in hand as there are hands, and tells how
// long nothing else will be due.
func (r *round) dispatch(ctx context.Context) (time.Duration, error) {
	free := r.Parallel - len(r.inHand)
	if free == 0 {
		return poll, nil
	}
	now := r.Clock.Now()
	due, err := r.Outgoing.Due(ctx, now, now.Add(r.Retry.Longest), 2*r.Parallel) // those in hand are among them
	if err != nil {
		return poll, err
	}
	for _, m := range due {
		if free == 0 {
			return poll, nil
		}
		if r.inHand[m.ID] {
			continue
		}
		free--
		r.inHand[m.ID] = true
		go func() {
			defer func() { r.done <- m.ID }()
			r.one(r.ctx, m)
		}()
	}
	next, err := r.Outgoing.NextDue(ctx, now)
	if err != nil || next.IsZero() {
		return poll, err
	}
	return min(poll, next.Sub(now)), nil
}

// wait waits for a free hand, a new message, the time or the end.
func (r *round) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case id := <-r.done:
		delete(r.inHand, id)
	case <-r.Outgoing.Wake():
	case <-t.C:
	}
}

// one sends a message and records what became of it.
func (s *Sender) one(ctx context.Context, m message.Message) {
	ctx = telemetry.Start(telemetry.WithTraceParent(ctx, m.Trace))
	defer func() {
		if p := recover(); p != nil {
			s.Log.ErrorContext(ctx, "notifications: panic while sending", "message", m.ID, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			m.Postpone(s.Clock.Now(), "panic", s.Retry)
			s.record(ctx, m)
		}
	}()
	if m.Expired(s.Clock.Now()) {
		m.GiveUp(s.Clock.Now(), "vencida")
		s.record(ctx, m)
		return
	}
	subject, err := s.send(ctx, m)
	now := s.Clock.Now()
	switch {
	case err == nil:
		s.Crash.At("notifications.sent")
		m.Delivered(now, subject)
	case ctx.Err() != nil: // we are going down: not the message's fault
		return
	case fault.KindOf(err) == fault.Invalid:
		m.GiveUp(now, reason(err, m))
	default:
		m.Postpone(now, reason(err, m), s.Retry)
	}
	s.tell(ctx, m, err)
	s.record(ctx, m)
}

// send writes the letter and hands it over.
func (s *Sender) send(ctx context.Context, m message.Message) (subject string, err error) {
	var password *letter.Password
	if m.Kind == message.Welcome {
		if password, err = s.Accounts.FirstPassword(ctx, m.Facts.AccountID); err != nil {
			return "", err
		}
	}
	l, err := s.Writer.Write(m, password)
	if err != nil {
		return "", err
	}
	return l.Subject, s.Mailer.Send(ctx, mail.Mail{ID: m.ID, ToName: m.Name, ToEmail: m.Email, Subject: l.Subject,
		Text: l.Text, HTML: l.HTML, Date: m.CreatedAt, Unsubscribe: l.Unsubscribe})
}

// record stores what became of a message. While the store is down it tries
// again: what is not recorded would be sent twice.
func (s *Sender) record(ctx context.Context, m message.Message) {
	for {
		err := s.Outgoing.Save(ctx, m)
		if err == nil {
			return
		}
		if ctx.Err() != nil || !fault.KindOf(err).Transient() {
			s.Log.ErrorContext(ctx, "notifications: what became of a message is not recorded; it may be sent twice",
				"message", m.ID, "state", string(m.State), "error", err)
			return
		}
		_ = s.Clock.Wait(ctx, poll)
	}
}

// tell logs a failure at its first occurrence and when it is final.
func (s *Sender) tell(ctx context.Context, m message.Message, err error) {
	if err == nil || (m.State == message.Waiting && m.Attempts > 1) {
		return
	}
	f := fault.As(err)
	s.Log.WarnContext(ctx, "notifications: a mail was not sent", "message", m.ID, "kind_of_mail", string(m.Kind), "state", string(m.State),
		"attempts", m.Attempts, "code", f.Code, "kind", f.Kind.String(), "reason", m.Reason, "trace_id", telemetry.TraceID(ctx))
}

// reason tells of a failure without saying to whom.
func reason(err error, m message.Message) string {
	text := fault.As(err).Code
	if cause := errors.Unwrap(fault.As(err)); cause != nil {
		text += ": " + cause.Error()
	}
	for _, personal := range []string{m.Email, m.Name} {
		if personal != "" {
			text = strings.ReplaceAll(text, personal, "***")
		}
	}
	if r := []rune(text); len(r) > maxReason {
		text = string(r[:maxReason]) + "…"
	}
	return text
}
