package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trama/platform/store"
)

// childVariable makes a test binary another process of the suite: what it does,
// a colon, and the store it does it to.
const childVariable = "TRAMA_STORETEST_CHILD"

// Main is a TestMain for packages that call RunProcesses: in a process that the
// suite has started it plays its part on the store that open opens, and exits.
func Main(m *testing.M, open func(ctx context.Context, target string) (store.DB, error)) {
	role, target, ok := strings.Cut(os.Getenv(childVariable), ":")
	if !ok {
		os.Exit(m.Run())
	}
	db, err := open(context.Background(), target)
	if err == nil {
		err = child(context.Background(), role, db)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// RunProcesses proves what holds between processes and when they are killed. fresh
// gives the name of an empty store, which open opens here as Main's does there.
func RunProcesses(t *testing.T, fresh func(t *testing.T) string, open func(t *testing.T, target string) store.DB) {
	for name, test := range map[string]func(t *testing.T, target string, open func() store.DB){
		"processes write at once":             processesWrite,
		"acknowledged updates survive kill":   killKeeps,
		"a killed process frees its lease":    killFreesLease,
		"a killed transaction leaves nothing": killUndoes,
	} {
		t.Run(name, func(t *testing.T) {
			target := fresh(t)
			test(t, target, func() store.DB { return open(t, target) })
		})
	}
}

func child(ctx context.Context, role string, db store.DB) error {
	switch role {
	case "count":
		worst, err := increments(ctx, db)
		fmt.Println(worst.Microseconds())
		if err != nil {
			return err
		}
		return db.Close()
	case "insert":
		return insertForEver(ctx, db)
	case "lease":
		if _, err := db.Lease(ctx, "relay"); err != nil {
			return err
		}
		fmt.Println("held")
		select {}
	case "half":
		return db.Update(ctx, func(tx store.Tx) error {
			if err := insert(ctx, tx, "half", 1); err != nil {
				return err
			}
			fmt.Println("half")
			select {}
		})
	}
	return fmt.Errorf("unknown role %q", role)
}

// insertForEver tells each row once it is acknowledged. Its rows are its own: what
// an earlier process sent before it was killed may still be committed.
func insertForEver(ctx context.Context, db store.DB) error {
	mine := func(i int) string { return fmt.Sprint(os.Getpid(), "-", key(i)) }
	failed := make(chan error)
	for c := range 8 {
		go func() {
			for i := c; ; i += 8 {
				if err := db.Update(ctx, func(tx store.Tx) error { return insert(ctx, tx, mine(i), i) }); err != nil {
					failed <- err
				}
				os.Stdout.WriteString(mine(i) + "\n") // one write: lines do not mix
			}
		}()
	}
	return <-failed
}

type process struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func spawn(t *testing.T, role, target string) process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role+":"+target)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return process{cmd, bufio.NewScanner(out)}
}

// says waits for one line of the process.
func (p process) says(t *testing.T, line string) {
	t.Helper()
	if !p.out.Scan() || p.out.Text() != line {
		t.Fatalf("the process said %q, want %q", p.out.Text(), line)
	}
}

// kill is SIGKILL.
func (p process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
}

const (
	countClients = 4
	countRounds  = 50
)

func increments(ctx context.Context, db store.DB) (worst time.Duration, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range countClients {
		wg.Go(func() {
			for range countRounds {
				begin := time.Now()
				e := add(ctx, db, "x")
				mu.Lock()
				worst = max(worst, time.Since(begin))
				if e != nil {
					err = e
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return worst, err
}

// processesWrite: processes that write at once lose nothing. The log shows how
// fairly they took turns.
func processesWrite(t *testing.T, target string, open func() store.DB) {
	db := open()
	tableT(t, db)
	execute(t, db, `INSERT INTO t (id, n) VALUES ('x', 0)`)
	begin := time.Now()
	var all []process
	for range 3 {
		all = append(all, spawn(t, "count", target))
	}
	worst, err := increments(background(t), db)
	if err != nil {
		t.Error(err)
	}
	for _, p := range all {
		if p.out.Scan() {
			us, _ := strconv.Atoi(p.out.Text())
			worst = max(worst, time.Duration(us)*time.Microsecond)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	const each = countClients * countRounds
	want(t, "count", count(t, db, `SELECT n FROM t`), 4*each)
	t.Logf("4 processes × %d updates took %v, the slowest update %v", each, time.Since(begin), worst)
}

// killKeeps: what was acknowledged exists after kill -9, three times over.
func killKeeps(t *testing.T, target string, open func() store.DB) {
	db := open()
	tableT(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p := spawn(t, "insert", target)
		var got []string
		for p.out.Scan() { // what it still says after the kill was acknowledged before
			if got = append(got, p.out.Text()); len(got) == 200 {
				p.kill(t)
			}
		}
		_ = p.cmd.Wait()
		if len(got) < 200 {
			t.Fatalf("the process ended by itself after %d rows", len(got))
		}
		db := open()
		for _, id := range got {
			if count(t, db, `SELECT COUNT(*) FROM t WHERE id = $1`, id) != 1 {
				t.Errorf("row %s was acknowledged and is lost", id)
			}
		}
		execute(t, db, `DELETE FROM t`)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// killUndoes: a transaction that was open when its process was killed never was,
// and its locks hold nobody up.
func killUndoes(t *testing.T, target string, open func() store.DB) {
	db := open()
	tableT(t, db)
	p := spawn(t, "half", target)
	p.says(t, "half")
	p.kill(t)
	_ = p.cmd.Wait()
	execute(t, db, `INSERT INTO t (id, n) VALUES ('half', 2)`)
	want(t, "value", count(t, db, `SELECT n FROM t`), 2)
}

// killFreesLease: a lease ends with its process, however it ends.
func killFreesLease(t *testing.T, target string, open func() store.DB) {
	db := open()
	p := spawn(t, "lease", target)
	p.says(t, "held")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.Lease(short, "relay"); err == nil {
		t.Fatal("two processes hold one lease")
	}
	p.kill(t)
	begin := time.Now()
	l, err := db.Lease(background(t), "relay")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("held %v after the kill", time.Since(begin))
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	_ = p.cmd.Wait()
}
