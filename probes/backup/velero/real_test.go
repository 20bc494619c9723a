package velero_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/velero"
)

// The buckets in testdata were filled by the real Velero, by test/velero.sh. Of the
// logs only one was kept, without the paths of the machine that built Velero.
var versions = []string{"1.17.0", "1.18.0"}

// A place opens the backups that lie in a directory, there or somewhere else.
type place func(t *testing.T, dir string, o job.Options) job.Copy

func directory(t *testing.T, dir string, o job.Options) job.Copy {
	t.Helper()
	o.Dataset, o.Settle = dir, 1
	return velero.Kind().Open(backuptest.Host(t, velero.Kind(), nil), o)
}

func TestReal(t *testing.T)    { realBackups(t, directory) }
func TestDamaged(t *testing.T) { damagedBackup(t, directory) }
func TestWhole(t *testing.T)   { wholeBucket(t, directory) }

// realBackups compares the verdicts with what Velero told of its backups.
func realBackups(t *testing.T, open place) {
	for _, version := range versions {
		for _, c := range []struct {
			name  string // of the backup
			phase string // that `velero backup get` told, or none
			want  string
			files int64  // objects of the cluster
			tells string // a note or a detail
		}{
			{"whole", "Completed", "good", 10, "the volume bad of disks/bad is not in it: volumeSnapshot: not satisfy the criteria"},
			{"nightly-*", "Completed", "good", 5, ""},
			{"selected", "Completed", "good", 4, ""},
			{"namespace", "Completed", "good", 1, ""},
			{"snapshots", "Completed", "good", 3, ""},
			{"pod-volumes", "Completed", "good", 2, ""},
			{"moved", "Completed", "good", 2, ""},
			{"csi-good", "Completed", "good", 6, ""},
			{"moved-data", "Completed", "good", 3, ""}, // what moves it stands in the archive, and not in the list
			{"expired", "Completed", "good", 5, "expired has expired at 2026-11-26T03:"},
			{"nothing", "Completed", "bad empty", 0, "nothing: it holds no object of the cluster"},
			{"bad-snapshots", "PartiallyFailed", "bad reported", 5, "PartiallyFailed: name: bad message: Error backing up item error: error taking snapshot of volume"},
			{"bad-pod-volumes", "PartiallyFailed", "bad reported", 2, "PartiallyFailed: message: pod volume backup failed"},
			{"not-moved", "PartiallyFailed", "bad reported", 2, "PartiallyFailed: message: the item cannot be moved"},
			{"absent", "PartiallyFailed", "bad reported", 0, "fail to get the namespace missing"},
			{"hook", "PartiallyFailed", "bad reported", 2, `pods "nowhere" not found, and 1 more`},
			{"failed", "Failed", "bad reported", -1, "failed: it ended in the phase Failed"},
			{"half", "Failed", "nothing", -1, "half has no velero-backup.json"},
			{"deleted", "Deleting", "nothing", -1, "deleted has no velero-backup.json"},
			{"waiting", "WaitingForPluginOperations", "nothing", -1, "waiting is in the phase WaitingForPluginOperations"},
		} {
			for _, depth := range []job.Depth{job.Structure, job.Read, job.Restored} {
				t.Run(version+"/"+c.name+"/"+string(depth), func(t *testing.T) {
					got := try(t, open(t, unpack(t, version, c.name), job.Options{}), depth)
					if got.answer != c.want || !strings.Contains(got.text, c.tells) {
						t.Errorf("%s: %q with %s, want %q with %q", c.phase, got.answer, got.text, c.want, c.tells)
					}
					if want := (job.Count{N: c.files, Known: c.files >= 0}); len(got.sight.Points) > 0 && want.Known && got.sight.Points[0].Files != want {
						t.Errorf("%v objects, want %d", got.sight.Points[0].Files, c.files)
					}
				})
			}
		}
	}
}

