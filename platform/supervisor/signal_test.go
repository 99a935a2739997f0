package supervisor_test

import (
	"os"
	"os/signal"
	"syscall"
)

func signalIgnore(c chan os.Signal) { signal.Notify(c, syscall.SIGTERM) }
