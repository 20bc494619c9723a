//go:build live

package borg_test

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/job"
)

// remote is a bench whose repositories are reached through an SSH server on
// loopback.
func remote(t *testing.T, server backuptest.Server) backuptest.Bench {
	t.Helper()
	b := bench(t)
	b.Options = func(dir string, o job.Options) job.Options {
		o.PasswordFile = filepath.Join(dir, "pw")
		o.Repository = cmp.Or(o.Repository, "ssh://root@127.0.0.1:"+server.Port+filepath.Join(dir, "repo"))
		o.SSHCommand = cmp.Or(o.SSHCommand, server.SSH())
		return o
	}
	return b
}

func TestLiveServer(t *testing.T) {
	t.Parallel()
	remote(t, backuptest.SSHD(t)).Run(t, []backuptest.Case{
		{Name: "a good one has its structure", Depth: job.Structure, Want: "good"},
		{Name: "a good one is read", Depth: job.Read, Want: "good"},
		{Name: "a good one is restored", Depth: job.Restored, Source: "src", Want: "good"},
		{Name: "two archives are read", Script: "echo more > src/more; borg create repo::two src", Depth: job.Read, Want: "good"},
		{Name: "without encryption", Script: "rm -rf repo; borg init -e none repo; borg create repo::one src", Depth: job.Read, Want: "good"},
		{Name: "an archive with a space and a time in its name", Script: "borg create 'repo::my host-{now:%H:%M:%S}' src", Depth: job.Read, Want: "good"},
		{Name: "a changed byte in a segment", Script: "flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte in a segment, restored", Script: "flip $(big)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a truncated segment", Script: "truncate -s 100000 $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a missing segment", Script: "rm $(big)", Depth: job.Read, Want: "bad incomplete"},
		{Name: "no archive", Script: "borg delete repo::one", Depth: job.Structure, Want: "nothing"},
		{Name: "an archive of an empty directory", Script: "mkdir e; borg create repo::two e", Depth: job.Structure, Want: "bad empty"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no repository", Script: "rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "nobody listens", Options: job.Options{Repository: "ssh://root@127.0.0.1:1/repo"}, Depth: job.Structure, Want: "unknown network"},
		{Name: "no host of this name", Options: job.Options{Repository: "root@no-such-host.invalid:repo"}, Depth: job.Structure, Want: "unknown network"},
	})
}

// TestLiveServerRefuses: what an agent is not let do is no flaw of the backup.
func TestLiveServerRefuses(t *testing.T) {
	t.Parallel()
	server := backuptest.SSHD(t)
	stranger, unknown := server, server
	stranger.Key, unknown.Known = server.Stranger, "/dev/null"
	b := remote(t, server)
	b.Run(t, []backuptest.Case{
		{Name: "a key that is not let in", Options: job.Options{SSHCommand: stranger.SSH()}, Depth: job.Structure, Want: "unknown auth"},
		{Name: "a server that nobody knows", Options: job.Options{SSHCommand: unknown.SSH()}, Depth: job.Structure, Want: "unknown auth"},
	})
	for name, c := range map[string]struct{ line, want string }{
		"a wrapper that knows the way":     {`export BORG_RSH="` + server.SSH() + `"`, "good"},
		"a server without borg":            {"export BORG_REMOTE_PATH=no-such-borg", "unknown unsupported"},
		"a server that restricts the path": {"export BORG_REMOTE_PATH='borg serve --restrict-to-path=/nowhere; :'", "unknown permission_denied"},
	} {
		b.Host = backuptest.Host(t, borg.Kind(), map[string][]string{"borg": {backuptest.Script(t, c.line, `exec borg "$@"`)}})
		b.Run(t, []backuptest.Case{{Name: name, Depth: job.Structure, Want: c.want}})
	}
}

// TestLiveServerNeighbours: a backup that begins during checks succeeds, and a
// passphrase is seen by nobody.
func TestLiveServerNeighbours(t *testing.T) {
	t.Parallel()
	b := remote(t, backuptest.SSHD(t))
	seen := filepath.Join(t.TempDir(), "seen")
	spy := backuptest.Script(t, `{ tr '\0' ' ' < /proc/$$/cmdline; tr '\0' ' ' < /proc/$$/environ; echo; } >> `+seen, `exec borg "$@"`)
	c := b.Kind.Open(backuptest.Host(t, borg.Kind(), map[string][]string{"borg": {spy}}), b.Options(b.Original, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 2, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, b.Original, "head -c 500000 /dev/urandom > src/new; borg create repo::$RANDOM$RANDOM src")
	})
	if text := shell.Run(t, b.Original, "cat "+seen); strings.Contains(text, "secret") || !strings.Contains(text, "BORG_PASSPHRASE_FD=0") {
		t.Errorf("the passphrase is seen in %s", text)
	}
}
