// Package notify carries notices to the merchant: signed POSTs, repeated with
// growing pauses until one is answered with 2xx. A notice may arrive twice,
// never not at all; notices of different charges may overtake each other.
//
// Signature: header Trama-Assinatura is "t=<unix seconds>,v1=<hex>", where hex is
// HMAC-SHA256 of "<t>.<body>" with the shared secret.
package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/services/acquirersim/internal/store"
)

// Header carries the signature.
const Header = "Trama-Assinatura"

const (
	batch   = 64                     // notices looked at together
	senders = 8                      // requests at a time
	poll    = 500 * time.Millisecond // how often retries, and notices of other processes, are looked for
)

// Ledger is the queue of notices.
type Ledger interface {
	Notices(ctx context.Context, now, latest time.Time, limit int) ([]store.Notice, error)
	Delivered(ctx context.Context, id string) error
	Postpone(ctx context.Context, id string, next time.Time) error
	Wake() <-chan struct{}
}

// Sender carries the notices.
type Sender struct {
	URL        string // of the merchant; empty: notices wait
	Secret     []byte
	Timeout    time.Duration // of one request
	Backoff    time.Duration // first pause, doubled each time
	MaxBackoff time.Duration
	Ledger     Ledger
	Expire     func(context.Context) (int, error) // ends charges whose time is over, which makes notices
	Clock      clock.Clock
	Log        *slog.Logger
	Crash      *crash.Points
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	client := &http.Client{
		Timeout:       s.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	if s.URL == "" {
		s.Log.Warn("acquirersim: no callback URL; payments by pix and boleto are not reported")
	}
	for {
		more, err := s.pass(ctx, client)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.Log.Warn("acquirersim: notices are interrupted", "error", err)
		}
		if more && err == nil {
			continue
		}
		t := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-s.Ledger.Wake():
		case <-t.C:
		}
		t.Stop()
	}
}

// pass expires and sends what is due; more says that a full batch was found.
func (s *Sender) pass(ctx context.Context, client *http.Client) (more bool, err error) {
	if _, err := s.Expire(ctx); err != nil {
		return false, err
	}
	if s.URL == "" {
		return false, nil
	}
	now := s.Clock.Now()
	due, err := s.Ledger.Notices(ctx, now, now.Add(s.MaxBackoff), batch)
	if err != nil {
		return false, err
	}
	var g errgroup.Group
	g.SetLimit(senders)
	for _, n := range due {
		g.Go(func() error { return s.deliver(ctx, client, n) })
	}
	return len(due) == batch, g.Wait()
}

// deliver makes one attempt; its error is the ledger's, never the merchant's.
func (s *Sender) deliver(ctx context.Context, client *http.Client, n store.Notice) error {
	err := s.post(ctx, client, n)
	if ctx.Err() != nil {
		return nil // interrupted: not the merchant's fault, no attempt spent
	}
	if err == nil {
		s.Crash.At("acquirersim.notified")
		return s.Ledger.Delivered(ctx, n.ID)
	}
	pause := s.pause(n.Attempts)
	s.Log.Warn("acquirersim: the merchant did not take a notice; it is sent again",
		"notice", n.ID, "charge", n.ChargeID, "attempt", n.Attempts+1, "pause", pause, "error", err)
	return s.Ledger.Postpone(ctx, n.ID, s.Clock.Now().Add(pause))
}

func (s *Sender) pause(attempts int) time.Duration {
	d := s.Backoff
	for range attempts {
		if d *= 2; d >= s.MaxBackoff {
			return s.MaxBackoff
		}
	}
	return d
}

func (s *Sender) post(ctx context.Context, client *http.Client, n store.Notice) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(n.Body))
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(Header, Sign(s.Secret, s.Clock.Now(), n.Body))
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("notify: answered %d", res.StatusCode)
	}
	return nil
}

// Sign gives the signature header of a body sent at now.
func Sign(secret []byte, now time.Time, body string) string {
	t := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "." + body))
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
