//go:build live

package borg_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/host"
)

// realHost is this host, as the agent sees it.
func realHost(t testing.TB) probes.Host {
	t.Helper()
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: borg.Kind().Commands}}})
	if err != nil {
		t.Fatal(err)
	}
	return hosts.For("backup")
}

// library are the shell functions with which repositories are made and harmed.
const library = `
set -euo pipefail
export BORG_PASSCOMMAND="cat $PWD/pw" BORG_BASE_DIR=$PWD/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
flip() { local at=$(( $(stat -c %s "$1") / 2 )); local b=$(od -An -tu1 -j $at -N 1 "$1")
         printf "\\x$(printf %02x $(( b ^ 255 )))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none; }
big() { find repo/data -type f -size +500k | sort | head -1; }
`

func bash(t testing.TB, dir, script string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "bash", "-c", library+script)
	command.Dir = dir
	command.Env = append(os.Environ(), "LC_ALL=C", "HOME="+dir)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, script, out)
	}
	return string(out)
}

// original makes a repository that the tests copy.
func original(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bash(t, dir, `echo secret > pw; echo wrong > wrong; mkdir -p src/sub
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
borg init -e repokey repo 2> /dev/null; borg create repo::one src`)
	return dir
}

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// check looks at a repository and does a task, as the probe does.
func check(t *testing.T, c job.Copy, depth job.Depth, restore job.Restore) (string, job.Sight, job.Outcome) {
	t.Helper()
	sight, err := c.Look(t.Context())
	switch {
	case err != nil:
		return answer(err), sight, job.Outcome{Err: err}
	case len(sight.Points) == 0:
		return "nothing", sight, job.Outcome{}
	case sight.Busy != "":
		return "busy", sight, job.Outcome{}
	}
	out := c.Check(t.Context(), job.Task{Depth: depth, Point: sight.Points[0], Units: sight.Units, Restore: restore})
	return answer(out.Err), sight, out
}

func TestLiveRepositories(t *testing.T) {
	t.Parallel()
	from, h := original(t), realHost(t)
	for _, c := range []struct {
		name, script string
		depth        job.Depth
		want         string
	}{
		{name: "a good one has its structure", depth: job.Structure, want: "good"},
		{name: "a good one is read", depth: job.Read, want: "good"},
		{name: "without encryption", script: "rm -rf repo; borg init -e none repo; borg create repo::one src", depth: job.Read, want: "good"},
		{name: "after a compaction", script: "borg create repo::two src; borg delete repo::one; borg compact repo", depth: job.Read, want: "good"},
		{name: "a stale lock of this host", script: stale, depth: job.Structure, want: "good"},
		{name: "a changed byte in a segment", script: "flip $(big)", depth: job.Read, want: "bad damaged"},
		{name: "a truncated segment", script: "truncate -s 100000 $(big)", depth: job.Read, want: "bad truncated"},
		{name: "an empty segment", script: ": > $(big)", depth: job.Read, want: "bad truncated"},
		{name: "a missing segment", script: "rm $(big)", depth: job.Read, want: "bad incomplete"},
		{name: "no data at all", script: "rm -r repo/data", depth: job.Structure, want: "bad incomplete"},
		{name: "no archive", script: "borg delete repo::one", depth: job.Structure, want: "nothing"},
		{name: "an archive of an empty directory", script: "mkdir e; borg create repo::two e", depth: job.Structure, want: "bad empty"},
		{name: "a wrong password", script: "cp wrong pw", depth: job.Structure, want: "unknown auth"},
		{name: "no password file", script: "rm pw", depth: job.Structure, want: "unknown auth"},
		{name: "no repository", script: "rm -r repo", depth: job.Structure, want: "unknown not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "w")
			bash(t, from, "cp -a . "+dir)
			bash(t, dir, c.script)
			o := job.Options{Repository: filepath.Join(dir, "repo"), PasswordFile: filepath.Join(dir, "pw")}
			got, sight, out := check(t, borg.Kind().Open(h, o), c.depth, job.Restore{})
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v", got, c.want, out.Err, out.Notes)
			}
			if got == "good" && (len(out.Tools) == 0 || len(sight.Tools) == 0 || sight.Tools[0].Version == "") {
				t.Errorf("nobody judged: %+v %+v", sight.Tools, out.Tools)
			}
			if got == "good" && c.depth == job.Read && (out.Bytes < 2_700_000 || len(out.Units) != len(sight.Units)) {
				t.Errorf("only %d bytes of %d units were read", out.Bytes, len(out.Units))
			}
		})
	}
}

