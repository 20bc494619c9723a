//go:build live

package duplicity_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/duplicity"
	"hygiene_exporter/probes/backup/job"
)

// shell makes and harms sets.
var shell = backuptest.Shell{Library: `
export PASSPHRASE=secret GNUPGHOME=$PWD/gpg
mkdir -p -m 700 gpg
D()    { duplicity "$@" > out 2>&1 || { cat out; return 1; }; }
full() { D full --archive-dir $PWD/cache --name one "$@" --volsize 1 src file://$PWD/sets; }
inc()  { sleep 1; D incr --archive-dir $PWD/cache --name one "$@" --volsize 1 src file://$PWD/sets; }
of()   { ls sets/$1 | sort | head -1; }
`}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, `echo secret > pw; echo wrong > wrong; mkdir -p src/sub sets
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
full; echo more >> src/text; echo new > src/new; inc`)
	return backuptest.Bench{
		Kind: duplicity.Kind(), Host: backuptest.Host(t, duplicity.Kind(), nil), Shell: shell, Original: dir, Bytes: 2_000_000,
		Options: func(dir string, o job.Options) job.Options {
			if o.Repository == "" {
				o.Repository = filepath.Join(dir, "sets")
			}
			if o.ArchiveDir != "" {
				o.ArchiveDir = filepath.Join(dir, o.ArchiveDir)
			}
			switch o.PasswordFile {
			case "":
				o.PasswordFile = filepath.Join(dir, "pw")
			case "none":
				o.PasswordFile = ""
			}
			return o
		},
	}
}

// plain makes the sets anew without encryption, key for a key of its own.
const (
	plain = "rm -rf sets cache; mkdir sets; full --no-encryption; echo x > src/x; inc --no-encryption\n"
	key   = `rm -rf sets cache; mkdir sets; export GNUPGHOME=$(mktemp -d /tmp/gXXXXXX); trap 'gpgconf --kill gpg-agent; rm -rf $GNUPGHOME' EXIT
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-generate-key backup@example.org default default never 2> /dev/null
full --encrypt-key $(gpg --list-keys --with-colons | awk -F: '/^fpr/ { print $10; exit }') --gpg-options=--trust-model=always
`
)

