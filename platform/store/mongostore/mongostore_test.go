package mongostore_test

import (
	"context"
	"crypto/rand"
	"net"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"trama/platform/clock"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/store"
	"trama/platform/store/mongostore"
	"trama/platform/store/mongostore/mongotest"
)

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestAServerThatIsNotThereIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // an address where, once it is closed, nobody listens
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	db, err := mongostore.Open(t.Context(), "mongodb://"+address+"/x?serverSelectionTimeoutMS=100")
	if err != nil {
		t.Fatalf("opening must not connect: %v", err)
	}
	ctx := within(t, 30*time.Second)
	if err := db.Ping(ctx); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping: %v", err)
	}
	_, err = db.Database().Collection("c").InsertOne(ctx, bson.D{{Key: "_id", Value: 1}})
	if err = mongostore.WriteError(err); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a write that reached nobody: %v", err)
	}
	for range 2 {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := db.Ping(ctx); err == nil || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("ping after close: %v", err)
	}
}

func TestAMistakeInTheURLIsAnError(t *testing.T) {
	for _, url := range []string{"", "http://x", "mongodb://"} {
		if _, err := mongostore.Open(t.Context(), url); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
}

func TestTheURLNamesTheDatabase(t *testing.T) {
	for url, want := range map[string]string{"mongodb://127.0.0.1:1/escola": "escola", "mongodb://127.0.0.1:1": mongostore.DefaultDatabase} {
		db, err := mongostore.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if got := db.Database().Name(); got != want {
			t.Errorf("%s: database %s, want %s", url, got, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestADuplicateKeyIsAConstraint(t *testing.T) {
	db := mongotest.Open(t)
	ctx := within(t, 30*time.Second)
	c := db.Database().Collection("c")
	for i := range 2 {
		_, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: 1}})
		if err = mongostore.WriteError(err); store.IsUnique(err) != (i == 1) {
			t.Errorf("insert %d: %v", i+1, err)
		}
	}
	if err := mongostore.ReadError(c.FindOne(ctx, bson.D{{Key: "_id", Value: 2}}).Err()); err != mongo.ErrNoDocuments { //nolint:errorlint // it must stay what it is
		t.Errorf("no documents: %v", err)
	}
}

func TestACutConnectionLeavesAWriteUncertain(t *testing.T) {
	// A server that greets, then takes the command and hangs up, cannot be
	// simulated without speaking the protocol: the driver's own errors stand for it.
	cut := mongo.CommandError{Message: "connection reset", Labels: []string{"NetworkError"}}
	if err := mongostore.WriteError(cut); fault.KindOf(err) != fault.Timeout {
		t.Errorf("write: %v", err)
	}
	if err := mongostore.ReadError(cut); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("read: %v", err)
	}
	down := mongo.CommandError{Code: 11600, Message: "going down"}
	if err := mongostore.WriteError(down); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("shutdown: %v", err)
	}
	few := mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64, Message: "waiting for replication"}}
	if err := mongostore.WriteError(few); fault.KindOf(err) != fault.Timeout {
		t.Errorf("write concern: %v", err)
	}
}

// leases gives two processes' views of the leases of one database.
func leases(t *testing.T, cl clock.Clock) (a, b *mongostore.Leases) {
	c := mongotest.Open(t).Database().Collection("leases")
	ids := id.New(clock.System{}, rand.Reader)
	return mongostore.NewLeases(c, cl, ids), mongostore.NewLeases(c, cl, ids)
}

func TestOneHoldsALeaseUntilItIsReleased(t *testing.T) {
	a, b := leases(t, clock.System{})
	ctx := within(t, 60*time.Second)
	first, err := a.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	if other, err := b.Lease(ctx, "another"); err != nil {
		t.Errorf("another name: %v", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	soon, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := b.Lease(soon, "relay"); err == nil {
		t.Fatal("two hold the lease")
	}
	select {
	case <-first.Lost():
		t.Fatal("lost while held")
	default:
	}
	for range 2 {
		if err := first.Release(); err != nil {
			t.Error(err)
		}
	}
	<-first.Lost()
	second, err := b.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
	if _, err := a.Lease(ctx, "Not A Name"); err == nil {
		t.Error("a bad name is accepted")
	}
}

func TestALeaseOfTheDeadIsTakenOver(t *testing.T) {
	var cl clock.Shifted
	a, b := leases(t, &cl)
	ctx := within(t, 60*time.Second)
	frozen, err := a.Lease(ctx, "relay") // it will not renew before others believe it dead
	if err != nil {
		t.Fatal(err)
	}
	cl.Jump(time.Minute)
	second, err := b.Lease(ctx, "relay")
	if err != nil {
		t.Fatal(err)
	}
	select { // the frozen one finds out at its next renewal
	case <-frozen.Lost():
	case <-ctx.Done():
		t.Fatal("the first holder never learns that it lost the lease")
	}
	if err := frozen.Release(); err != nil {
		t.Error(err)
	}
	select {
	case <-second.Lost():
		t.Fatal("the release of a lost lease took it from its new holder")
	default:
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}
