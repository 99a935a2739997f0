package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"time"
)

// runChild does one order and prints its samples.
func runChild(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == o.Contender })
	if i < 0 {
		return fmt.Errorf("no contender %q", o.Contender)
	}
	ctx := context.Background()
	b, err := newBench(ctx, o, contenders[i])
	if err != nil {
		return fmt.Errorf("set up %s: %w", o.Contender, err)
	}
	defer b.close()
	samples, err := b.measure(ctx)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", o.Contender, o.Group, err)
	}
	return json.NewEncoder(os.Stdout).Encode(samples)
}

func (b *bench) measure(ctx context.Context) ([]sample, error) {
	s, err := b.contender.open(ctx, b)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.publish(ctx, 0, b.events(1)); err != nil { // opens connections
		return nil, err
	}
	if dir := b.order.Profile; dir != "" {
		f, err := os.Create(filepath.Join(dir, b.order.Group+"-"+b.order.Contender+".pprof"))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	switch b.order.Group {
	case publishing:
		return b.measurePublish(ctx, s)
	case consuming:
		return b.measureConsume(ctx, s)
	case through:
		return b.measureThrough(ctx, s)
	default:
		return b.measureEmbedded(ctx, s)
	}
}

// patience is how long to wait for events that are under way.
const patience = 20 * time.Second
