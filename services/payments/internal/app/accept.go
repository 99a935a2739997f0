package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"trama/platform/clock"
	"trama/platform/crash"
	"trama/platform/fault"
	"trama/platform/id"
	"trama/platform/idempotency"
	"trama/platform/money"
	"trama/platform/rule"
	"trama/services/payments/internal/card"
	"trama/services/payments/internal/payment"
)

// Wish is a wish to pay as it came in; nothing of it is trusted.
type Wish struct {
	Name, Email, CPF, Phone string
	CourseID                string
	Amount                  *Amount // nil: not given
	Method                  string
	Card                    *WishedCard // nil: not given
	Installments            *int        // nil: not given
	Coupon                  string      // empty: none
}

// Amount is an amount of money as it came in.
type Amount struct{ Value, Currency string }

// WishedCard is a card as it came in.
type WishedCard struct{ Holder, Number, Expiry, CVV string }

// Accept takes wishes to pay.
type Accept struct {
	Payments       Acceptor
	Courses        Courses
	Acquirer       Acquirer
	Fingerprint    []byte // key
	Coupons        map[string]payment.Coupon
	MaxInstallment int         // greatest number of instalments
	MinInstallment money.Cents // smallest instalment
	Clock          clock.Clock
	IDs            id.Source
	Crash          *crash.Points
}

var (
	// ErrAcquirerDown: no card can be taken now; nothing was accepted.
	ErrAcquirerDown = fault.New(fault.Unavailable, "adquirente-indisponivel", fault.Text{
		PT: "A operadora de cartões não responde agora. Nada foi cobrado nem registrado; tente de novo em instantes ou pague com pix.",
		EN: "The card acquirer does not answer now. Nothing was charged or recorded; try again in a moment or pay by pix.",
	}).After(5 * time.Second)
	// ErrCoursesDown: the price cannot be known now; nothing was accepted.
	ErrCoursesDown = fault.New(fault.Unavailable, "cursos-indisponiveis", fault.Text{
		PT: "Não conseguimos confirmar o preço do curso agora. Nada foi cobrado nem registrado; tente de novo em instantes.",
		EN: "We cannot confirm the price of the course now. Nothing was charged or recorded; try again in a moment.",
	}).After(2 * time.Second)
)

// Do accepts a wish to pay, or says everything that is wrong with it. When it
// returns nil, the payment and its first event are durable. key is the
// request's, nil when it has none: the same key gives the same payment.
func (a *Accept) Do(ctx context.Context, w Wish, key *idempotency.Key) (*payment.Payment, error) {
	if p, err := a.answered(ctx, key); p != nil || err != nil {
		return p, err
	}
	order, c, err := a.check(ctx, w)
	if err != nil {
		return nil, err
	}
	if order.Method == payment.Card {
		if order.Card, err = a.exchange(ctx, c); err != nil {
			return nil, err
		}
	}
	order.ID, order.EnrolmentRef = a.IDs.New(), a.IDs.New()
	p := payment.Accept(order, a.Clock.Now())
	err = a.Payments.Insert(ctx, p, key)
	if errors.Is(err, idempotency.ErrRace) {
		return a.winner(ctx, *key)
	}
	if err != nil {
		return nil, err
	}
	a.Crash.At("payments.accepted")
	return p, nil
}

func (a *Accept) answered(ctx context.Context, key *idempotency.Key) (*payment.Payment, error) {
	if key == nil {
		return nil, nil
	}
	id, ok, err := a.Payments.Answered(ctx, *key)
	if err != nil || !ok {
		return nil, err
	}
	return a.Payments.Get(ctx, id)
}

// winner gives the payment of the request that used the key first.
func (a *Accept) winner(ctx context.Context, key idempotency.Key) (*payment.Payment, error) {
	p, err := a.answered(ctx, &key)
	if err == nil && p == nil { // it expired in between
		err = idempotency.ErrRunning
	}
	return p, err
}

// exchange gives the acquirer the card and keeps what may be kept of it.
func (a *Accept) exchange(ctx context.Context, c card.Card) (payment.CardOnFile, error) {
	token, err := a.Acquirer.Tokenize(ctx, c)
	if err != nil {
		f := fault.As(err)
		if f.Kind == fault.Invalid {
			return payment.CardOnFile{}, fault.Fields([]fault.Field{{Pointer: "/cartao/numero", Rule: "cartao", Text: fault.Text{
				PT: "A operadora não reconhece este cartão.", EN: "The acquirer does not recognise this card."}}})
		}
		return payment.CardOnFile{}, ErrAcquirerDown.Wrap(err)
	}
	number, _ := c.Reveal()
	mac := hmac.New(sha256.New, a.Fingerprint)
	mac.Write([]byte(number))
	return payment.CardOnFile{
		Token: token, Brand: string(c.Brand()), LastFour: c.LastFour(), Country: c.Country(),
		Fingerprint: hex.EncodeToString(mac.Sum(nil)[:16]),
	}, nil
}

