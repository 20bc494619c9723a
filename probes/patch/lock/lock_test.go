package lock

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// TestMain is also the other process, which locks the file it is told and waits
// for the end of its input.
func TestMain(m *testing.M) {
	path := os.Getenv("LOCK_PATH")
	if path == "" {
		os.Exit(m.Run())
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("locked\n")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func TestHeld(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(root, "lock")
	files := rootfs.New(rootfs.Paths{Root: root, Proc: "/proc"})
	expect := func(when string, want updates.Truth) {
		t.Helper()
		if got := Held(files, "/lock"); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	expect("without a file", updates.No)
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	expect("without a lock", updates.No)

	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), "LOCK_PATH="+path)
	input, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatal(line, err)
	}
	expect("while another process has it", updates.Yes)
	unprivileged(t, func() { expect("without the right to open it", updates.Yes) })
	input.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	expect("afterwards", updates.No)
	unprivileged(t, func() { expect("afterwards, without the right to open it", updates.No) })
}

// unprivileged runs a function without the rights of root over files.
func unprivileged(t *testing.T, do func()) {
	if os.Geteuid() != 0 {
		return // the file is our own, and cannot be made unreadable
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread dies with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		do()
	}()
	<-done
}

// A table of a real host.
const table = `1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF
2: FLOCK  ADVISORY  WRITE 3517 00:17:1234 0 EOF
2: -> POSIX ADVISORY WRITE 99 fd:00:77 0 EOF
3: OFDLCK ADVISORY  READ  -1 00:2a:55 128 128
`

func TestTable(t *testing.T) {
	for _, c := range []struct {
		major, minor uint32
		inode        uint64
		want         bool
	}{
		{0xfd, 0, 2531452, true},
		{0xfd, 1, 2531452, false},
		{0xfd, 0, 2531453, false},
		{0, 0x17, 1234, true},
		{0, 0x99, 55, true},
	} {
		if got := listed(table, unix.Mkdev(c.major, c.minor), c.inode); got != c.want {
			t.Errorf("%x:%x:%d: %v", c.major, c.minor, c.inode, got)
		}
	}
}
