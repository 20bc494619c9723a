package apk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// signed makes an APKINDEX.tar.gz as abuild-sign leaves it: two compressed
// streams, the first one a tar file without an end.
func signed(t *testing.T, index string) string {
	t.Helper()
	var file bytes.Buffer
	stream := func(end bool, name, content string) {
		var archive bytes.Buffer
		writer := tar.NewWriter(&archive)
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(1700000000, 0)}); err != nil {
			t.Fatal(err)
		}
		_, _ = writer.Write([]byte(content))
		_ = writer.Flush()
		if end {
			_ = writer.Close()
		}
		compressed := gzip.NewWriter(&file)
		_, _ = compressed.Write(archive.Bytes())
		_ = compressed.Close()
	}
	stream(false, ".SIGN.RSA.key", "signature")
	stream(true, "APKINDEX", index)
	return file.String()
}

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

func record(name, version string, more ...string) string {
	return "C:Q1x=\nP:" + name + "\nV:" + version + "\nA:x86_64\nt:1690000000\n" + strings.Join(more, "\n") + "\n\n"
}

// The names of indexes in the caches of images of Alpine, which apk derives from
// the URLs.
func TestIndexesAreFoundByTheNamesThatAPKGivesThem(t *testing.T) {
	t.Parallel()
	for url, name := range map[string]string{
		"http://dl-cdn.alpinelinux.org/alpine/v3.12/main":      "APKINDEX.2c4ac24e.tar.gz",
		"http://dl-cdn.alpinelinux.org/alpine/v3.12/community": "APKINDEX.40a3604f.tar.gz",
		"http://dl-cdn.alpinelinux.org/alpine/edge/main":       "APKINDEX.066df28d.tar.gz",
		"http://dl-cdn.alpinelinux.org/alpine/v3.10/main":      "APKINDEX.00740ba1.tar.gz",
	} {
		r := repository{url: url}
		if first := r.places("x86_64")[0]; first != "/etc/apk/cache/"+name {
			t.Errorf("%s is looked for in %s, and apk calls it %s", url, first, name)
		}
	}
}

const main = "http://dl-cdn.alpinelinux.org/alpine/v3.12/main"

const (
	mainIndex      = "/var/cache/apk/APKINDEX.2c4ac24e.tar.gz"
	communityIndex = "/var/cache/apk/APKINDEX.40a3604f.tar.gz"
)

