//go:build live

package dnf

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
	"hygiene_exporter/probes/patch/updates"
)

// A scenario is a host and its repositories.
type scenario struct {
	name      string
	installed []string
	repos     map[string]rpmtest.Repo
	main      []string          // lines of dnf.conf
	files     map[string]string // further files of the host
	differs   string            // why the answers differ, where they do
	ours      []string          // and what this package says then
	plugins   bool              // needs plugins of dnf
}

func (s scenario) build(t *testing.T) *rpmtest.World {
	w := rpmtest.New(t)
	w.Install(append(slices.Clone(s.installed), "release-9-1.x86_64 provides=system-release_=_9")...)
	line := "plugins=0"
	if s.plugins {
		dir := t.TempDir() // outside the host: dnf takes the paths of plugins as they are
		lines := "[main]\nenabled=1\nlocklist=" + w.Root + "/etc/dnf/plugins/versionlock.list\n"
		if err := os.WriteFile(dir+"/versionlock.conf", []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
		w.Must("cp", plugins+"/dnf-plugins/versionlock.py", dir)
		w.Env = append(w.Env, "PYTHONPATH="+plugins)
		line = "plugins=1\npluginpath=" + dir + "\npluginconfpath=" + dir
	}
	w.Write("/etc/dnf/dnf.conf", strings.Join(slices.Concat([]string{"[main]", line}, s.main, []string{""}), "\n"))
	for id, repo := range s.repos {
		w.Add(id, repo)
	}
	for path, content := range s.files {
		w.Write(path, content)
	}
	w.Must("dnf", "--installroot", w.Root, "makecache")
	return w
}

// asked returns what dnf would upgrade, and which advisories for security it
// knows of.
func asked(t *testing.T, w *rpmtest.World) (list []string, security []string) {
	t.Helper()
	out, code := w.Run("dnf", "--installroot", w.Root, "-C", "-q", "check-update")
	if code != 0 && code != 100 {
		t.Fatalf("dnf check-update: exit status %d\n%s", code, out)
	}
	upgrades, obsoleting, _ := strings.Cut(out, "Obsoleting Packages")
	fields := strings.Fields(upgrades)
	for ; len(fields) >= 3; fields = fields[3:] {
		list = append(list, fields[0]+" "+fields[1])
	}
	fields = strings.Fields(obsoleting)
	for ; len(fields) >= 6; fields = fields[6:] {
		list = append(list, fields[0]+" "+fields[1]+" replaces "+fields[3]+" "+fields[4])
	}
	if (code == 100) != (len(list) > 0) {
		t.Fatalf("exit status %d does not fit\n%s", code, out)
	}
	out = w.Must("dnf", "--installroot", w.Root, "-C", "-q", "updateinfo", "list", "--security", "--updates")
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) == 3 {
			security = append(security, fields[2])
		}
	}
	slices.Sort(list)
	slices.Sort(security)
	return slices.Compact(list), slices.Compact(security)
}

// read returns the same as this package decides.
func read(t *testing.T, w *rpmtest.World) (list, security []string, m updates.Manager) {
	t.Helper()
	reader := New(w.Files())
	m, err := reader.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Incomplete) > 0 {
		t.Fatalf("incomplete: %v", m.Incomplete)
	}
	packages, key, err := reader.installed.Packages(w.Files())
	if err != nil {
		t.Fatal(err)
	}
	set := newInstalledSet(packages)
	c := readConfiguration(w.Files(), packages)
	sources, err := reader.load(t.Context(), c, key, set)
	if err != nil {
		t.Fatal(err)
	}
	j := reader.newJudge(c, sources, set, &m)
	permitted := slices.DeleteFunc(slices.Clone(j.offers), func(o offer) bool { return o.locked != "" })
	for _, c := range candidates(permitted, j.installed) {
		line := c.Name + "." + c.Arch + " " + c.String()
		if c.obsoletes {
			line += " replaces " + c.installed.Name + "." + c.installed.Arch + " " + c.installed.String()
		}
		list = append(list, line)
		for _, r := range j.releases(c) {
			if r.Security {
				for _, a := range j.advisories[c.Name] {
					if a.Package.String() == r.Version && a.Type == "security" && a.Package.Arch == c.Arch {
						security = append(security, c.Name+"-"+r.Version+"."+a.Package.Arch)
					}
				}
			}
		}
	}
	slices.Sort(list)
	slices.Sort(security)
	return slices.Compact(list), slices.Compact(security), m
}

func TestLiveUpdatesAreThoseOfDNF(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			w := s.build(t)
			want, wantSecurity := asked(t, w)
			got, gotSecurity, m := read(t, w)
			if s.differs != "" {
				if cmp.Equal(want, got) {
					t.Errorf("nothing differs any more, although: %s", s.differs)
				}
				want = s.ours
			}
			t.Logf("dnf: %q, security %q", want, wantSecurity)
			if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
				t.Errorf("updates (-dnf +ours):\n%s\n%s", diff, strings.Join(m.Notes, "\n"))
			}
			if diff := cmp.Diff(wantSecurity, gotSecurity, equateEmpty); diff != "" {
				t.Errorf("security (-dnf +ours):\n%s", diff)
			}
		})
	}
}

var equateEmpty = cmp.Transformer("empty", func(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
})

var cacheName = regexp.MustCompile(`^(.+)-[0-9a-f]{16}$`)

// The directory of the metadata is found by the URL, as dnf does.
func TestLiveMetadataIsFoundWhereDNFPutsIt(t *testing.T) {
	s := scenario{installed: []string{"a-1-1.noarch"}, repos: map[string]rpmtest.Repo{
		"plain": {}, "with-dash": {}, "with.dot": {},
	}, files: map[string]string{"/etc/dnf/vars/mirror": "file://\n"}}
	w := s.build(t)
	out := w.Must("find", w.Root+"/var/cache/dnf", "-maxdepth", "1", "-type", "d")
	found := 0
	c := readConfiguration(w.Files(), nil)
	for line := range strings.Lines(out) {
		name := strings.TrimSpace(line[strings.LastIndexByte(line, '/')+1:])
		if !cacheName.MatchString(name) {
			continue
		}
		found++
		if !slices.ContainsFunc(c.repositories, func(r repo) bool { return r.id+"-"+digest(r.url) == name }) {
			t.Errorf("dnf keeps %s, and no repository has that name: %v", name, fmt.Sprint(c.repositories))
		}
	}
	if found != 3 {
		t.Errorf("dnf keeps %d repositories\n%s", found, out)
	}
}
