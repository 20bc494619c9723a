//go:build live

package restic_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restic"
	"hygiene_exporter/probes/backup/s3test"
)

// tool is the place of a program that Debian has not, or not as new, and that
// make tools builds.
func tool(t *testing.T, name string) string {
	t.Helper()
	place := filepath.Join(os.Getenv("HYGIENE_TOOLS"), name)
	if _, err := os.Stat(place); err != nil || os.Getenv("HYGIENE_TOOLS") == "" {
		t.Fatalf("%s is not there; make tools builds it", name)
	}
	return place
}

// newer is a bench with a newer restic than Debian's, which the lines of a
// wrapper precede.
func newer(t *testing.T, lines ...string) backuptest.Bench {
	t.Helper()
	program := tool(t, "restic")
	b := backuptest.Bench{
		Kind: restic.Kind(), Shell: shell, Original: t.TempDir(), Bytes: 2_700_000,
		Host: backuptest.Host(t, restic.Kind(), map[string][]string{
			"restic": {backuptest.Script(t, append(lines, "exec "+program+` "$@"`)...)},
		}),
		Options: func(dir string, o job.Options) job.Options {
			o.Repository, o.PasswordFile = filepath.Join(dir, "repo"), filepath.Join(dir, "pw")
			return o
		},
	}
	b.Shell.Env = []string{"RESTIC=" + program}
	b.Shell.Run(t, b.Original, create)
	return b
}

