// Command mergecmd writes openapi.gen.json, the merged document of contracts/rest.
// Run it through go generate in contracts/rest.
package main

import (
	"fmt"
	"os"

	"trama/contracts/rest"
)

func main() {
	doc, err := rest.Merge()
	if err == nil {
		err = os.WriteFile("openapi.gen.json", doc, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mergecmd:", err)
		os.Exit(1)
	}
}
