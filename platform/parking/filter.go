package parking

import (
	"strconv"
	"strings"
)

// where builds a condition: numbered parameters in the order they were added.
type where struct {
	terms []string
	args  []any
}

// arg adds a parameter and gives its place.
func (w *where) arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// and adds a comparison, as and("due >", 3).
func (w *where) and(what string, v any) { w.terms = append(w.terms, what+" "+w.arg(v)) }

func (w *where) text() string { return strings.Join(w.terms, " AND ") }

// equal adds equalities for those that are given; pairs of column and value.
func (w *where) equal(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			w.and(pairs[i]+" =", Clean(pairs[i+1]))
		}
	}
}

// in adds a membership, when there are any values.
func (w *where) in(column string, values []string) {
	if len(values) == 0 {
		return
	}
	places := make([]string, len(values))
	for i, v := range values {
		places[i] = w.arg(Clean(v))
	}
	w.terms = append(w.terms, column+" IN ("+strings.Join(places, ", ")+")")
}

// where gives the condition on the letters of one subscription.
func (f Filter) where(subscription string) *where {
	w := &where{}
	w.and("subscription =", subscription)
	w.equal("subject", f.Subject, "type", f.Type, "kind", f.Kind, "code", f.Code, "cause", f.Error, "state", string(f.State))
	w.in("id", f.IDs)
	if !f.From.IsZero() {
		w.and("parked_at >=", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		w.and("parked_at <", f.To.UnixMilli())
	}
	if !f.ActedBefore.IsZero() {
		w.and("acted <", f.ActedBefore.UnixMilli())
	}
	return w
}
