package main

import (
	"context"

	"trama/platform/bus"
)

// side is one contender at work.
type side interface {
	// publish stores the events durably; several producers call it at a time.
	publish(ctx context.Context, producer int, events []bus.Event) error
	// consume begins to handle events. done hears an event's id after the
	// transaction with its inbox and effect rows is committed.
	consume(ctx context.Context, done func(ids ...string)) error
	close()
}

// stocker is a side that has a quicker way than publish to lay in events.
type stocker interface {
	stock(ctx context.Context, events []bus.Event) error
}

const (
	eventBytes = 512
	parallel   = 32 // handlers at a time, where a contender can
	storeConns = 16 // connections of the store with inbox and effects
	batchSize  = 100
)

// The groups of measurements.
const (
	publishing = "publish"
	consuming  = "consume"
	through    = "through"
	embedded   = "embedded"
)

var allGroups = []string{publishing, consuming, through, embedded}

type contender struct {
	name, title   string
	engine, store string // that carries the events; that has inbox and effects
	groups        []string
	stock         int // events per second of measurement to lay in before consuming
	open          func(context.Context, *bench) (side, error)
}

const (
	slow  = 4_000
	quick = 12_000
)

var contenders = []contender{
	{name: "amqp-bare", title: "bare amqp091-go", engine: rabbitmq, store: postgres, groups: []string{publishing, consuming, through}, stock: slow, open: openBareAMQP(false)},
	{name: "amqp-bare-batch", title: "bare amqp091-go, 100 per transaction", engine: rabbitmq, store: postgres, groups: []string{consuming}, stock: quick, open: openBareAMQP(true)},
	{name: "amqpbus", title: "**amqpbus**", engine: rabbitmq, store: postgres, groups: []string{publishing, through}, open: openAMQPBus(true, false)},
	{name: "amqpbus-nolog", title: "**amqpbus**, LogOff", engine: rabbitmq, store: postgres, groups: []string{publishing, consuming, through}, stock: slow, open: openAMQPBus(false, false)},
	{name: "amqpbus-nolog-batch", title: "**amqpbus**, LogOff, Batch of up to 100", engine: rabbitmq, store: postgres, groups: []string{consuming, through}, stock: quick, open: openAMQPBus(false, true)},
	{name: "amqp-watermill", title: "Watermill AMQP, 1 subscriber (in order)", engine: rabbitmq, store: postgres, groups: []string{publishing, consuming, through}, stock: slow, open: openWatermillAMQP(1)},
	{name: "amqp-watermill-32", title: "Watermill AMQP, 32 subscribers (no order)", engine: rabbitmq, store: postgres, groups: []string{consuming, through}, stock: slow, open: openWatermillAMQP(parallel)},

	{name: "pg-bare", title: "bare pgx", engine: postgres, groups: []string{publishing, consuming}, stock: slow, open: openBarePG(false, false)},
	{name: "pg-bare-indexes", title: "bare pgx, a log with pgbus's indexes", engine: postgres, groups: []string{publishing}, open: openBarePG(false, true)},
	{name: "pg-bare-batch", title: "bare pgx, 100 per transaction", engine: postgres, groups: []string{consuming}, stock: quick, open: openBarePG(true, false)},
	{name: "pgbus", title: "**pgbus**", engine: postgres, groups: []string{publishing, consuming, through}, stock: slow, open: openPGBus(false)},
	{name: "pgbus-batch", title: "**pgbus**, Batch of up to 100", engine: postgres, groups: []string{consuming, through}, stock: quick, open: openPGBus(true)},
	{name: "pg-watermill", title: "Watermill SQL", engine: postgres, groups: []string{publishing, consuming, through}, stock: slow, open: openWatermillSQL(false)},
	{name: "pg-watermill-tx", title: "Watermill SQL, inbox and effect in its own transaction of 100", engine: postgres, groups: []string{consuming}, stock: quick, open: openWatermillSQL(true)},

	{name: "sqlitebus", title: "**sqlitebus**", groups: []string{publishing, consuming, through}, stock: quick, open: openSQLiteBus(oneByOne)},
	{name: "sqlitebus-batch", title: "**sqlitebus**, Batch of up to 100", groups: []string{consuming, through}, stock: quick, open: openSQLiteBus(inBatches)},
	{name: "sqlitebus-empty", title: "**sqlitebus**, empty handler", groups: []string{embedded}, open: openSQLiteBus(emptyHandler)},
}