func TestUpdates(t *testing.T) {
	t.Parallel()
	const both = main + "\n@edge http://dl-cdn.alpinelinux.org/alpine/v3.12/community\n"
	installed := record("a", "1.0-r0", "F:etc", "R:file", "Z:Q1abc=") + record("b", "1.0-r0")
	for _, test := range []struct {
		name, installed, world, repositories, main, community string
		want                                                  []string
	}{
		{name: "nothing is newer", main: record("a", "1.0-r0") + record("b", "0.9-r9")},
		{name: "the newest of several", main: record("a", "1.0-r1") + record("a", "1.0-r10") + record("a", "1.0-r9"), want: []string{"a 1.0-r0 1.0-r10 pending 3"}},
		{name: "a package that is not installed", main: record("c", "1.0-r1")},
		{name: "a pre-release of what is installed", main: record("a", "1.0_rc1-r0")},
		{name: "a repository with a tag does not count", repositories: both, main: record("a", "1.1-r0"), community: record("a", "2.0-r0"), want: []string{"a 1.0-r0 1.1-r0 pending 1"}},
		{name: "the world asks for the tag", repositories: both, world: "a@edge b", main: record("a", "1.1-r0"), community: record("a", "2.0-r0") + record("b", "2.0-r0"), want: []string{"a 1.0-r0 2.0-r0 pending 2"}},
		{name: "a package came from the tag", repositories: both, installed: record("a", "1.0-r0", "s:edge"), community: record("a", "2.0-r0"), main: record("x", "1-r0"), want: []string{"a 1.0-r0 2.0-r0 pending 1"}},
		{name: "the world wants one version", world: "a=1.0-r0 b", main: record("a", "1.1-r0") + record("b", "1.1-r0"), want: []string{"a 1.0-r0 1.1-r0 held 1", "b 1.0-r0 1.1-r0 pending 1"}},
		{name: "the world wants an older version", world: "a<2", main: record("a", "1.5-r0") + record("a", "2.0-r0"), want: []string{"a 1.0-r0 1.5-r0 pending 1"}},
		{name: "the world wants a series", world: "a~1.0", main: record("a", "1.0-r5") + record("a", "1.1-r0"), want: []string{"a 1.0-r0 1.0-r5 pending 1"}},
		{name: "the world wants one build", world: "a><Q1abc=", main: record("a", "1.1-r0"), want: []string{"a 1.0-r0 1.1-r0 held 1"}},
		{name: "the world excludes versions", world: "!a>1.2", main: record("a", "1.1-r0") + record("a", "1.3-r0"), want: []string{"a 1.0-r0 1.1-r0 pending 1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{
				"/lib/apk/db/installed": installed, "/etc/apk/world": test.world, "/etc/apk/repositories": main + "\n",
				mainIndex: signed(t, test.main),
			}
			if test.installed != "" {
				files["/lib/apk/db/installed"] = test.installed
			}
			if test.repositories != "" {
				files["/etc/apk/repositories"] = test.repositories
				files[communityIndex] = signed(t, test.community)
			}
			m, err := New(plant(t, files)).Read(t.Context())
			if err != nil || len(m.Incomplete) > 0 {
				t.Fatal(err, m.Incomplete)
			}
			var got []string
			for _, u := range m.Updates {
				got = append(got, fmt.Sprintf("%s %s %s %s %d", u.Package, u.Installed, u.Candidate, u.State, len(u.Releases)))
				if at := u.Releases[0].Available; !at.Equal(time.Unix(1690000000, 0)) {
					t.Errorf("available since %v", at)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if m.SecurityKnown || m.Busy != updates.No || !m.Repositories[0].Published.Equal(time.Unix(1700000000, 0)) {
				t.Errorf("security known %v, busy %v, %+v", m.SecurityKnown, m.Busy, m.Repositories)
			}
		})
	}
}

func TestWhatCannotBeToldIsSaid(t *testing.T) {
	t.Parallel()
	installed := record("a", "1.0-r0")
	for _, test := range []struct {
		name   string
		files  map[string]string
		reason probes.Reason
	}{
		{"no index is kept", map[string]string{"/lib/apk/db/installed": installed, "/etc/apk/repositories": main}, probes.NotFound},
		{"no repository", map[string]string{"/usr/lib/apk/db/installed": installed}, probes.NotFound},
		{"the format of apk 3", map[string]string{"/lib/apk/db/installed": installed, "/etc/apk/repositories": "v3 " + main}, probes.Unsupported},
		{"a damaged index", map[string]string{"/lib/apk/db/installed": installed, "/etc/apk/repositories": main, mainIndex: "\x1f\x8b garbage"}, probes.Malformed},
		{"an index that is none", map[string]string{"/lib/apk/db/installed": installed, "/etc/apk/repositories": main, mainIndex: "<html>"}, probes.Malformed},
	} {
		m, err := New(plant(t, test.files)).Read(t.Context())
		if err != nil || len(m.Incomplete) != 1 || probes.ReasonOf(m.Incomplete[0]) != test.reason {
			t.Errorf("%s: %v, %v; want %s", test.name, err, m.Incomplete, test.reason)
		}
	}
	if _, err := New(plant(t, map[string]string{"/etc/apk/repositories": main})).Read(t.Context()); err != probes.ErrNotApplicable { //nolint:errorlint // the contract
		t.Errorf("a host without apk: %v", err)
	}
	if _, err := New(plant(t, map[string]string{"/lib/apk/db/installed": "garbage\n"})).Read(t.Context()); probes.ReasonOf(err) != probes.Malformed {
		t.Errorf("a damaged database: %v", err)
	}
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	got, err := readRepositories(plant(t, map[string]string{
		"/etc/apk/repositories":              "# comment\nhttps://user:secret@mirror/alpine/main/\n@edge /srv/apks\n",
		"/etc/apk/repositories.d/00.list":    "set mirror=https://m\n",
		"/etc/apk/repositories.d/10.list":    "set -default mirror=https://other\nv3 ${mirror}/d main community\nndx @x https://m/${APK_ARCH}/Packages.adb\n",
		"/lib/apk/repositories.d/10.list":    "https://ignored\n",
		"/etc/apk/repositories.d/readme.txt": "https://ignored\n",
	}), "x86_64")
	want := []repository{
		{name: "mirror/alpine/main", url: "https://user:secret@mirror/alpine/main"},
		{name: "@edge /srv/apks", tag: "edge", url: "/srv/apks"},
		{name: "m/d/main", url: "https://m/d/main", adb: true},
		{name: "m/d/community", url: "https://m/d/community", adb: true},
		{name: "@x m/x86_64/Packages.adb", tag: "x", url: "https://m/x86_64/Packages.adb", adb: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(repository{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

func TestTheLogTellsWhenPackagesWereUpgraded(t *testing.T) {
	t.Parallel()
	r := New(plant(t, map[string]string{"/var/log/apk.log": "\nRunning `apk upgrade` at 2026-01-02 03:04:05\n(1/1) Upgrading a (1-r0 -> 2-r0)\nOK\n\nRunning `apk add b` at 2026-02-02 03:04:05\n(1/1) Installing b\n"}))
	if got, want := r.lastUpgrade(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Packages that are given have a name and a version, whatever the file.
func FuzzRecords(f *testing.F) {
	f.Add(record("a", "1-r0", "F:etc"))
	f.Fuzz(func(t *testing.T, file string) {
		_ = parseRecords(strings.NewReader(file), func(e entry) {
			if e.name == "" || e.version == "" {
				t.Errorf("%+v", e)
			}
		})
	})
}

// Each word of the world names one package, whatever the file.
func FuzzWorld(f *testing.F) {
	f.Add("a b@edge !c d>=1.0 e~2@x")
	f.Fuzz(func(t *testing.T, file string) {
		if got := parseWorld([]byte(file)); len(got) != len(strings.Fields(file)) {
			t.Errorf("%d constraints of %q", len(got), file)
		}
	})
}