// damagedBackup spoils a backup. What Velero makes of it, as far as it was tried, stands
// beside.
func damagedBackup(t *testing.T, open place) {
	const prefix = "backups/snapshots/snapshots"
	const document, archive, list = "backups/snapshots/velero-backup.json", prefix + ".tar.gz", prefix + "-resource-list.json.gz"
	for _, c := range []struct {
		name  string
		spoil func(d damage)
		want  string
	}{
		{"nothing", func(damage) {}, "good"},
		// Velero restores nothing of these.
		{"the archive is missing", func(d damage) { d.remove(archive) }, "bad incomplete"},
		{"the archive was cut off", func(d damage) { d.edit(archive, func(b []byte) []byte { return b[:len(b)/2] }) }, "bad truncated"},
		{"a byte of the archive has changed", func(d damage) { d.edit(archive, flip) }, "bad damaged"},
		{"the archive is empty", func(d damage) { d.edit(archive, func([]byte) []byte { return nil }) }, "bad empty"},
		// Velero restores what is there, and calls that completed.
		{"the archive is another's", func(d damage) { d.copy("backups/selected/selected.tar.gz", archive) }, "bad mismatch"},
		{"the archive lacks an object", func(d damage) { d.without(archive, "persistentvolumeclaims") }, "bad incomplete"},
		{"there are no snapshots", func(d damage) { d.remove(prefix + "-volumesnapshots.json.gz") }, "bad incomplete"},
		{"there are no volumes of pods", func(d damage) { d.remove(prefix + "-podvolumebackups.json.gz") }, "bad incomplete"},
		{"the list of snapshots was changed", func(d damage) { d.edit(prefix+"-volumesnapshots.json.gz", flip) }, "bad damaged"},
		// Velero does without.
		{"there is no log", func(d damage) { d.remove(prefix + "-logs.gz") }, "good"},
		{"there are no results", func(d damage) { d.remove(prefix + "-results.gz") }, "good"},
		{"there is no list", func(d damage) { d.remove(list) }, "good"},
		{"there is nothing of volumes", func(d damage) { d.remove(prefix + "-volumeinfo.json.gz") }, "good"},
		{"there is nothing of operations", func(d damage) { d.remove(prefix + "-itemoperations.json.gz") }, "good"},
		{"the list was changed", func(d damage) { d.edit(list, flip) }, "bad damaged"},
		{"the results were changed", func(d damage) { d.edit(prefix+"-results.gz", flip) }, "bad damaged"},
		// Velero does not find these in the bucket.
		{"no document", func(d damage) { d.remove(document) }, "nothing"},
		{"an empty document", func(d damage) { d.edit(document, func([]byte) []byte { return nil }) }, "bad damaged"},
		{"half of a document", func(d damage) { d.edit(document, func(b []byte) []byte { return b[:len(b)/2] }) }, "bad damaged"},
		{"a document of something else", func(d damage) { d.set(document, "Restore", "kind") }, "bad mismatch"},
		{"a document of another", func(d damage) { d.set(document, "selected", "metadata", "name") }, "bad mismatch"},
		{"a time that is none", func(d damage) { d.set(document, "yesterday", "status", "startTimestamp") }, "bad damaged"},
		{"it was not finished", func(d damage) { d.set(document, "Finalizing", "status", "phase") }, "nothing"},
		// Velero has never told of these.
		{"a snapshot is missing", func(d damage) { d.set(document, 2, "status", "volumeSnapshotsAttempted") }, "bad reported"},
		{"a snapshot by CSI is missing", func(d damage) { d.set(document, 2, "status", "csiVolumeSnapshotsAttempted") }, "bad reported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := unpack(t, "1.18.0", "*")
			c.spoil(damage{t, dir})
			others, err := filepath.Glob(filepath.Join(dir, "backups", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range others {
				if filepath.Base(other) != "snapshots" {
					damage{t, ""}.remove(other)
				}
			}
			if got := try(t, open(t, dir, job.Options{}), job.Read); got.answer != c.want {
				t.Errorf("%q with %s, want %q", got.answer, got.text, c.want)
			}
		})
	}
}

// wholeBucket looks at a bucket with everything in it.
func wholeBucket(t *testing.T, open place) {
	for _, c := range []struct {
		name, pattern, newest string
		points                int
		note                  string
	}{
		{"all, but for what has failed", "", "backups/expired", 10, "and 4 more do not count"},
		{"the newest has failed", "{hook,absent,selected}", "backups/hook", 2, "absent does not count: it ended in the phase PartiallyFailed"},
		{"all have failed", "{hook,absent,nothing}", "backups/hook", 1, "nothing does not count: it holds no object of the cluster"},
		{"of a schedule", "nightly", "backups/nightly-20261126033526", 1, ""},
		{"of another schedule", "weekly", "", 0, ""},
		{"by name", "{whole,selected}", "backups/selected", 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			sight, err := open(t, unpack(t, "1.18.0", "*"), job.Options{Snapshots: c.pattern}).Look(t.Context())
			newest := ""
			if len(sight.Points) > 0 {
				newest = sight.Points[0].ID
			}
			if notes := strings.Join(sight.Notes, "\n"); !strings.Contains(notes, c.note) {
				t.Errorf("the notes are %s, want %q", notes, c.note)
			}
			if err != nil || len(sight.Points) != c.points || !strings.HasSuffix(newest, c.newest) {
				t.Errorf("%d points, the newest %q, want %d and %q: %v %v", len(sight.Points), newest, c.points, c.newest, err, sight.Notes)
			}
		})
	}
}

