package app

import (
	"context"
	"fmt"
	"io"

	operationsv1 "trama/contracts/rpc/operations/v1"
	"trama/contracts/rpc/operations/v1/operationsv1connect"
	"trama/platform/fault"
)

// Letter gives one parked event whole.
func (o *Operations) Letter(ctx context.Context, subscription, id string) (*operationsv1.Letter, error) {
	c, err := o.owner(subscription, ErrNoSubscription)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := c.Letter(ctx, &operationsv1.LetterRequest{Subscription: subscription, Id: id})
	return r.GetLetter(), err
}

// ErrNoFilter is the fault for a bulk act that does not say what it is about.
var ErrNoFilter = fault.New(fault.Invalid, "filtro-vazio", fault.Text{
	PT: "O pedido não diz quais mensagens; dê um filtro, ou `todas`.",
	EN: "The request does not say which messages; give a filter, or `todas`.",
})

// ErrNoReason is the fault for a drop without a reason.
var ErrNoReason = fault.New(fault.Invalid, "motivo-ausente", fault.Text{
	PT: "Descartar exige um `motivo`, que fica na auditoria.",
	EN: "Dropping needs a `motivo`, which is kept in the audit.",
})

// Retry makes the letters of a filter due now; at most r.Limit per call over all
// services.
func (o *Operations) Retry(ctx context.Context, r *operationsv1.ActRequest) (done, left int64, err error) {
	return o.act(ctx, r, func(ctx context.Context, c operationsv1connect.OperationsServiceClient, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
		return c.Retry(ctx, r)
	})
}

// Drop gives the letters of a filter up for ever.
func (o *Operations) Drop(ctx context.Context, r *operationsv1.ActRequest) (done, left int64, err error) {
	if r.GetWhy() == "" {
		return 0, 0, ErrNoReason
	}
	return o.act(ctx, r, func(ctx context.Context, c operationsv1connect.OperationsServiceClient, r *operationsv1.ActRequest) (*operationsv1.ActResponse, error) {
		return c.Drop(ctx, r)
	})
}

func (o *Operations) act(ctx context.Context, r *operationsv1.ActRequest,
	do func(context.Context, operationsv1connect.OperationsServiceClient, *operationsv1.ActRequest) (*operationsv1.ActResponse, error)) (done, left int64, err error) {
	narrowed := o.only(r.GetFilter())
	if len(narrowed.Services) == 0 {
		return 0, 0, ErrNoSubscription
	}
	for _, service := range narrowed.Services {
		step := &operationsv1.ActRequest{Filter: r.GetFilter(), Who: r.GetWho(), Why: r.GetWhy(), Limit: max(r.GetLimit()-int32(done), 1)}
		stepCtx, cancel := context.WithTimeout(ctx, actTime)
		a, err := do(stepCtx, o.Client(service), step)
		cancel()
		if err != nil {
			return done, left, err
		}
		done += a.GetDone()
		left += a.GetLeft()
	}
	return done, left, nil
}

// Edit replaces the event of a letter and gives the letter as it then is; nil
// when it has been handled already.
func (o *Operations) Edit(ctx context.Context, r *operationsv1.EditRequest) error {
	c, err := o.owner(r.GetSubscription(), ErrNoSubscription)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	_, err = c.Edit(ctx, r)
	return err
}

// exportPage is how many letters are read at a time.
const exportPage = 100

// Export hands every letter of the filter, whole, to write. That it was done is in
// the audit before the first one leaves.
func (o *Operations) Export(ctx context.Context, f *operationsv1.Filter, who string, write func(*operationsv1.Letter) error) error {
	narrowed := o.only(f)
	for _, service := range narrowed.Services {
		noteCtx, cancel := context.WithTimeout(ctx, askTime)
		_, err := o.Client(service).Note(noteCtx, &operationsv1.NoteRequest{Act: &operationsv1.Act{
			Who: who, Act: "export", Subscription: f.GetSubscription(), Detail: f.String()}})
		cancel()
		if err != nil {
			return err
		}
	}
	for cursor := ""; ; {
		p, err := narrowed.Letters(ctx, f, cursor, exportPage)
		if err == nil && len(p.Silent) > 0 {
			err = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
				PT: "Uma parte do sistema está fora do ar; a exportação não seria inteira.",
				EN: "A part of the system is down; the export would not be whole.",
			})
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

// ExportReader is Export as a stream; lines gives each letter's line. The first
// error before any byte comes back at once.
func (o *Operations) ExportReader(ctx context.Context, f *operationsv1.Filter, who string, line func(*operationsv1.Letter) []byte) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		defer func() {
			if p := recover(); p != nil { // the reader hears of it; a panic here would end the process
				w.CloseWithError(fmt.Errorf("export: panic: %v", p))
			}
		}()
		w.CloseWithError(o.Export(ctx, f, who, func(l *operationsv1.Letter) error {
			_, err := w.Write(line(l))
			return err
		}))
	}()
	return r
}
