package app

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/platform/fault"
	"trama/platform/parking"
)

// exportPage is how many letters are read at a time.
const exportPage = 100

var errNotWhole = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
	PT: "Uma parte do sistema está fora do ar; a exportação não seria inteira.",
	EN: "A part of the system is down; the export would not be whole.",
})

// Export hands every letter of the filter, whole, to write. That it was done is in
// the audit before the first one leaves.
func (o *Operations) Export(ctx context.Context, f *operationsv1.Filter, who string, write func(*operationsv1.Letter) error) error {
	narrowed := o.only(f)
	if len(narrowed.Services) == 0 {
		return ErrNoSubscription
	}
	for _, service := range narrowed.Services {
		if err := o.noteExport(ctx, service, f, who); err != nil {
			return err
		}
	}
	for cursor := ""; ; {
		p, err := narrowed.Letters(ctx, f, cursor, exportPage)
		if err == nil && len(p.Silent) > 0 {
			err = errNotWhole
		}
		if err != nil {
			return err
		}
		for _, l := range p.Items {
			full, err := o.Letter(ctx, l.GetSubscription(), l.GetId())
			if err != nil && fault.KindOf(err) == fault.NotFound { // handled meanwhile
				continue
			}
			if err == nil {
				err = write(full)
			}
			if err != nil {
				return err
			}
		}
		if p.Next == "" {
			return nil
		}
		cursor = p.Next
	}
}

func (o *Operations) noteExport(ctx context.Context, service string, f *operationsv1.Filter, who string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err := o.Client(service).Note(ctx, &operationsv1.NoteRequest{Act: &operationsv1.Act{
		Who: who, Act: parking.ActExport, Subscription: f.GetSubscription(), Detail: describe(f)}})
	return err
}

// describe says for the audit what a filter selects.
func describe(f *operationsv1.Filter) string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+value)
		}
	}
	at := func(ms int64) string {
		if ms == 0 {
			return ""
		}
		return time.UnixMilli(ms).UTC().Format(time.RFC3339)
	}
	add("subscription", f.GetSubscription())
	add("subject", f.GetSubject())
	add("type", f.GetType())
	add("kind", f.GetKind())
	add("code", f.GetCode())
	add("error", f.GetError())
	add("state", f.GetState())
	add("from", at(f.GetFromMs()))
	add("to", at(f.GetToMs()))
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

// ExportReader is Export as a stream; line gives each letter's line. What fails
// before the first line comes back at once, later errors come from Read. The
// caller closes the reader, which ends the export, or ends ctx.
func (o *Operations) ExportReader(ctx context.Context, f *operationsv1.Filter, who string, line func(*operationsv1.Letter) []byte) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	e := &export{PipeReader: r, cancel: cancel, over: make(chan struct{})}
	begun := make(chan error, 1)
	go func() {
		defer close(e.over)
		tell := func(err error) {
			select {
			case begun <- err:
			default: // it has begun; the reader hears of it
			}
			w.CloseWithError(err)
		}
		defer func() {
			if p := recover(); p != nil { // a panic here would end the process
				tell(fmt.Errorf("export: panic: %v", p))
			}
		}()
		tell(o.Export(ctx, f, who, func(l *operationsv1.Letter) error {
			select {
			case begun <- nil:
			default:
			}
			_, err := w.Write(line(l))
			return err
		}))
	}()
	if err := <-begun; err != nil {
		_ = e.Close()
		return nil, err
	}
	return e, nil
}

// export is an export under way.
type export struct {
	*io.PipeReader
	cancel context.CancelFunc
	over   chan struct{} // closed when nobody works for it any more
}

// Close ends the export, if it has not ended, and waits for that.
func (e *export) Close() error {
	err := e.PipeReader.Close()
	e.cancel()
	<-e.over
	return err
}
