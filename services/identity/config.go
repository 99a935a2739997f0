package identity

import (
	"strconv"
	"time"

	"trama/platform/config"
)

// Config is what can be set of identity.
type Config struct {
	InitialPasswordLife time.Duration `key:"initialPasswordLife" default:"72h" help:"how long a first password works, 1m to 720h"`
	ParallelHashes      int           `key:"parallelHashes" default:"1" help:"password hashes computed at the same time, 1 to 16; each takes 19 MiB of memory and one core"`
	// HashMemory is the memory of one hash in KiB, for simulations that make very
	// many; 0, and so everything that can be configured, is 19 MiB.
	HashMemory  int
	MaxInFlight int `key:"maxInFlight" default:"32" help:"events of one subscription handled at the same time, 1 to 1024"`
}

// Check tells what cannot work.
func (c Config) Check() []config.Problem {
	var out []config.Problem
	if c.InitialPasswordLife < time.Minute || c.InitialPasswordLife > 720*time.Hour {
		out = append(out, config.Problem{Key: "initialPasswordLife", Value: c.InitialPasswordLife.String(), Rule: "from 1m to 720h", Try: "72h"})
	}
	if c.ParallelHashes < 1 || c.ParallelHashes > 16 {
		out = append(out, config.Problem{Key: "parallelHashes", Value: strconv.Itoa(c.ParallelHashes), Rule: "a whole number from 1 to 16", Try: "1"})
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 1024 {
		out = append(out, config.Problem{Key: "maxInFlight", Value: strconv.Itoa(c.MaxInFlight), Rule: "a whole number from 1 to 1024", Try: "32"})
	}
	return out
}
