//go:build live

package restic_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restic"
	"hygiene_exporter/probes/host"
)

// realHost is this host, as the agent sees it.
func realHost(t testing.TB) probes.Host {
	t.Helper()
	hosts, err := host.New(host.Options{Specs: []probes.Spec{{Name: "backup", Commands: restic.Kind().Commands}}})
	if err != nil {
		t.Fatal(err)
	}
	return hosts.For("backup")
}

// library are the shell functions with which repositories are made and harmed.
const library = `
set -euo pipefail
R() { restic --repo repo --password-file pw --no-cache --quiet "$@"; }
flip() { local at=$(( $(stat -c %s "$1") / 2 )); local b=$(od -An -tu1 -j $at -N 1 "$1")
         printf "\\x$(printf %02x $(( b ^ 255 )))" | dd of="$1" bs=1 seek=$at conv=notrunc status=none; }
big()  { find repo/data -type f -size +500k | sort | head -1; }
small() { find repo/data -type f -size -500k | sort | head -1; }
one()  { find repo/$1 -type f | sort | head -1; }
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
R init; R backup src; chmod -R u+w repo`)
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
		options      job.Options
		want         string
	}{
		{name: "a good one has its structure", depth: job.Structure, want: "good"},
		{name: "a good one is read", depth: job.Read, want: "good"},
		{name: "a second snapshot", script: "echo more > src/more; R backup src", depth: job.Structure, want: "good"},
		{name: "after a prune", script: "echo more > src/more; R backup src; R forget --keep-last 1 --prune", depth: job.Structure, want: "good"},
		{name: "of the first format", script: "rm -rf repo; R init --repository-version 1; R backup src", depth: job.Structure, want: "good"},
		{name: "of the first format, read", script: "rm -rf repo; R init --repository-version 1; R backup src", depth: job.Read, want: "good"},
		{name: "a stale lock of this host", script: stale, depth: job.Structure, want: "good"},
		{name: "a changed byte in a pack, which the structure does not show", script: "flip $(big)", depth: job.Structure, want: "good"},
		{name: "a changed byte in a pack", script: "flip $(big)", depth: job.Read, want: "bad damaged"},
		{name: "a changed byte in a pack of trees", script: "flip $(small)", depth: job.Structure, want: "bad damaged"},
		{name: "a truncated pack", script: "truncate -s 1000 $(big)", depth: job.Structure, want: "bad truncated"},
		{name: "a truncated pack, read", script: "truncate -s 1000 $(big)", depth: job.Read, want: "bad damaged"},
		{name: "an empty pack", script: ": > $(big)", depth: job.Read, want: "bad truncated"},
		{name: "a missing pack", script: "rm $(big)", depth: job.Structure, want: "bad incomplete"},
		{name: "no data at all", script: "rm -r repo/data", depth: job.Structure, want: "bad incomplete"},
		{name: "a changed byte in the index", script: "flip $(one index)", depth: job.Structure, want: "bad damaged"},
		{name: "an empty index", script: ": > $(one index)", depth: job.Structure, want: "bad truncated"},
		{name: "a missing index", script: "rm $(one index)", depth: job.Structure, want: "bad incomplete"},
		{name: "no directory of the index", script: "rm -r repo/index", depth: job.Structure, want: "bad incomplete"},
		{name: "a changed byte in the only snapshot", script: "flip $(one snapshots)", depth: job.Structure, want: "bad damaged"},
		{name: "an empty snapshot file", script: ": > $(one snapshots)", depth: job.Structure, want: "bad damaged"},
		{name: "a changed byte in an older snapshot", script: "cp $(one snapshots) s; R backup src; flip repo/snapshots/$(sha256sum s | cut -c1-64)", depth: job.Structure, want: "bad damaged"},
		{name: "no snapshot", script: "rm repo/snapshots/*", depth: job.Structure, want: "nothing"},
		{name: "none that counts", options: job.Options{Snapshots: "web*"}, depth: job.Structure, want: "nothing"},
		{name: "the tag that counts", script: "R backup --tag nightly src", options: job.Options{Snapshots: "night*"}, depth: job.Structure, want: "good"},
		{name: "a snapshot of an empty directory", script: "mkdir e; R backup e", depth: job.Structure, want: "bad empty"},
		{name: "a changed byte in the configuration", script: "flip repo/config", depth: job.Structure, want: "bad damaged"},
		{name: "a changed byte in the key", script: "flip $(one keys)", depth: job.Structure, want: "bad damaged"},
		{name: "an empty key", script: ": > $(one keys)", depth: job.Structure, want: "bad truncated"},
		{name: "no key", script: "rm repo/keys/*", depth: job.Structure, want: "bad incomplete"},
		{name: "a wrong password", script: "cp wrong pw", depth: job.Structure, want: "unknown auth"},
		{name: "no password file", script: "rm pw", depth: job.Structure, want: "unknown auth"},
		{name: "no repository", script: "rm -r repo", depth: job.Structure, want: "unknown not_found"},
		{name: "a disk that is not mounted", script: "rm -r repo; mkdir repo", depth: job.Structure, want: "unknown not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "w")
			bash(t, from, "cp -a . "+dir)
			bash(t, dir, c.script)
			c.options.Repository, c.options.PasswordFile = filepath.Join(dir, "repo"), filepath.Join(dir, "pw")
			got, sight, out := check(t, restic.Kind().Open(h, c.options), c.depth, job.Restore{})
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
const stale = `mkfifo hold; R backup --stdin < hold & exec 3> hold
for i in $(seq 200); do [ -n "$(ls repo/locks)" ] && break; sleep 0.05; done
kill -9 $!; wait $! || true; exec 3>&-; test -n "$(ls repo/locks)"
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
		{name: "a snapshot", source: true, want: "good"},
		{name: "what is required", restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 4, MinBytes: 2_700_000}}, want: "good"},
		{name: "what is required and missing", restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, want: "bad unasserted"},
		{name: "an empty snapshot", script: "mkdir e; R backup e", want: "bad empty"},
		{name: "a source that was changed in secret", script: "touch -r src/text t; sed -i s/19999/99999/ src/text; touch -r t src/text", source: true, want: "bad mismatch"},
		{name: "a pack with a changed byte", script: "flip $(big)", want: "bad damaged"},
		{name: "a lost index", script: "rm $(one index)", want: "bad incomplete"},
		{name: "a wrong password", script: "cp wrong pw", want: "unknown auth"},
		{name: "rights and devices", script: "mkdir d; cp /bin/true d/suid; chmod 6755 d/suid; mknod d/null c 1 3; mkfifo d/pipe; R backup d", want: "good"},
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
			got, _, out := check(t, restic.Kind().Open(h, o), job.Restored, c.restore)
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

// TestLiveNeighbours: a backup that runs is left alone, one that begins during a
// check succeeds, and an agent without rights says so.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	from, h := original(t), realHost(t)
	o := job.Options{Repository: filepath.Join(from, "repo"), PasswordFile: filepath.Join(from, "pw")}
	c := restic.Kind().Open(h, o)

	backup := exec.CommandContext(t.Context(), "restic", "--repo", o.Repository, "--password-file", o.PasswordFile, "--no-cache", "--quiet", "backup", "--stdin")
	input, err := backup.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Start(); err != nil {
		t.Fatal(err)
	}
	bash(t, from, `for i in $(seq 200); do [ -n "$(ls repo/locks)" ] && exit; sleep 0.05; done; exit 1`)
	if got, sight, _ := check(t, c, job.Structure, job.Restore{}); got != "busy" {
		t.Errorf("while a backup runs: %q %+v", got, sight.Notes)
	}
	sight, _ := c.Look(t.Context())
	if out := c.Check(t.Context(), job.Task{Depth: job.Structure, Point: sight.Points[0]}); answer(out.Err) != "unknown locked" {
		t.Errorf("a check while a backup runs: %v", out.Err)
	}
	if _, err := input.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	input.Close()
	if err := backup.Wait(); err != nil {
		t.Errorf("the backup: %v", err)
	}

	var done atomic.Bool
	checks := make(chan string)
	go func() {
		defer close(checks)
		for !done.Load() {
			out := c.Check(t.Context(), job.Task{Depth: job.Structure, Point: sight.Points[0], Units: sight.Units})
			checks <- answer(out.Err)
		}
	}()
	go func() {
		defer done.Store(true)
		for range 3 {
			command := exec.CommandContext(t.Context(), "bash", "-c", library+"head -c 500000 /dev/urandom > src/new; R backup src")
			command.Dir = from
			if text, err := command.CombinedOutput(); err != nil {
				t.Errorf("a backup beside checks: %v: %s", err, text)
			}
		}
	}()
	for got := range checks {
		if got != "good" && got != "unknown locked" {
			t.Errorf("a check beside backups says %q", got)
		}
	}
}

// TestLiveServer reads a repository through the protocol of restic's server.
func TestLiveServer(t *testing.T) {
	t.Parallel()
	from, h := original(t), realHost(t)
	repo := filepath.Join(from, "repo")
	var refuse atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if code := int(refuse.Load()); code != 0 {
			http.Error(w, http.StatusText(code), code)
			return
		}
		serve(w, r, repo)
	}))
	defer server.Close()
	c := restic.Kind().Open(h, job.Options{Repository: "rest:" + server.URL + "/", PasswordFile: filepath.Join(from, "pw")})
	for _, step := range []struct {
		name, script string
		depth        job.Depth
		refuse       int32
		want         string
	}{
		{name: "its structure", depth: job.Structure, want: "good"},
		{name: "a share", depth: job.Read, want: "good"},
		{name: "restored", depth: job.Restored, want: "good"},
		{name: "without the right", refuse: 401, depth: job.Structure, want: "unknown auth"},
		{name: "a changed byte", script: "flip $(big)", depth: job.Read, want: "bad damaged"},
	} {
		t.Run(step.name, func(t *testing.T) {
			bash(t, from, step.script)
			refuse.Store(step.refuse)
			if step.depth == job.Read { // the share of one pack, and its neighbour
				sight, err := c.Look(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				first, err := strconv.ParseUint(strings.TrimSpace(bash(t, from, "basename $(big) | cut -c1-2")), 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				at := int(first) % len(sight.Units)
				units := []job.Unit{sight.Units[at], sight.Units[(at+1)%len(sight.Units)]}
				out := c.Check(t.Context(), job.Task{Depth: job.Read, Point: sight.Points[0], Units: units})
				if answer(out.Err) != step.want || answer(out.Units[units[0].ID]) != step.want || answer(out.Units[units[1].ID]) != "good" {
					t.Errorf("want %q, got %v", step.want, out.Units)
				}
				return
			}
			if got, _, out := check(t, c, step.depth, job.Restore{Scratch: t.TempDir()}); got != step.want {
				t.Fatalf("got %q, want %q: %v", got, step.want, out.Err)
			}
		})
	}
}

// serve answers as restic's server does, without writing.
func serve(w http.ResponseWriter, r *http.Request, repo string) {
	name := strings.Trim(r.URL.Path, "/")
	kind, id, _ := strings.Cut(name, "/")
	if kind == "data" && id != "" {
		name = filepath.Join(kind, id[:2], id)
	}
	info, err := os.Stat(filepath.Join(repo, name))
	switch {
	case err != nil:
		http.NotFound(w, r)
	case !info.IsDir():
		http.ServeFile(w, r, filepath.Join(repo, name))
	default:
		w.Header().Set("Content-Type", "application/vnd.x.restic.rest.v1")
		var ids []string
		_ = filepath.WalkDir(filepath.Join(repo, name), func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				ids = append(ids, `"`+filepath.Base(p)+`"`)
			}
			return err
		})
		_, _ = w.Write([]byte("[" + strings.Join(ids, ",") + "]"))
	}
}
