// Package mailbox is the Mailer for a machine without a mail server: each mail
// becomes one file in a folder, which the mailbox pages show.
//
// A file is named by the message's id, so that a mail sent twice is one file. It
// appears whole or not at all (written beside, fsync, rename, fsync of the
// folder) and is readable by its owner only (0600), because a welcome mail holds
// a password.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	stdmail "net/mail"
	"os"
	"path/filepath"

	"trama/platform/fault"
	"trama/platform/id"
	"trama/services/notifications/internal/mail"
)

// ErrNotFound: the folder has no such mail.
var ErrNotFound = fault.New(fault.NotFound, "mensagem-inexistente", fault.Text{
	PT: "Não há mensagem com este identificador.",
	EN: "There is no message with this id.",
})

// Mailbox is one folder of mail.
type Mailbox struct {
	dir  string
	from *stdmail.Address
}

// New makes a mailbox in a folder, which is made when the first mail comes.
func New(dir string, from *stdmail.Address) *Mailbox { return &Mailbox{dir: dir, from: from} }

// Send stores the mail durably.
func (b *Mailbox) Send(_ context.Context, m mail.Mail) error {
	if !id.Valid(m.ID) {
		return fmt.Errorf("mailbox: %q is no id of a message", m.ID)
	}
	msg, err := mail.Message(b.from, m)
	if err != nil {
		return mail.Refused(err)
	}
	if err := b.write(m.ID, func(f *os.File) error {
		_, err := msg.WriteTo(f)
		return err
	}); err != nil {
		return mail.Unavailable(fmt.Errorf("mailbox: %w", err))
	}
	return nil
}

func (b *Mailbox) write(name string, content func(*os.File) error) (err error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	beside := filepath.Join(b.dir, "."+name+".tmp") // one sender at a time; a leftover is overwritten
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = content(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(beside))
	}
	if err := os.Rename(beside, b.path(name)); err != nil {
		return err
	}
	dir, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (b *Mailbox) path(messageID string) string { return filepath.Join(b.dir, messageID+".eml") }

// Read gives the text and HTML of a mail; ErrNotFound when there is none.
func (b *Mailbox) Read(_ context.Context, messageID string) (text, html string, err error) {
	if !id.Valid(messageID) { // an id is also a file name
		return "", "", ErrNotFound
	}
	f, err := os.Open(b.path(messageID))
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("mailbox: %w", err)
	}
	defer f.Close()
	return parse(f)
}