// stale leaves a lock of a process that was killed.
const stale = `mkfifo hold; borg create repo::two - < hold & exec 3> hold
for i in $(seq 200); do [ -n "$(ls repo/lock.exclusive 2> /dev/null)" ] && break; sleep 0.05; done
kill -9 $!; wait $! || true; exec 3>&-; test -n "$(ls repo/lock.exclusive)"
`

func TestLiveRestores(t *testing.T) {
	t.Parallel()
	from, h := original(t), realHost(t)
	for _, c := range []struct {
		name, script string
		restore      job.Restore
		source       bool
		want         string
	}{
		{name: "an archive", source: true, want: "good"},
		{name: "what is required", restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 4}}, want: "good"},
		{name: "what is required and missing", restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, want: "bad unasserted"},
		{name: "a source that was changed in secret", script: "touch -r src/text t; sed -i s/19999/99999/ src/text; touch -r t src/text", source: true, want: "bad mismatch"},
		{name: "a segment with a changed byte", script: "flip $(big)", want: "bad damaged"},
		{name: "a missing segment", script: "rm $(big)", want: "bad incomplete"},
		{name: "rights and devices", script: "mkdir d; cp /bin/true d/suid; chmod 6755 d/suid; ln d/suid d/hard; mknod d/null c 1 3; mkfifo d/pipe; borg create repo::two d", want: "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, scratch := filepath.Join(t.TempDir(), "w"), t.TempDir()
			bash(t, from, "cp -a . "+dir)
			bash(t, dir, c.script)
			c.restore.Scratch = scratch
			if c.source {
				c.restore.Source = filepath.Join(dir, "src")
			}
			o := job.Options{Repository: filepath.Join(dir, "repo"), PasswordFile: filepath.Join(dir, "pw")}
			got, _, out := check(t, borg.Kind().Open(h, o), job.Restored, c.restore)
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v", got, c.want, out.Err, out.Notes)
			}
			if c.source && got == "good" {
				if !slices.Contains(out.Notes, "4 files were compared with the source") {
					t.Errorf("not compared: %v", out.Notes)
				}
				bash(t, dir, "diff -r --no-dereference src $(find "+scratch+" -name src)")
			}
			if odd := bash(t, scratch, "find . -perm /7000 -o -type c -o -type p"); odd != "" {
				t.Errorf("restored: %s", odd)
			}
		})
	}
}

// TestLiveNeighbours: a backup that runs is left alone, and one that begins
// during checks succeeds.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	from, h := original(t), realHost(t)
	c := borg.Kind().Open(h, job.Options{Repository: filepath.Join(from, "repo"), PasswordFile: filepath.Join(from, "pw")})
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, name := range []string{"a", "b", "c"} {
			command := exec.CommandContext(t.Context(), "bash", "-c", library+"head -c 500000 /dev/urandom > src/new; borg create repo::"+name+" src")
			command.Dir = from
			if text, err := command.CombinedOutput(); err != nil {
				t.Errorf("a backup beside checks: %v: %s", err, text)
			}
		}
	}()
	for done := false; !done; {
		out := c.Check(t.Context(), job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units})
		if got := answer(out.Err); got != "good" && got != "unknown locked" {
			t.Errorf("a check beside backups says %q: %v", got, out.Err)
		}
		select {
		case <-ended:
			done = true
		default:
		}
	}
}
