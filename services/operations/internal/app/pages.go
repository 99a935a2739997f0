package app

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/fault"
)

// Page is a part of a list that goes over all services, one after the other.
type Page[T any] struct {
	Items  []T
	Next   string // empty at the end
	Silent []string
}

// errCursor is the fault for a cursor that is none of ours; field is where it stood.
func errCursor(field string) error {
	return fault.Fields([]fault.Field{{Pointer: field, Rule: "cursor", Text: fault.Text{
		PT: "Não é o cursor de uma página anterior.", EN: "It is not the cursor of a previous page.",
	}}})
}

func seal(service, after string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(service + "\n" + after))
}

func open(cursor string) (service, after string, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", "", errCursor("?cursor")
	}
	service, after, ok := strings.Cut(string(text), "\n")
	if !ok {
		return "", "", errCursor("?cursor")
	}
	return service, after, nil
}

// page fills one page from the services in turn, beginning where cursor says. A
// service that does not answer is passed over and named.
func page[T any](ctx context.Context, o *Operations, cursor string, limit int,
	read func(ctx context.Context, c operationsv1connect.OperationsServiceClient, after string, limit int) ([]T, string, error)) (Page[T], error) {
	var out Page[T]
	at, after := "", ""
	if cursor != "" {
		var err error
		if at, after, err = open(cursor); err != nil {
			return out, err
		}
		if !slices.Contains(o.Services, at) {
			return out, errCursor("?cursor")
		}
	}
	for i, service := range o.Services {
		if at != "" && service != at {
			continue
		}
		at = ""
		items, next, err := ask1(ctx, o, service, func(ctx context.Context, c operationsv1connect.OperationsServiceClient) ([]T, string, error) {
			return read(ctx, c, after, limit-len(out.Items))
		})
		after = ""
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unavailable && k != fault.Timeout {
				return out, err
			}
			out.Silent = append(out.Silent, service)
			continue
		}
		out.Items = append(out.Items, items...)
		if next != "" {
			out.Next = seal(service, next)
			return out, nil
		}
		if len(out.Items) >= limit {
			if i+1 < len(o.Services) {
				out.Next = seal(o.Services[i+1], "")
			}
			return out, nil
		}
	}
	return out, nil
}

func ask1[T any](ctx context.Context, o *Operations, service string,
	call func(context.Context, operationsv1connect.OperationsServiceClient) ([]T, string, error)) ([]T, string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	return call(ctx, o.Client(service))
}

// Letters lists parked events of the whole system.
func (o *Operations) Letters(ctx context.Context, f *operationsv1.Filter, cursor string, limit int) (Page[*operationsv1.Letter], error) {
	return page(ctx, o.only(f), cursor, limit,
		func(ctx context.Context, c operationsv1connect.OperationsServiceClient, after string, limit int) ([]*operationsv1.Letter, string, error) {
			r, err := c.Letters(ctx, &operationsv1.LettersRequest{Filter: f, After: after, Limit: int32(limit)})
			return r.GetLetters(), r.GetNext(), err
		})
}

// Audit lists what operators did.
func (o *Operations) Audit(ctx context.Context, f *operationsv1.Filter, cursor string, limit int) (Page[*operationsv1.Act], error) {
	return page(ctx, o.only(f), cursor, limit,
		func(ctx context.Context, c operationsv1connect.OperationsServiceClient, after string, limit int) ([]*operationsv1.Act, string, error) {
			r, err := c.Audit(ctx, &operationsv1.AuditRequest{Filter: f, After: after, Limit: int32(limit)})
			return r.GetActs(), r.GetNext(), err
		})
}
