package snapshot

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

// captured is a host whose ZFS says what a real one has said.
func captured(t *testing.T, name string) *probetest.World {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	world := &probetest.World{Root: t.TempDir(), Programs: map[string]probes.Output{}}
	for _, file := range archive.Files {
		world.Programs[file.Name] = probes.Output{Stdout: file.Data}
	}
	return world
}

// What real pools have said: each line is a point, what is known of the copy, and
// what the pool says of each snapshot.
func TestWhatZFSSays(t *testing.T) {
	for name, c := range map[string]struct {
		dataset string
		want    string
	}{
		"zfs-whole": {"tank/data", `tank/data@b 2026-11-25 23:03:15 1866752
tank/data@a 2026-11-25 23:03:13 1866752
encrypted no, on [zfs/tank], evidence []
note the newest snapshot is held: it cannot be destroyed before "zfs release"`},
		"zfs-scrubbed": {"tank/data", `tank/data@b 2026-11-25 23:03:15 1866752
tank/data@a 2026-11-25 23:03:13 1866752
encrypted no, on [zfs/tank], evidence [read 2026-11-25 23:06:10]
note the newest snapshot is held: it cannot be destroyed before "zfs release"`},
		"zfs-cut-off": {"other/part", `bad incomplete
encrypted no, on [zfs/other], evidence []`},
		"zfs-damaged-mounted": {"tank/data", `tank/data@b 2026-11-25 23:18:39 1866752: bad damaged
tank/data@a 2026-11-25 23:18:37 1866752
encrypted no, on [zfs/tank], evidence []
note the newest snapshot is held: it cannot be destroyed before "zfs release"`},
		"zfs-damaged": {"tank/data", `tank/data@b 2026-11-25 23:18:39 1866752
tank/data@a 2026-11-25 23:18:37 1866752: bad damaged
encrypted no, on [zfs/tank], evidence []
note the newest snapshot is held: it cannot be destroyed before "zfs release"
note the pool has errors of data`},
	} {
		t.Run(name, func(t *testing.T) {
			c0 := ZFS().Open(captured(t, name).Host(), job.Options{Dataset: c.dataset}).(*copied)
			sight, err := c0.Look(t.Context())
			var b strings.Builder
			say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
			if err != nil {
				j := job.Judge(err)
				say("%s %s", j.Verdict, j.Reason)
			}
			for _, p := range sight.Points {
				line := fmt.Sprintf("%s %s %d", p.ID, p.At.UTC().Format("2006-01-02 15:04:05"), p.Size.N)
				if err := c0.same(t.Context(), p); err != nil {
					line += fmt.Sprintf(": %s %s", job.Judge(err).Verdict, job.Judge(err).Reason)
				}
				say("%s", line)
			}
			var evidence []string
			for _, e := range sight.Evidence {
				evidence = append(evidence, fmt.Sprintf("%s %s", e.Depth, e.At.UTC().Format("2006-01-02 15:04:05")))
			}
			say("encrypted %s, on %v, evidence %v", sight.Encrypted, sight.Devices, evidence)
			for _, note := range sight.Notes {
				say("note %s", note)
			}
			if diff := cmp.Diff(c.want, strings.TrimSpace(b.String())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if sight.Tools[0].Version != "2.1.11-1+deb12u1" {
				t.Errorf("%+v", sight.Tools)
			}
		})
	}
}

func TestWhatZFSRefuses(t *testing.T) {
	for want, stderr := range map[string]string{
		"unknown not_found":         "cannot open 'tank/none': dataset does not exist\n",
		"unknown permission_denied": "Permission denied the ZFS utilities must be run as root.\n",
		"unknown unavailable":       "internal error: out of memory\n",
	} {
		world := captured(t, "zfs-whole")
		world.Programs["zfs-snapshots"] = probes.Output{ExitCode: 1, Stderr: []byte(stderr)}
		_, err := ZFS().Open(world.Host(), job.Options{Dataset: "tank/data"}).Look(t.Context())
		if j := job.Judge(err); fmt.Sprintf("%s %s", j.Verdict, j.Reason) != want {
			t.Errorf("%q: %+v", stderr, j)
		}
	}
	world := captured(t, "zfs-cut-off") // which is not mounted
	out := ZFS().Open(world.Host(), job.Options{Dataset: "other/part"}).Check(t.Context(), job.Task{Depth: job.Structure, Units: []job.Unit{{ID: "other/part@a"}}})
	if j := job.Judge(out.Err); j.Reason != string(probes.Unsupported) {
		t.Errorf("a data set that is not mounted: %+v", j)
	}
	if err := ZFS().Validate(job.Options{Dataset: "/tank/data"}); err == nil || !strings.Contains(err.Error(), "name the data set") {
		t.Error(err)
	}
	if err := Btrfs().Validate(job.Options{Dataset: "snaps", Snapshots: "["}); err == nil || !strings.Contains(err.Error(), "absolute") || !strings.Contains(err.Error(), "valid pattern") {
		t.Error(err)
	}
	if !errors.Is(damaged(errors.ErrUnsupported, nil), errors.ErrUnsupported) {
		t.Error("another error is damage")
	}
}
