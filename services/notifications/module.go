package notifications

import (
	"io/fs"
	stdmail "net/mail"

	"trama/platform/module"
	"trama/services/notifications/internal/accounts"
	"trama/services/notifications/internal/app"
	"trama/services/notifications/internal/events"
	"trama/services/notifications/internal/letter"
	"trama/services/notifications/internal/mail"
	"trama/services/notifications/internal/mail/mailbox"
	"trama/services/notifications/internal/mail/smtp"
	"trama/services/notifications/internal/message"
	"trama/services/notifications/internal/rest"
	"trama/services/notifications/internal/store"
)

// New gives the service's modules. d.Store must be migrated with outbox.Schema
// and Migrations. No I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	from, err := mail.ParseSender(cfg.From)
	if err != nil {
		return module.Service{}, err
	}
	base := cfg.PublicURL
	if base == "" {
		base = DefaultPublicURL
	}
	writer, err := letter.New(base, cfg.School)
	if err != nil {
		return module.Service{}, err
	}
	mailer, box, err := openMailer(cfg, from)
	if err != nil {
		return module.Service{}, err
	}
	messages := store.New(d.Store, d.Box)
	api, err := rest.New(&app.History{Finished: messages, Box: box})
	if err != nil {
		return module.Service{}, err
	}
	mailroom := &app.Mailroom{Queue: messages, Clock: d.Clock, IDs: d.IDs, Crash: d.Crash}
	sender := &app.Sender{
		Outgoing: messages, Mailer: mailer, Accounts: accounts.New(d.Call("identity")), Writer: writer,
		Retry: message.Retry(cfg.Retry), Parallel: cfg.Parallel, Clock: d.Clock, Log: d.Log, Crash: d.Crash,
	}
	return module.Service{Name: "notifications", Modules: []module.Module{
		{Name: "notifications.api", REST: api},
		{Name: "notifications.worker", Subscriptions: events.Subscriptions(mailroom),
			Loops: []module.Loop{{Name: "mail", Leader: true, Run: sender.Run}}},
	}}, nil
}

// openMailer chooses the adapter; box is nil where mail goes by SMTP.
func openMailer(cfg Config, from *stdmail.Address) (app.Mailer, app.Box, error) {
	if cfg.SMTP.Host == "" {
		b := mailbox.New(cfg.MailboxDir, from)
		return b, b, nil
	}
	m, err := smtp.New(smtp.Options{
		Host: cfg.SMTP.Host, Port: cfg.SMTP.Port, Security: cfg.SMTP.Security, User: cfg.SMTP.User,
		Password: cfg.SMTP.Password.Reveal(), From: from, Timeout: cfg.SMTP.Timeout,
	})
	return m, nil, err
}

// Migrations gives the service's schema for both engines.
func Migrations() fs.FS { return store.Migrations() }
