//go:build live

package kopia_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/kopia"
	"hygiene_exporter/probes/backup/s3test"
)

// program is the place of Kopia, which Debian has not and make tools builds.
func program(t *testing.T) string {
	t.Helper()
	if place := filepath.Join(os.Getenv("HYGIENE_TOOLS"), "kopia"); os.Getenv("HYGIENE_TOOLS") != "" {
		if _, err := os.Stat(place); err == nil {
			return place
		}
	}
	place, err := exec.LookPath("kopia")
	if err != nil {
		t.Fatal("kopia is not there; make tools builds it")
	}
	return place
}

// shell makes and harms repositories. The configuration of a copy is made to lead
// to the copy.
func shell(t *testing.T) backuptest.Shell {
	return backuptest.Shell{Env: []string{"KOPIA=" + program(t)}, Library: `
export KOPIA_PASSWORD=secret KOPIA_CHECK_FOR_UPDATES=false
[ ! -f w/repository.config ] || sed -i 's#"path": "/[^"]*"#"path": "'$PWD'/repo"#' w/repository.config
K()     { "$KOPIA" --config-file=$PWD/w/repository.config --no-progress --log-dir=$PWD/logs "$@" > out 2>&1 || { cat out; return 1; }; }
blobs() { find repo/$1 -type f | sort; }
big()   { find repo/p -type f -size +1000k | sort | head -1; }
# tree changes a byte of a directory that lies in a pack.
tree()  { "$KOPIA" --config-file=$PWD/w/repository.config content list --prefix=k --long > list
          read -r _ _ _ _ _ pack place _ < list
          f=repo/q/${pack:1:3}/${pack:4}.f; at=$((${place%+*} + 20)); b=$(od -An -tu1 -j $at -N 1 $f)
          printf "\\x$(printf %02x $((b ^ 255)))" | dd of=$f bs=1 seek=$at conv=notrunc status=none; }
`}
}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	dir, sh := t.TempDir(), shell(t)
	sh.Run(t, dir, `echo secret > pw; echo wrong > wrong; mkdir -p top/src/sub repo
for i in 1 2 3; do head -c 900000 /dev/urandom > top/src/sub/r$i; done; seq 1 20000 > top/src/text; ln -s text top/src/link
K repository create filesystem --path $PWD/repo --cache-directory $PWD/cache --no-persist-credentials
K snapshot create $PWD/top`)
	return backuptest.Bench{
		Kind: kopia.Kind(), Host: backuptest.Host(t, kopia.Kind(), map[string][]string{"kopia": {program(t)}}), Shell: sh, Original: dir, Bytes: 2_800_000,
		Options: func(dir string, o job.Options) job.Options {
			o.ConfigFile, o.PasswordFile = filepath.Join(dir, "w/repository.config"), filepath.Join(dir, "pw")
			return o
		},
	}
}

