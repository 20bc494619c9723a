//go:build live

package zypp

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
	"hygiene_exporter/probes/patch/updates"
)

// A scenario is a host and its repositories.
type scenario struct {
	name      string
	installed []string
	repos     map[string]rpmtest.Repo
	files     map[string]string
	differs   string // why zypper does otherwise, where it does
}

type repos = map[string]rpmtest.Repo

func one(packages ...string) repos { return repos{"base": {Packages: packages}} }

func patch(id, severity string, packages ...string) rpmtest.Advisory {
	return rpmtest.Advisory{ID: id, Type: "security", Severity: severity, Issued: "1714979289", Packages: packages}
}

func holding(entry string) map[string]string { return map[string]string{locksFile: entry} }

func scenarios() []scenario {
	return []scenario{
		{name: "nothing is newer", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-1.x86_64")},
		{name: "a newer release", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-2.x86_64")},
		{name: "only an older version", installed: []string{"a-2-1.x86_64"}, repos: one("a-1-1.x86_64")},
		{name: "the newest of several", installed: []string{"a-1-1.x86_64"}, repos: one("a-1-2.x86_64", "a-1-10.x86_64", "a-1-9.x86_64")},
		{name: "an epoch beats a version", installed: []string{"a-9-1.x86_64"}, repos: one("a-1:1-1.x86_64", "a-10-1.x86_64")},
		{name: "a tilde is older than the release", installed: []string{"a-1-1.x86_64", "b-1~rc1-1.x86_64"}, repos: one("a-1~rc2-1.x86_64", "b-1-1.x86_64")},
		{name: "a package that no repository has", installed: []string{"a-1-1.x86_64", "own-1-1.noarch"}, repos: one("a-2-1.x86_64")},
		{name: "from noarch to an architecture", installed: []string{"a-1-1.noarch"}, repos: one("a-2-1.x86_64")},
		{name: "from an architecture to noarch", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.noarch")},
		{name: "two architectures of a package", installed: []string{"a-1-1.x86_64", "a-1-1.i686"}, repos: one("a-2-1.x86_64", "a-2-1.i686"), differs: "libzypp updates no two architectures of a name; at SUSE, packages of 32 bits have names of their own"},
		{name: "another architecture is no update", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.i686")},
		{name: "the same vendor", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=X")},
		{name: "another vendor", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=Y")},
		{name: "another vendor has a newer version", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=X", "a-3-1.x86_64 vendor=Y")},
		{name: "vendors that are one", installed: []string{"a-1-1.x86_64 vendor=openSUSE", "b-1-1.x86_64 vendor=Acme_Inc", "c-1-1.x86_64 vendor=SUSE"}, repos: one("a-2-1.x86_64 vendor=SUSE_LLC", "c-2-1.x86_64 vendor=SUSE_LLC", "b-2-1.x86_64 vendor=ACME_Labs"), files: map[string]string{vendorDir + "/acme": "[main]\nvendors = acme, other\n"}},
		{name: "vendors of the distribution that no file says to be one", installed: []string{"a-1-1.x86_64 vendor=openSUSE", "b-1-1.x86_64 vendor=SUSE"}, repos: one("a-2-1.x86_64 vendor=SUSE_LLC", "b-2-1.x86_64 vendor=SUSE_LLC")},
		{name: "vendors of the distribution as Leap has them", installed: []string{"a-1-1.x86_64 vendor=openSUSE"}, repos: one("a-2-1.x86_64 vendor=SUSE_LLC"), files: map[string]string{vendorDir + "/00-openSUSE.conf": "[main]\nvendors = openSUSE,SUSE,SUSE LLC <https://www.suse.com/>\n"}},
		{name: "no vendor", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=X", "b-2-1.x86_64")},
		{name: "any vendor", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: one("a-2-1.x86_64 vendor=Y"), files: map[string]string{mainFile: "[main]\nsolver.allowVendorChange = true\n"}},
		{name: "the newest of two repositories", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository has an older version", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository has only what is installed", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-1-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository is older than what is installed", installed: []string{"a-2-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-1-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository has another architecture", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.i686"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}},
		{name: "a preferred repository is locked", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64"}}}, files: holding("type: package\nmatch_type: glob\ncase_sensitive: on\nrepo: base\nsolvable_name: a\n")},
		{name: "what replaces comes from a repository that is not preferred", installed: []string{"old-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"old-2-1.x86_64"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"new-3-1.x86_64 obsoletes=old"}}}},
		{name: "a preferred repository has another vendor", installed: []string{"a-1-1.x86_64 vendor=X"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64 vendor=Y"}, Options: []string{"priority=10"}}, "extra": {Packages: []string{"a-3-1.x86_64 vendor=X"}}}},
		{name: "a disabled repository", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-1-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64"}, Options: []string{"enabled=0"}}}},
		{name: "a lock by a pattern", installed: []string{"kernel-1-1.x86_64", "kernel-core-1-1.x86_64", "b-1-1.x86_64"}, repos: one("kernel-2-1.x86_64", "kernel-core-2-1.x86_64", "b-2-1.x86_64"), files: holding("type: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: kernel*\n\n")},
		{name: "a lock by name", installed: []string{"a-1-1.x86_64", "ab-1-1.x86_64"}, repos: one("a-2-1.x86_64", "ab-2-1.x86_64"), files: holding("\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: a\n")},
		{name: "a lock of a repository", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}}, "extra": {Packages: []string{"a-3-1.x86_64", "b-3-1.x86_64"}}}, files: holding("type: package\nmatch_type: glob\ncase_sensitive: on\nrepo: extra\nsolvable_name: a\n")},
		{name: "a lock of what is no package", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.x86_64"), files: holding("type: pattern\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: a\n")},
		{name: "a package is replaced", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old")},
		{name: "a package is replaced below a version", installed: []string{"old-2-9.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old_<_3")},
		{name: "a package is replaced up to a version that is not installed", installed: []string{"old-3-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old_<_3")},
		{name: "replaced and upgraded", installed: []string{"old-1-1.x86_64"}, repos: one("new-1-1.x86_64 obsoletes=old", "old-2-1.x86_64")},
		{name: "replaced by another vendor", installed: []string{"old-1-1.x86_64 vendor=X"}, repos: one("new-1-1.x86_64 obsoletes=old vendor=Y")},
		{name: "several kernels", installed: []string{"kernel-5-1.x86_64 provides=multiversion(kernel)", "kernel-5-2.x86_64 provides=multiversion(kernel)"}, repos: one("kernel-5-3.x86_64 provides=multiversion(kernel)", "kernel-5-2.x86_64 provides=multiversion(kernel)"), files: map[string]string{mainFile: "[main]\nmultiversion = provides:multiversion(kernel)\n"}},
		{name: "a security update", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64"}, Advisories: []rpmtest.Advisory{patch("S-1", "critical", "a-2-1.x86_64")}}}},
		{name: "a security update that another has superseded", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "a-3-1.x86_64"}, Advisories: []rpmtest.Advisory{patch("S-1", "important", "a-2-1.x86_64"), {ID: "B-1", Type: "recommended", Issued: "1714979289", Packages: []string{"a-3-1.x86_64"}}}}}},
		{name: "a security update that is installed", installed: []string{"a-2-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "a-3-1.x86_64"}, Advisories: []rpmtest.Advisory{patch("S-1", "important", "a-2-1.x86_64")}}}},
		{name: "a patch for what is not installed", installed: []string{"a-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "b-2-1.x86_64"}, Advisories: []rpmtest.Advisory{patch("S-1", "low", "b-2-1.x86_64")}}}},
		{name: "a patch for several packages", installed: []string{"a-1-1.x86_64", "b-1-1.x86_64"}, repos: repos{"base": {Packages: []string{"a-2-1.x86_64", "b-2-1.x86_64"}, Advisories: []rpmtest.Advisory{patch("S-1", "moderate", "a-2-1.x86_64", "b-2-1.x86_64")}}}},
		{name: "a dependency that nothing provides", installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.x86_64 requires=missing"), differs: "dependencies are not solved"},
	}
}

func (s scenario) build(t *testing.T) *rpmtest.World {
	w := rpmtest.New(t)
	w.Install(append(slices.Clone(s.installed), "release-9-1.x86_64")...)
	for id, repo := range s.repos {
		w.Add(id, repo)
	}
	for path, content := range s.files {
		w.Write(path, content)
	}
	zypper(w, "refresh")
	return w
}

func zypper(w *rpmtest.World, args ...string) string {
	out, _ := w.Run("zypper", append([]string{"--root", w.Root, "--non-interactive", "--no-refresh", "--xmlout"}, args...)...)
	return out
}

// stream is what zypper prints.
type stream struct {
	Updates []struct {
		Kind     string `xml:"kind,attr"`
		Name     string `xml:"name,attr"`
		Edition  string `xml:"edition,attr"`
		Arch     string `xml:"arch,attr"`
		Old      string `xml:"edition-old,attr"`
		Category string `xml:"category,attr"`
		Severity string `xml:"severity,attr"`
		Date     struct {
			Time string `xml:"time_t,attr"`
		} `xml:"issue-date"`
	} `xml:"update-status>update-list>update"`
	Upgrades []solvable `xml:"install-summary>to-upgrade>solvable"`
	Changes  []solvable `xml:"install-summary>to-change-arch>solvable"`
	Installs []solvable `xml:"install-summary>to-install>solvable"`
}

type solvable struct {
	Type    string `xml:"type,attr"`
	Name    string `xml:"name,attr"`
	Edition string `xml:"edition,attr"`
	Arch    string `xml:"arch,attr"`
}

func parse(t *testing.T, out string) stream {
	t.Helper()
	at := strings.Index(out, "<?xml")
	if at < 0 {
		t.Fatalf("zypper: %s", out)
	}
	var s stream
	if err := xml.Unmarshal([]byte(out[at:]), &s); err != nil {
		t.Fatalf("zypper: %v\n%s", err, out)
	}
	return s
}

func TestLiveUpdatesAreThoseOfZypper(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			w := s.build(t)
			m, err := New(w.Files()).Read(t.Context())
			if err != nil || len(m.Incomplete) > 0 {
				t.Fatal(err, m.Incomplete)
			}
			var want, wantInstalls, wantPatches []string
			for _, u := range parse(t, zypper(w, "list-updates")).Updates {
				want = append(want, u.Name+" "+u.Edition)
			}
			plan := parse(t, zypper(w, "update", "--dry-run"))
			for _, one := range slices.Concat(plan.Upgrades, plan.Changes, plan.Installs) {
				if one.Type == "package" {
					wantInstalls = append(wantInstalls, one.Name+" "+one.Edition)
				}
			}
			for _, u := range parse(t, zypper(w, "list-patches")).Updates {
				if u.Category == "security" {
					wantPatches = append(wantPatches, u.Name+" "+u.Severity+" "+u.Date.Time)
				}
			}
			var got, installs, patches []string
			for _, u := range m.Updates {
				name, _, _ := strings.Cut(u.Package, ".")
				replaced := strings.Contains(u.Candidate, " ")
				if u.State == updates.Pending && !replaced { // list-updates knows nothing of replacements
					got = append(got, name+" "+u.Candidate)
				}
				if u.State == updates.Pending && replaced {
					installs = append(installs, u.Candidate)
				} else if u.State == updates.Pending {
					installs = append(installs, name+" "+u.Candidate)
				}
				for _, r := range u.Releases {
					if fields := strings.Fields(r.Evidence); r.Security {
						patches = append(patches, fmt.Sprint(fields[1], " ", r.Advisory, " ", r.Available.Unix()))
					}
				}
			}
			for _, list := range []*[]string{&want, &wantInstalls, &wantPatches, &got, &installs, &patches} {
				slices.Sort(*list)
				*list = slices.Compact(*list)
			}
			t.Logf("zypper: %q, installs %q, patches %q", want, wantInstalls, wantPatches)
			for _, answer := range []struct {
				what      string
				want, got []string
			}{{"list-updates", want, got}, {"update", wantInstalls, installs}, {"list-patches", wantPatches, patches}} {
				diff := cmp.Diff(answer.want, answer.got)
				if diff != "" && s.differs == "" {
					t.Errorf("%s (-zypper +ours)\n%s", answer.what, diff)
				}
			}
			if s.differs != "" && cmp.Equal(want, got) {
				t.Errorf("nothing differs any more, although %s", s.differs)
			}
		})
	}
}

// Beside a zypper that holds its lock, reading takes none and changes nothing.
func TestLiveReadingChangesNothing(t *testing.T) {
	s := scenario{installed: []string{"a-1-1.x86_64"}, repos: one("a-2-1.x86_64")}
	w := s.build(t)
	w.Write("/run/zypp.pid", fmt.Sprint(os.Getpid()))
	w.Write("/proc/"+fmt.Sprint(os.Getpid())+"/stat", "1")
	before := sums(t, w.Root)
	m, err := New(w.Files()).Read(t.Context())
	if err != nil || len(m.Updates) != 1 || m.Busy != updates.Yes {
		t.Errorf("%v, %d updates, busy is %d", err, len(m.Updates), m.Busy)
	}
	if diff := cmp.Diff(before, sums(t, w.Root)); diff != "" {
		t.Errorf("reading changed files\n%s", diff)
	}
}

func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() {
			found[path] = fmt.Sprint(info.ModTime())
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x %s %s", sha256.Sum256(data), info.Mode(), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// zypper upgrades a host: nothing is pending afterwards, and the history tells
// when that was.
func TestLiveAnUpgradeIsSeen(t *testing.T) {
	w := scenario{installed: []string{"a-1-1.noarch"}, repos: one("a-2-1.noarch")}.build(t)
	started := time.Now()
	out := zypper(w, "--no-gpg-checks", "update")
	m, err := New(w.Files()).Read(t.Context())
	if err != nil || len(m.Updates) != 0 {
		t.Fatalf("%v, %+v\n%s", err, m.Updates, out)
	}
	if m.LastUpgrade.Before(started.Add(-time.Second)) || m.LastUpgrade.After(time.Now().Add(time.Second)) {
		t.Errorf("zypper upgraded at %v, and its history says %v: %v", started, m.LastUpgrade, m.Notes)
	}
}
