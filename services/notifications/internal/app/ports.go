// Package app is what notifications does: it turns events into messages that
// wait (queue.go), sends what is due (sender.go) and shows what was sent
// (history.go); and the ports it needs for that.
package app

import (
	"context"
	"time"

	"trama/platform/bus"
	"trama/services/notifications/internal/letter"
	"trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/message"
)

// Desk is the queue as one event sees it, within the event's transaction.
type Desk interface {
	// Add queues a message. One of the same event and kind that is there already
	// makes it no error and no change.
	Add(ctx context.Context, m message.Message) error
	// Told says whether a message of one of the kinds on the topic exists for the
	// address, in whatever state.
	Told(ctx context.Context, topic, email string, kinds ...message.Kind) (bool, error)
	// Drop removes the waiting messages of a kind on a topic, to an address or, when
	// that is empty, to any.
	Drop(ctx context.Context, topic, email string, k message.Kind) error
	// DropReminders removes the waiting reminders to an address about a course or
	// about none.
	DropReminders(ctx context.Context, email, courseID string) error
}

// Queue takes events.
type Queue interface {
	// Once runs do in one transaction with the inbox row of the event, unless the
	// subscription handled the event before. do may run more than once and calls
	// nothing outside. After the commit the sender wakes.
	Once(ctx context.Context, subscription string, e bus.Event, do func(d Desk) error) error
}

// Outgoing is the queue as the sender sees it.
type Outgoing interface {
	// Due gives up to limit waiting messages that are due at now, longest due first.
	Due(ctx context.Context, now, latest time.Time, limit int) ([]message.Message, error)
	// NextDue gives when the next message after now is due; zero when none waits.
	NextDue(ctx context.Context, now time.Time) (time.Time, error)
	// Save records what became of a message; nothing when it was dropped meanwhile.
	Save(ctx context.Context, m message.Message) error
	// Wake fires when this process has queued messages.
	Wake() <-chan struct{}
}

// Place is where a page of finished messages begins: after the message of this
// time and id. The zero Place is the beginning.
type Place struct {
	At time.Time
	ID string
}

// Finished reads messages that were sent or given up.
type Finished interface {
	// List gives up to limit finished messages, last finished first.
	List(ctx context.Context, after Place, limit int) ([]message.Message, error)
	// Get gives one finished message; a NotFound fault when there is none.
	Get(ctx context.Context, id string) (message.Message, error)
}

// Mailer hands mail over. An Invalid fault means that this mail will never be
// taken; any other error, that it was perhaps not taken and may be tried again:
// the mail's id makes a repetition recognisable.
type Mailer interface {
	Send(ctx context.Context, m mail.Mail) error
}

// Box reads back what the mailbox took.
type Box interface {
	// Read gives text and HTML of a mail; a NotFound fault when there is none.
	Read(ctx context.Context, messageID string) (text, html string, err error)
}

// Accounts gives out first passwords.
type Accounts interface {
	// FirstPassword makes a new first password for the account; those given out
	// before stop working. nil without an error: the person has chosen a password.
	FirstPassword(ctx context.Context, accountID string) (*letter.Password, error)
}
