//go:build live

package vm

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// drills boots a machine in which drills are run by hand, and compares what it
// tells. With HYGIENE_FULL every part of the script is run.
func drills(t *testing.T, script string, modules, programs []string) {
	t.Helper()
	m := machine(t, CloudKernel, script, modules, programs)
	more, err := os.ReadFile(filepath.Join("testdata", "drills.sh"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	m.Script = "FULL=" + os.Getenv("HYGIENE_FULL") + "\n" + strings.TrimSuffix(m.Script, string(own)) + string(more) + string(own)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	lines, err := m.Run(ctx, t.TempDir())
	if err != nil {
		t.Errorf("%v:\n%s", err, strings.Join(lines, "\n"))
	}
	var (
		told    strings.Builder
		skipped []string
	)
	for _, line := range lines {
		line, is := strings.CutPrefix(line, marker)
		switch {
		case !is:
		case strings.HasPrefix(line, "failed:"):
			t.Errorf("in the machine: %s", line)
		case strings.HasPrefix(line, "skipped "):
			skipped = append(skipped, strings.TrimPrefix(line, "skipped "))
		case strings.HasPrefix(line, "tell"):
			told.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "tell"), " ") + "\n")
		}
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
	agree(t, strings.TrimSuffix(script, ".sh")+".want", strings.TrimPrefix(told.String(), "\n"), skipped)
}

// agree compares what was told with a file, but for the parts that were skipped.
func agree(t *testing.T, name, got string, skipped []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update && len(skipped) == 0 {
		golden(t, name, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := slices.DeleteFunc(strings.Split(string(want), "\n\n"), func(part string) bool {
		head, _, _ := strings.Cut(part, "\n")
		return slices.Contains(skipped, head)
	})
	if diff := gocmp.Diff(strings.TrimSuffix(strings.Join(parts, "\n\n"), "\n"), strings.TrimSuffix(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// A bond and a team are failed over by hand: what is refused, what is recorded,
// and that everything is put back whatever becomes of the drill.
func TestFailoverOfLinks(t *testing.T) {
	modules := []string{"veth", "bridge", "bonding max_bonds=0", "team", "team_mode_activebackup", "ipv6"}
	drills(t, "failover.sh", modules, []string{"teamd", "teamdctl"})
}

// A path of a multipath device is failed by hand, and put back by whoever is left.
func TestFailoverOfPaths(t *testing.T) {
	modules := []string{"dm-mod", "dm-multipath", "dm-round-robin", "dm-service-time", "sd_mod", "scsi_debug add_host=2 vpd_use_hostno=0 dev_size_mb=16"}
	drills(t, "failover-paths.sh", modules, pathPrograms(t))
}
