package mongostore

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/topology"

	"trama/platform/store"
)

// Codes by which a server says that it cannot take writes now: it is going
// down, stepping down, or not a primary. Nothing was done.
var notNow = []int{
	11600, // InterruptedAtShutdown
	11602, // InterruptedDueToReplStateChange
	10107, // NotWritablePrimary
	13435, // NotPrimaryNoSecondaryOk
	13436, // NotPrimaryOrSecondary
	189,   // PrimarySteppedDown
	91,    // ShutdownInProgress
	14031, // OutOfDiskSpace
}

// ReadError reduces the error of a read: whatever keeps the server from
// answering is Unavailable. nil and a caller's own cancellation stay what they
// are, as does mongo.ErrNoDocuments.
func ReadError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, mongo.ErrNoDocuments):
		return err
	case outage(err), mongo.IsNetworkError(err), mongo.IsTimeout(err):
		return store.Unavailable(err)
	}
	return err
}

// WriteError reduces the error of a write: a duplicate key, Unavailable when the
// write did not reach a server, Timeout when it may have been done.
func WriteError(err error) error {
	var concern *mongo.WriteConcernError
	switch {
	case err == nil, errors.Is(err, mongo.ErrNoDocuments):
		return err
	case mongo.IsDuplicateKeyError(err):
		return store.Constraint("unique", true, err)
	case outage(err):
		return store.Unavailable(err)
	case errors.As(err, &concern), writeConcern(err), mongo.IsNetworkError(err), mongo.IsTimeout(err),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return store.Uncertain(err)
	}
	return err
}

// outage says whether err shows that nothing reached a server that could do it.
func outage(err error) bool {
	var selection topology.ServerSelectionError
	if errors.As(err, &selection) || errors.Is(err, mongo.ErrClientDisconnected) {
		return true
	}
	var answer mongo.ServerError
	if errors.As(err, &answer) {
		for _, code := range notNow {
			if answer.HasErrorCode(code) {
				return true
			}
		}
	}
	return false
}

// writeConcern says whether a write was done but not by as many as it should.
func writeConcern(err error) bool {
	var w mongo.WriteException
	if errors.As(err, &w) && w.WriteConcernError != nil {
		return true
	}
	var b mongo.BulkWriteException
	return errors.As(err, &b) && b.WriteConcernError != nil
}
