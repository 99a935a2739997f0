package notifications_test

import (
	"testing"
	"time"

	"trama/platform/config"
	"trama/services/notifications"
)

func TestDefaultsAreValid(t *testing.T) {
	var c notifications.Config
	if _, problems := config.Load(&c, config.Sources{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	if got := c.Check(); len(got) > 0 {
		t.Error(got)
	}
}

func TestConfigurationThatCannotWork(t *testing.T) {
	for key, spoil := range map[string]func(*notifications.Config){
		"from":          func(c *notifications.Config) { c.From = "escola" },
		"school":        func(c *notifications.Config) { c.School = " " },
		"parallel":      func(c *notifications.Config) { c.Parallel = 0 },
		"retry.first":   func(c *notifications.Config) { c.Retry.First = 0 },
		"retry.longest": func(c *notifications.Config) { c.Retry.Longest = time.Microsecond },
		"retry.giveUp":  func(c *notifications.Config) { c.Retry.GiveUp = time.Second },
		"smtp.host":     func(c *notifications.Config) { c.SMTP.Host = "mail.example:25" },
		"smtp.port":     func(c *notifications.Config) { c.SMTP.Port = 70000 },
		"smtp.security": func(c *notifications.Config) { c.SMTP.Security = "ssl" },
		"smtp.timeout":  func(c *notifications.Config) { c.SMTP.Timeout = 0 },
		"smtp.user":     func(c *notifications.Config) { c.SMTP.Password = "p" },
	} {
		var c notifications.Config
		config.Load(&c, config.Sources{})
		c.SMTP.Host, c.From = "mail.example", "Escola <escola@trama.example>"
		spoil(&c)
		got := c.Check()
		if len(got) != 1 || got[0].Key != key || got[0].Try == "" || got[0].Rule == "" {
			t.Errorf("%s: %+v", key, got)
		}
	}
	var c notifications.Config
	config.Load(&c, config.Sources{})
	c.SMTP.Host = "mail.example"
	if got := c.Check(); len(got) != 1 || got[0].Key != "from" {
		t.Errorf("the sender of a trial with a real server: %+v", got)
	}
}