func TestLiveSets(t *testing.T) {
	t.Parallel()
	none := job.Options{PasswordFile: "none"}
	bench(t).Run(t, []backuptest.Case{
		{Name: "good ones have their structure", Depth: job.Structure, Want: "good"},
		{Name: "good ones are read", Depth: job.Read, Want: "good"},
		{Name: "a second chain", Script: "sleep 1; full", Depth: job.Read, Want: "good"},
		{Name: "without encryption", Script: plain, Options: none, Depth: job.Structure, Want: "good"},
		{Name: "without encryption, read", Script: plain, Options: none, Depth: job.Read, Want: "good"},
		{Name: "encrypted for a key, with the manifests that duplicity keeps", Script: key, Options: job.Options{PasswordFile: "none", ArchiveDir: "cache/one"}, Depth: job.Read, Want: "good"},
		{Name: "encrypted for a key that the agent has not", Script: key, Options: none, Depth: job.Structure, Want: "unknown auth"},
		{Name: "a backup that was interrupted", Script: "cp $(of '*inc*vol1*') sets/duplicity-inc.$(date -u +%Y%m%dT%H%M%SZ).to.20991231T000000Z.vol1.difftar.gpg", Depth: job.Read, Want: "good"},
		{Name: "other files beside them", Script: "echo x > sets/README; mkdir sets/lost+found", Depth: job.Read, Want: "good"},
		{Name: "a changed byte in a volume, which the structure does not show", Script: "flip $(of '*full*vol1.*')", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a volume", Script: "flip $(of '*full*vol2.*')", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte in the last volume", Script: "flip $(of '*inc*vol1.*')", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated volume", Script: "keep $(of '*full*vol1.*') 90", Depth: job.Read, Want: "bad damaged"},
		{Name: "an empty volume", Script: ": > $(of '*full*vol1.*')", Depth: job.Structure, Want: "bad truncated"},
		{Name: "two volumes in each other's place", Script: "mv $(of '*full*vol1.*') x; a=$(of '*full*vol2.*'); mv $a ${a/vol2/vol1}; mv x $a", Depth: job.Read, Want: "bad damaged"},
		{Name: "a missing volume", Script: "rm $(of '*full*vol2.*')", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a missing last volume, read", Script: "rm $(of '*full*vol3.*')", Depth: job.Read, Want: "bad incomplete"},
		{Name: "no volumes of the full set", Script: "rm sets/*full*vol*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a missing full set", Script: "rm sets/duplicity-full*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a missing set within the chain", Script: "echo y > src/y; inc; rm sets/*$(ls sets | grep -o 'inc[.].*manifest' | sort | head -1 | cut -c5-40)*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a lost manifest", Script: "rm $(of '*full*manifest*')", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in a manifest", Script: "flip $(of '*full*manifest*') 90", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a manifest that another password fits", Script: "flip $(of '*inc*manifest*') 3; flip $(of '*inc*manifest*') 4", Depth: job.Structure, Want: "bad damaged"},
		{Name: "an empty manifest", Script: ": > $(of '*full*manifest*')", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a plain manifest that was cut", Script: plain + "sed -i '/Volume 3/,$d' $(of '*full*manifest*')", Options: none, Depth: job.Structure, Want: "bad mismatch"},
		{Name: "a plain manifest without a checksum", Script: plain + "sed -i '/Hash/d' $(of '*full*manifest*')", Options: none, Depth: job.Structure, Want: "bad truncated"},
		{Name: "a plain manifest with a gap", Script: plain + "sed -i '/Volume 2/,/Hash/d' $(of '*full*manifest*')", Options: none, Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a backup of an empty directory", Script: "rm -rf sets cache src; mkdir sets src; full", Depth: job.Structure, Want: "bad empty"},
		{Name: "nothing", Script: "rm sets/*", Depth: job.Structure, Want: "nothing"},
		{Name: "a disk that is not mounted", Script: "rm -r sets", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no password file", Script: "rm pw", Depth: job.Structure, Want: "unknown auth"},
	})
}

func TestLiveRestores(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "a chain", Script: nested, Source: "top/src", Depth: job.Restored, Want: "good"},
		{Name: "without encryption", Script: plain, Options: job.Options{PasswordFile: "none"}, Depth: job.Restored, Want: "good"},
		{Name: "what is required", Restore: job.Restore{Assert: job.Assert{Required: []string{"text"}, MinFiles: 5, MinBytes: 2_700_000}}, Depth: job.Restored, Want: "good"},
		{Name: "what is required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "a source that was changed in secret", Script: nested + "touch -r top/src/text t; sed -i s/19999/99999/ top/src/text; touch -r t top/src/text", Source: "top/src", Depth: job.Restored, Want: "bad mismatch"},
		{Name: "a volume with a changed byte", Script: "flip $(of '*full*vol1.*')", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a missing volume", Script: "rm $(of '*full*vol2.*')", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "a wrong password", Script: "cp wrong pw", Depth: job.Restored, Want: "unknown auth"},
		{Name: "rights and devices", Script: "cp /bin/true src/suid; chmod 6755 src/suid; ln src/suid src/hard; mknod src/null c 1 3; mkfifo src/pipe; ln -s /etc/passwd src/abs; inc", Depth: job.Restored, Want: "good"},
	})
}

// nested makes sets of a directory with the source in it.
const nested = `rm -rf sets cache; mkdir sets top; mv src top; mv top src; full; echo new > src/src/new; inc; mv src top
`

// TestLiveNeighbours: backups that begin during checks succeed, and neither the
// sets nor what duplicity keeps for the user is touched.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	b := bench(t)
	c := b.Kind.Open(b.Host, b.Options(b.Original, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(sight.Notes, "\n"); !strings.Contains(notes, " and 1 incremental ones") {
		t.Errorf("the chain is not told of: %s", notes)
	}
	const all = "find sets cache -printf '%p %s %T@ %C@\n' | sort"
	before := shell.Run(t, b.Original, all)
	for _, depth := range []job.Depth{job.Structure, job.Read, job.Restored} {
		task := job.Task{Depth: depth, Point: sight.Points[0], Units: sight.Units, Restore: job.Restore{Scratch: t.TempDir()}}
		if out := c.Check(t.Context(), task); out.Err != nil {
			t.Errorf("%s: %v", depth, out.Err)
		}
	}
	if after := shell.Run(t, b.Original, all); after != before {
		t.Errorf("something was written:\n%s\n%s", before, after)
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 2, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, b.Original, "head -c 500000 /dev/urandom > src/new; inc")
	})
}
