//go:build live

package files_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/internal/scratch"
)

// processes lists who has a text in its command line.
func processes(t *testing.T, text string) []string {
	t.Helper()
	var list []string
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if line, err := os.ReadFile(name); err == nil && bytes.Contains(line, []byte(text)) && !bytes.Contains(line, []byte(".test")) {
			list = append(list, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return list
}

// nothingLeft makes sure that an engine has left no process and no file beside
// what was restored.
func nothingLeft(t *testing.T, base string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(processes(t, base)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("there are still %q", processes(t, base))
		}
		time.Sleep(50 * time.Millisecond) // the kernel tells nobody who is not the parent
	}
}

// small mounts a file system of a size.
func small(t *testing.T, megabytes int) string {
	t.Helper()
	base, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", base, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", megabytes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(base, 0); err != nil {
			t.Errorf("somebody still uses it: %v", err)
		}
		os.Remove(base)
	})
	dir, err := scratch.Make(base)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	// A few bytes that become 2 GB once they are loaded.
	swollen = "sed '0,/^CREATE TABLE/s//CREATE TABLE public.big AS SELECT g, repeat($$x$$, 1000) FROM generate_series(1, 2000000) g;\\nCREATE TABLE/' $DB/plain.sql > b/plain.sql"
	slow    = "sed '0,/^CREATE TABLE/s//SELECT pg_sleep(300);\\nCREATE TABLE/' $DB/plain.sql > b/plain.sql"
)

func TestLiveEngineBounds(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	h := backuptest.Host(t, files.Kind(), nil)
	mysqlSwollen := "sed '0,/^CREATE TABLE/s//CREATE TABLE big AS SELECT seq, repeat(0x78, 4000) s FROM seq_1_to_1000000;\\nCREATE TABLE/' $DB/my.sql > b/my.sql"
	for _, c := range []restoreCase{
		{name: "a disk without room for an engine", script: "cp $DB/plain.sql b", restore: job.Restore{Scratch: small(t, 100)}, want: "unknown too_large"},
		{name: "a disk that PostgreSQL fills", script: swollen, restore: job.Restore{Scratch: small(t, 180)}, want: "unknown too_large"},
		{name: "a disk that MariaDB fills", script: mysqlSwollen, restore: job.Restore{Scratch: small(t, 400)}, want: "unknown too_large"},
		{name: "a dump of Redis that needs more memory than there may be", script: "cp $DB/large.rdb b", restore: job.Restore{Memory: 48 << 20}, want: "unknown too_large"},
		{name: "a dump that reads a file of the host", script: "sed '0,/^CREATE TABLE/s//CREATE TABLE public.s (l text);\\nCOPY public.s FROM $$\\/etc\\/shadow$$;\\nCREATE TABLE/' $DB/plain.sql > b/plain.sql", want: "bad damaged", says: "Permission denied"},
		{name: "a dump that runs a program, which has no right", script: "sed '0,/^CREATE TABLE/s//CREATE TABLE public.s (l text);\\nCOPY public.s FROM PROGRAM $$test $(id -un) = nobody \\&\\& grep -q CapEff:.0000000000000000 \\/proc\\/self\\/status$$;\\nCREATE TABLE/' $DB/plain.sql > b/plain.sql", want: "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.restore.Scratch == "" {
				c.restore.Scratch = backuptest.Scratch(t)
			}
			c.run(t, h)
			nothingLeft(t, filepath.Dir(c.restore.Scratch))
			left, err := filepath.Glob(filepath.Dir(c.restore.Scratch) + "/*")
			if err != nil || len(left) != 1 {
				t.Errorf("beside what was restored there are %v, %v", left, err)
			}
		})
	}
}

func TestLiveEnginesEndInTime(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	dir, place := t.TempDir(), backuptest.Scratch(t)
	shell(t).Run(t, dir, "mkdir b; "+slow)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	s := engine.New(backuptest.Host(t, files.Kind(), nil), job.Restore{Scratch: place}, time.Now())
	start := time.Now()
	err := s.Load(ctx, content.PgDump, filepath.Join(dir, "b/plain.sql"))
	if got := answer(err); got != "unknown timeout" {
		t.Errorf("got %q: %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
	nothingLeft(t, filepath.Dir(place))
}

// child is a part of a test that a process of its own plays, which somebody else
// runs or kills. It loads a dump.
func child(place, dump string) {
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: engine.Commands()}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := engine.New(hosts.For("backup"), job.Restore{Scratch: place, Assert: job.Assert{Queries: []job.Query{{Query: "select count(*) from t", Equals: "50000"}}}}, time.Now())
	err = s.Load(context.Background(), content.PgDump, dump)
	if err == nil {
		err = s.Assert(context.Background())
	}
	fmt.Println("loaded:", answer(err), err)
	if os.Getenv("BACKUP_CHILD_WAITS") != "" {
		time.Sleep(time.Minute) // until it is killed
	}
	if err := s.Close(); err != nil {
		fmt.Println(err)
	}
}

// asChild runs child, as a user and with capabilities that setpriv understands.
func asChild(t *testing.T, place string, setpriv ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	shell(t).Run(t, dir, "chmod 755 .; cp "+self+" self.test; chmod 755 self.test; cp $DB/plain.sql .; chmod 644 plain.sql")
	argv := append(setpriv, filepath.Join(dir, "self.test"))
	command := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	command.Env = append(os.Environ(), "BACKUP_CHILD="+place, "BACKUP_CHILD_DUMP="+filepath.Join(dir, "plain.sql"))
	command.Dir = "/"
	return command
}

// An agent that is not root runs engines as itself, without its capabilities.
func TestLiveEnginesWithoutRoot(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	place := backuptest.Scratch(t)
	shell(t).Run(t, place, "chown -R nobody .. ")
	out, err := asChild(t, place, "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs",
		"--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "loaded: good") {
		t.Errorf("%v: %s", err, out)
	}
	nothingLeft(t, filepath.Dir(place))
}

// The engines of an agent that is killed end by themselves, and what they wrote
// is removed when the next agent starts.
func TestLiveEnginesOfAKilledAgent(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	place := backuptest.Scratch(t)
	base := filepath.Dir(place)
	command := asChild(t, place, "env", "BACKUP_CHILD_WAITS=1")
	var out bytes.Buffer
	said := make(chan struct{})
	command.Stdout = writer(func(b []byte) {
		out.Write(b)
		if bytes.Contains(b, []byte("\n")) {
			close(said)
		}
	})
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-said:
	case <-time.After(time.Minute):
	}
	running := processes(t, base)
	if err := syscall.Kill(command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed
	if len(running) == 0 || !strings.Contains(out.String(), "loaded: good") {
		t.Errorf("it loaded nothing: %s %v", out.String(), running)
	}
	nothingLeft(t, base)
	if left, _ := filepath.Glob(base + "/hygiene-scratch-*"); len(left) != 2 {
		t.Errorf("the test proves nothing: %v", left)
	}
	if err := scratch.Sweep(base); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(base + "/*"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}
