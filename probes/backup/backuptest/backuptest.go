// Package backuptest proves a kind of backup against the real program that makes
// such backups: a shell script makes a good one once, others harm copies of it,
// and a table says what the kind must answer.
//
// It is for live tests: it runs bash and the programs of the kind.
package backuptest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/internal/scratch"
)

// Host is this host, as the agent sees it with the commands of a kind. wrappers
// are those of the section commands of the configuration; they may be nil.
func Host(t testing.TB, kind job.Kind, wrappers map[string][]string) probes.Host {
	t.Helper()
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: kind.Commands}}, Wrappers: wrappers})
	if err != nil {
		t.Fatal(err)
	}
	return hosts.For("backup")
}

// A Shell runs scripts. Each begins with the lines of Library, stops at the first
// error, and knows how to harm a file:
//
//	flip FILE [PERCENT]   changes the byte there, by default in the middle
//	keep FILE PERCENT     cuts the rest off
type Shell struct {
	Library string
	Env     []string // further environment, as NAME=value
}

const library = `set -euo pipefail
flip() { local n b; n=$(( $(stat -c %s "$1") * ${2:-50} / 100 )); b=$(od -An -tu1 -j $n -N 1 "$1")
         printf "\\x$(printf %02x $(( b ^ 255 )))" | dd of="$1" bs=1 seek=$n conv=notrunc status=none; }
keep() { truncate -s $(( $(stat -c %s "$1") * $2 / 100 )) "$1"; }
`

// Command returns the script as a command that runs in a directory, which is also
// its home.
func (s Shell) Command(ctx context.Context, dir, script string) *exec.Cmd {
	command := exec.CommandContext(ctx, "bash", "-c", library+s.Library+"\n"+script)
	command.Dir = dir
	command.Env = append(append(os.Environ(), "LC_ALL=C", "HOME="+dir), s.Env...)
	return command
}

// Run runs a script in a directory and returns what it printed.
func (s Shell) Run(t testing.TB, dir, script string) string {
	t.Helper()
	out, err := s.Command(t.Context(), dir, script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

// Duplicate copies a directory that a Shell filled into the place of another that is
// not there yet. No line of a Library runs meanwhile: such lines may write, and
// several copies are made at the same time.
func Duplicate(t testing.TB, from, to string) {
	t.Helper()
	Shell{}.Run(t, from, "cp -a . "+to)
}

// Scratch makes a scratch directory as the probe does: with a short name, and where
// engines reach it.
func Scratch(t testing.TB) string {
	t.Helper()
	base, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	dir, err := scratch.Make(base)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// settled waits until nobody writes to a directory any more, such as what a script
// began and did not wait for, and lists it.
func settled(t *testing.T, dir string) string {
	t.Helper()
	list := contents(t, dir)
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
		again := contents(t, dir)
		if again == list {
			break
		}
		list = again
	}
	return list
}

// contents lists everything in a directory with what a change of it changes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	return Shell{}.Run(t, dir, "find . -printf '%p %y %s %T@ %C@ %i\\n' | sort")
}

// Answer puts a judgement into words, such as "good" or "unknown auth".
func Answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// Check looks at a copy, and does a task with its newest point and all units, as
// the probe does. Besides those of Answer there are the answers "nothing", when
// there is no point, and "busy".
func Check(ctx context.Context, c job.Copy, task job.Task) (string, job.Sight, job.Outcome) {
	sight, err := c.Look(ctx)
	switch {
	case err != nil:
		return Answer(err), sight, job.Outcome{Err: err}
	case len(sight.Points) == 0:
		return "nothing", sight, job.Outcome{}
	case sight.Busy != "":
		return "busy", sight, job.Outcome{}
	}
	task.Point, task.Units = sight.Points[0], sight.Units
	out := c.Check(ctx, task)
	return Answer(out.Err), sight, out
}

// A Bench is where the cases of a kind are tried.
type Bench struct {
	Kind  job.Kind
	Host  probes.Host
	Shell Shell
	// Original is the directory with the good backup; each case works on a copy.
	Original string
	// Options of the copy in dir, for a case that brings some of its own.
	Options func(dir string, o job.Options) job.Options
	// Bytes is the least that reading a good backup must read; 0: not asked.
	Bytes int64
}

// A Case is what a script does to a backup, and what must be said of it.
type Case struct {
	Name    string // a sentence
	Script  string
	Options job.Options
	Depth   job.Depth
	Want    string // as Check answers
	// Restore is how it is restored, for the depths from Restored on. Scratch is
	// set by the bench.
	Restore job.Restore
	// Source is the directory that the backup was made of, beside it. What was
	// restored below a directory of that name is compared with it by diff, too.
	Source string
}

// Sample returns every n-th case, and all of them with HYGIENE_FULL=1: for a
// table that is tried in full with another version of the program.
func Sample(cases []Case, n int) []Case {
	if os.Getenv("HYGIENE_FULL") != "" {
		return cases
	}
	var some []Case
	for i := 0; i < len(cases); i += n {
		some = append(some, cases[i])
	}
	return some
}

// First returns the first n cases, and all of them with HYGIENE_FULL=1: for a
// table that has the cheap and the telling ones in front.
func First(cases []Case, n int) []Case {
	if os.Getenv("HYGIENE_FULL") == "" {
		return cases[:n]
	}
	return cases
}

// Neighbours asserts that backups which begin during checks succeed, and that one
// which runs is seen by its lock. The copy must tell of the log of a database.
func (b Bench) Neighbours(t *testing.T, script, lock string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "w")
	Duplicate(t, b.Original, dir)
	b.Shell.Run(t, dir, "true") // the lines of its library are for this place
	c := b.Kind.Open(b.Host, b.Options(dir, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if sight.Log.IsZero() {
		t.Error("the log is not seen")
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	Beside(t, c, task, 1, func(ctx context.Context) *exec.Cmd { return b.Shell.Command(ctx, dir, script) })
	busy := b.Shell.Run(t, dir, fmt.Sprintf(`as flock %[1]s sleep 60 > /dev/null 2>&1 & echo $!; for i in $(seq 100); do as flock -n %[1]s true || break; sleep 0.05; done`, lock))
	defer b.Shell.Run(t, dir, "kill "+busy)
	if got, _, _ := Check(t.Context(), c, task); got != "busy" {
		t.Errorf("a lock that is held: %q", got)
	}
}

// Run tries cases side by side.
func (b Bench) Run(t *testing.T, cases []Case) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			b.try(t, c)
		})
	}
}

