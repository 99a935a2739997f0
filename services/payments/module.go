package payments

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"trama/contracts/rpc/academics/v1/academicsv1connect"
	"trama/contracts/rpc/acquirer/v1/acquirerv1connect"
	"trama/platform/idempotency"
	"trama/platform/module"
	"trama/platform/money"
	"trama/platform/schedule"
	"trama/services/payments/internal/acquirer"
	"trama/services/payments/internal/app"
	"trama/services/payments/internal/courses"
	"trama/services/payments/internal/events"
	"trama/services/payments/internal/payment"
	"trama/services/payments/internal/rest"
	"trama/services/payments/internal/store"
)

// Name is the service's name.
const Name = "payments"

// Source is what the service's events say they come from.
const Source = "/financeiro"

const (
	purgeEvery    = 10 * time.Minute // how often expired Idempotency-Keys are forgotten
	expiryTimeout = time.Hour        // of one pass: an acquirer that hangs makes it long
)

// Migrations gives the service's tables.
func Migrations() fs.FS { return store.Migrations() }

// New puts the service together; it does no I/O.
func New(cfg Config, d module.Deps) (module.Service, error) {
	payments := store.New(d.Store, d.Box, d.Clock, events.Tell)
	theAcquirer := &acquirer.Client{
		RPC:          acquirerv1connect.NewAcquirerServiceClient(d.Call("acquirersim")),
		TokenTimeout: cfg.TokenTimeout, Timeout: cfg.ChargeTimeout,
	}
	settler := &app.Settler{Payments: payments, Clock: d.Clock, Log: d.Log}
	refunds := &app.Refunds{
		Payments: payments, Answers: payments, Acquirer: theAcquirer, Settler: settler, Clock: d.Clock, Crash: d.Crash,
	}
	api, err := newAPI(cfg, d, payments, theAcquirer, settler, refunds)
	if err != nil {
		return module.Service{}, err
	}
	consumer := &events.Consumer{
		Box: d.Box, InFlight: cfg.InFlight, Refunds: refunds,
		Charger: &app.Charger{
			Payments: payments, Past: payments, Acquirer: theAcquirer, Settler: settler, Limits: cfg.Fraud.limits(),
			PixLife: cfg.PixExpiry, SlipLife: cfg.BoletoExpiry, Clock: d.Clock, Crash: d.Crash, Log: d.Log,
		},
		Enrolments: &app.Enrolments{Payments: payments, Clock: d.Clock},
	}
	expiry := &app.Expiry{
		Deadlines: payments, Payments: payments, Acquirer: theAcquirer, Settler: settler,
		Grace: cfg.ExpiryGrace, Clock: d.Clock, Crash: d.Crash, Log: d.Log,
	}
	return module.Service{Name: Name, Modules: []module.Module{
		api,
		{Name: Name + ".worker", Subscriptions: consumer.Subscriptions()},
		{Name: Name + ".tasks", Tasks: []schedule.Task{
			{Name: Name + ".expiry", About: "Encerra a espera de pix e boletos que não foram pagos a tempo.", Every: cfg.ExpiryEvery,
				Timeout: expiryTimeout, Run: ended(expiry)},
			purge(d),
		}},
	}}, nil
}

// ended is the task that ends the wait for payers.
func ended(e *app.Expiry) func(context.Context) (schedule.Result, error) {
	return func(ctx context.Context) (schedule.Result, error) {
		overdue, failed, err := e.Pass(ctx)
		return note(overdue, "%d vencidos, %d deles sem resposta", overdue, failed), err
	}
}

// purge is the task that forgets keys.
func purge(d module.Deps) schedule.Task {
	return schedule.Task{Name: Name + ".idempotency", About: "Esquece chaves de idempotência vencidas.", Every: purgeEvery,
		Run: func(ctx context.Context) (schedule.Result, error) {
			n, err := idempotency.Purge(ctx, d.Store, d.Clock.Now())
			return note(int(n), "%d chaves esquecidas", n), err
		}}
}

// note tells what was done, unless it was nothing.
func note(n int, format string, args ...any) schedule.Result {
	if n == 0 {
		return schedule.Result{}
	}
	return schedule.Result{Note: fmt.Sprintf(format, args...)}
}

func newAPI(cfg Config, d module.Deps, payments *store.Payments, theAcquirer app.Acquirer, settler *app.Settler,
	refunds *app.Refunds) (module.Module, error) {
	coupons := map[string]payment.Coupon{}
	for _, text := range cfg.Coupons {
		c, err := payment.ParseCoupon(text)
		if err != nil {
			return module.Module{}, err
		}
		coupons[c.Code] = c
	}
	secret := []byte(cfg.CallbackSecret.Reveal())
	if len(secret) == 0 {
		secret = d.Secret("acquirer.callback")
	}
	handler, err := rest.Server(&rest.Handler{
		Accept: &app.Accept{
			Payments: payments, Acquirer: theAcquirer, Fingerprint: d.Secret("payments.fingerprint"), Coupons: coupons,
			Courses:        &courses.Client{RPC: academicsv1connect.NewCourseServiceClient(d.Call("academics")), Timeout: cfg.CourseTimeout},
			MaxInstallment: cfg.MaxInstallments, MinInstallment: money.Cents(cfg.MinInstallmentCents),
			Clock: d.Clock, IDs: d.IDs, Crash: d.Crash,
		},
		Refunds: refunds,
		Notices: &app.Notices{Payments: payments, Acquirer: theAcquirer, Settler: settler, Log: d.Log},
		Store:   payments,
	}, rest.Signature{Secret: secret, Tolerance: cfg.CallbackTolerance, Clock: d.Clock})
	if err != nil {
		return module.Module{}, fmt.Errorf("payments: routes: %w", err)
	}
	return module.Module{Name: Name + ".api", REST: handler}, nil
}
