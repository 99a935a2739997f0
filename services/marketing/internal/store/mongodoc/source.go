package mongodoc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"trama/platform/outbox"
	"trama/services/marketing/internal/app"
)

// doneParallel is how many documents are relieved of published events at a time.
const doneParallel = 8

// Pending gives events that wait to be published, those of one lead in their order.
func (s *Store) Pending(ctx context.Context, limit int) ([]outbox.Entry, error) {
	docs, err := s.find(ctx, positive("pending"), "pending", 1, limit)
	if err != nil {
		return nil, err
	}
	var out []outbox.Entry
	for i := range docs {
		for _, e := range docs[i].Events {
			if len(out) == limit {
				return out, nil
			}
			entry := outbox.Entry{Key: docs[i].ID + "/" + e.ID}
			if err := json.Unmarshal([]byte(e.Body), &entry.Event); err != nil {
				return nil, fmt.Errorf("event %s: %w", entry.Key, err)
			}
			out = append(out, entry)
		}
	}
	return out, nil
}

// Done forgets published events.
func (s *Store) Done(ctx context.Context, entries []outbox.Entry) error {
	published := map[string][]string{}
	for _, e := range entries {
		leadID, eventID, ok := strings.Cut(e.Key, "/")
		if !ok {
			return fmt.Errorf("mongodoc: %q is no key of an event", e.Key)
		}
		published[leadID] = append(published[leadID], eventID)
	}
	var g errgroup.Group
	g.SetLimit(doneParallel)
	for leadID, ids := range published {
		g.Go(func() error {
			err := s.change(ctx, leadID, func(d *document) (bool, error) {
				n := len(d.Events)
				d.remove(ids)
				return len(d.Events) < n, nil
			})
			if errors.Is(err, app.ErrNotFound) {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}
