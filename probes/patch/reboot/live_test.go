//go:build live

package reboot

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

func install(t *testing.T, path string) {
	t.Helper()
	from, err := os.Open("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	to.Close()
	if err := os.Rename(path+".new", path); err != nil { // as package managers do
		t.Fatal(err)
	}
}

func start(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(argv[0], argv[1:]...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	return command
}

// code waits until a process executes the program it was started for.
func code(t *testing.T, pid int, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe"); err == nil && filepath.Base(exe) == want {
			return
		}
	}
	t.Fatalf("process %d never executes %s", pid, want)
}

// Real processes on this host: only the one whose code was replaced after it
// started counts.
func TestLiveOnlyReplacedCodeCounts(t *testing.T) {
	dir, err := os.MkdirTemp("/opt", "hygiene-live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	temporary := t.TempDir()
	old, gone, elsewhere := filepath.Join(dir, "replaced"), filepath.Join(dir, "removed"), filepath.Join(temporary, "temporary")
	for _, path := range []string{old, gone, elsewhere} {
		install(t, path)
	}
	replaced := start(t, old, "1000")
	removed := start(t, gone, "1000")
	temp := start(t, elsewhere, "1000")
	memory := start(t, "python3", "-c", "import os; fd = os.memfd_create('x'); os.write(fd, open('/bin/sleep', 'rb').read()); os.execv('/proc/self/fd/%d' % fd, ['sleep', '1000'])")
	code(t, replaced.Process.Pid, "replaced")
	code(t, removed.Process.Pid, "removed")
	code(t, temp.Process.Pid, "temporary")
	code(t, memory.Process.Pid, "memfd:x (deleted)")

	time.Sleep(20 * time.Millisecond) // a tick of the clock of processes
	before, err := Outdated(t.Context(), rootfs.New(rootfs.Paths{}))
	if err != nil {
		t.Fatal(err)
	}
	install(t, old)
	for _, path := range []string{gone, elsewhere} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(20 * time.Millisecond)
	fresh := start(t, old, "1000")
	code(t, fresh.Process.Pid, "replaced")
	after, err := Outdated(t.Context(), rootfs.New(rootfs.Paths{}))
	if err != nil {
		t.Fatal(err)
	}
	count := func(p Processes) (n int, files []string) {
		for _, s := range p.Services {
			n += s.Processes
			files = append(files, s.Files...)
		}
		return n, files
	}
	first, _ := count(before)
	second, files := count(after)
	if second-first != 2 {
		t.Errorf("%d more processes count, and not 2: %q", second-first, files)
	}
	for _, path := range []string{old, gone} {
		if !slices.Contains(files, path) {
			t.Errorf("%s is not among %q", path, files)
		}
	}
	if after.Inspected < 5 {
		t.Errorf("%+v", after)
	}
	if err := syscall.Kill(replaced.Process.Pid, 0); err != nil {
		t.Errorf("the process is not there any more: %v", err)
	}
	t.Logf("%d processes inspected, %d unreadable, %d of containers; outdated before: %d", after.Inspected, after.Unreadable, after.Containers, first)
}
