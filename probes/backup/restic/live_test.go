//go:build live

package restic_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restic"
)

// shell makes and harms repositories.
var shell = backuptest.Shell{Library: `
R() { "${RESTIC:-restic}" --repo repo --password-file pw --no-cache --quiet "$@"; }
big()  { find repo/data -type f -size +500k | sort | head -1; }
small() { find repo/data -type f -size -500k | sort | head -1; }
one()  { find repo/$1 -type f | sort | head -1; }
`}

// create makes a repository, and what it is made of.
const create = `echo secret > pw; echo wrong > wrong; mkdir -p src/sub
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
R init; R backup src; chmod -R u+w repo`

// original makes a repository that the tests copy.
func original(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, create)
	return dir
}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	return backuptest.Bench{
		Kind: restic.Kind(), Host: backuptest.Host(t, restic.Kind(), nil), Shell: shell, Original: original(t), Bytes: 2_700_000,
		Options: func(dir string, o job.Options) job.Options {
			o.Repository, o.PasswordFile = filepath.Join(dir, "repo"), filepath.Join(dir, "pw")
			return o
		},
	}
}

func TestLiveRepositories(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, repositories())
}

// repositories are the good and the bad ones, for every version of restic.
func repositories() []backuptest.Case {
	return []backuptest.Case{
		{Name: "a good one has its structure", Depth: job.Structure, Want: "good"},
		{Name: "a good one is read", Depth: job.Read, Want: "good"},
		{Name: "a second snapshot", Script: "echo more > src/more; R backup src", Depth: job.Structure, Want: "good"},
		{Name: "after a prune", Script: "echo more > src/more; R backup src; R forget --keep-last 1 --prune", Depth: job.Structure, Want: "good"},
		{Name: "of the first format", Script: "rm -rf repo; R init --repository-version 1; R backup src", Depth: job.Structure, Want: "good"},
		{Name: "of the first format, read", Script: "rm -rf repo; R init --repository-version 1; R backup src", Depth: job.Read, Want: "good"},
		{Name: "a stale lock of this host", Script: stale, Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a pack, which the structure does not show", Script: "flip $(big)", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a pack", Script: "flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte in a pack of trees", Script: "flip $(small)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a truncated pack", Script: "truncate -s 1000 $(big)", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a truncated pack, read", Script: "truncate -s 1000 $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "an empty pack", Script: ": > $(big)", Depth: job.Read, Want: "bad truncated"},
		{Name: "a missing pack", Script: "rm $(big)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no data at all", Script: "rm -r repo/data", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in the index", Script: "flip $(one index)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "an empty index", Script: ": > $(one index)", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a missing index", Script: "rm $(one index)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no directory of the index", Script: "rm -r repo/index", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in the only snapshot", Script: "flip $(one snapshots)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "an empty snapshot file", Script: ": > $(one snapshots)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a changed byte in an older snapshot", Script: "cp $(one snapshots) s; R backup src; flip repo/snapshots/$(sha256sum s | cut -c1-64)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "no snapshot", Script: "rm repo/snapshots/*", Depth: job.Structure, Want: "nothing"},
		{Name: "none that counts", Options: job.Options{Snapshots: "web*"}, Depth: job.Structure, Want: "nothing"},
		{Name: "the tag that counts", Script: "R backup --tag nightly src", Options: job.Options{Snapshots: "night*"}, Depth: job.Structure, Want: "good"},
		{Name: "a snapshot of an empty directory", Script: "mkdir e; R backup e", Depth: job.Structure, Want: "bad empty"},
		{Name: "a changed byte in the configuration", Script: "flip repo/config", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a changed byte in the key", Script: "flip $(one keys)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "an empty key", Script: ": > $(one keys)", Depth: job.Structure, Want: "bad truncated"},
		{Name: "no key", Script: "rm repo/keys/*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no password file", Script: "rm pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no repository", Script: "rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a disk that is not mounted", Script: "rm -r repo; mkdir repo", Depth: job.Structure, Want: "unknown not_found"},
	}
}

