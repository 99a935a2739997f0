// Package card owns what the simulator does with a card number: the documented
// test cards and the behaviour of every other number. It is pure and keeps
// nothing.
package card

// Behaviour is what the simulated issuer does when a card is charged.
type Behaviour string

// The behaviours. They travel encrypted in tokens and are stored with charges,
// so their text never changes.
const (
	Approve            Behaviour = "aprovar"
	Refuse             Behaviour = "recusar"
	NoFunds            Behaviour = "sem-saldo"
	Blocked            Behaviour = "bloqueado"
	Expired            Behaviour = "vencido"
	WrongCVV           Behaviour = "cvv-errado"
	TimeoutThenApprove Behaviour = "demorar-e-aprovar" // the charge is made, its answer is lost
	TimeoutThenUnknown Behaviour = "demorar-e-sumir"   // no answer, and for a while nobody knows of the charge
)

// Reason gives the slug of the refusal that a behaviour leads to; empty when it
// leads to an approval.
func (b Behaviour) Reason() string {
	switch b {
	case Refuse:
		return "recusado-pelo-emissor"
	case NoFunds:
		return "saldo-insuficiente"
	case Blocked:
		return "cartao-bloqueado"
	case Expired:
		return "cartao-vencido"
	case WrongCVV:
		return "cvv-incorreto"
	}
	return ""
}

// Valid says whether b is one of the behaviours.
func (b Behaviour) Valid() bool {
	return b == Approve || b == TimeoutThenApprove || b == TimeoutThenUnknown || b.Reason() != ""
}

// Test is one documented test card.
type Test struct {
	Number    string // digits only
	Brand     string
	Behaviour Behaviour
	PT, EN    string // what happens
}

// Tests gives the documented test cards. The numbers are the ones that card
// processors publish for testing; no bank has issued them.
func Tests() []Test {
	return []Test{
		{"4111111111111111", "visa", Approve, "Aprova.", "Approves."},
		{"5555555555554444", "mastercard", Approve, "Aprova.", "Approves."},
		{"378282246310005", "amex", Approve, "Aprova (CVV de quatro dígitos).", "Approves (CVV of four digits)."},
		{"4000000000000002", "visa", Refuse, "O emissor recusa.", "The issuer refuses."},
		{"4000000000009995", "visa", NoFunds, "Saldo ou limite insuficiente.", "Insufficient funds."},
		{"4000000000009979", "visa", Blocked, "Cartão roubado: bloqueado.", "Stolen card: blocked."},
		{"4000000000000069", "visa", Expired, "O emissor diz que o cartão venceu.", "The issuer says that the card has expired."},
		{"4000000000000127", "visa", WrongCVV, "CVV incorreto.", "Wrong CVV."},
		{"4000000000000119", "visa", TimeoutThenApprove,
			"A cobrança é feita, mas a resposta não chega a tempo; perguntada de novo, está aprovada.",
			"The charge is made but its answer does not arrive in time; asked again, it is approved."},
		{"4000000000000341", "visa", TimeoutThenUnknown,
			"Não há resposta e por algum tempo a cobrança não é conhecida; repetida com a mesma chave, é aprovada uma vez.",
			"No answer, and for a while the charge is not known; repeated with the same key, it is approved once."},
	}
}

// BehaviourOf gives what happens with a number: that of the test card, or
// Approve for any other.
func BehaviourOf(number string) Behaviour {
	for _, t := range Tests() {
		if t.Number == number {
			return t.Behaviour
		}
	}
	return Approve
}

// Valid says whether number is 12 to 19 digits with a right check digit (Luhn,
// ISO/IEC 7812-1 annex B).
func Valid(number string) bool {
	if len(number) < 12 || len(number) > 19 {
		return false
	}
	sum, zeros := 0, true
	for i := range len(number) {
		d := int(number[len(number)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		zeros = zeros && d == 0
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && !zeros
}
