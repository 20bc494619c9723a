package dnf

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/rpm/rpmdb/rpmdbtest"
	"hygiene_exporter/probes/patch/updates"
)

// A host is what a test needs of one.
type host struct {
	packages []rpmdb.Package
	files    map[string]string
}

func (h host) plant(t *testing.T) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	all := map[string]string{"/var/lib/rpm/Packages.db": string(rpmdbtest.NDB(h.packages...))}
	maps.Copy(all, h.files)
	for path, content := range all {
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

func pkg(name, version string) rpmdb.Package {
	return rpmdb.Package{Name: name, EVR: evr.Parse(version), Arch: "x86_64"}
}

// release is a package that says which release of a distribution is installed.
func installedRelease(version string) rpmdb.Package {
	p := pkg("system-release", version+"-1")
	p.Provides = []rpmdb.Provide{{Name: "system-release(releasever)", Version: version}}
	return p
}

const repoFile = "[base]\nname=b\nbaseurl=http://mirror/$releasever/$basearch\n"

// cached returns the files of a downloaded repository.
func cached(id, url, primary, updateinfo string) map[string]string {
	dir := "/var/cache/dnf/" + id + "-" + digest(url) + "/repodata/"
	index := `<repomd><revision>1760000000</revision><data type="primary"><location href="repodata/p.xml"/><timestamp>1760000000</timestamp></data>`
	files := map[string]string{dir + "p.xml": "<metadata>" + primary + "</metadata>"}
	if updateinfo != "" {
		index += `<data type="updateinfo"><location href="repodata/u.xml"/></data>`
		files[dir+"u.xml"] = "<updates>" + updateinfo + "</updates>"
	}
	files[dir+"repomd.xml"] = index + "</repomd>"
	return files
}

func offering(name, version, when string) string {
	v := evr.Parse(version)
	return `<package type="rpm"><name>` + name + `</name><arch>x86_64</arch><version epoch="` + v.Epoch + `" ver="` + v.Version + `" rel="` + v.Release + `"/><time file="` + when + `" build="1700000000"/><format/></package>`
}

func announcing(id, kind, severity, issued, name, version string) string {
	v := evr.Parse(version)
	return `<update type="` + kind + `"><id>` + id + `</id><severity>` + severity + `</severity><issued date="` + issued + `"/><pkglist><collection><package name="` + name + `" version="` + v.Version + `" release="` + v.Release + `" epoch="` + v.Epoch + `" arch="x86_64"/></collection></pkglist></update>`
}

func files(sets ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, set := range sets {
		maps.Copy(all, set)
	}
	return all
}

func TestAHostWithoutDNFIsNotApplicable(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]host{
		"no configuration":          {packages: []rpmdb.Package{pkg("a", "1-1")}},
		"a host of another family":  {files: map[string]string{"/etc/dnf/dnf.conf": "[main]\n"}},
		"its own repositories":      {packages: []rpmdb.Package{pkg("a", "1-1")}, files: map[string]string{"/etc/dnf/dnf.conf": "", "/etc/zypp/repos.d/x.repo": "[x]\n"}},
		"a database of no packages": {files: map[string]string{"/etc/yum.conf": "[main]\n"}},
	} {
		if m, err := New(h.plant(t)).Read(t.Context()); err != probes.ErrNotApplicable { //nolint:errorlint // the contract
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

var conf = map[string]string{"/etc/dnf/dnf.conf": "[main]\n", "/etc/yum.repos.d/base.repo": repoFile}

const url = "http://mirror/9/x86_64"

func TestUpdatesWithTheirEvidence(t *testing.T) {
	t.Parallel()
	day := func(text string) time.Time {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for _, test := range []struct {
		name     string
		host     host
		want     []updates.Update
		security bool
		faults   int
	}{
		{
			name: "a security update that a later one has superseded",
			host: host{
				packages: []rpmdb.Package{installedRelease("9"), pkg("openssl", "1:3.0-1")},
				files: files(conf, cached("base", url, offering("openssl", "1:3.0-3", "1750000000"),
					announcing("S-1", "security", "Important", "2025-02-01 00:00:00", "openssl", "1:3.0-2")+announcing("B-1", "bugfix", "", "2025-03-01 00:00:00", "openssl", "1:3.0-3"))),
			},
			want: []updates.Update{{
				Package: "openssl", Installed: "1:3.0-1", Candidate: "1:3.0-3", State: updates.Pending,
				Notes: []string{"openssl-1:3.0-3.x86_64 comes from repository base."},
				Releases: []updates.Release{
					{Version: "1:3.0-2", Security: true, Advisory: updates.Important, Available: day("2025-02-01"), Evidence: "advisory S-1 of repository base, security, important, issued 2025-02-01"},
					{Version: "1:3.0-3", Available: day("2025-03-01"), Evidence: "advisory B-1 of repository base, bugfix, issued 2025-03-01"},
				},
			}},
			security: true,
		},
		{
			name: "without updateinfo it is unknown what is for security",
			host: host{packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")}, files: files(conf, cached("base", url, offering("a", "2-1", "1750000000"), ""))},
			want: []updates.Update{{
				Package: "a", Installed: "1-1", Candidate: "2-1", State: updates.Pending,
				Notes:    []string{"a-2-1.x86_64 comes from repository base."},
				Releases: []updates.Release{{Version: "2-1", Available: time.Unix(1750000000, 0).UTC(), Evidence: "repository base, file of 2025-06-15"}},
			}},
		},
		{
			name: "an excluded update is held",
			host: host{
				packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")},
				files:    files(conf, map[string]string{"/etc/dnf/dnf.conf": "[main]\nexcludepkgs=a*\n"}, cached("base", url, offering("a", "2-1", "1790000000"), "<update/>")),
			},
			want: []updates.Update{{
				Package: "a", Installed: "1-1", Candidate: "2-1", State: updates.Held,
				Notes:    []string{"a-2-1.x86_64 comes from repository base.", "Held by excludepkgs a*."},
				Releases: []updates.Release{{Version: "2-1", Available: time.Unix(1760000000, 0).UTC(), Evidence: "repository base, metadata of 2025-10-09"}},
			}},
			security: true,
		},
		{
			name:   "a repository that was never downloaded",
			host:   host{packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")}, files: conf},
			faults: 1,
		},
		{
			name:   "no repository at all",
			host:   host{packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")}, files: map[string]string{"/etc/yum.conf": "[main]\n"}},
			faults: 1,
		},
		{
			name:   "metadata that is damaged",
			host:   host{packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")}, files: files(conf, cached("base", url, "<package type='rpm'><name>a</name>", ""))},
			faults: 1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, err := New(test.host.plant(t)).Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			utc := cmp.Transformer("utc", func(at time.Time) string { return at.UTC().String() })
			if diff := cmp.Diff(test.want, m.Updates, utc, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if m.SecurityKnown != test.security || len(m.Incomplete) != test.faults {
				t.Errorf("security known %v, incomplete %v", m.SecurityKnown, m.Incomplete)
			}
		})
	}
}

func TestAnUnchangedHostIsNotReadAgain(t *testing.T) {
	t.Parallel()
	h := host{packages: []rpmdb.Package{installedRelease("9"), pkg("a", "1-1")}, files: files(conf, cached("base", url, offering("a", "2-1", "1750000000"), ""))}
	reader := New(h.plant(t))
	first, err := reader.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := reader.Read(t.Context())
	if err != nil || !cmp.Equal(first.Updates, second.Updates) || len(first.Updates) != 1 {
		t.Errorf("%v\n%s", err, cmp.Diff(first.Updates, second.Updates))
	}
	if len(first.Repositories) != 1 || first.Repositories[0].Refreshed.IsZero() {
		t.Errorf("%+v", first.Repositories)
	}
}

// Amazon Linux 2023 looks only at the release that is installed.
func TestAPinnedReleaseIsUnknownAndNotUpToDate(t *testing.T) {
	t.Parallel()
	conf := map[string]string{"/etc/dnf/dnf.conf": "[main]\n", "/etc/yum.repos.d/a.repo": "[amazonlinux]\nmirrorlist=https://cdn.example/al2023/core/mirrors/$releasever/$basearch/mirror.list\n"}
	const mirrors = "https://cdn.example/al2023/core/mirrors/"
	for _, test := range []struct {
		name, release, follows string
		known                  bool
	}{
		{"a release of long ago", "2023.4.20240319", "", false},
		{"a release that is new", "2023.12." + time.Now().UTC().AddDate(0, 0, -3).Format("20060102"), "", true},
		{"a host that follows the latest release", "2023.4.20240319", "latest", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := host{packages: []rpmdb.Package{installedRelease(test.release), pkg("a", "1-1")}, files: files(conf)}
			path := test.release
			if test.follows != "" {
				path = test.follows
				h.files["/etc/dnf/vars/releasever"] = test.follows + "\n"
			}
			h.files = files(h.files, cached("amazonlinux", mirrors+path+"/x86_64/mirror.list", offering("a", "1-1", "1750000000"), "<update/>"))
			m, err := New(h.plant(t)).Read(t.Context())
			if err != nil || len(m.Incomplete) > 0 {
				t.Fatal(err, m.Incomplete)
			}
			if m.SecurityKnown != test.known {
				t.Errorf("security known is %v\n%s", m.SecurityKnown, strings.Join(m.Notes, "\n"))
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	h := host{files: map[string]string{
		"/etc/dnf/dnf.conf": "[main]\n# comment\nexclude=kernel*\n   glibc , x\n\n keep=no\n",
		"/etc/yum.repos.d/a.repo": "[first]\nbaseurl=http://x/${releasever}/$infra\n   http://y\npriority = 7\n" +
			"[off]\nenabled=0\n[$releasever-named]\nmetalink=https://m?repo=$releasever_major\nmodule_hotfixes=true\n",
		"/etc/yum.repos.d/ignored.txt":      "[no]\n",
		"/etc/dnf/vars/infra":               "stock\nsecond line\n",
		"/etc/dnf/repos.override.d/99.repo": "[fir*]\npriority=3\n",
	}}
	c := readConfiguration(h.plant(t), []rpmdb.Package{installedRelease("9.4")})
	want := []repo{
		{id: "first", url: "http://x/9.4/stock", priority: 3},
		{id: "9.4-named", url: "https://m?repo=9", priority: 99, hotfixes: true},
	}
	if diff := cmp.Diff(want, c.repositories, cmp.AllowUnexported(repo{}), cmpopts.EquateEmpty()); diff != "" || len(c.problems) > 0 {
		t.Errorf("%v (-want +got)\n%s", c.problems, diff)
	}
	if got := ini.List(c.main["exclude"]); !slices.Equal(got, []string{"kernel*", "glibc", "x"}) {
		t.Errorf("excludes %q", got)
	}
}

func TestLocksOfDNF5(t *testing.T) {
	t.Parallel()
	h := host{files: map[string]string{lockFile: `version = "1.0"
[[packages]]
name = "bash"
[[packages.conditions]]
key = "evr"
comparator = "="
value = "0:5.2-5"
[[packages]]
name = "acpi*"
[[packages.conditions]]
key = "evr"
comparator = "<"
value = "4"
[[packages.conditions]]
key = "evr"
comparator = ">="
value = "3"
`}}
	l, err := readLocks(h.plant(t))
	if err != nil {
		t.Fatal(err)
	}
	v := l.judge(nil)
	for nevra, forbidden := range map[string]bool{"bash 5.2-5": false, "bash 5.2-6": true, "acpid 3-9": false, "acpi 4-1": true, "zsh 1-1": false} {
		name, version, _ := strings.Cut(nevra, " ")
		if got := v.forbids(repodata.Package{Name: name, EVR: evr.Parse(version), Arch: "x86_64"}); (got != "") != forbidden {
			t.Errorf("%s is forbidden by %q", nevra, got)
		}
	}
	h = host{files: map[string]string{lockFile: "[[packages"}}
	if _, err := readLocks(h.plant(t)); probes.ReasonOf(err) != probes.Malformed {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestAutomaticUpdates(t *testing.T) {
	t.Parallel()
	const wanted = "/etc/systemd/system/timers.target.wants/"
	ran := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	before, after := ran.Add(-time.Hour), ran.Add(time.Hour)
	for _, test := range []struct {
		name    string
		files   map[string]string
		enabled updates.Truth
	}{
		{"no timer", nil, updates.No},
		{"a timer that always installs", map[string]string{wanted + "dnf-automatic-install.timer": ""}, updates.Yes},
		{"a timer that only downloads", map[string]string{wanted + "dnf-automatic.timer": "", "/etc/dnf/automatic.conf": "[commands]\napply_updates = no\n"}, updates.No},
		{"a timer that installs", map[string]string{wanted + "dnf-automatic.timer": "", "/etc/dnf/automatic.conf": "[commands]\napply_updates = yes\n"}, updates.Yes},
		{"dnf5", map[string]string{wanted + "dnf5-automatic.timer": "", "/usr/share/dnf5/dnf5-plugins/automatic.conf": "[commands]\napply_updates = true\n"}, updates.Yes},
		{"yum-cron", map[string]string{"/etc/systemd/system/multi-user.target.wants/yum-cron.service": "", "/etc/yum/yum-cron.conf": "[commands]\napply_updates = yes\n"}, updates.Yes},
	} {
		var m updates.Manager
		New(host{files: test.files}.plant(t)).addHistory(&m)
		if m.Automatic.Enabled != test.enabled {
			t.Errorf("%s: %d, %q", test.name, m.Automatic.Enabled, m.Automatic.Notes)
		}
	}
	pending := func(at time.Time) []updates.Update {
		return []updates.Update{{State: updates.Pending, Releases: []updates.Release{{Available: at}}}}
	}
	for name, test := range map[string]struct {
		installed time.Time
		list      []updates.Update
		want      time.Time
	}{
		"it ran and nothing is left":               {list: nil, want: ran},
		"it ran and only newer things are left":    {list: pending(after), want: ran},
		"it ran and left what was there":           {list: pending(before), want: time.Time{}},
		"it left something after it had installed": {installed: before, list: pending(before), want: before},
		"a held update is no failure":              {list: []updates.Update{{State: updates.Held, Releases: []updates.Release{{Available: before}}}}, want: ran},
	} {
		if got := lastSuccess(ran, test.installed, test.list); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
