package faults

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// freePort gives a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// servantFolder makes a folder for a server that does not run as root, and gives
// whom it runs as.
func servantFolder(t *testing.T, name string) (dir string, who *syscall.Credential) {
	t.Helper()
	dir, err := os.MkdirTemp("", "trama-"+name+"-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Geteuid() != 0 {
		return dir, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("there is no user %s to run a server as", name)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// program finds what is not on everybody's path.
func program(t *testing.T, engine, name, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	if path, err := exec.LookPath(name); err == nil {
		found = append([]string{path}, found...)
	}
	if len(found) == 0 {
		enginetest.Missing(t, engine, fmt.Errorf("no %s here", name))
	}
	return found[len(found)-1]
}

// postgres is a PostgreSQL server of the test's own, which may be killed.
type postgres struct {
	t              *testing.T
	bin, dir, port string
	who            *syscall.Credential
}

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	p := &postgres{t: t, bin: filepath.Dir(program(t, "postgres", "initdb", "/usr/lib/postgresql/*/bin/initdb")), port: freePort(t)}
	dir, who := servantFolder(t, "postgres")
	p.dir, p.who = filepath.Join(dir, "data"), who
	if out, err := p.command("initdb", "-D", p.dir, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	p.start()
	t.Cleanup(func() { _ = p.command("pg_ctl", "-D", p.dir, "-m", "immediate", "stop").Run() })
	return p
}

func (p *postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.who}
	return cmd
}

// start starts the server; after a kill it recovers from its log first.
func (p *postgres) start() {
	p.t.Helper()
	options := "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 -p " + p.port
	harness.Eventually(p.t, patience, "PostgreSQL to start", func() bool { // not before the last child of the killed one is gone
		return p.command("pg_ctl", "-D", p.dir, "-l", p.dir+".log", "-w", "-t", "60", "-o", options, "start").Run() == nil
	})
}

// kill ends the server with SIGKILL.
func (p *postgres) kill() {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "postmaster.pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid < 2 {
		p.t.Fatalf("postmaster.pid begins with %q", first)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
}

func (p *postgres) database(name string) string {
	admin := "postgres://postgres@127.0.0.1:" + p.port + "/postgres?sslmode=disable"
	enginetest.PostgresExec(p.t, admin, "CREATE DATABASE "+name)
	return strings.Replace(admin, "/postgres?", "/"+name+"?", 1)
}

// underLoad lets clients come, and does harm and repair while they do, so many times.
func (x *trial) underLoad(times, clients int, harm, repair func()) {
	for range times {
		var coming sync.WaitGroup
		coming.Go(func() { x.crowd(clients, 4) })
		x.handled()
		harm()
		repair()
		coming.Wait()
	}
}

func TestPostgresKilledUnderLoad(t *testing.T) {
	t.Parallel()
	p := newPostgres(t)
	set := map[string]string{"bus.url": p.database("bus")}
	for _, service := range stores {
		set["stores."+service] = p.database(service)
	}
	x := start(t, false, set)
	const times = 3
	x.underLoad(times, 9, p.kill, p.start)
	report(t, faultDatabase, "PostgreSQL: stores and bus", fmt.Sprintf("kill -9 of the server and start, %d times", times), x.verify())
	x.stop()
}