// stale leaves a lock of a process that was killed.
const stale = `mkfifo hold; "${RESTIC:-restic}" --repo repo --password-file pw --no-cache --quiet backup --stdin < hold & exec 3> hold
for i in $(seq 200); do [ -n "$(ls repo/locks)" ] && break; sleep 0.05; done
kill -9 $!; wait $! || true; exec 3>&-; test -n "$(ls repo/locks)"
`

func TestLiveRestores(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, restores())
}

// restores are test restores, for every version of restic.
func restores() []backuptest.Case {
	return []backuptest.Case{
		{Name: "a snapshot", Source: "src", Depth: job.Restored, Want: "good"},
		{Name: "what is required", Restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 4, MinBytes: 2_700_000}}, Depth: job.Restored, Want: "good"},
		{Name: "what is required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "an empty snapshot", Script: "mkdir e; R backup e", Depth: job.Restored, Want: "bad empty"},
		{Name: "a source that was changed in secret", Script: "touch -r src/text t; sed -i s/19999/99999/ src/text; touch -r t src/text", Source: "src", Depth: job.Restored, Want: "bad mismatch"},
		{Name: "a pack with a changed byte", Script: "flip $(big)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a lost index", Script: "rm $(one index)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Restored, Want: "unknown auth"},
		{Name: "rights and devices", Script: "mkdir d; cp /bin/true d/suid; chmod 6755 d/suid; mknod d/null c 1 3; mkfifo d/pipe; R backup d", Depth: job.Restored, Want: "good"},
	}
}

// TestLiveNeighbours: a backup that runs is left alone, one that begins during a
// check succeeds, and an agent without rights says so.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	b := bench(t)
	from, o := b.Original, b.Options(b.Original, job.Options{})
	c := b.Kind.Open(b.Host, o)

	backup := exec.CommandContext(t.Context(), "restic", "--repo", o.Repository, "--password-file", o.PasswordFile, "--no-cache", "--quiet", "backup", "--stdin")
	input, err := backup.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := backup.Start(); err != nil {
		t.Fatal(err)
	}
	shell.Run(t, from, `for i in $(seq 200); do [ -n "$(ls repo/locks)" ] && exit; sleep 0.05; done; exit 1`)
	if got, sight, _ := backuptest.Check(t.Context(), c, job.Task{Depth: job.Structure}); got != "busy" {
		t.Errorf("while a backup runs: %q %+v", got, sight.Notes)
	}
	sight, _ := c.Look(t.Context())
	if out := c.Check(t.Context(), job.Task{Depth: job.Structure, Point: sight.Points[0]}); backuptest.Answer(out.Err) != "unknown locked" {
		t.Errorf("a check while a backup runs: %v", out.Err)
	}
	if _, err := input.Write([]byte("content")); err != nil {
		t.Fatal(err)
	}
	input.Close()
	if err := backup.Wait(); err != nil {
		t.Errorf("the backup: %v", err)
	}

	task := job.Task{Depth: job.Structure, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 3, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, from, "head -c 500000 /dev/urandom > src/new; R backup src")
	})
}

// TestLiveServer reads a repository through the protocol of restic's server.
func TestLiveServer(t *testing.T) {
	t.Parallel()
	from, h := original(t), backuptest.Host(t, restic.Kind(), nil)
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
			shell.Run(t, from, step.script)
			refuse.Store(step.refuse)
			if step.depth == job.Read { // the share of one pack, and its neighbour
				sight, err := c.Look(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				first, err := strconv.ParseUint(strings.TrimSpace(shell.Run(t, from, "basename $(big) | cut -c1-2")), 16, 8)
				if err != nil {
					t.Fatal(err)
				}
				at := int(first) % len(sight.Units)
				units := []job.Unit{sight.Units[at], sight.Units[(at+1)%len(sight.Units)]}
				out := c.Check(t.Context(), job.Task{Depth: job.Read, Point: sight.Points[0], Units: units})
				if backuptest.Answer(out.Err) != step.want || backuptest.Answer(out.Units[units[0].ID]) != step.want || backuptest.Answer(out.Units[units[1].ID]) != "good" {
					t.Errorf("want %q, got %v", step.want, out.Units)
				}
				return
			}
			if got, _, out := backuptest.Check(t.Context(), c, job.Task{Depth: step.depth, Restore: job.Restore{Scratch: t.TempDir()}}); got != step.want {
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
