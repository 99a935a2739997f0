package academics

import (
	"strconv"

	"trama/platform/config"
)

// Config is what can be set of academics.
type Config struct {
	MaxInFlight int `key:"maxInFlight" default:"32" help:"events of one subscription handled at the same time, 1 to 1024"`
}

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	if c.MaxInFlight < 1 || c.MaxInFlight > 1024 {
		return []config.Problem{{Key: "maxInFlight", Value: strconv.Itoa(c.MaxInFlight), Rule: "a whole number from 1 to 1024", Try: "32"}}
	}
	return nil
}
