package app

import (
	"strconv"

	"trama/platform/fault"
)

// fields collects broken rules from several checkers.
type fields []fault.Field

func (f *fields) add(pointer, rule, pt, en string) {
	*f = append(*f, fault.Field{Pointer: pointer, Rule: rule, Text: fault.Text{PT: pt, EN: en}})
}

// take adds what another checker found.
func (f *fields) take(err error) {
	if err != nil {
		*f = append(*f, fault.As(err).Fields...)
	}
}

func decimal(n int) string { return strconv.Itoa(n) }
