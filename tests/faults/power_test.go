package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"trama/tests/harness"
)

// Shutting down an ext4 file system without flushing its journal
// (EXT4_IOC_SHUTDOWN) is what a power cut does: from that instant on nothing
// reaches the disk, neither data nor journal nor metadata.
const (
	ext4Shutdown     = 0x8004587d
	withoutLastWords = 2 // EXT4_GOING_FLAGS_NOLOGFLUSH
)

// disk is a file system of the test's own, in an image file.
type disk struct {
	t     *testing.T
	image string
	dir   string // where it is mounted
	cuts  int
}

// newDisk makes and mounts one; the test is skipped where that is not allowed.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a power cut needs root, for a file system of its own")
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image-0"), dir: t.TempDir()}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 128<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Skipf("no ext4 file system can be made here: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		t.Skipf("no image can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

// cut takes the power away.
func (d *disk) cut() {
	d.t.Helper()
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	flag := uint32(withoutLastWords)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), ext4Shutdown, uintptr(unsafe.Pointer(&flag)))
	if errno != 0 {
		d.t.Skipf("this kernel cannot shut a file system down: %v", errno)
	}
}

// recover copies the image as the cut left it and mounts the copy, whose journal
// is then replayed. Nobody may have a file open.
func (d *disk) recover() {
	d.t.Helper()
	d.cuts++
	harness.Eventually(d.t, patience, "the dead file system to be let go", func() bool {
		return syscall.Unmount(d.dir, 0) == nil
	})
	after := filepath.Join(filepath.Dir(d.image), fmt.Sprint("image-", d.cuts))
	for _, args := range [][]string{{"cp", "--sparse=always", d.image, after}, {"mount", "-o", "loop", after, d.dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			d.t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	if err := os.Remove(d.image); err != nil {
		d.t.Fatal(err)
	}
	d.image = after
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	x := prepareAt(t, filepath.Join(d.dir, "data"), false, nil)
	x.begin()
	atRisk := 0
	cuts := kills(t)
	for range cuts {
		before := len(x.promised())
		var clients sync.WaitGroup
		clients.Go(func() { x.crowd(16, 4) })
		x.handled()
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)    // the cut comes when it comes
		control := filepath.Join(d.dir, fmt.Sprint("control-", d.cuts)) // a new one: ext4 writes what replaces a file at once
		if err := os.WriteFile(control, []byte("never synced"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.cut()
		promised := x.promised()
		x.Kill()
		d.recover()
		if text, _ := os.ReadFile(control); len(text) > 0 {
			t.Error("what was never synced survived: the power was not cut")
		}
		x.Launch()
		x.AwaitReady()
		for _, location := range promised {
			if _, err := x.Payment(location); err != nil {
				t.Errorf("accepted before the power went, and gone: %v", err)
			}
		}
		atRisk += len(promised) - before
		clients.Wait()
	}
	report(t, faultPower, "SQLite", fmt.Sprintf("%d cuts while payments came in", cuts),
		fmt.Sprintf("%d payments accepted before their cut, all there after it; %s", atRisk, x.verify()))
	x.stop()
}

// promised gives the payments that were answered with 202 so far.
func (x *trial) promised() (locations []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for location := range x.payments {
		locations = append(locations, location)
	}
	return locations
}
