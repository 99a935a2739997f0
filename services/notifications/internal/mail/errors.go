package mail

import "trama/platform/fault"

// Unavailable makes the fault of a mail that could not be handed over now; it
// may be later, and it may have been handed over already.
func Unavailable(cause error) error {
	return fault.New(fault.Unavailable, "correio-indisponivel", fault.Text{
		PT: "O correio não está disponível agora; a mensagem será enviada depois.",
		EN: "Mail is not available now; the message will be sent later.",
	}).Wrap(cause)
}

// Refused makes the fault of a mail that will never be taken.
func Refused(cause error) error {
	return fault.New(fault.Invalid, "mensagem-recusada", fault.Text{
		PT: "O servidor de correio recusou a mensagem de vez.",
		EN: "The mail server refused the message for good.",
	}).Wrap(cause)
}
