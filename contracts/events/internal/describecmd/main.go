// Command describecmd writes the JSON Schemas and the AsyncAPI document of
// contracts/events. Run it through go generate there.
package main

import (
	"fmt"
	"os"

	"trama/contracts/events/internal/describe"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "describecmd:", err)
		os.Exit(1)
	}
}

func run() error {
	files, err := describe.Files(".")
	if err != nil {
		return err
	}
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
