package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within returns a context that ends soon. Programs in these tests that take
// longer would take for ever.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// awaitDeath waits until a killed process is gone.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still alive", pid)
		}
	}
}

// number reads the process id that a program printed.
func number(t *testing.T, out []byte) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	must(t, err)
	return n
}

func shell(script string) []string { return []string{"sh", "-c", script} }

func TestOutput(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		script string
		want   probes.Output
		reason probes.Reason // of the error
	}{
		{name: "stdout and stderr are kept apart", script: "echo out; echo err >&2", want: probes.Output{Stdout: []byte("out\n"), Stderr: []byte("err\n")}},
		{name: "a status is no error", script: "echo out; exit 3", want: probes.Output{Stdout: []byte("out\n"), ExitCode: 3}},
		{name: "a program that is killed is an error", script: "echo out; kill -9 $$", want: probes.Output{Stdout: []byte("out\n")}, reason: probes.Unavailable},
		{name: "standard input is empty", script: "cat; echo end", want: probes.Output{Stdout: []byte("end\n")}},
		{
			name: "output beyond the cap is cut and the program is killed", script: "while :; do echo 123456789; done",
			want: probes.Output{Stdout: []byte(strings.Repeat("123456789\n", 10)), Truncated: true}, reason: probes.TooLarge,
		},
		{
			name: "stderr beyond its cap is cut and is no error", script: "for i in 1 2 3 4 5 6 7 8 9; do echo 123456789 >&2; done",
			want: probes.Output{Stderr: []byte(strings.Repeat("123456789\n", 5))},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRunner()
			r.stdout, r.stderr = 100, 50
			got, err := r.run(within(t, time.Minute), shell(test.script))
			if (err != nil) != (test.reason != "") || err != nil && probes.ReasonOf(err) != test.reason {
				t.Errorf("error %v; want reason %q", err, test.reason)
			}
			if got.Stdout == nil {
				test.want.Stdout = nil
			}
			if diff := cmp.Diff(test.want, got, cmp.Transformer("text", func(b []byte) string { return string(b) })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Tools of vendors write logs where they are started.
func TestWhatAProgramDropsIsRemoved(t *testing.T) {
	t.Parallel()
	out, err := newRunner().run(within(t, time.Minute), shell("echo log >dropped; mkdir -p a/b; pwd"))
	must(t, err)
	place := strings.TrimSpace(string(out.Stdout))
	if filepath.Dir(place) != filepath.Clean(os.TempDir()) {
		t.Errorf("it was started in %s", place)
	}
	if _, err := os.Stat(place); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", place, err)
	}
}

func TestTheEnvironmentIsClean(t *testing.T) {
	t.Setenv("SECRET", "of the agent")
	t.Setenv("PATH", t.TempDir())
	got, err := newRunner().run(within(t, time.Minute), []string{"env"})
	must(t, err)
	want := "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nTZ=UTC\n"
	if diff := cmp.Diff(want, string(got.Stdout)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProgramsThatCannotRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/data", []byte("#!/bin/sh\n"), 0o644))
	must(t, os.WriteFile(dir+"/script", []byte("#!/no/such/interpreter\n"), 0o755))
	for _, test := range []struct {
		name, program, text string
		reason              probes.Reason
	}{
		{"a name that is nowhere is not installed", "no-such-program", "no-such-program is not installed", probes.NotFound},
		{"a path that is nowhere is not installed", "/no/such/program", "/no/such/program is not installed", probes.NotFound},
		{"a directory is not installed", dir, dir + " is not installed", probes.NotFound},
		{"what may not be executed is named", dir + "/data", dir + "/data cannot be executed: permission denied", probes.PermissionDenied},
		{"a script without its interpreter", dir + "/script", "fork/exec " + dir + "/script: no such file or directory", probes.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := newRunner().run(t.Context(), []string{test.program})
			if err == nil || err.Error() != test.text || probes.ReasonOf(err) != test.reason {
				t.Errorf("error %v of reason %s; want %s, %s", err, probes.ReasonOf(err), test.text, test.reason)
			}
		})
	}
}

func TestTheEndOfTheContextKillsTheWholeGroup(t *testing.T) {
	t.Parallel()
	out, err := newRunner().run(within(t, 300*time.Millisecond), shell("sleep 1000 & echo $!; wait"))
	if !errors.Is(err, context.DeadlineExceeded) || probes.ReasonOf(err) != probes.Timeout {
		t.Errorf("error %v of reason %s; want a timeout", err, probes.ReasonOf(err))
	}
	awaitDeath(t, number(t, out.Stdout))
}

func TestACancelledRunIsNoTimeout(t *testing.T) {
	t.Parallel()
	started := filepath.Join(t.TempDir(), "started")
	must(t, unix.Mkfifo(started, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if _, err := os.ReadFile(started); err != nil { // ends when the program runs
			t.Error(err)
		}
		cancel()
	}()
	_, err := newRunner().run(ctx, shell("echo > "+started+"; exec sleep 1000"))
	if !errors.Is(err, context.Canceled) || probes.ReasonOf(err) == probes.Timeout {
		t.Errorf("error %v of reason %s; want %v", err, probes.ReasonOf(err), context.Canceled)
	}
}

func TestALeftoverThatHoldsTheOutputIsNotAwaited(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"in the group":        "sleep 1000 & echo $!",
		"in its own session":  "setsid sleep 1000 & echo $!",
		"with another status": "sleep 1000 & echo $!; exit 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunner()
			r.linger = 100 * time.Millisecond
			out, err := r.run(within(t, time.Minute), shell(script))
			must(t, err)
			pid := number(t, out.Stdout)
			if name == "in its own session" {
				must(t, syscall.Kill(pid, syscall.SIGKILL)) // it left the group, and lives
			}
			awaitDeath(t, pid)
			if want := strings.Contains(script, "exit 2"); (out.ExitCode == 2) != want {
				t.Errorf("status %d", out.ExitCode)
			}
		})
	}
}

