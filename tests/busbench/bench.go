package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
)

// The engines; "" is none.
const (
	rabbitmq = "rabbitmq"
	postgres = "postgres"
)

const eventType = "br.trama.teste.FatoOcorrido.v1"

// bench is the place of one child: engines of its own, and events.
type bench struct {
	order     order
	contender contender
	log       *slog.Logger
	name      string // of everything it makes
	amqpURL   string
	pgURL     string
	dir       string
	effects   *effects

	count  atomic.Int64
	at     time.Time
	data   []byte // of an event, so that it is encoded in eventBytes
	body   []byte // what contenders send that know no events
	closes []func()
}

func amqpURL() string {
	return envOr("TRAMA_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")
}

func adminURL() string {
	return envOr("TRAMA_TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable")
}

func envOr(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}

// missingEngines gives those that do not answer, and why.
func missingEngines() map[string]error {
	out := map[string]error{}
	if c, err := amqp.Dial(amqpURL()); err != nil {
		out[rabbitmq] = err
	} else {
		_ = c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if c, err := pgx.Connect(ctx, adminURL()); err != nil {
		out[postgres] = err
	} else {
		_ = c.Close(ctx)
	}
	return out
}

func newBench(ctx context.Context, o order, c contender) (*bench, error) {
	b := &bench{order: o, contender: c, amqpURL: amqpURL(), at: time.Now().UTC().Truncate(time.Second),
		log:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		name: fmt.Sprintf("trama_bench_%d_%x", os.Getpid(), time.Now().UnixNano()&0xffffff)}
	if err := b.prepare(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) prepare(ctx context.Context) (err error) {
	if b.dir, err = os.MkdirTemp("", "busbench"); err != nil {
		return err
	}
	b.later(func() { _ = os.RemoveAll(b.dir) })
	if c := b.contender; c.engine == postgres || c.store == postgres {
		if err := b.makeDatabase(ctx); err != nil {
			return err
		}
	}
	if b.effects, err = openEffects(ctx, b); err != nil {
		return err
	}
	return b.prepareBody()
}

// prepareBody makes events whose encoding has eventBytes.
func (b *bench) prepareBody() error {
	e := b.event(0)
	e.Data = []byte(`{"texto":""}`)
	bare, err := bus.Encode(e)
	if err != nil {
		return err
	}
	b.data = fmt.Appendf(nil, `{"texto":"%s"}`, strings.Repeat("x", eventBytes-len(bare)))
	e.Data = b.data
	b.body, err = bus.Encode(e)
	if err == nil && len(b.body) != eventBytes {
		err = fmt.Errorf("an event has %d bytes", len(b.body))
	}
	return err
}

func (b *bench) later(f func()) { b.closes = append(b.closes, f) }

func (b *bench) close() {
	for i := len(b.closes) - 1; i >= 0; i-- {
		b.closes[i]()
	}
	b.closes = nil
}

func (b *bench) makeDatabase(ctx context.Context) error {
	admin, err := pgx.Connect(ctx, adminURL())
	if err != nil {
		return err
	}
	b.later(func() { _ = admin.Close(ctx) })
	if _, err := admin.Exec(ctx, `CREATE DATABASE `+b.name); err != nil {
		return err
	}
	b.later(func() { _, _ = admin.Exec(ctx, `DROP DATABASE IF EXISTS `+b.name+` WITH (FORCE)`) })
	u, err := url.Parse(adminURL())
	if err != nil {
		return errors.New("TRAMA_TEST_POSTGRES_URL is no URL")
	}
	u.Path = "/" + b.name
	b.pgURL = u.String()
	return nil
}

// dropAtEnd removes what is at the broker.
func (b *bench) dropAtEnd(exchange string, queues ...string) {
	b.later(func() {
		c, err := amqp.Dial(b.amqpURL)
		if err != nil {
			return
		}
		defer c.Close()
		ch, err := c.Channel()
		if err != nil {
			return
		}
		for _, q := range queues {
			_, _ = ch.QueueDelete(q, false, false, false)
		}
		_ = ch.ExchangeDelete(exchange, false, false)
	})
}

func (b *bench) path(file string) string { return filepath.Join(b.dir, file) }

// events makes n new ones.
func (b *bench) events(n int) []bus.Event {
	out := make([]bus.Event, n)
	for i := range out {
		out[i] = b.event(b.count.Add(1))
	}
	return out
}

// event makes the i-th event: of one of 1,000 subjects, with an id as long as a UUID.
func (b *bench) event(i int64) bus.Event {
	return bus.Event{SpecVersion: "1.0", ID: fmt.Sprintf("01930000-0000-7000-8000-%012d", i), Source: "/bench", Type: eventType,
		Subject: fmt.Sprintf("aluno-%04d", i%1000), Time: b.at, DataContentType: "application/json", Data: b.data}
}

// number gives back the i of an event's id.
func number(id string) int {
	n, err := strconv.Atoi(id[len(id)-12:])
	if err != nil {
		panic(err) // we made it ourselves
	}
	return n
}
