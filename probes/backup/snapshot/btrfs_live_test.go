//go:build live

package snapshot

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
)

// shell makes file systems in files, with the real mkfs.btrfs, mount and btrfs.
// "here" is where the data is and its snapshots are made, "there" where they are
// sent to.
var shell = backuptest.Shell{Library: `
system() { truncate -s 160M $1.img; mkfs.btrfs -q $1.img >/dev/null; mkdir -p $1; mount -o loop $1.img $1; }
remount() { umount $1; mount -o loop $1.img $1; }
snap() { btrfs -q subvolume snapshot -r here/data here/snaps/$1; }
send() { btrfs -q send "$@" | btrfs -q receive there/snaps; }
cut_off() { sync; btrfs -q send "$@" > stream; head -c $(( $(stat -c %s stream) * 6 / 10 )) stream | btrfs -q receive there/snaps 2>/dev/null || true; }
# damage NAME: changes a byte of the file that holds a word, on the disk
damage() { sync; umount $1; at=$(grep -abo -m1 UNMISTAKABLE $1.img | head -1 | cut -d: -f1); printf X | dd of=$1.img bs=1 seek=$at conv=notrunc status=none; mount -o loop $1.img $1; }
`}

const good = `system here; system there; btrfs -q subvolume create here/data; mkdir here/snaps there/snaps
head -c 900000 /dev/urandom > here/data/random; seq 1 50000 > here/data/text; mkdir here/data/sub
for i in $(seq 20000); do echo UNMISTAKABLE; done > here/data/sub/word; ln -s text here/data/link; sync
`

// made makes file systems, which are unmounted at the end of the test.
func made(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		_ = exec.Command("umount", filepath.Join(dir, "here"), filepath.Join(dir, "there")).Run()
	})
	shell.Run(t, dir, script)
	return dir
}