// TestLiveNewer is what restic before 0.17 was proven with, and what is new:
// compression, sizes in the list, statuses of their own and messages in JSON.
func TestLiveNewer(t *testing.T) {
	t.Parallel()
	b := newer(t)
	b.Run(t, backuptest.Sample(append(repositories(), restores()...), 4))
	b.Run(t, []backuptest.Case{
		{Name: "with the strongest compression", Script: "R backup --compression max src", Depth: job.Read, Want: "good"},
		{Name: "with the strongest compression, restored", Script: "R backup --compression max src", Depth: job.Restored, Source: "src", Want: "good"},
		{Name: "with small packs, of which one is missing", Script: "seq 1 9999 > src/new; R backup --pack-size 4 src; rm $(big)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "after a repair of the index", Script: "R repair index; R repair packs $(basename $(big)) || true", Depth: job.Structure, Want: "good"},
	})
	_, sight, _ := backuptest.Check(t.Context(), b.Kind.Open(b.Host, b.Options(b.Original, job.Options{})), job.Task{Depth: job.Structure})
	if p := sight.Points[0]; p.Files != job.Of(4) || p.Size.N < 2_700_000 {
		t.Errorf("how large the snapshot is: %+v", p)
	}
}

// TestLiveNewerNeighbours: a backup that begins during checks succeeds.
func TestLiveNewerNeighbours(t *testing.T) {
	t.Parallel()
	b := newer(t)
	c := b.Kind.Open(b.Host, b.Options(b.Original, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := job.Task{Depth: job.Structure, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 3, func(ctx context.Context) *exec.Cmd {
		return b.Shell.Command(ctx, b.Original, "head -c 500000 /dev/urandom > src/new; R backup src")
	})
}

// A step is one state of a server, one after the other.
type step struct {
	name, script string
	line         string // further ones of the file of the environment
	place        string // empty: that of the good repository
	task         job.Task
	want         string
}

// try makes the steps with a repository behind a server, which the lines of a file let
// restic into. A look may take a few seconds: restic would try for long to reach a
// server that is gone.
func try(t *testing.T, b backuptest.Bench, place, lines string, steps []step) {
	t.Helper()
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			b.Shell.Run(t, b.Original, s.script)
			h := backuptest.Host(t, restic.Kind(), map[string][]string{"restic": {tool(t, "restic")}})
			o := job.Options{Repository: place, PasswordFile: filepath.Join(b.Original, "pw"), EnvironmentFile: filepath.Join(t.TempDir(), "env")}
			if err := os.WriteFile(o.EnvironmentFile, []byte("RESTIC_PASSWORD=of somebody else\n"+lines+"\n"+s.line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if s.place != "" {
				o.Repository = s.place
			}
			c := restic.Kind().Open(h, o)
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
			defer cancel()
			sight, err := c.Look(ctx)
			if err != nil || len(sight.Points) == 0 || s.task.Depth == job.Listed {
				if got := backuptest.Answer(err); got != s.want {
					t.Errorf("got %q, want %q: %v", got, s.want, err)
				}
				return
			}
			s.task.Point, s.task.Units, s.task.Restore.Scratch = sight.Points[0], sight.Units, t.TempDir()
			if out := c.Check(t.Context(), s.task); backuptest.Answer(out.Err) != s.want {
				t.Errorf("got %v, want %q", out.Err, s.want)
			}
		})
	}
}

// TestLiveBucket keeps the repository in a bucket of S3.
func TestLiveBucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	bucket := "s3:http://" + server.Address + "/backups"
	keys := "export AWS_ACCESS_KEY_ID=" + s3test.AccessKey + "\nexport AWS_SECRET_ACCESS_KEY="
	b := newer(t)
	b.Shell.Library += keys + s3test.SecretKey + "\nB() { \"$RESTIC\" --repo " + bucket + ` --password-file pw --no-cache --quiet "$@"; }
packs() { find ` + server.Store + `/backups/data -type f -size +500k | sort; }`
	b.Shell.Run(t, b.Original, "B init; B backup src")
	try(t, b, bucket, keys+s3test.SecretKey, []step{
		{name: "its structure", task: job.Task{Depth: job.Structure}, want: "good"},
		{name: "all shares are read", task: job.Task{Depth: job.Read}, want: "good"},
		{name: "restored and compared", task: job.Task{Depth: job.Restored, Restore: job.Restore{Source: filepath.Join(b.Original, "src")}}, want: "good"},
		{name: "no repository", place: bucket + "/elsewhere", task: job.Task{Depth: job.Listed}, want: "unknown not_found"},
		{name: "a key that is not handed on", line: "AWS_SECRET_ACCESS_KEY=\nLD_PRELOAD=/none", task: job.Task{Depth: job.Listed}, want: "unknown auth"},
		{name: "no bucket", place: "s3:http://" + server.Address + "/none", task: job.Task{Depth: job.Listed}, want: "unknown not_found"},
		{name: "a key that is wrong", line: keys + "wrong", task: job.Task{Depth: job.Listed}, want: "unknown auth"},
		{name: "nobody listens", place: "s3:http://127.0.0.1:1/backups", task: job.Task{Depth: job.Listed}, want: "unknown network"},
		{name: "a changed byte", script: "flip $(packs | head -1)", task: job.Task{Depth: job.Read}, want: "bad damaged"},
		{name: "a pack that is missing", script: "rm $(packs | head -1)", task: job.Task{Depth: job.Structure}, want: "bad incomplete"},
	})
}

// TestLiveRestServer keeps the repository behind restic's own server.
func TestLiveRestServer(t *testing.T) {
	t.Parallel()
	b := newer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b.Shell.Run(t, b.Original, `printf 'kim:{SHA}%s\n' "$(printf open | openssl sha1 -binary | base64)" > htpasswd`)
	server := exec.Command(tool(t, "rest-server"), "--path", b.Original, "--listen", address, "--htpasswd-file", filepath.Join(b.Original, "htpasswd"))
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGCONT)
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	b.Shell.Run(t, b.Original, `for i in $(seq 200); do (: < /dev/tcp/`+strings.Replace(address, ":", "/", 1)+`) 2> /dev/null && exit; sleep 0.05; done; exit 1`)
	const user = "RESTIC_REST_USERNAME='kim'\nRESTIC_REST_PASSWORD="
	place := "rest:http://" + address + "/repo/"
	try(t, b, place, user+"open", []step{
		{name: "its structure", task: job.Task{Depth: job.Structure}, want: "good"},
		{name: "all shares are read", task: job.Task{Depth: job.Read}, want: "good"},
		{name: "restored and compared", task: job.Task{Depth: job.Restored, Restore: job.Restore{Source: filepath.Join(b.Original, "src")}}, want: "good"},
		{name: "no repository", place: "rest:http://" + address + "/none/", task: job.Task{Depth: job.Listed}, want: "unknown not_found"},
		{name: "a wrong password of the server", line: user + "wrong", task: job.Task{Depth: job.Listed}, want: "unknown auth"},
		{name: "nobody listens", place: "rest:http://127.0.0.1:1/", task: job.Task{Depth: job.Listed}, want: "unknown network"},
		{name: "a stale lock of this host", script: stale, task: job.Task{Depth: job.Structure}, want: "good"},
		{name: "a wrong password of the repository", script: "cp pw right; cp wrong pw", task: job.Task{Depth: job.Listed}, want: "unknown auth"},
		{name: "a changed byte", script: "cp right pw; flip $(big)", task: job.Task{Depth: job.Read}, want: "bad damaged"},
		{name: "a truncated pack", script: "keep $(big) 50", task: job.Task{Depth: job.Structure}, want: "bad truncated"},
		{name: "a pack that is missing", script: "rm $(big)", task: job.Task{Depth: job.Structure}, want: "bad incomplete"},
	})
	_ = server.Process.Signal(syscall.SIGSTOP)
	try(t, b, place, user+"open", []step{{name: "a server that hangs", task: job.Task{Depth: job.Listed}, want: "unknown timeout"}})
}
