package kafkabus

import (
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// spread bounds how far a subscription may run ahead of its oldest record in hand:
// what a crash would repeat, and what the progress remembers.
const spread = 10_000

// progress knows what of a term's records is done. Records are added in the order
// of each partition.
type progress struct {
	mu    sync.Mutex
	parts map[int32]*partition
	open  int
	room  chan struct{} // receives a value when there is room again
}

type partition struct {
	seen kadm.Offset // behind the latest record looked at
	low  kadm.Offset // everything before it is done
	open []openRecord
}

type openRecord struct {
	offset int64
	next   kadm.Offset // behind it
	done   bool
}

func newProgress() *progress {
	return &progress{parts: map[int32]*partition{}, room: make(chan struct{}, 1)}
}

// see notes a record that was looked at: one to be done, or one to be skipped. ok
// is false when it is before the latest one: the broker lost records, and the
// client went back behind what it had read.
func (p *progress) see(r *kgo.Record, skip bool) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[r.Partition]
	if part == nil {
		part = &partition{low: kadm.Offset{Partition: r.Partition, At: r.Offset, LeaderEpoch: r.LeaderEpoch}}
		p.parts[r.Partition] = part
	}
	if r.Offset < part.seen.At {
		return false
	}
	part.seen = kadm.Offset{Partition: r.Partition, At: r.Offset + 1, LeaderEpoch: r.LeaderEpoch}
	if !skip {
		part.open = append(part.open, openRecord{offset: r.Offset, next: part.seen})
		p.open++
	} else if len(part.open) == 0 {
		part.low = part.seen
	}
	return true
}

func (p *progress) done(ref uint64) {
	n, offset := unref(ref)
	p.mu.Lock()
	defer p.mu.Unlock()
	part := p.parts[n]
	i := sort.Search(len(part.open), func(i int) bool { return part.open[i].offset >= offset })
	if i == len(part.open) || part.open[i].offset != offset {
		return
	}
	part.open[i].done = true
	k := 0
	for k < len(part.open) && part.open[k].done {
		part.low = part.open[k].next
		k++
	}
	if part.open = part.open[k:]; len(part.open) == 0 {
		part.low, part.open = part.seen, nil
	}
	if p.open -= k; k > 0 {
		select {
		case p.room <- struct{}{}:
		default: // one is already waiting to be seen
		}
	}
}

func (p *progress) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open >= spread
}

// marks gives the low-water mark of each partition that gave anything.
func (p *progress) marks() map[int32]kadm.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[int32]kadm.Offset, len(p.parts))
	for n, part := range p.parts {
		out[n] = part.low
	}
	return out
}
