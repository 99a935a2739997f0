package call

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"connectrpc.com/connect/v2"

	"trama/platform/fault"
)

// codes gives the Connect code of each kind; the kind itself travels in the
// message, so two kinds may share a code.
var codes = map[fault.Kind]connect.Code{
	fault.Internal: connect.CodeInternal, fault.Malformed: connect.CodeInvalidArgument,
	fault.Unauthenticated: connect.CodeUnauthenticated, fault.Forbidden: connect.CodePermissionDenied,
	fault.NotFound: connect.CodeNotFound, fault.Conflict: connect.CodeFailedPrecondition,
	fault.Precondition: connect.CodeAborted, fault.Invalid: connect.CodeInvalidArgument,
	fault.Exhausted: connect.CodeResourceExhausted, fault.Unavailable: connect.CodeUnavailable,
	fault.Timeout: connect.CodeDeadlineExceeded,
}

// kinds reads a code of a peer that is not ours.
var kinds = map[connect.Code]fault.Kind{
	connect.CodeInvalidArgument: fault.Invalid, connect.CodeUnauthenticated: fault.Unauthenticated,
	connect.CodePermissionDenied: fault.Forbidden, connect.CodeNotFound: fault.NotFound,
	connect.CodeAlreadyExists: fault.Conflict, connect.CodeFailedPrecondition: fault.Conflict,
	connect.CodeAborted: fault.Precondition, connect.CodeResourceExhausted: fault.Exhausted,
	connect.CodeUnavailable: fault.Unavailable, connect.CodeDeadlineExceeded: fault.Timeout,
}

// encode reduces an error to what may cross the wire: "kind/code: text".
func encode(err error) error {
	if err == nil {
		return nil
	}
	f := fault.As(err)
	return connect.NewError(codes[f.Kind], f.Kind.String()+"/"+f.Code+": "+f.Text.EN).WithCause(err)
}

// decode reads what arrived, or what went wrong on the way.
func decode(ctx context.Context, err error) error {
	var already *fault.Error
	if errors.As(err, &already) && !isRemote(err) {
		return err // our own refusal, made before anything was sent
	}
	var ce *connect.Error
	if errors.As(err, &ce) && ce.IsRemote() {
		if kind, code, text, ok := split(ce.Message()); ok {
			return fault.New(kind, code, fault.Text{PT: text, EN: text})
		}
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return fault.As(fmt.Errorf("call: %w", ctxErr))
	}
	if ce == nil {
		return fault.As(err)
	}
	switch kind := kinds[ce.Code()]; kind {
	case fault.Unavailable, fault.Internal:
		// Internal covers a connection that broke in the middle of an answer.
		return unavailable(err)
	case fault.Timeout:
		return fault.As(fmt.Errorf("call: %w: %w", context.DeadlineExceeded, err))
	default:
		return fault.New(kind, "chamada-recusada", fault.Text{
			PT: "Outra parte do sistema recusou o pedido.", EN: "Another part of the system refused the request.",
		}).Wrap(err)
	}
}

func isRemote(err error) bool {
	var ce *connect.Error
	return errors.As(err, &ce) && ce.IsRemote()
}

func split(message string) (kind fault.Kind, code, text string, ok bool) {
	head, text, found := strings.Cut(message, ": ")
	name, code, slash := strings.Cut(head, "/")
	if !found || !slash || code == "" {
		return 0, "", "", false
	}
	for k := range codes {
		if k.String() == name {
			return k, code, text, true
		}
	}
	return 0, "", "", false
}

func panicError(procedure string, recovered any) error {
	return fmt.Errorf("call: %s panicked: %v\n%s", procedure, recovered, debug.Stack())
}
