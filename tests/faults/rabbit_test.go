package faults

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"trama/platform/enginetest"
	"trama/tests/harness"
)

// rabbit is a RabbitMQ node of the test's own, which may be killed.
type rabbit struct {
	t                    *testing.T
	server, dir, address string
	who                  *syscall.Credential
	env                  []string
	cmd                  *exec.Cmd
}

func newRabbit(t *testing.T) *rabbit {
	t.Helper()
	r := &rabbit{t: t, server: program(t, "rabbitmq", "rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")}
	dir, who := servantFolder(t, "rabbitmq")
	r.dir, r.who = dir, who
	plugins, config := filepath.Join(dir, "enabled_plugins"), filepath.Join(dir, "rabbitmq")
	r.address = "127.0.0.1:" + freePort(t)
	for path, text := range map[string]string{plugins: "[].", config + ".conf": "listeners.tcp.default = " + r.address + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.env = append(os.Environ(), "RABBITMQ_NODENAME=trama-"+enginetest.Suffix()+"@localhost", "RABBITMQ_CONFIG_FILE="+config,
		"RABBITMQ_DIST_PORT="+freePort(t), "RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+plugins, "RABBITMQ_CONF_ENV_FILE=/dev/null", "HOME="+dir)
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *rabbit) start() {
	r.t.Helper()
	r.cmd = exec.Command(r.server)
	r.cmd.Env, r.cmd.Dir = r.env, r.dir
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: r.who} // the script and the node, to be killed together
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	harness.Eventually(r.t, patience, "RabbitMQ to start", func() bool {
		conn, err := net.Dial("tcp", r.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func (r *rabbit) kill() {
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	_ = r.cmd.Wait()
}

func TestRabbitMQKilledUnderLoad(t *testing.T) {
	t.Parallel()
	if os.Getenv(longEnv) == "" {
		t.Skipf("starting a broker of one's own takes too long for every change; %s=1 does it", longEnv)
	}
	r := newRabbit(t)
	x := start(t, false, map[string]string{"bus.url": "amqp://guest:guest@" + r.address + "/"})
	const times = 3
	x.underLoad(times, 9, r.kill, r.start)
	report(t, faultBrokerDie, "RabbitMQ", fmt.Sprintf("kill -9 of the node and start, %d times", times), x.verify())
	x.stop()
}
