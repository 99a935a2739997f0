package system

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"trama/platform/clock"
	"trama/platform/config"
	"trama/platform/datadir"
	"trama/platform/schedule"
	"trama/platform/store/mongostore/mongotest"
)

// A name tells whose task it is, and no two are alike: an operator asks by it.
func TestTasksAreNamedAfterTheirService(t *testing.T) {
	services, _ := declared(t)
	var all []schedule.Task
	for _, s := range services {
		for _, m := range s.Modules {
			for _, task := range m.Tasks {
				if !strings.HasPrefix(task.Name, s.Name+".") || task.About == "" {
					t.Errorf("%s: task %q, %q", m.Name, task.Name, task.About)
				}
				all = append(all, task)
			}
		}
	}
	if _, err := schedule.New(schedule.Config{Tasks: all, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}
	if len(all) < 5 {
		t.Errorf("only %d tasks", len(all))
	}
}

func TestAHostRunsItsTasks(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		runsTask(t, defaults(t), "academics.worker", "academics.idempotency")
	})
	t.Run("mongodb", func(t *testing.T) {
		c := defaults(t)
		c.Stores.Marketing = config.Secret(mongotest.URL(t))
		runsTask(t, c, "marketing.tasks", "marketing.reminders")
	})
}

// runsTask starts a module and asks for one of its tasks, twice.
func runsTask(t *testing.T, c Config, module, task string) {
	dir, err := datadir.Open(t.TempDir(), datadir.Exclusive, 0, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	h := New(Options{Config: c, Dir: dir, Modules: []string{module}, Log: slog.New(slog.DiscardHandler)})
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	service, _, _ := strings.Cut(module, ".")
	desk := h.stores[service].desk
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for n := int64(1); n <= 2; n++ {
		for s := (schedule.State{}); s.Runs < n || s.LastResult != schedule.OK; {
			if err := h.Clock.Wait(ctx, 10*time.Millisecond); err != nil {
				t.Fatalf("%v; state: %+v", err, s)
			}
			s, _ = desk.State(ctx, task) // unknown until its runner has begun
		}
		if err := desk.Request(ctx, task, "ana"); err != nil {
			t.Fatal(err)
		}
	}
}
