// Package discovery owns the answer to "where does this service listen now".
//
// It promises little on purpose: a Resolver names base URLs that were announced
// or configured, in a stable order, and does not say that somebody answers
// there. Who dials learns that, tells the resolver (Invalidate) and asks again;
// balancing and retries belong to the caller. A service that is nowhere known
// is the fault ErrUnknown, never an empty list, and every other error means
// that the resolver itself could not look.
//
// Static answers from configuration, package filediscovery from the processes
// of one machine, First asks several in turn.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"trama/platform/fault"
)

// Resolver says where a service listens. It is safe for concurrent use.
type Resolver interface {
	// Resolve gives the base URLs ("http://127.0.0.1:40123", no path, no slash at
	// the end) of the service's instances, at least one, sorted. The slice is
	// shared: callers do not change it. The fault ErrUnknown (Unavailable) means
	// that the service is nowhere known.
	Resolve(ctx context.Context, service string) ([]string, error)
}

// ErrUnknown is what Resolve answers for a service that is nowhere known: it
// may be switched off, or not have started yet.
var ErrUnknown = fault.New(fault.Unavailable, "servico-indisponivel", fault.Text{
	PT: "Uma parte do sistema está fora do ar. Nada se perdeu; tente de novo em instantes.",
	EN: "A part of the system is down. Nothing was lost; try again in a moment.",
})

// Unknown gives ErrUnknown with the service's name in the cause, for the log.
func Unknown(service string) error {
	return ErrUnknown.Wrap(fmt.Errorf("discovery: no instance of %q is known", service))
}

// Forgetter is a Resolver that remembers what it read.
type Forgetter interface {
	// Invalidate makes the next Resolve look again. It is cheap and does no I/O.
	Invalidate()
}

// Invalidate tells a resolver that an address it gave could not be dialled.
func Invalidate(r Resolver) {
	if f, ok := r.(Forgetter); ok {
		f.Invalidate()
	}
}

// CheckURL says what is wrong with a base URL: it must be http or https, name a
// host, and carry nothing else.
func CheckURL(base string) error {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return fmt.Errorf("not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("must name a host")
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(base, "#"):
		return errors.New("must be scheme://host:port with nothing after it")
	}
	return nil
}

type static map[string][]string

// Static answers from a fixed table of service to base URLs, which is copied.
// The URLs are taken as they are; configuration checks them with CheckURL.
func Static(urls map[string][]string) Resolver {
	s := make(static, len(urls))
	for service, list := range urls {
		list = slices.Clone(list)
		slices.Sort(list)
		if list = slices.Compact(list); len(list) > 0 {
			s[service] = list
		}
	}
	return s
}

func (s static) Resolve(_ context.Context, service string) ([]string, error) {
	if list, ok := s[service]; ok {
		return list, nil
	}
	return nil, Unknown(service)
}

type chain []Resolver

// First asks the resolvers in turn and gives the first answer. One that cannot
// look does not hide what the next one knows; its error comes back only when
// nobody answers.
func First(resolvers ...Resolver) Resolver { return chain(slices.Clone(resolvers)) }

func (c chain) Resolve(ctx context.Context, service string) ([]string, error) {
	var failed []error
	for _, r := range c {
		list, err := r.Resolve(ctx, service)
		if err == nil {
			return list, nil
		}
		if !errors.Is(err, ErrUnknown) {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return nil, ErrUnknown.Wrap(errors.Join(failed...))
	}
	return nil, Unknown(service)
}

func (c chain) Invalidate() {
	for _, r := range c {
		Invalidate(r)
	}
}
