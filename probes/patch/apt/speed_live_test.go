//go:build live

package apt

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// The reader beside apt on the packages and lists of this host: processor time,
// and memory. It only reports; what else the machine does makes times noisy.
func TestLiveSpeedBesideApt(t *testing.T) {
	command := exec.CommandContext(t.Context(), "apt-get", "-s", "-qq", "-o", "Debug::NoLocking=true", "dist-upgrade")
	command.Env = append(os.Environ(), "LC_ALL=C")
	if err := command.Run(); err != nil {
		t.Fatal(err)
	}
	apt := command.ProcessState
	resident := apt.SysUsage().(*syscall.Rusage).Maxrss >> 10

	r := New(rootfs.New(rootfs.Paths{}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cold := cpu(t, func() {
		if _, err := r.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	runtime.ReadMemStats(&after)
	unchanged := cpu(t, func() {
		if _, err := r.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	took := apt.UserTime() + apt.SystemTime()
	t.Logf("apt-get: %s of processor time, %d MB resident", took.Round(time.Millisecond), resident)
	t.Logf("cold: %s, %.0f times less, %d MB allocated in all, %d MB held afterwards", cold.Round(time.Millisecond),
		float64(took)/float64(cold), (after.TotalAlloc-before.TotalAlloc)>>20, after.HeapAlloc>>20)
	t.Logf("again: %s", unchanged.Round(10*time.Microsecond))
}

// cpu returns the processor time of a function.
func cpu(t *testing.T, do func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	begin := used()
	do()
	return used() - begin
}