func TestLiveSnapshotsOfBtrfs(t *testing.T) {
	for _, c := range []struct {
		name, script, dataset string
		depth                 job.Depth
		want, note            string
		restore               job.Restore
		source                bool
	}{
		{name: "a snapshot has its structure", script: "snap a", depth: job.Structure, want: "good"},
		{name: "a snapshot is read", script: "snap a", depth: job.Read, want: "good"},
		{name: "a snapshot is restored and compared with its source", script: "snap a", depth: job.Restored, want: "good", source: true, note: "3 files were compared with the source"},
		{name: "what is required", script: "snap a", depth: job.Restored, want: "good", restore: job.Restore{Assert: job.Assert{Required: []string{"sub/word"}, MinFiles: 3}}},
		{name: "what is required and missing", script: "snap a", depth: job.Restored, want: "bad unasserted", restore: job.Restore{Assert: job.Assert{Required: []string{"database.sql"}}}},
		{name: "a list of checksums that fits", script: "(cd here/data; sha256sum random text sub/word > SHA256SUMS); snap a", depth: job.Read, want: "good"},
		{name: "a list of checksums that does not fit", script: "(cd here/data; sha256sum random text sub/word > SHA256SUMS; echo >> text); snap a", depth: job.Read, want: "bad mismatch"},
		{name: "snapper keeps each in a directory with a number", script: "mkdir here/snaps/7; snap 7/snapshot", depth: job.Read, want: "good"},
		{name: "only one that can be written", script: "btrfs -q subvolume snapshot here/data here/snaps/a", depth: job.Structure, want: "bad incomplete"},
		{name: "a newer one that can be written", script: "snap a; btrfs -q subvolume snapshot here/data here/snaps/b", depth: job.Structure, want: "good", note: "not counted: b: it can be written"},
		{name: "of an empty subvolume", script: "btrfs -q subvolume create here/e; btrfs -q subvolume snapshot -r here/e here/snaps/a", depth: job.Structure, want: "bad empty"},
		{name: "no snapshot", script: ":", depth: job.Structure, want: "nothing"},
		{name: "directories alone", script: "mkdir here/snaps/a here/snaps/b", depth: job.Structure, want: "nothing"},
		{name: "no such directory", script: "rmdir here/snaps", depth: job.Structure, want: "unknown not_found"},
		{name: "another file system", script: "mkdir -p plain/snaps/a", dataset: "plain/snaps", depth: job.Structure, want: "unknown unsupported"},
		{name: "a source that was changed in secret", script: "snap a; touch -r here/data/text t; sed -i s/49999/99999/ here/data/text; touch -r t here/data/text", depth: job.Restored, want: "bad mismatch", source: true},
		{name: "a changed byte on the disk, seen by its structure", script: "snap a; damage here", depth: job.Structure, want: "good"},
		{name: "a changed byte on the disk, read", script: "snap a; damage here", depth: job.Read, want: "bad damaged"},
		{name: "a changed byte on the disk, restored", script: "snap a; damage here", depth: job.Restored, want: "bad damaged"},

		{name: "a copy that was received", script: "snap a; send here/snaps/a", dataset: "there/snaps", depth: job.Read, want: "good"},
		{name: "a copy that was received and is restored", script: "snap a; send here/snaps/a", dataset: "there/snaps", depth: job.Restored, want: "good", source: true, note: "3 files were compared with the source"},
		{name: "a difference that was received", script: "snap a; echo more >> here/data/text; snap b; send here/snaps/a; send -p here/snaps/a here/snaps/b", dataset: "there/snaps", depth: job.Read, want: "good"},
		{name: "a transfer that was cut off", script: "snap a; cut_off here/snaps/a", dataset: "there/snaps", depth: job.Structure, want: "bad incomplete"},
		{name: "a difference that was cut off", script: "snap a; head -c 900000 /dev/urandom > here/data/more; snap b; send here/snaps/a; cut_off -p here/snaps/a here/snaps/b", dataset: "there/snaps", depth: job.Structure, want: "good", note: "not counted: b: it can be written: a working copy, or a transfer that did not end"},
		{name: "a transfer that was cut off after one that was not", script: "snap a; snap b; send here/snaps/a; cut_off here/snaps/b", dataset: "there/snaps", depth: job.Structure, want: "good", note: "not counted: b: it can be written, and is a snapshot of nothing"},
		{name: "a copy that can be written since", script: "snap a; send here/snaps/a; btrfs property set -f there/snaps/a ro false", dataset: "there/snaps", depth: job.Structure, want: "bad incomplete"},
		{name: "a copy whose source is damaged", script: "snap a; send here/snaps/a; damage here", dataset: "there/snaps", depth: job.Restored, want: "good", source: true, note: "2 files were compared with the source"},
		{name: "a changed byte in a copy", script: "snap a; send here/snaps/a; damage there", dataset: "there/snaps", depth: job.Read, want: "bad damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := made(t, good+c.script)
			if c.dataset == "" {
				c.dataset = "here/snaps"
			}
			kind := Btrfs()
			copied := kind.Open(backuptest.Host(t, kind, nil), job.Options{Dataset: filepath.Join(dir, c.dataset)})
			task := job.Task{Depth: c.depth, Restore: c.restore}
			task.Restore.Scratch = t.TempDir()
			if c.source {
				task.Restore.Source = filepath.Join(dir, "here/data")
			}
			got, sight, out := backuptest.Check(t.Context(), copied, task)
			if got != c.want {
				t.Fatalf("got %q, want %q: %v %v", got, c.want, out.Err, sight.Notes)
			}
			if notes := fmt.Sprint(sight.Notes, out.Notes); !strings.Contains(notes, c.note) {
				t.Errorf("the notes are %s, want %q", notes, c.note)
			}
			if got == "good" && (len(sight.Devices) == 0 || len(out.Tools) == 0) {
				t.Errorf("%+v %+v", sight.Devices, out.Tools)
			}
		})
	}
}