func (b Bench) try(t *testing.T, c Case) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "w")
	Duplicate(t, b.Original, dir)
	b.Shell.Run(t, dir, c.Script)
	task := job.Task{Depth: c.Depth, Restore: c.Restore}
	task.Restore.Scratch = t.TempDir()
	if c.Source != "" {
		task.Restore.Source = filepath.Join(dir, c.Source)
	}
	before := settled(t, dir)
	got, sight, out := Check(t.Context(), b.Kind.Open(b.Host, b.Options(dir, c.Options)), task)
	if after := contents(t, dir); after != before {
		t.Errorf("the check has written:\n%s\nbefore it, there was:\n%s", after, before)
	}
	if got != c.Want {
		t.Fatalf("got %q, want %q: %v %v", got, c.Want, out.Err, out.Notes)
	}
	if odd := b.Shell.Run(t, task.Restore.Scratch, "find . -perm /7000 -o -type c -o -type b -o -type p"); odd != "" {
		t.Errorf("restored: %s", odd)
	}
	if got != "good" {
		return
	}
	if len(out.Tools) == 0 || len(sight.Tools) == 0 || sight.Tools[0].Version == "" {
		t.Errorf("nobody judged: %+v %+v", sight.Tools, out.Tools)
	}
	if c.Depth == job.Read && (out.Bytes < b.Bytes || len(out.Units) != len(sight.Units)) {
		t.Errorf("only %d bytes of %d units were read", out.Bytes, len(out.Units))
	}
	if c.Source != "" {
		compared(t, b.Shell, dir, c.Source, task.Restore.Scratch, out)
	}
}

// compared demands that every file of the source was compared with what was
// restored, and compares them once more.
func compared(t *testing.T, sh Shell, dir, source, scratch string, out job.Outcome) {
	t.Helper()
	files := strings.Fields(sh.Run(t, dir, "find "+source+" -type f | wc -l"))[0]
	if !slices.Contains(out.Notes, files+" files were compared with the source") {
		t.Errorf("not all of %s files were compared: %v", files, out.Notes)
	}
	sh.Run(t, dir, `diff -r --no-dereference `+source+` "$(find `+scratch+` -type d -name `+filepath.Base(source)+` | head -1)"`)
}

// Beside runs a script again and again as often as times says, while checks of a
// copy are made one after the other, and demands that every run of the script
// succeeds, and that no check calls the backup bad.
func Beside(t *testing.T, c job.Copy, task job.Task, times int, run func(ctx context.Context) *exec.Cmd) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range times {
			if text, err := run(t.Context()).CombinedOutput(); err != nil {
				t.Errorf("a backup beside checks: %v: %s", err, text)
			}
		}
	}()
	for done := false; !done; {
		out := c.Check(t.Context(), task)
		if got := Answer(out.Err); got != "good" && got != "unknown locked" {
			t.Errorf("a check beside backups says %q: %v", got, out.Err)
		}
		select {
		case <-ended:
			done = true
		default:
		}
	}
}
