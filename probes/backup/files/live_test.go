//go:build live

package files_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// shell makes and harms backups, out of what lies in $SRC and $DB.
func shell(t testing.TB) backuptest.Shell {
	t.Helper()
	return backuptest.Shell{Env: []string{"SRC=" + source(t), "DB=" + databaseDir}, Library: `
size()   { stat -c %s "$1"; }
cut()    { truncate -s -"$2" "$1"; }                                   # bytes
zero()   { head -c "$2" /dev/zero >> "$1"; }                           # appended
blank()  { local at=$(( $(size "$1") * $2 / 100 )); local n=$(( $(size "$1") - at ));
           head -c $n /dev/zero | dd of="$1" bs=64k seek=$at oflag=seek_bytes conv=notrunc status=none; }
`}
}

var sourceOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "backup-source")
	if err != nil {
		return "", err
	}
	script := `set -e
mkdir -p tree/sub/deep; seq 1 200000 > text
for i in $(seq 1 60); do seq $i $((i*40)) > tree/f$i; done
head -c 300000 /dev/urandom > tree/sub/random; ln -s ../f1 tree/sub/link; ln tree/f2 tree/sub/hard; echo deep > tree/sub/deep/x`
	command := exec.Command("bash", "-c", script)
	command.Dir = dir
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func source(t testing.TB) string {
	t.Helper()
	dir, err := sourceOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	if place := os.Getenv("BACKUP_CHILD"); place != "" {
		child(place, os.Getenv("BACKUP_CHILD_DUMP"))
		return
	}
	code := m.Run()
	if dir, err := sourceOnce(); err == nil {
		os.RemoveAll(dir)
	}
	if dir, err := databasesOnce(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// A liveCase is a backup that a script makes in an empty directory, and what
// must be said of it.
type liveCase struct {
	name    string
	script  string
	path    string // pattern in the directory; empty: *
	options job.Options
	depth   job.Depth // empty: read
	want    string
}

// look looks at a copy and checks the newest point, as the probe does.
func look(ctx context.Context, c job.Copy, depth job.Depth, restore job.Restore) (string, job.Sight, job.Outcome) {
	sight, err := c.Look(ctx)
	if err != nil {
		return answer(err), sight, job.Outcome{}
	}
	if len(sight.Points) == 0 {
		return "nothing", sight, job.Outcome{}
	}
	point := sight.Points[0]
	var units []job.Unit
	for _, u := range sight.Units {
		if slices.Contains(point.Units, u.ID) {
			units = append(units, u)
		}
	}
	out := c.Check(ctx, job.Task{Depth: depth, Point: point, Units: units, Restore: restore})
	return answer(out.Err), sight, out
}

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

func (c liveCase) run(t *testing.T, h probes.Host) {
	t.Helper()
	dir := t.TempDir()
	shell(t).Run(t, dir, c.script)
	o := c.options
	o.Settle = max(o.Settle, 1)
	if c.path == "" {
		c.path = "*"
	}
	o.Paths = []string{filepath.Join(dir, c.path)}
	if c.depth == "" {
		c.depth = job.Read
	}
	got, _, out := look(t.Context(), files.Kind().Open(h, o), c.depth, job.Restore{})
	if got != c.want {
		t.Errorf("got %q, want %q: %v %v", got, c.want, out.Err, out.Notes)
	}
	if got == "good" && c.depth == job.Read && len(out.Tools) == 0 {
		t.Error("nobody judged")
	}
}

func runAll(t *testing.T, cases []liveCase) {
	t.Helper()
	h := backuptest.Host(t, files.Kind(), nil)
	good := 0
	for _, c := range cases {
		if c.want == "good" {
			good++
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
	t.Logf("%d cases, %d of them good", len(cases), good)
}

func TestLiveCompressedStreams(t *testing.T) {
	var cases []liveCase
	for _, f := range []struct{ tool, ext, garbage, zeros string }{
		{"gzip", "gz", "good", "bad truncated"}, // the length of a block of zeros leads beyond the end
		{"bzip2", "bz2", "good", "bad damaged"},
		{"xz", "xz", "bad damaged", "bad damaged"},
		{"zstd -q", "zst", "bad damaged", "bad damaged"},
		{"lz4 -q", "lz4", "bad damaged", "bad damaged"},
		{"lzip", "lz", "good", "bad damaged"},
	} {
		file := "a." + f.ext
		pack := f.tool + " -c $SRC/text > " + file + "\n"
		add := func(name, script, want string) {
			cases = append(cases, liveCase{name: f.ext + " " + name, script: script, want: want})
		}
		add("that is whole", pack, "good")
		add("cut in half", pack+"keep "+file+" 50", "bad truncated")
		add("that lacks its last byte", pack+"cut "+file+" 1", "bad truncated")
		add("with a changed byte", pack+"flip "+file+" 50", "bad damaged")
		add("of no bytes", ": > "+file, "bad empty")
		add("of an empty input", f.tool+" -c < /dev/null > "+file, "bad empty")
		add("padded with zeros, as from a tape", pack+"zero "+file+" 2048", "good")
		add("with something behind it", pack+"echo and something behind it >> "+file, f.garbage)
		add("of two members", pack+"cp "+file+" b; cat b >> "+file+"; rm b", "good")
		add("that is plain text", "cp $SRC/text "+file, "bad mismatch")
		add("of zeros", "zero "+file+" 100000", "bad damaged")
		add("whose end became zeros", pack+"blank "+file+" 60", f.zeros)
	}
	cases = append(cases,
		liveCase{name: "gz without its trailer", script: "gzip -c $SRC/text > a.gz; cut a.gz 8", want: "bad truncated"},
		liveCase{name: "zst without a checksum", script: "zstd -q --no-check -c $SRC/text > a.zst", want: "good"},
		liveCase{name: "zst of another name", script: "zstd -q -c $SRC/text > a.gz", want: "bad mismatch"},
		liveCase{name: "xz with a check that is not known is judged by xz", script: "xz --check=crc32 -c $SRC/text > a.xz", want: "good"},
		liveCase{name: "xz without a check", script: "xz --check=none -c $SRC/text > a.xz", want: "good"},
		liveCase{name: "lz4 of the legacy form", script: "lz4 -q -l -c $SRC/text > a.lz4", want: "good"},
		liveCase{name: "zst with a window of 2 GiB", script: "zstd -q --ultra --long=31 -c $SRC/text > a.zst", want: "good"},
	)
	runAll(t, cases)
}

func TestLiveArchives(t *testing.T) {
	const tar = "tar -C $SRC -cf a.tar tree\n"
	const zip = "(cd $SRC && zip -qr - tree) > a.zip\n"
	const seven = "7z a -bd -y a.7z $SRC/tree > /dev/null\n"
	runAll(t, []liveCase{
		{name: "tar that is whole", script: tar, want: "good"},
		{name: "tar of the form of 1979", script: "tar -C $SRC --format=v7 -cf a.tar tree", want: "good"},
		{name: "tar of the form of POSIX", script: "tar -C $SRC --format=posix -cf a.tar tree", want: "good"},
		{name: "tar with large records", script: "tar -C $SRC -b 2048 -cf a.tar tree", want: "good"},
		{name: "tar with holes", script: "truncate -s 50M hole; echo x >> hole; tar -Scf a.tar hole; rm hole", want: "good"},
		{name: "tar.gz that is whole", script: "tar -C $SRC -czf a.tar.gz tree", want: "good"},
		{name: "tar.zst that is whole", script: "tar -C $SRC --zstd -cf a.tar.zst tree", want: "good"},
		{name: "tar cut between two members", script: tar + `n=$(tar -tvRf a.tar | sed -n '30s/block \([0-9]*\):.*/\1/p'); truncate -s $((n*512)) a.tar`, want: "bad truncated"},
		{name: "tar cut within a header", script: tar + `n=$(tar -tvRf a.tar | sed -n '30s/block \([0-9]*\):.*/\1/p'); truncate -s $((n*512+100)) a.tar`, want: "bad truncated"},
		{name: "tar cut within data", script: tar + "keep a.tar 50", want: "bad truncated"},
		{name: "tar without its end mark", script: tar + `n=$(tar -tvRf a.tar | sed -n '$s/block \([0-9]*\):.*/\1/p'); truncate -s $((n*512)) a.tar`, want: "bad truncated"},
		{name: "tar whose end became zeros", script: tar + `n=$(tar -tvRf a.tar | sed -n '40s/block \([0-9]*\):.*/\1/p'); s=$(size a.tar); truncate -s $((n*512)) a.tar; truncate -s $s a.tar`, want: "bad truncated"},
		{name: "tar of zeros", script: "zero a.tar 1000000", want: "bad truncated"},
		{name: "tar without members", script: "tar -cf a.tar -T /dev/null", want: "bad empty"},
		{name: "tar of no bytes", script: ": > a.tar", want: "bad empty"},
		{name: "tar with a damaged header", script: tar + `n=$(tar -tvRf a.tar | sed -n '30s/block \([0-9]*\):.*/\1/p'); printf XXXX | dd of=a.tar bs=1 seek=$((n*512+10)) conv=notrunc status=none`, want: "bad damaged"},
		{name: "two tars in one file, of which tar restores the first", script: tar + "cp a.tar b; cat b >> a.tar; rm b", want: "bad damaged"},
		{name: "tar.gz whose producer died", script: tar + "keep a.tar 50; gzip a.tar", want: "bad truncated"},
		{name: "tar.gz cut", script: "tar -C $SRC -czf a.tar.gz tree; keep a.tar.gz 70", want: "bad truncated"},
		{name: "tar.gz of a dead pipe", script: "gzip < /dev/null > a.tar.gz", want: "bad empty"},
		{name: "tar.gz that holds text", script: "gzip -c $SRC/text > a.tar.gz", want: "bad mismatch"},
		{name: "zip that is whole", script: zip, want: "good"},
		{name: "zip at the depth of its structure", script: zip, depth: job.Structure, want: "good"},
		{name: "zip without its directory", script: zip + "keep a.zip 80", want: "bad truncated"},
		{name: "zip without its directory at the depth of its structure", script: zip + "cut a.zip 30", depth: job.Structure, want: "bad truncated"},
		{name: "zip with a changed byte", script: zip + "flip a.zip 40", want: "bad damaged"},
		{name: "zip behind other bytes", script: zip + "head -c 1000 /dev/zero > b; sed 's/^/#/' <<< x >> b; mv a.zip c; cat b c > a.zip; rm b c", want: "bad mismatch", options: job.Options{Content: "zip"}},
		{name: "zip with a password", script: "(cd $SRC && zip -qr -P secret - tree) > a.zip", want: "unknown auth"},
		{name: "zip of text that zip did not write", script: "cp $SRC/text a.zip", options: job.Options{Content: "zip"}, want: "bad mismatch"},
		{name: "zip that holds a dump", script: "printf 'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n' > d.sql; zip -q a.zip d.sql; rm d.sql", options: job.Options{Content: "sqlite_dump"}, want: "good"},
		{name: "zip that holds half a dump", script: "printf 'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nINS' > d.sql; zip -q a.zip d.sql; rm d.sql", options: job.Options{Content: "sqlite_dump"}, want: "bad truncated"},
		{name: "7z that is whole", script: seven, want: "good"},
		{name: "7z at the depth of its structure", script: seven, depth: job.Structure, want: "good"},
		{name: "7z cut", script: seven + "keep a.7z 60", want: "bad truncated"},
		{name: "7z that lacks its last byte", script: seven + "cut a.7z 1", depth: job.Structure, want: "bad truncated"},
		{name: "7z with a changed byte", script: seven + "flip a.7z 50", want: "bad damaged"},
		{name: "7z with a changed byte in its first header", script: seven + "printf X | dd of=a.7z bs=1 seek=14 conv=notrunc status=none", depth: job.Structure, want: "bad damaged"},
		{name: "7z with a password", script: "7z a -bd -y -psecret a.7z $SRC/tree > /dev/null", want: "unknown auth"},
		{name: "7z with a password on its list too", script: "7z a -bd -y -psecret -mhe=on a.7z $SRC/tree > /dev/null", want: "unknown auth"},
	})
}

func TestLiveManifestsAndSets(t *testing.T) {
	const two = "cp $SRC/text a; cp $SRC/tree/f9 b; sha256sum a b > SHA256SUMS\n"
	const tree = "mkdir d; cp -a $SRC/tree/. d; (cd d && find . -type f ! -name SHA256SUMS | xargs sha256sum > SHA256SUMS)\n"
	all := job.Options{Set: "all", Manifest: "SHA256SUMS"}
	runAll(t, []liveCase{
		{name: "files as their list says", script: two, options: all, want: "good"},
		{name: "a list with --tag", script: "cp $SRC/text a; sha512sum --tag a > SHA512SUMS", want: "good"},
		{name: "a list of one file", script: "cp $SRC/text a; md5sum a > a.md5", want: "good"},
		{name: "a changed file", script: two + "flip a 50", options: all, want: "bad mismatch"},
		{name: "a missing file", script: two + "rm b", options: all, want: "bad incomplete"},
		{name: "a file that is not listed", script: two + "cp a c", options: all, want: "bad incomplete"},
		{name: "a list with junk", script: two + "echo junk >> SHA256SUMS", options: all, want: "bad damaged"},
		{name: "a list of no bytes", script: two + ": > SHA256SUMS", options: all, want: "bad empty"},
		{name: "no list", script: two + "rm SHA256SUMS", options: all, want: "bad incomplete"},
		{name: "a directory as its list says", script: tree, want: "good"},
		{name: "a directory with a changed file", script: tree + "flip d/f9 50", want: "bad mismatch"},
		{name: "a directory with a missing file", script: tree + "rm d/f9", want: "bad incomplete"},
		{name: "a directory with a file that is not listed", script: tree + "cp d/f9 d/f99", want: "bad incomplete"},
		{name: "a directory without a list", script: "mkdir d; cp -a $SRC/tree/. d", want: "good"},
		{name: "a directory without a list, where one is demanded", script: "mkdir d; cp -a $SRC/tree/. d", options: job.Options{Manifest: "SHA256SUMS"}, want: "bad incomplete"},
		{name: "a directory of nothing", script: "mkdir d", want: "bad empty"},
		{name: "nothing", script: ":", want: "nothing"},
		{name: "a set of one day, of which one file is cut", script: "for d in 01 02; do for n in x y; do gzip -c $SRC/text > $n-2026-01-$d.gz; touch -d 2026-01-$d $n-2026-01-$d.gz; done; done; keep y-2026-01-02.gz 50", options: job.Options{Set: `\d{4}-\d{2}-\d{2}`}, want: "bad truncated"},
		{name: "a set of one day, where that of another is cut", script: "for d in 01 02; do for n in x y; do gzip -c $SRC/text > $n-2026-01-$d.gz; touch -d 2026-01-$d $n-2026-01-$d.gz; done; done; keep y-2026-01-01.gz 50; touch -d 2026-01-01 y-2026-01-01.gz", options: job.Options{Set: `\d{4}-\d{2}-\d{2}`}, want: "good"},
		{name: "a file that is just being written", script: "cp $SRC/text a", options: job.Options{Settle: probes.Duration(time.Hour)}, want: "nothing"},
		{name: "content that is not what it should be", script: "cp $SRC/text a.sql", options: job.Options{Content: "pg_dump"}, want: "bad mismatch"},
		{name: "an error page in the place of a dump", script: "echo '<html><body>502 Bad Gateway</body></html>' | gzip > a.sql.gz", options: job.Options{Content: "mysql_dump"}, want: "bad mismatch"},
	})
}
