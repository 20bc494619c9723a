package pacman

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

func plant(t *testing.T, files map[string]string) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		real := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return rootfs.New(rootfs.Paths{Root: root})
}

func desc(name, version string, more ...string) string {
	return "%NAME%\n" + name + "\n\n%VERSION%\n" + version + "\n\n%BUILDDATE%\n1690000000\n\n" + strings.Join(more, "\n") + "\n"
}

// archived makes the database of a repository.
func archived(t *testing.T, descs ...string) string {
	t.Helper()
	var file bytes.Buffer
	archive := tar.NewWriter(&file)
	for i, d := range descs {
		if err := archive.WriteHeader(&tar.Header{Name: fmt.Sprintf("p-%d/desc", i), Mode: 0o644, Size: int64(len(d))}); err != nil {
			t.Fatal(err)
		}
		_, _ = archive.Write([]byte(d))
	}
	_ = archive.Close()
	return file.String()
}

const conf = "[options]\nIgnorePkg = linux\n[core]\nInclude = /etc/pacman.d/mirrorlist\n"

func TestUpdates(t *testing.T) {
	t.Parallel()
	files := plant(t, map[string]string{
		"/etc/pacman.conf":                        conf,
		"/var/lib/pacman/local/ALPM_DB_VERSION":   "9\n",
		"/var/lib/pacman/local/a-1-1/desc":        desc("a", "1-1"),
		"/var/lib/pacman/local/linux-6-1/desc":    desc("linux", "6-1"),
		"/var/lib/pacman/local/going-1-1/install": "",
		"/var/lib/pacman/sync/core.db":            archived(t, desc("a", "2-1"), desc("linux", "6-2"), desc("z", "1-1")),
		"/var/log/pacman.log": "[2026-01-01T10:00:00+0100] [PACMAN] synchronizing package lists\n[2026-01-01T10:00:01+0100] [PACMAN] starting full system upgrade\n" +
			"[2026-01-01T10:00:05+0100] [ALPM] upgraded a (0-1 -> 1-1)\n[2026-01-02T10:00:00+0100] [PACMAN] synchronizing package lists\n",
	})
	reader := New(files)
	for _, look := range []string{"first", "second"} {
		m, err := reader.Read(t.Context())
		if err != nil || len(m.Incomplete) > 0 {
			t.Fatal(err, m.Incomplete)
		}
		var got []string
		for _, u := range m.Updates {
			got = append(got, fmt.Sprint(u.Package, " ", u.Candidate, " ", u.State, " ", u.Releases[0].Available.Unix()))
		}
		if diff := cmp.Diff([]string{"a 2-1 pending 1690000000", "linux 6-2 held 1690000000"}, got); diff != "" {
			t.Errorf("%s look (-want +got)\n%s", look, diff)
		}
		if want := time.Date(2026, 1, 1, 9, 0, 5, 0, time.UTC); !m.LastUpgrade.Equal(want) || m.SecurityKnown {
			t.Errorf("last upgrade %v, security known %v", m.LastUpgrade, m.SecurityKnown)
		}
	}
}

func TestWhatCannotBeToldIsSaid(t *testing.T) {
	t.Parallel()
	base := map[string]string{"/etc/pacman.conf": conf, "/var/lib/pacman/local/a-1-1/desc": desc("a", "1-1")}
	for _, test := range []struct {
		name   string
		files  map[string]string
		reason probes.Reason
	}{
		{"never synchronised", nil, probes.NotFound},
		{"no repository", map[string]string{"/etc/pacman.conf": "[options]\n"}, probes.NotFound},
		{"a damaged database", map[string]string{"/var/lib/pacman/sync/core.db": "garbage that is no tar file, for sure"}, probes.Malformed},
		{"a damaged package", map[string]string{"/var/lib/pacman/local/b-1-1/desc": "%NAME%\nb\n", "/var/lib/pacman/sync/core.db": archived(t)}, probes.Malformed},
	} {
		files := map[string]string{}
		maps.Copy(files, base)
		maps.Copy(files, test.files)
		m, err := New(plant(t, files)).Read(t.Context())
		if err != nil || len(m.Incomplete) != 1 || probes.ReasonOf(m.Incomplete[0]) != test.reason {
			t.Errorf("%s: %v, %v; want %s", test.name, err, m.Incomplete, test.reason)
		}
	}
	for _, files := range []map[string]string{nil, {"/etc/pacman.conf": conf}} {
		if _, err := New(plant(t, files)).Read(t.Context()); err != probes.ErrNotApplicable { //nolint:errorlint // the contract
			t.Errorf("a host without pacman: %v", err)
		}
	}
}

func TestADatabaseThatIsOlderThanOthersLeavesNoTrace(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	list := []updates.Repository{{Name: "core", Refreshed: now}, {Name: "own", Refreshed: now.AddDate(0, -1, 0)}, {Name: "extra", Refreshed: now.Add(-time.Minute)}, {Name: "never", Err: probes.ErrNotApplicable}}
	traceless(list)
	for i, want := range []bool{false, true, false, false} {
		if list[i].Traceless != want {
			t.Errorf("%s: %v", list[i].Name, list[i].Traceless)
		}
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	c, err := readConfiguration(plant(t, map[string]string{
		"/etc/pacman.conf":      "[options]\nDBPath = /srv/db/\nIgnorePkg = a b\nInclude = /etc/pacman.d/*.conf\n[core]\nServer = x\n[testing]\nUsage = Sync Search\nInclude = /missing\n",
		"/etc/pacman.d/1.conf":  "IgnoreGroup = g\n[custom]\nUsage = All\n",
		"/etc/pacman.d/ignored": "[no]\n",
	}))
	want := configuration{
		database: "/srv/db", log: "/var/log/pacman.log", ignored: []string{"a", "b"}, groups: []string{"g"},
		repositories: []repository{{"custom", true}, {"core", true}, {"testing", false}},
	}
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(configuration{}, repository{}), cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := readConfiguration(plant(t, map[string]string{"/etc/pacman.conf": "Include = /etc/pacman.conf\n"})); err == nil {
		t.Error("a file that includes itself is read")
	}
}

// A package that is given has a name and a version, whatever the file.
func FuzzDesc(f *testing.F) {
	f.Add(desc("a", "1-1", "%REPLACES%", "b<2"))
	f.Fuzz(func(t *testing.T, file string) {
		if e, err := parseDesc(strings.NewReader(file)); err == nil && (e.name == "" || e.version == "") {
			t.Errorf("%+v", e)
		}
	})
}

// The last upgrade is an instant that stands in the log, whatever else does.
func FuzzLog(f *testing.F) {
	f.Add("[2026-01-01T10:00:05+0100] [ALPM] upgraded a (0-1 -> 1-1)\n[2019-01-01 10:00] upgraded b\n")
	f.Fuzz(func(t *testing.T, file string) {
		told, err := parseLog(strings.NewReader(file))
		if err == nil && !told.upgraded.IsZero() && !strings.Contains(file, told.upgraded.Format("2006-01-02")) {
			t.Errorf("%v", told.upgraded)
		}
	})
}