// What the kernel tells everybody is what "btrfs subvolume show" tells root.
func TestLiveSubvolumesAgreeWithBtrfs(t *testing.T) {
	dir := made(t, good+"snap a; btrfs -q subvolume snapshot here/data here/snaps/w; snap b; send here/snaps/a; cut_off here/snaps/b; btrfs property set -f there/snaps/a ro false")
	files := backuptest.Host(t, Btrfs(), nil).Files
	field := func(text, name string) string {
		m := regexp.MustCompile(`(?m)^\s*` + name + `:\s*(.*)$`).FindStringSubmatch(text)
		if m == nil || m[1] == "-" {
			return ""
		}
		return m[1]
	}
	uuid := func(id [16]byte) string {
		if id == [16]byte{} {
			return ""
		}
		return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	}
	found, err := filepath.Glob(filepath.Join(dir, "*/snaps/*"))
	if err != nil || len(found) != 5 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, name := range append(found, filepath.Join(dir, "here/data"), filepath.Join(dir, "there")) {
		s, err := subvolumeAt(files, name)
		if err != nil || s == nil {
			t.Fatalf("%s: %v", name, err)
		}
		told := shell.Run(t, dir, "TZ=UTC btrfs subvolume show "+name)
		got := []string{uuid(s.ID), uuid(s.Parent), uuid(s.Received), map[bool]string{true: "readonly", false: ""}[s.ReadOnly]}
		want := []string{field(told, "UUID"), field(told, "Parent UUID"), field(told, "Received UUID"), field(told, "Flags")}
		if name != filepath.Join(dir, "there") { // the top has no time of its own in old tools
			got = append(got, s.Made.UTC().Format("2006-01-02 15:04:05 -0700"))
			want = append(want, field(told, "Creation time"))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, and btrfs says %q", name, got, want)
		}
	}
	system, err := systemOf(files, filepath.Join(dir, "here"))
	if told := shell.Run(t, dir, "btrfs filesystem show here"); err != nil || !strings.Contains(told, system) {
		t.Errorf("%q, %v, and btrfs says %s", system, err, told)
	}
}

// A scrub that was run by somebody else counts as reading, and one with errors
// does not.
func TestLiveAScrubOfBtrfsIsEvidence(t *testing.T) {
	dir := made(t, good+"snap a; btrfs scrub start -B here >/dev/null")
	look := func() job.Sight {
		t.Helper()
		sight, err := Btrfs().Open(backuptest.Host(t, Btrfs(), nil), job.Options{Dataset: filepath.Join(dir, "here/snaps")}).Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sight
	}
	system, err := systemOf(backuptest.Host(t, Btrfs(), nil).Files, filepath.Join(dir, "here"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove("/var/lib/btrfs/scrub.status." + system) })
	if sight := look(); len(sight.Evidence) != 1 || sight.Evidence[0].Depth != job.Read {
		t.Errorf("%+v %v", sight.Evidence, sight.Notes)
	}
	shell.Run(t, dir, "damage here; btrfs scrub start -B here >/dev/null || true")
	if sight := look(); len(sight.Evidence) != 0 || !strings.Contains(fmt.Sprint(sight.Notes), "the last scrub has found") {
		t.Errorf("%+v %v", sight.Evidence, sight.Notes)
	}
}

// Whoever is not root and may open the directories sees and reads the snapshots.
func TestLiveSnapshotsOfBtrfsWithoutRoot(t *testing.T) {
	agent := os.Getenv("HYGIENE_BIN")
	if agent == "" {
		t.Fatal("HYGIENE_BIN names no agent")
	}
	dir := made(t, good+"snap a; chmod 755 . here here/snaps here/data here/data/sub; chmod 644 here/data/text")
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "config.yml")
	text := "probes: {backup: {jobs: [{name: own, kind: btrfs, dataset: " + dir + "/here/snaps, rpo: 1d, verify: {structure: 1d, read: 7d}}]}}"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "agent")
	shell.Run(t, dir, "cp "+agent+" agent; chmod 755 agent")
	out, _ := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary,
		"check", "backup", "--full", "--output=prom", "--config.file="+config, "--state.dir="+dir+"/none").CombinedOutput()
	for _, want := range []string{`hygiene_backup_verdict{copy="local",object="own",verdict="good"} 1`, `depth="read"`, `hygiene_backup_newest_timestamp_seconds{copy="local",object="own"}`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("there is no %s in:\n%s", want, out)
		}
	}
}

// Snapshots are made, sent and removed while others are read.
func TestLiveSnapshotsOfBtrfsAreMadeMeanwhile(t *testing.T) {
	dir := made(t, good+"snap a")
	kind := Btrfs()
	copied := kind.Open(backuptest.Host(t, kind, nil), job.Options{Dataset: filepath.Join(dir, "here/snaps"), Snapshots: "a"})
	sight, err := copied.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, copied, task, 3, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, dir, "n=n$RANDOM; echo $n >> here/data/text; snap $n; send here/snaps/$n; btrfs -q subvolume delete here/snaps/$n")
	})
}
