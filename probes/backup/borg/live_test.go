//go:build live

package borg_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/job"
)

// shell makes and harms repositories.
var shell = backuptest.Shell{Library: `
export BORG_PASSCOMMAND="cat $PWD/pw" BORG_BASE_DIR=$PWD/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
big() { find repo/data -type f -size +500k | sort | head -1; }
`}

// original makes a repository that the tests copy.
func original(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, `echo secret > pw; echo wrong > wrong; mkdir -p src/sub
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
borg init -e repokey repo 2> /dev/null; borg create repo::one src`)
	return dir
}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	return backuptest.Bench{
		Kind: borg.Kind(), Host: backuptest.Host(t, borg.Kind(), nil), Shell: shell, Original: original(t), Bytes: 2_700_000,
		Options: func(dir string, o job.Options) job.Options {
			o.Repository, o.PasswordFile = filepath.Join(dir, "repo"), filepath.Join(dir, "pw")
			if o.KeyDirectory != "" {
				o.KeyDirectory = filepath.Join(dir, o.KeyDirectory)
			}
			return o
		},
	}
}

func TestLiveRepositories(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "a good one has its structure", Depth: job.Structure, Want: "good"},
		{Name: "a good one is read", Depth: job.Read, Want: "good"},
		{Name: "without encryption", Script: "rm -rf repo; borg init -e none repo; borg create repo::one src", Depth: job.Read, Want: "good"},
		{Name: "with the key in a file", Script: keyFile, Options: job.Options{KeyDirectory: "keys"}, Depth: job.Read, Want: "good"},
		{Name: "with the key in a file that nobody named", Script: keyFile, Depth: job.Structure, Want: "unknown auth"},
		{Name: "with the key in a file that is lost", Script: keyFile + "rm keys/*", Options: job.Options{KeyDirectory: "keys"}, Depth: job.Structure, Want: "unknown auth"},
		{Name: "an archive with a space and a time in its name", Script: "borg create 'repo::my host-{now:%H:%M:%S}' src", Depth: job.Read, Want: "good"},
		{Name: "after a compaction", Script: "borg create repo::two src; borg delete repo::one; borg compact repo", Depth: job.Read, Want: "good"},
		{Name: "a stale lock of this host", Script: stale, Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a segment", Script: "flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated segment", Script: "truncate -s 100000 $(big)", Depth: job.Read, Want: "bad truncated"},
		{Name: "an empty segment", Script: ": > $(big)", Depth: job.Read, Want: "bad truncated"},
		{Name: "a missing segment", Script: "rm $(big)", Depth: job.Read, Want: "bad incomplete"},
		{Name: "no data at all", Script: "rm -r repo/data", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no archive", Script: "borg delete repo::one", Depth: job.Structure, Want: "nothing"},
		{Name: "an archive of an empty directory", Script: "mkdir e; borg create repo::two e", Depth: job.Structure, Want: "bad empty"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no password file", Script: "rm pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no repository", Script: "rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
	})
}

// keyFile makes a repository whose key lies beside it.
const keyFile = "rm -rf repo; mkdir keys; export BORG_KEYS_DIR=$PWD/keys; borg init -e keyfile repo; borg create repo::one src;"

// stale leaves a lock of a process that was killed.
const stale = `mkfifo hold; borg create repo::two - < hold & exec 3> hold
for i in $(seq 200); do [ -n "$(ls repo/lock.exclusive 2> /dev/null)" ] && break; sleep 0.05; done
kill -9 $!; wait $! || true; exec 3>&-; test -n "$(ls repo/lock.exclusive)"
`

func TestLiveRestores(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "an archive", Source: "src", Depth: job.Restored, Want: "good"},
		{Name: "what is required", Restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 4}}, Depth: job.Restored, Want: "good"},
		{Name: "what is required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "a source that was changed in secret", Script: "touch -r src/text t; sed -i s/19999/99999/ src/text; touch -r t src/text", Source: "src", Depth: job.Restored, Want: "bad mismatch"},
		{Name: "a segment with a changed byte", Script: "flip $(big)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a missing segment", Script: "rm $(big)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "rights and devices", Script: "mkdir d; cp /bin/true d/suid; chmod 6755 d/suid; ln d/suid d/hard; mknod d/null c 1 3; mkfifo d/pipe; borg create repo::two d", Depth: job.Restored, Want: "good"},
	})
}

// TestLiveNothingIsWritten: in a repository whose last transaction is not in the index
// yet, as it is for a moment at the end of each backup, borg itself writes the index.
func TestLiveNothingIsWritten(t *testing.T) {
	t.Parallel()
	b := bench(t)
	const list = `find repo -printf '%P %y %s %T@ %C@ %i\n' | sort`
	before := shell.Run(t, b.Original, "rm repo/index.* repo/hints.* repo/integrity.*; "+list)
	for _, depth := range []job.Depth{job.Structure, job.Read, job.Restored} {
		task := job.Task{Depth: depth, Restore: job.Restore{Scratch: t.TempDir()}}
		if got, _, out := backuptest.Check(t.Context(), b.Kind.Open(b.Host, b.Options(b.Original, job.Options{})), task); got != "good" {
			t.Errorf("%s: got %q: %v", depth, got, out.Err)
		}
		if diff := cmp.Diff(before, shell.Run(t, b.Original, list)); diff != "" {
			t.Errorf("%s has changed the repository:\n%s", depth, diff)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), fmt.Sprintf("hygiene-scratch-%d-*", os.Getpid()))); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestLiveNeighbours: a backup that runs is left alone, and one that begins
// during checks succeeds.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	b := bench(t)
	c := b.Kind.Open(b.Host, b.Options(b.Original, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 3, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, b.Original, "head -c 500000 /dev/urandom > src/new; borg create repo::$RANDOM$RANDOM src")
	})
}
