// Command ferretdb is a MongoDB-protocol server for tests: FerretDB v1 with its
// SQLite backend in a temporary folder. No MongoDB server can be had from a Go
// module, so this is what the MongoDB adapters are tested against. It is a
// module of its own, so that the product does not carry its dependencies.
//
//	cd tests/ferretdb && go build -o /tmp/trama-ferretdb .
//	/tmp/trama-ferretdb --listen 127.0.0.1:27117
//
// It prints one line, the address for TRAMA_TEST_MONGODB_URL, once it serves, and
// runs until SIGINT or SIGTERM; then the data is gone.
//
// FerretDB v1 differs from MongoDB in what matters to our adapters as follows: it
// has no transactions, change streams, TTL or partial indexes (ours use none), it
// scans where MongoDB uses an index, and two concurrent updates may both match
// the same document. The last one breaks MongoDB's promise that the change of
// one document is atomic, so commands pass here one at a time (see gate).
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:27117", "address to serve at; port 0 chooses one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, listen string) error {
	dir, err := os.MkdirTemp("", "trama-ferretdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "ferretdb.sock")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Handler:   "sqlite",
		SQLiteURL: "file:" + data + "/",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("mongodb://%s/\n", l.Addr())
	go (&gate{socket: socket}).serve(l)
	defer l.Close()
	return db.Run(ctx)
}