func TestLiveRepositories(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "a good one has its structure", Depth: job.Structure, Want: "good"},
		{Name: "a good one is read", Depth: job.Read, Want: "good"},
		{Name: "a second snapshot", Script: "echo more > top/src/more; K snapshot create $PWD/top", Depth: job.Read, Want: "good"},
		{Name: "compressed", Script: "K policy set --global --compression=zstd; echo more >> top/src/text; K snapshot create $PWD/top", Depth: job.Read, Want: "good"},
		{Name: "after maintenance", Script: "K snapshot create $PWD/top; K maintenance run --full --safety=none", Depth: job.Read, Want: "good"},
		{Name: "a source that is a file", Script: "K snapshot create $PWD/top/src/text", Depth: job.Structure, Want: "good"},
		{Name: "of another algorithm", Script: remake + "K repository create filesystem --path $PWD/repo --cache-directory $PWD/cache --block-hash=HMAC-SHA256 --encryption=CHACHA20-POLY1305-HMAC-SHA256 --object-splitter=FIXED-1M; K snapshot create $PWD/top", Depth: job.Read, Want: "good"},
		{Name: "of the format without epochs", Script: remake + "K repository create filesystem --path $PWD/repo --cache-directory $PWD/cache --format-version=1; K snapshot create $PWD/top", Depth: job.Read, Want: "good"},
		{Name: "a pack that nobody needs any more", Script: "cp $(big) repo/p/000000000000000000000000000000-s000000000000000.f", Depth: job.Read, Want: "good"},
		{Name: "a changed byte in a pack, which the structure does not show", Script: "flip $(big)", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a pack", Script: "flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte in a directory", Script: "tree", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a changed byte in a directory, read", Script: "tree", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated pack", Script: "keep $(big) 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a truncated pack, read", Script: "keep $(big) 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "an empty pack", Script: ": > $(big)", Depth: job.Read, Want: "bad truncated"},
		{Name: "a missing pack", Script: "rm $(big)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no packs at all", Script: "rm -r repo/p repo/q", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in an index", Script: "flip $(blobs x | tail -1)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "an empty index", Script: ": > $(blobs x | tail -1)", Depth: job.Structure, Want: "bad damaged"},
		{Name: "no index", Script: "rm $(blobs x)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in the format", Script: "flip repo/kopia.repository.f", Depth: job.Structure, Want: "bad damaged"},
		{Name: "no format", Script: "rm repo/kopia.repository.f", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no snapshot", Script: "K snapshot list --all --json; K snapshot delete --delete $(grep -o '\"id\":\"[0-9a-f]*' out | cut -c7-)", Depth: job.Structure, Want: "nothing"},
		{Name: "none that counts", Options: job.Options{Snapshots: "web*"}, Depth: job.Structure, Want: "nothing"},
		{Name: "the tag that counts", Script: "K snapshot create --tags=when:nightly $PWD/top", Options: job.Options{Snapshots: "when:night*"}, Depth: job.Structure, Want: "good"},
		{Name: "a snapshot of an empty directory", Script: "mkdir e; K snapshot create $PWD/e", Depth: job.Structure, Want: "bad empty"},
		{Name: "a file that could not be read", Script: "mkdir p; echo a > p/a; ln -s /proc/self/mem p/l; touch p/b; K policy set --global --ignore-unknown-types=false; mknod p/null c 1 3; K snapshot create $PWD/p || true", Depth: job.Structure, Want: "bad reported"},
		{Name: "a backup that was given up", Script: "head -c 40000000 /dev/urandom > top/new; K snapshot create --upload-limit-mb=5 --parallel=1 $PWD/top || true", Depth: job.Read, Want: "good"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no password file", Script: "rm pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "an empty password file", Script: ": > pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no configuration", Script: "rm -r w", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a configuration that is none", Script: "echo '{' > w/repository.config", Depth: job.Structure, Want: "unknown malformed"},
		{Name: "no repository", Script: "rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a disk that is not mounted", Script: "rm -r repo; mkdir repo", Depth: job.Structure, Want: "unknown not_found"},
	})
}

// remake removes the repository.
const remake = "rm -rf repo w cache; mkdir repo\n"

func TestLiveRestores(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "a snapshot", Source: "top/src", Depth: job.Restored, Want: "good"},
		{Name: "what is required", Restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 4, MinBytes: 2_700_000}}, Depth: job.Restored, Want: "good"},
		{Name: "what is required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "an empty snapshot", Script: "mkdir e; K snapshot create $PWD/e", Depth: job.Restored, Want: "bad empty"},
		{Name: "a source that was changed in secret", Script: "touch -r top/src/text t; sed -i s/19999/99999/ top/src/text; touch -r t top/src/text", Source: "top/src", Depth: job.Restored, Want: "bad mismatch"},
		{Name: "a pack with a changed byte", Script: "flip $(big)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a missing pack", Script: "rm $(big)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Restored, Want: "unknown auth"},
		{Name: "rights and devices", Script: "mkdir d; cp /bin/true d/suid; chmod 6755 d/suid; ln d/suid d/hard; mknod d/null c 1 3; mkfifo d/pipe; ln -s /etc/passwd d/abs; K snapshot create $PWD/d", Depth: job.Restored, Want: "good"},
	})
}