// A program in an uninterruptible wait survives SIGKILL. Here it survives
// because nobody sends one.
func TestAProgramThatCannotBeKilledIsAbandoned(t *testing.T) {
	t.Parallel()
	r := newRunner()
	r.linger, r.patience = time.Hour, 50*time.Millisecond
	group := make(chan int, 2) // it is killed when the time is over, and once more when it has ended
	r.kill = func(pid int) error { group <- pid; return nil }
	argv := []string{"sleep", "1000"}
	_, err := r.run(within(t, 50*time.Millisecond), argv)
	pid := <-group
	if probes.ReasonOf(err) != probes.Timeout || !strings.Contains(err.Error(), "hangs in the kernel, as process "+strconv.Itoa(pid)) {
		t.Errorf("the first run ends with %v", err)
	}
	if _, err = r.run(t.Context(), argv); probes.ReasonOf(err) != probes.Unavailable || !strings.Contains(err.Error(), strconv.Itoa(pid)) {
		t.Errorf("the second run, beside the first, ends with %v", err)
	}
	if _, err := r.run(t.Context(), []string{"true"}); err != nil {
		t.Errorf("another command ends with %v", err)
	}
	must(t, syscall.Kill(-pid, syscall.SIGKILL))
	for deadline := time.Now().Add(10 * time.Second); r.stuckAs(strings.Join(argv, "\x00")) != 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a process that went away still counts as stuck")
		}
	}
}

func TestOnlyAFewProgramsRunAtOnce(t *testing.T) {
	t.Parallel()
	r := newRunner()
	started := filepath.Join(t.TempDir(), "started")
	must(t, unix.Mkfifo(started, 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range cap(r.slots) {
		group.Go(func() {
			if _, err := r.run(ctx, shell("echo > "+started+"; exec sleep 1000")); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	fifo, err := os.OpenFile(started, os.O_RDWR, 0)
	must(t, err)
	defer fifo.Close()
	for range cap(r.slots) {
		_, err := fifo.Read(make([]byte, 1))
		must(t, err)
	}
	_, err = r.run(within(t, 50*time.Millisecond), []string{"true"})
	if probes.ReasonOf(err) != probes.Timeout || !strings.HasPrefix(err.Error(), "true was not started") {
		t.Errorf("one more program ends with %v; want a timeout", err)
	}
	cancel()
	group.Wait()
	if _, err := r.run(t.Context(), []string{"true"}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAProgramOfRootIsNoneOfOurs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if _, err := lookup("/root/program"); err == nil {
			t.Error("the directory of root can be searched")
		}
		return
	}
	dir := t.TempDir()
	must(t, os.WriteFile(dir+"/program", []byte("#!/bin/sh\n"), 0o755))
	must(t, os.Chmod(dir, 0o700))
	asNobody(t, func() {
		if _, err := lookup(dir + "/program"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("lookup = %v; want %v", err, fs.ErrPermission)
		}
	})
}

// asNobody runs f in a thread of another user.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, 65534, 65534, 65534); errno != 0 {
			t.Errorf("setresgid: %v", errno)
			return
		}
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		f()
	}()
	<-done
}
