// Package faults proves that nothing is lost and nothing happens twice when
// processes die, engines go away, disks fill up and nonsense arrives. Every test
// reports a row of the table in docs/reliability.md.
package faults

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"trama/tests/harness"
)

// patience is how long anything may take that must happen.
const patience = 90 * time.Second

// Settings of a run.
const (
	killsEnv  = "TRAMA_FAULTS_KILLS"  // deaths at each named point; default 5, with -short 1
	reportEnv = "TRAMA_FAULTS_REPORT" // file whose table is written anew
	longEnv   = "TRAMA_FAULTS_LONG"   // not empty: also what takes too long for every change
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set("4") // half of every test is waiting
	}
	code := m.Run()
	harness.Clean()
	if path := os.Getenv(reportEnv); path != "" && code == 0 {
		if err := table.write(path); err != nil {
			fmt.Fprintln(os.Stderr, "report:", err)
			code = 1
		}
	}
	os.Exit(code)
}
