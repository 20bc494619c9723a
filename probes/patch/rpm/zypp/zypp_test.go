package zypp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/rpm/rpmdb/rpmdbtest"
	"hygiene_exporter/probes/patch/updates"
)

func plant(t *testing.T, files map[string]string, packages ...rpmdb.Package) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	write := func(path, content string) {
		real := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(packages) > 0 {
		write("/usr/lib/sysimage/rpm/Packages.db", string(rpmdbtest.NDB(packages...)))
	}
	for path, content := range files {
		write(path, content)
	}
	return rootfs.New(rootfs.Paths{Root: root})
}

var openssl = rpmdb.Package{Name: "openssl", EVR: evr.Parse("1-1"), Arch: "x86_64", Vendor: "SUSE LLC <https://www.suse.com/>"}

// leap is a host with its packages of the first day in one repository, and
// updates with advisories in another.
func leap() map[string]string {
	const pkg = `<metadata><package type="rpm"><name>openssl</name><arch>x86_64</arch><version epoch="0" ver="1" rel="VERSION"/><time file="1750000000" build="1"/><format><rpm:vendor>SUSE LLC &lt;https://www.suse.com/&gt;</rpm:vendor></format></package></metadata>`
	return map[string]string{
		"/etc/zypp/repos.d/a.repo":                         "[repo/oss]\nenabled=1\n[update]\nenabled=1\n[off]\nenabled=0\n",
		"/var/cache/zypp/raw/repo_oss/repodata/repomd.xml": `<repomd><data type="primary"><location href="p.xml"/></data></repomd>`,
		"/var/cache/zypp/raw/repo_oss/repodata/p.xml":      strings.ReplaceAll(pkg, "VERSION", "1"),
		"/var/cache/zypp/raw/update/repodata/repomd.xml":   `<repomd><data type="primary"><location href="p.xml"/></data><data type="updateinfo"><location href="u.xml"/></data></repomd>`,
		"/var/cache/zypp/raw/update/repodata/p.xml":        strings.ReplaceAll(pkg, "VERSION", "2"),
		"/var/cache/zypp/raw/update/repodata/u.xml":        `<updates><update type="security"><id>SUSE-1</id><severity>critical</severity><issued date="1714979289"/><pkglist><collection><package name="openssl" version="1" release="2" epoch="0" arch="x86_64"/></collection></pkglist></update></updates>`,
		"/var/log/zypp/history":                            "# comment\n2026-01-02 03:04:05|install|openssl|1-1|x86_64|root@h|update|sum|\n2026-03-02 03:04:05|remove |x|\n",
	}
}

func TestASecurityUpdateOfSUSE(t *testing.T) {
	t.Parallel()
	m, err := New(plant(t, leap(), openssl)).Read(t.Context())
	if err != nil || len(m.Incomplete) > 0 || len(m.Updates) != 1 {
		t.Fatalf("%v, %v, %+v", err, m.Incomplete, m.Updates)
	}
	u := m.Updates[0]
	release := u.Releases[0]
	if u.Candidate != "1-2" || u.State != updates.Pending || !release.Security || release.Advisory != updates.Critical || !release.Available.Equal(time.Unix(1714979289, 0)) {
		t.Errorf("%+v", u)
	}
	if !m.SecurityKnown || m.Automatic.Enabled != updates.No || m.LastUpgrade.IsZero() || m.LastUpgrade.Month() != time.January {
		t.Errorf("security known %v, automatic %v, last upgrade %v", m.SecurityKnown, m.Automatic.Enabled, m.LastUpgrade)
	}
}

func TestWhatCannotBeToldIsSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(map[string]string)
		reason probes.Reason
	}{
		{"never refreshed", func(f map[string]string) { delete(f, "/var/cache/zypp/raw/update/repodata/repomd.xml") }, probes.NotFound},
		{"a file that was not downloaded", func(f map[string]string) { delete(f, "/var/cache/zypp/raw/update/repodata/p.xml") }, probes.NotFound},
		{"a damaged index", func(f map[string]string) { f["/var/cache/zypp/raw/update/repodata/repomd.xml"] = "<" }, probes.Malformed},
		{"no repository", func(f map[string]string) { f["/etc/zypp/repos.d/a.repo"] = "" }, probes.NotFound},
	} {
		files := leap()
		test.change(files)
		m, err := New(plant(t, files, openssl)).Read(t.Context())
		if err != nil || len(m.Incomplete) != 1 || probes.ReasonOf(m.Incomplete[0]) != test.reason {
			t.Errorf("%s: %v, %v; want %s", test.name, err, m.Incomplete, test.reason)
		}
	}
	for _, files := range []map[string]string{nil, leap()} {
		if _, err := New(plant(t, files)).Read(t.Context()); err != probes.ErrNotApplicable { //nolint:errorlint // the contract
			t.Errorf("a host without packages of rpm: %v", err)
		}
	}
}

func TestLocks(t *testing.T) {
	t.Parallel()
	holds := parseHolds("# comment\ntype: package\nmatch_type: glob\ncase_sensitive: off\nsolvable_name: Kernel*\n\nsolvable_name: sub\nrepo: x\n\ntype: pattern\nsolvable_name: y\n\nmatch_type: regex\nsolvable_name: ^z[0-9]+$\n")
	for _, test := range []struct {
		name, alias string
		held        bool
	}{
		{"kernel-default", "r", true},
		{"a-sub-b", "x", true},
		{"a-sub-b", "other", false},
		{"y", "r", false},
		{"z12", "r", true},
		{"z", "r", false},
	} {
		if got := locked(holds, test.name, test.alias); (got != "") != test.held {
			t.Errorf("%s of %s is held by %q", test.name, test.alias, got)
		}
	}
}

// A hold names something, whatever the file.
func FuzzHolds(f *testing.F) {
	f.Add("type: package\nsolvable_name: a\n\nquery_string: b")
	f.Fuzz(func(t *testing.T, file string) {
		for _, h := range parseHolds(file) {
			if len(h.names) == 0 || h.text == "" {
				t.Errorf("%+v", h)
			}
			h.holdsBack("a", "b")
		}
	})
}

// Reading ends, and an instant that is told is one of a line of the file.
func FuzzHistory(f *testing.F) {
	f.Add("2026-01-02 03:04:05|install|a\n")
	f.Fuzz(func(t *testing.T, file string) {
		at, err := parseHistory(strings.NewReader(file))
		if err == nil && !at.IsZero() && !strings.Contains(file, at.Format("15:04:05")) {
			t.Errorf("%v", at)
		}
	})
}
