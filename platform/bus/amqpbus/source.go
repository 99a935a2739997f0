package amqpbus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"trama/platform/bus/lane"
)

// source is a consuming channel with its acknowledgements.
type source struct {
	ch         *amqp.Channel
	deliveries <-chan amqp.Delivery
	acks       *acks
	stop       chan struct{} // closed to stop acks.run
	acker      sync.WaitGroup

	gone chan struct{} // closed when the channel has ended
	err  error         // why, if not by us; set before gone is closed
}

func (b *Bus) consumeFrom(conn *amqp.Connection, queue string, prefetch int) (*source, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	s := &source{ch: ch, acks: newAcks(ch, b.opt.Crash), stop: make(chan struct{}), gone: make(chan struct{})}
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	if err = ch.Qos(prefetch, 0, false); err == nil {
		s.deliveries, err = ch.Consume(queue, "", false, false, false, false, nil)
	}
	if err != nil {
		_ = ch.Close()
		return nil, fmt.Errorf("consume %s: %w", queue, err)
	}
	b.work.Go(func() { // ends with the channel, which ends with the connection at the latest
		if err := <-closed; err != nil {
			s.err = err
		}
		close(s.gone)
	})
	s.acker.Go(func() { s.acks.run(s.stop) })
	return s, nil
}

// offer hands one delivery over as soon as there is room.
func (s *source) offer(ctx context.Context, d *lane.Dispatcher, x lane.Delivery, unseen bool) error {
	s.acks.add()
	if unseen {
		s.acks.done(x.Ref)
		return nil
	}
	for !d.Offer(x) {
		select {
		case <-d.Room():
		case <-ctx.Done():
			return nil // Run is about to end; it goes back with the channel
		case <-s.gone:
			return s.why()
		}
	}
	return nil
}

// why tells why there are no more deliveries.
func (s *source) why() error {
	if !s.ch.IsClosed() {
		return errors.New("the broker ended the consumer: its queue was deleted or moved")
	}
	<-s.gone
	if s.err == nil {
		return errors.New("channel closed")
	}
	return s.err
}

// close sends the last acknowledgements and closes the channel; the broker then
// has all of them and takes the rest back.
func (s *source) close(ctx context.Context) error {
	close(s.stop)
	s.acker.Wait()
	_ = s.acks.flush() // fails on a channel that is gone, which Run has told
	err := bounded(ctx, s.ch.Close)
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	return err
}