// A result is what came of looking and checking.
type result struct {
	answer, text string
	sight        job.Sight
}

// try checks the newest backup.
func try(t *testing.T, c job.Copy, depth job.Depth) result {
	t.Helper()
	sight, err := c.Look(t.Context())
	r := result{answer: backuptest.Answer(err), text: strings.Join(sight.Notes, "\n"), sight: sight}
	switch {
	case err != nil:
		r.text += err.Error()
		return r
	case len(sight.Points) == 0:
		r.answer = "nothing"
		return r
	}
	task := job.Task{Depth: depth, Point: sight.Points[0], Units: sight.Units}
	task.Restore.Scratch = t.TempDir()
	out := c.Check(t.Context(), task)
	r.answer, r.text = backuptest.Answer(out.Err), r.text+strings.Join(out.Notes, "\n")
	if out.Err != nil {
		r.text += out.Err.Error()
	}
	if depth == job.Restored && out.Err == nil && !holdsResource(t, task.Restore.Scratch) {
		t.Error("no resource was restored")
	}
	return r
}

func holdsResource(t *testing.T, dir string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		found = found || strings.Contains(name, "/resources/") && strings.HasSuffix(name, ".json")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// unpack lays out those backups of a bucket whose names match.
func unpack(t *testing.T, version, pattern string) string {
	t.Helper()
	dir := t.TempDir()
	file, err := os.Open(filepath.Join("testdata", "velero-"+version+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(plain)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if matches, _ := filepath.Match("backups/"+pattern+"/*", header.Name); matches && header.Typeflag == tar.TypeReg {
			damage{t, dir}.write(header.Name, text)
		}
	}
}

// A damage is done to files of a directory.
type damage struct {
	t   *testing.T
	dir string
}

func (d damage) do(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d damage) read(name string) []byte {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	d.do(err)
	return text
}

func (d damage) write(name string, text []byte) {
	d.t.Helper()
	name = filepath.Join(d.dir, name)
	d.do(os.MkdirAll(filepath.Dir(name), 0o755))
	d.do(os.WriteFile(name, text, 0o644))
}

func (d damage) remove(name string)   { d.do(os.RemoveAll(filepath.Join(d.dir, name))) }
func (d damage) copy(from, to string) { d.write(to, d.read(from)) }
func (d damage) edit(name string, change func([]byte) []byte) {
	d.write(name, change(d.read(name)))
}

// flip changes a bit in the middle.
func flip(text []byte) []byte {
	text = slices.Clone(text)
	text[len(text)/2] ^= 0x10
	return text
}

// set changes a value of a document.
func (d damage) set(name string, value any, keys ...string) {
	d.t.Helper()
	var document map[string]any
	d.do(json.Unmarshal(d.read(name), &document))
	at := document
	for _, key := range keys[:len(keys)-1] {
		at = at[key].(map[string]any)
	}
	at[keys[len(keys)-1]] = value
	text, err := json.Marshal(document)
	d.do(err)
	d.write(name, text)
}

// without takes the members out of an archive in whose names a word is.
func (d damage) without(name, word string) {
	d.t.Helper()
	plain, err := gzip.NewReader(strings.NewReader(string(d.read(name))))
	d.do(err)
	var text strings.Builder
	packed := gzip.NewWriter(&text)
	in, out := tar.NewReader(plain), tar.NewWriter(packed)
	for {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		d.do(err)
		if !strings.Contains(header.Name, word) {
			d.do(out.WriteHeader(header))
			_, err = io.Copy(out, in)
			d.do(err)
		}
	}
	d.do(errors.Join(out.Close(), packed.Close()))
	d.write(name, []byte(text.String()))
}
