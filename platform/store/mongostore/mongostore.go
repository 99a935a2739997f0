// Package mongostore opens MongoDB for services that keep documents, reduces its
// errors to faults, and gives leases. It is not an adapter of store.DB: a
// document store has no SQL and, as we use it, no transactions; each service
// that offers MongoDB has its own adapter of its own port.
//
// Promises:
//
//   - A write is acknowledged by a majority and by the journal. Reads are from
//     the primary.
//   - Opening does no I/O: the driver connects when it is used, finds the server
//     again after an outage, and gives up on a server it cannot find after
//     three seconds (or the URL's serverSelectionTimeoutMS).
//   - Errors are the faults of package store: Unavailable when nothing was done,
//     Timeout when a write may have been done, *store.ConstraintError (Unique) for
//     a duplicate key.
//
// Only the plain subset of MongoDB is used, and wanted of adapters: single
// documents, unique indexes, no transactions, no change streams, no TTL indexes.
// It was tested against FerretDB v1.24.2 (tests/ferretdb), not against mongod.
package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

// DefaultDatabase is used when the URL names none.
const DefaultDatabase = "trama"

const (
	patience    = 3 * time.Second // how long an operation waits for a server that cannot be reached
	connections = 64              // to a server, at most
	farewell    = 5 * time.Second // for operations under way when the client is closed
)

// DB is a client and the database its URL names. It is safe for concurrent use.
type DB struct {
	client *mongo.Client
	db     *mongo.Database
}

// Open makes a client for a MongoDB connection string, whose path names the
// database ("mongodb://user:password@host:27017/marketing"). It connects to
// nothing; an error is a mistake in the URL.
func Open(_ context.Context, url string) (*DB, error) {
	cs, err := connstring.ParseAndValidate(url)
	if err != nil {
		return nil, fmt.Errorf("mongostore: url: %w", err)
	}
	name := cs.Database
	if name == "" {
		name = DefaultDatabase
	}
	journal := true
	client, err := mongo.Connect(options.Client().
		SetAppName("trama").
		SetServerSelectionTimeout(patience).
		SetConnectTimeout(patience).
		SetMaxPoolSize(connections).
		ApplyURI(url). // what it sets of the above holds, of the below not
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Local()).
		SetReadPreference(readpref.Primary()))
	if err != nil {
		return nil, fmt.Errorf("mongostore: %w", err)
	}
	return &DB{client: client, db: client.Database(name)}, nil
}

// Database gives the database of the URL.
func (d *DB) Database() *mongo.Database { return d.db }

// Ping says whether the server answers; Unavailable otherwise.
func (d *DB) Ping(ctx context.Context) error {
	return ReadError(d.client.Ping(ctx, readpref.Primary()))
}

// Close closes all connections. Closing twice is no error.
func (d *DB) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := d.client.Disconnect(ctx); err != nil && !errors.Is(err, mongo.ErrClientDisconnected) {
		return fmt.Errorf("mongostore: close: %w", err)
	}
	return nil
}
