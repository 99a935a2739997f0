package payments

import (
	"time"

	"trama/platform/config"
	"trama/platform/money"
	"trama/services/payments/internal/fraud"
	"trama/services/payments/internal/payment"
)

// Config is what can be set of payments.
type Config struct {
	CallbackSecret    config.Secret `key:"callbackSecret" default:"" help:"key of the acquirer's notices, the same as acquirersim.callbackSecret; empty: derived from the installation's secret"`
	CallbackTolerance time.Duration `key:"callbackTolerance" default:"5m" help:"how old, or how far ahead, the signature of a notice may be"`

	CourseTimeout time.Duration `key:"courseTimeout" default:"2s" help:"how long academics may take to tell a price while the payer waits"`
	TokenTimeout  time.Duration `key:"tokenTimeout" default:"3s" help:"how long the acquirer may take to exchange a card while the payer waits"`
	ChargeTimeout time.Duration `key:"chargeTimeout" default:"10s" help:"how long the acquirer may take for a charge, a refund or a question"`
	InFlight      int           `key:"inFlight" default:"32" help:"payments that one worker charges at a time"`

	PixExpiry    time.Duration `key:"pixExpiry" default:"30m" help:"how long a pix can be paid"`
	BoletoExpiry time.Duration `key:"boletoExpiry" default:"72h" help:"how long a boleto can be paid"`
	ExpiryEvery  time.Duration `key:"expiryEvery" default:"5s" help:"how often payments whose time is over are looked for"`
	ExpiryGrace  time.Duration `key:"expiryGrace" default:"1m" help:"how long after the end the acquirer may still say that a charge is pending before the payment is refused"`

	MaxInstallments     int      `key:"maxInstallments" default:"12" help:"greatest number of instalments of a card payment"`
	MinInstallmentCents int64    `key:"minInstallmentCents" default:"500" help:"smallest instalment, in cents of BRL"`
	Coupons             []string `key:"coupons" default:"BEMVINDO10:10%" help:"discount codes, each CODE:PERCENT%"`

	Fraud FraudConfig `key:"fraud"`
}

// FraudConfig holds the thresholds of the fraud analysis. A limit of 0 switches its
// rule off; load tests that pay with few cards need that.
type FraudConfig struct {
	Window           time.Duration `key:"window" default:"1h" help:"window of the three velocity rules and of the refusals"`
	MaxPerCard       int           `key:"maxPerCard" default:"10" help:"payments with one card in the window; 0: any number"`
	MaxPerEmail      int           `key:"maxPerEmail" default:"10" help:"payments with one e-mail address in the window; 0: any number"`
	MaxPerCPF        int           `key:"maxPerCpf" default:"10" help:"payments of one CPF in the window; 0: any number"`
	MaxRefusals      int           `key:"maxRefusals" default:"6" help:"refusals by the issuer of one card or CPF in the window; 0: any number"`
	PeopleWindow     time.Duration `key:"peopleWindow" default:"24h" help:"window of the next two rules"`
	MaxPeoplePerCard int           `key:"maxPeoplePerCard" default:"8" help:"people with one card in that window (60 points); 0: any number"`
	MaxCardsPerCPF   int           `key:"maxCardsPerCpf" default:"6" help:"cards of one person in that window (60 points); 0: any number"`
	LargeCents       int64         `key:"largeCents" default:"1000000" help:"an amount, in cents of BRL, that counts as large (40 points); 0: none"`
	Jump             int           `key:"jump" default:"10" help:"times the largest amount that a person has paid before (40 points); 0: any"`
	HomeCountry      string        `key:"homeCountry" default:"BR" help:"cards known to be issued elsewhere are foreign (30 points), ISO 3166-1; empty: none is"`
	RefusedCountries []string      `key:"refusedCountries" default:"KP" help:"countries whose cards are refused, ISO 3166-1"`
	Threshold        int           `key:"threshold" default:"100" help:"points from which on a payment is suspect; the velocity rules, refusals and refused countries give 100 each"`
}

// maxLimit bounds the limits of the fraud analysis, because as many payments are
// looked at for each one.
const maxLimit = 1000

func (c FraudConfig) limits() fraud.Limits {
	return fraud.Limits{
		Window: c.Window, PerCard: c.MaxPerCard, PerEmail: c.MaxPerEmail, PerCPF: c.MaxPerCPF, RefusalsMax: c.MaxRefusals,
		PeopleWindow: c.PeopleWindow, PeoplePerCard: c.MaxPeoplePerCard, CardsPerPerson: c.MaxCardsPerCPF,
		Large: money.Cents(c.LargeCents), Jump: c.Jump, HomeCountry: c.HomeCountry, RefusedCountries: c.RefusedCountries, Threshold: c.Threshold,
	}
}

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	var out problems
	out.bad(c.CallbackTolerance < time.Second, "callbackTolerance", "at least 1s", "5m")
	out.bad(c.CourseTimeout < time.Millisecond, "courseTimeout", "at least 1ms", "2s")
	out.bad(c.TokenTimeout < time.Millisecond, "tokenTimeout", "at least 1ms", "3s")
	out.bad(c.ChargeTimeout < time.Millisecond, "chargeTimeout", "at least 1ms", "10s")
	out.bad(c.InFlight < 1 || c.InFlight > 10_000, "inFlight", "from 1 to 10000", "32")
	out.bad(c.PixExpiry < time.Second, "pixExpiry", "at least 1s", "30m")
	out.bad(c.BoletoExpiry < time.Second, "boletoExpiry", "at least 1s", "72h")
	out.bad(c.ExpiryEvery < time.Millisecond, "expiryEvery", "at least 1ms", "5s")
	out.bad(c.ExpiryGrace < 0, "expiryGrace", "not negative", "1m")
	out.bad(c.MaxInstallments < 1 || c.MaxInstallments > 99, "maxInstallments", "from 1 to 99", "12")
	out.bad(c.MinInstallmentCents < 1, "minInstallmentCents", "at least 1", "500")
	for _, text := range c.Coupons {
		_, err := payment.ParseCoupon(text)
		out.bad(err != nil, "coupons", "codes with 1% to 99%", "BEMVINDO10:10%")
	}
	return out
}

// Check tells what cannot work.
func (c FraudConfig) Check() []config.Problem {
	var out problems
	out.bad(c.Window < time.Second, "window", "at least 1s", "1h")
	out.bad(c.PeopleWindow < time.Second, "peopleWindow", "at least 1s", "24h")
	for key, n := range map[string]int{
		"maxPerCard": c.MaxPerCard, "maxPerEmail": c.MaxPerEmail, "maxPerCpf": c.MaxPerCPF, "maxRefusals": c.MaxRefusals,
		"maxPeoplePerCard": c.MaxPeoplePerCard, "maxCardsPerCpf": c.MaxCardsPerCPF,
	} {
		out.bad(n < 0 || n > maxLimit, key, "from 0 (off) to 1000", "10")
	}
	out.bad(c.LargeCents < 0, "largeCents", "not negative", "1000000")
	out.bad(c.Jump < 0, "jump", "not negative", "10")
	out.bad(c.HomeCountry != "" && !country(c.HomeCountry), "homeCountry", "two capital letters", "BR")
	for _, r := range c.RefusedCountries {
		out.bad(!country(r), "refusedCountries", "two capital letters each", "KP")
	}
	out.bad(c.Threshold < 1, "threshold", "at least 1", "100")
	return out
}

type problems []config.Problem

func (p *problems) bad(broken bool, key, rule, try string) {
	if broken {
		*p = append(*p, config.Problem{Key: key, Rule: rule, Try: try})
	}
}

func country(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}
