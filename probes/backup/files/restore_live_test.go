//go:build live

package files_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// A restoreCase is a backup that is restored, and what must come of it.
type restoreCase struct {
	name    string
	script  string // makes the backup in the directory b, and perhaps a source in src
	restore job.Restore
	source  bool
	depth   job.Depth
	want    string
	says    string // what the error must tell
	set     string // what makes one backup
	// then is a shell condition on the scratch directory, the current one.
	then string
}

func TestLiveRestores(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	const tree = "cp -a $SRC/tree src; tar -cf b/a.tar src\n"
	required := func(patterns ...string) job.Restore { return job.Restore{Assert: job.Assert{Required: patterns}} }
	same := "diff -r --no-dereference $OLDPWD/src src"
	for _, c := range []restoreCase{
		{name: "tar", script: tree, source: true, want: "good", then: same},
		{name: "tar.zst", script: tree + "zstd -q --rm b/a.tar", source: true, want: "good", then: same},
		{name: "zip", script: "cp -a $SRC/tree src; rm src/sub/link; zip -qr b/a.zip src", source: true, want: "good", then: same},
		{name: "7z", script: "cp -a $SRC/tree src; rm src/sub/link; 7z a -bd -y b/a.7z src > /dev/null", source: true, want: "good", then: same},
		{name: "a directory", script: "cp -a $SRC/tree src; cp -a src b/src", source: true, want: "good", then: "diff -r --no-dereference $OLDPWD/src ."},
		{name: "a plain dump", script: "zstd -q $DB/plain.sql -o b/d.sql.zst", want: "good", then: "cmp d.sql $DB/plain.sql"},
		{name: "a dump in the custom format", script: "cp $DB/c.dump b", want: "good", then: "grep -q 'database dump complete' c.dump.sql && grep -c . c.dump.sql | grep -q '^7'"},
		{name: "a dump in the directory format", script: "cp -r $DB/d b", want: "good", then: "grep -q 'database dump complete' d.sql"},
		{name: "a base backup", script: "cp -a $DB/base b", want: "good", then: "diff -r $DB/base ."},
		{name: "a base backup with a table space", script: "cp -a $DB/basets b", want: "good", then: "diff -r $DB/tscopy/PG_* pg_tblspc/*/PG_*"},
		{name: "sqlite", script: "gzip -c $DB/s.db > b/s.db.gz", depth: job.Loaded, want: "good", then: "cmp s.db $DB/s.db"},
		{name: "sqlite dump", script: "cp $DB/s.sql b", depth: job.Loaded, restore: asked("select count(*) from t", "20000"), want: "good"},
		{name: "redis", script: "cp $DB/whole.rdb b", depth: job.Loaded, want: "good"},
		{name: "a cut archive", script: tree + "keep b/a.tar 50", want: "bad truncated"},
		{name: "a cut dump", script: "head -c 400000 $DB/plain.sql | gzip > b/a.sql.gz", want: "bad truncated"},
		{name: "an archive that is not as its source is, which nobody touched", script: tree + "touch -r src/f50 t; sed -i 's/60/61/' src/f50; touch -r t src/f50; rm t", source: true, want: "bad mismatch"},
		{name: "an archive whose source has gone on", script: tree + "echo more >> src/f50; rm src/f51", source: true, want: "good"},
		{name: "an absolute name", script: "echo x > x; tar -Pcf b/a.tar $PWD/x", want: "bad unsafe"},
		{name: "a name that climbs out", script: "echo x > x; mkdir d; (cd d; tar -Pcf ../b/a.tar ../x)", want: "bad unsafe"},
		{name: "a file behind a link that leads out", script: "mkdir d o; ln -s ../../../../../tmp d/l; tar -C d -cf b/a.tar l; rm d/l; mkdir d/l; echo x > d/l/evil; tar -C d -rf b/a.tar l/evil", want: "bad unsafe"},
		{name: "a zip with a name that climbs out", script: "python3 -c \"import zipfile; zipfile.ZipFile('b/a.zip','w').writestr('../evil','x')\"", want: "bad unsafe"},
		{name: "rights and devices", script: "mkdir s; cp /bin/true s/suid; chmod 6755 s/suid; mknod s/dev c 1 3; mkfifo s/fifo; tar -C s -cf b/a.tar .", want: "good", then: `test "$(find . -perm /7000 -o -type c -o -type p)" = ""`},
		{name: "a holey file that does not fit", script: "truncate -s 8E-1 h 2> /dev/null || truncate -s 1P h 2> /dev/null || truncate -s 15T h; tar -Scf b/a.tar h; rm h", want: "unknown too_large"},
		{name: "what is required is there", script: tree, restore: required("f9", "src/sub/**"), want: "good"},
		{name: "what is required is missing", script: tree, restore: required("f99"), want: "bad unasserted"},
		{name: "what is required is empty", script: "mkdir src; : > src/f9; echo x > src/f8; tar -cf b/a.tar src", restore: required("f9"), want: "bad unasserted"},
		{name: "too few files", script: tree, restore: job.Restore{Assert: job.Assert{MinFiles: 1000}}, want: "bad unasserted"},
		{name: "too few bytes", script: tree, restore: job.Restore{Assert: job.Assert{MinBytes: 1 << 40}}, want: "bad unasserted"},
		{name: "a young canary", script: "cp -a $SRC/tree src; date > src/canary; tar -cf b/a.tar src", restore: job.Restore{RPO: time.Hour, Assert: job.Assert{Canary: "canary"}}, want: "good"},
		{name: "an old canary", script: "cp -a $SRC/tree src; touch -d 2020-01-01 src/canary; tar -cf b/a.tar src", restore: job.Restore{RPO: time.Hour, Assert: job.Assert{Canary: "canary"}}, want: "bad unasserted"},
		{name: "no canary", script: tree, restore: job.Restore{RPO: time.Hour, Assert: job.Assert{Canary: "canary"}}, want: "bad unasserted"},
		{name: "a sample", script: "cp -a $SRC/tree src; cp -a src b/src", restore: job.Restore{Sample: 1000}, want: "good", then: "test $(find . -type f | wc -l) -lt 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, scratch := t.TempDir(), t.TempDir()
			shell(t).Run(t, dir, "mkdir b; "+c.script)
			if c.source {
				c.restore.Source = filepath.Join(dir, "src")
			}
			if c.depth == "" {
				c.depth = job.Restored
			}
			c.restore.Scratch = scratch
			copied := files.Kind().Open(backuptest.Host(t, files.Kind(), nil), job.Options{Paths: []string{filepath.Join(dir, "b/*")}, Settle: 1})
			got, _, out := look(t.Context(), copied, c.depth, c.restore)
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v", got, c.want, out.Err, out.Notes)
			}
			if got == "good" && out.RestoredBytes == 0 {
				t.Error("nothing was restored")
			}
			if _, err := os.Lstat("/tmp/evil"); err == nil {
				t.Error("something was written outside of the scratch directory")
			}
			if c.then != "" {
				shell(t).Run(t, dir, "cd "+scratch+"\n"+c.then)
			}
		})
	}
}
