package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmamqp "github.com/ThreeDotsLabs/watermill-amqp/v3/pkg/amqp"
	wmsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus"
	"trama/platform/outbox"
)

// mill is Watermill with one of its drivers: publisher, subscriber, router.
type mill struct {
	b           *bench
	pub         message.Publisher
	sub         message.Subscriber
	topic       string
	subscribers int
	handle      func(m *message.Message) error
	router      *message.Router
	bare        *bareAMQP // lays in events quicker than Publish; nil: Publish does
}

// openWatermillAMQP: quorum queue behind a topic exchange, persistent, confirms,
// a pool of channels. A subscriber takes one message at a time whatever the
// prefetch; several of them compete for the queue and give up its order.
func openWatermillAMQP(subscribers int) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		cfg := wmamqp.NewDurableTopicConfig(b.amqpURL, b.name, b.name)
		cfg.Exchange.Durable = true // it is not by default
		cfg.Queue.Arguments = amqp.Table{amqp.QueueTypeArg: amqp.QueueTypeQuorum}
		cfg.Publish.ConfirmDelivery = true
		cfg.Publish.ChannelPoolSize = 16
		cfg.Consume.Qos.PrefetchCount = 100
		if subscribers > 1 {
			cfg.Consume.Qos.PrefetchCount = 16
		}
		effects, err := openBareEffects(ctx, b)
		if err != nil {
			return nil, err
		}
		bare, err := newBareAMQP(b, effects, false) // the same exchange and queue
		if err != nil {
			return nil, err
		}
		pub, err := wmamqp.NewPublisher(cfg, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		b.later(func() { _ = pub.Close() })
		sub, err := wmamqp.NewSubscriber(cfg, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		b.later(func() { _ = sub.Close() })
		return &mill{b: b, pub: pub, sub: sub, topic: eventType, subscribers: subscribers, bare: bare, handle: b.ownTransaction}, nil
	}
}

// openWatermillSQL: its default schema (offsets per consumer group), pages of
// 100, poll every 10 ms when there is nothing (the default is 1 s). One
// subscriber: others of its group would only wait for its row lock.
func openWatermillSQL(inItsTx bool) func(context.Context, *bench) (side, error) {
	return func(ctx context.Context, b *bench) (side, error) {
		poolCfg, err := pgxpool.ParseConfig(b.pgURL)
		if err != nil {
			return nil, err
		}
		poolCfg.MaxConns = storeConns
		pool, err := pgxpool.NewWithConfig(ctx, poolCfg)
		if err != nil {
			return nil, err
		}
		b.later(pool.Close)
		schema := wmsql.DefaultPostgreSQLSchema{GeneratePayloadType: func(string) string { return "BYTEA" }, SubscribeBatchSize: batchSize}
		db := wmsql.BeginnerFromPgx(pool)
		pub, err := wmsql.NewPublisher(db, wmsql.PublisherConfig{SchemaAdapter: schema, AutoInitializeSchema: true}, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		sub, err := wmsql.NewSubscriber(db, wmsql.SubscriberConfig{ConsumerGroup: subscription, SchemaAdapter: schema, InitializeSchema: true,
			OffsetsAdapter: wmsql.DefaultPostgreSQLOffsetsAdapter{}, PollInterval: 10 * time.Millisecond}, watermill.NopLogger{})
		if err != nil {
			return nil, err
		}
		if err := sub.SubscribeInitialize("bench"); err != nil {
			return nil, err
		}
		b.later(func() { _ = sub.Close() })
		m := &mill{b: b, pub: pub, sub: sub, topic: "bench", subscribers: 1, handle: b.ownTransaction}
		if inItsTx {
			m.handle = subscriberTransaction
		}
		return m, nil
	}
}

// ownTransaction is the handler of our buses, too.
func (b *bench) ownTransaction(m *message.Message) error {
	return b.effects.one(m.Context(), bus.Event{ID: m.UUID, Subject: "aluno"})
}

// subscriberTransaction writes in the transaction with which Watermill's SQL
// subscriber takes its page.
func subscriberTransaction(m *message.Message) error {
	tx, ok := wmsql.TxFromContext(m.Context())
	if !ok {
		return fmt.Errorf("no transaction")
	}
	r, err := tx.ExecContext(m.Context(), outbox.InboxRow, subscription, m.UUID, int64(0))
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.ExecContext(m.Context(), effectRow, m.UUID, "aluno")
	return err
}

func (w *mill) publish(_ context.Context, _ int, events []bus.Event) error {
	messages := make([]*message.Message, len(events))
	for i, e := range events {
		messages[i] = message.NewMessage(e.ID, w.b.body)
	}
	return w.pub.Publish(w.topic, messages...)
}

func (w *mill) stock(ctx context.Context, events []bus.Event) error {
	if w.bare != nil {
		return w.bare.publish(ctx, 0, events)
	}
	return w.publish(ctx, 0, events)
}

func (w *mill) consume(ctx context.Context, done func(ids ...string)) error {
	var err error
	w.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: patience}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	for i := range w.subscribers {
		w.router.AddConsumerHandler(fmt.Sprint("bench", i), w.topic, w.sub, func(m *message.Message) error {
			if err := w.handle(m); err != nil {
				return err
			}
			done(m.UUID)
			return nil
		})
	}
	go func() {
		if err := w.router.Run(ctx); err != nil {
			w.b.log.Error("router", "error", err)
		}
	}()
	<-w.router.Running()
	return nil
}

func (w *mill) close() {
	if w.router != nil {
		_ = w.router.Close()
	}
}