// check looks at everything and tells all that is broken at once. Only when the
// rest is right does an academics that does not answer matter.
func (a *Accept) check(ctx context.Context, w Wish) (payment.Order, card.Card, error) {
	var broken fields
	order := payment.Order{Method: payment.Method(w.Method), Installments: 1}
	var c rule.Checker
	order.Payer = payment.Payer{
		Name: c.Name("/aluno/nome", w.Name), Email: c.Email("/aluno/email", w.Email),
		CPF: c.CPF("/aluno/cpf", w.CPF), Phone: c.Phone("/aluno/telefone", w.Phone),
	}
	broken.take(c.Err())
	theCard := a.checkMethod(w, &broken)
	if w.Coupon != "" {
		coupon, ok := a.Coupons[payment.NormalCoupon(w.Coupon)]
		if order.Coupon = coupon.Code; !ok {
			broken.add("/desconto", "cupom", "Este cupom não existe ou não vale mais.", "This coupon does not exist or is over.")
		}
	}
	down := a.price(ctx, w, &order, &broken)
	a.checkInstallments(w, &order, &broken)
	if err := fault.Fields(broken); err != nil {
		return order, theCard, err
	}
	return order, theCard, down
}

func (a *Accept) checkMethod(w Wish, broken *fields) card.Card {
	var theCard card.Card
	switch m := payment.Method(w.Method); {
	case !m.Valid():
		broken.add("/metodo", "valor", "Escolha cartao, pix ou boleto.", "Choose cartao, pix or boleto.")
	case m == payment.Card && w.Card == nil:
		broken.add("/cartao", "obrigatorio", "Informe o cartão.", "The card is required.")
	case m != payment.Card && w.Card != nil:
		broken.add("/cartao", "sobra", "Só o método cartao leva dados de cartão.", "Only the method cartao takes card data.")
	case m == payment.Card:
		var c rule.Checker
		holder := c.Name("/cartao/titular", w.Card.Holder)
		broken.take(c.Err())
		var more []fault.Field
		theCard, more = card.Parse(card.Input{Pointer: "/cartao", Holder: holder, Number: w.Card.Number,
			Expiry: w.Card.Expiry, CVV: w.Card.CVV}, a.Clock.Now())
		*broken = append(*broken, more...)
	}
	return theCard
}

// price asks academics for the course and settles what is to be paid. The error
// is that academics does not answer.
func (a *Accept) price(ctx context.Context, w Wish, order *payment.Order, broken *fields) error {
	if !id.Valid(w.CourseID) {
		broken.add("/cursoId", "curso", "Informe o identificador de um curso.", "Give the id of a course.")
		return nil
	}
	course, err := a.Courses.Course(ctx, w.CourseID)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound, err == nil && !course.Active:
		broken.add("/cursoId", "curso", "Este curso não existe ou não está à venda.", "This course does not exist or is not sold.")
		return nil
	case err != nil && fault.KindOf(err).Transient():
		return ErrCoursesDown.Wrap(err)
	case err != nil:
		return err
	case course.Price <= 0:
		broken.add("/cursoId", "gratuito", "Este curso não é pago.", "This course costs nothing.")
		return nil
	}
	order.Course = payment.Course{ID: course.ID, Title: course.Title}
	order.Price, order.Amount = course.Price, course.Price
	if order.Coupon != "" {
		order.Amount = a.Coupons[order.Coupon].Off(course.Price)
	}
	a.checkAmount(w, order, broken)
	return nil
}

// checkAmount refuses an amount that is not the price: prices come from us.
func (a *Accept) checkAmount(w Wish, order *payment.Order, broken *fields) {
	if w.Amount == nil || (w.Coupon != "" && order.Coupon == "") { // a wrong coupon is told already
		return
	}
	got, err := money.Parse(w.Amount.Value)
	switch {
	case w.Amount.Currency != money.BRL:
		broken.add("/valor/moeda", "moeda", "Só cobramos em BRL.", "We charge in BRL only.")
	case err != nil:
		broken.add("/valor/valor", "valor", "Informe o valor como 1299.00.", "Give the amount as 1299.00.")
	case got != order.Amount:
		broken.add("/valor", "preco", "O valor não é o preço do curso: "+order.Amount.Real()+".",
			"The amount is not the price of the course: "+order.Amount.Real()+".")
	}
}

func (a *Accept) checkInstallments(w Wish, order *payment.Order, broken *fields) {
	if w.Installments == nil {
		return
	}
	n := *w.Installments
	switch {
	case n != 1 && payment.Method(w.Method) != payment.Card:
		broken.add("/parcelas", "parcelas", "Só o cartão parcela.", "Only cards pay in instalments.")
	case n < 1 || n > a.MaxInstallment:
		broken.add("/parcelas", "parcelas", "Escolha de 1 a "+decimal(a.MaxInstallment)+" parcelas.",
			"Choose from 1 to "+decimal(a.MaxInstallment)+" instalments.")
	case n > 1 && order.Amount > 0 && order.Amount/money.Cents(n) < a.MinInstallment:
		broken.add("/parcelas", "parcela-minima", "Cada parcela tem de ser de ao menos "+a.MinInstallment.Real()+".",
			"Each instalment must be at least "+a.MinInstallment.Real()+".")
	default:
		order.Installments = n
	}
}