// TestLiveNeighbours: backups that begin during checks succeed, and a check leaves
// nothing behind, neither in the repository nor of what belongs to the user.
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
		return b.Shell.Command(ctx, b.Original, "head -c 500000 /dev/urandom > top/src/new; K snapshot create $PWD/top")
	})
	before := b.Shell.Run(t, b.Original, "find . -printf '%p %s %T@ %C@\n' | sort > /dev/null; rm -f out; find repo w cache logs -printf '%p %s %T@ %C@\n' | sort")
	// The library of the shell writes the configuration anew, hence its own look.
	for _, depth := range []job.Depth{job.Structure, job.Read, job.Restored} {
		if out := c.Check(t.Context(), job.Task{Depth: depth, Point: sight.Points[0], Units: sight.Units, Restore: job.Restore{Scratch: t.TempDir()}}); out.Err != nil {
			t.Errorf("%s: %v", depth, out.Err)
		}
	}
	command := exec.CommandContext(t.Context(), "bash", "-c", "find repo w cache logs -printf '%p %s %T@ %C@\n' | sort")
	command.Dir = b.Original
	after, err := command.CombinedOutput()
	if err != nil || string(after) != before {
		t.Errorf("something was written: %v\n%s\n%s", err, before, after)
	}
}

// TestLiveBucket: a repository in a bucket is read by the same commands.
func TestLiveBucket(t *testing.T) {
	t.Parallel()
	server, dir, sh := s3test.Start(t), t.TempDir(), shell(t)
	if err := os.Mkdir(filepath.Join(server.Store, "backups"), 0o755); err != nil {
		t.Fatal(err)
	}
	sh.Run(t, dir, `echo secret > pw; mkdir -p top/src; head -c 900000 /dev/urandom > top/src/a; seq 1000 > top/src/text
K repository create s3 --bucket=backups --endpoint=`+server.Address+` --region=`+s3test.Region+` --disable-tls --access-key=`+s3test.AccessKey+` --secret-access-key=`+s3test.SecretKey+` --cache-directory $PWD/cache --no-persist-credentials
K snapshot create $PWD/top; cp w/repository.config good`)
	o := job.Options{ConfigFile: filepath.Join(dir, "w/repository.config"), PasswordFile: filepath.Join(dir, "pw")}
	k := kopia.Kind()
	c := k.Open(backuptest.Host(t, k, map[string][]string{"kopia": {program(t)}}), o)
	for _, step := range []struct {
		name, script string
		task         job.Task
		want         string
	}{
		{name: "its structure", task: job.Task{Depth: job.Structure}, want: "good"},
		{name: "it is read", task: job.Task{Depth: job.Read}, want: "good"},
		{name: "it is restored", task: job.Task{Depth: job.Restored, Restore: job.Restore{Scratch: t.TempDir(), Source: filepath.Join(dir, "top")}}, want: "good"},
		{name: "without the right", script: "sed -i 's/" + s3test.SecretKey + "/wrong/' w/repository.config", task: job.Task{Depth: job.Structure}, want: "unknown auth"},
		{name: "a changed byte", script: "cp good w/repository.config; flip $(find $STORE -name 'p*' -size +500k)", task: job.Task{Depth: job.Read}, want: "bad damaged"},
		{name: "a truncated pack", script: "keep $(find $STORE -name 'p*' -size +500k) 60", task: job.Task{Depth: job.Structure}, want: "bad truncated"},
		{name: "a missing pack", script: "rm $(find $STORE -name 'p*' -size +400k)", task: job.Task{Depth: job.Structure}, want: "bad incomplete"},
		{name: "another bucket", script: "sed -i 's/\"backups\"/\"backup\"/' w/repository.config", task: job.Task{Depth: job.Structure}, want: "unknown not_found"},
		{name: "a server that is away", script: "sed 's/" + server.Address + "/127.0.0.1:1/' good > w/repository.config", task: job.Task{Depth: job.Structure}, want: "unknown network"},
	} {
		t.Run(step.name, func(t *testing.T) {
			sh.Run(t, dir, "STORE="+filepath.Join(server.Store, "backups")+"\n"+step.script)
			got, sight, out := backuptest.Check(t.Context(), c, step.task)
			if got != step.want {
				t.Fatalf("got %q, want %q: %v", got, step.want, out.Err)
			}
			if got == "good" && (sight.Media != "object_storage" || len(sight.Units) == 0) {
				t.Errorf("got %+v", sight)
			}
		})
	}
}
