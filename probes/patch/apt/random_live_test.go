//go:build live

package apt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// generate makes up a host of a few packages whose installed versions fit
// together, with archives, pins, holds, phasing and dependencies of all kinds.
func generate(seed uint64, dependencies bool) scenario {
	g := &generator{rand: rand.New(rand.NewPCG(seed, 1)), dependencies: dependencies}
	g.versions = []string{"1", "1:0.5", "1-1+deb12u1", "2~rc1", "2", "1.10", "1.9", "1:1~bpo1", "3"}
	files := map[string]string{"etc/machine-id": fmt.Sprintf("%032x\n", g.rand.Uint64())}
	order := []string{"status", "etc/machine-id"}
	put := func(name, text string) { files[name] = text; order = append(order, name) }

	g.installed, g.written = map[string]string{}, map[string]string{}
	for i := range 4 + g.rand.IntN(6) {
		g.installed[fmt.Sprintf("p%d", i)] = g.version()
	}
	g.fresh = []string{"n0", "n1", "n2"}
	var status []string
	for i := range len(g.installed) {
		name := fmt.Sprintf("p%d", i)
		stanza := fmt.Sprintf("Package: %s\nVersion: %s\nPriority: %s\n", name, g.installed[name], g.priority())
		if g.dependencies && g.chance(3) {
			if depends := g.fitting(name); depends != "" {
				stanza += "Depends: " + depends + "\n"
			}
		}
		g.written[name+" "+g.installed[name]] = stanza
		if g.chance(8) {
			stanza += "Status: hold ok installed\n"
		}
		status = append(status, stanza)
	}
	files["status"] = strings.Join(status, "\n")
	for _, suite := range []string{"stable", "stable-security", "stable-updates", "testing", "backports"}[:1+g.rand.IntN(5)] {
		release := fmt.Sprintf("Origin: Test\nLabel: Test\nSuite: %s\nCodename: %s\n", suite, suite)
		if suite == "backports" {
			release += "NotAutomatic: yes\nButAutomaticUpgrades: yes\n"
		}
		put(suite+"/Release", release)
		put(suite+"/Packages", g.packages(suite))
	}
	if g.chance(3) {
		put("etc/apt/preferences", g.pins())
	}
	if g.chance(6) {
		put("etc/apt/apt.conf", "APT::Default-Release \"stable\";\n")
	}
	archive := &txtar.Archive{Comment: []byte(fmt.Sprintf("seed %d\n", seed))}
	for _, name := range order {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(files[name])})
	}
	return scenario{fmt.Sprint(seed), archive}
}

type generator struct {
	rand         *rand.Rand
	dependencies bool
	versions     []string
	installed    map[string]string
	fresh        []string
	written      map[string]string // stanzas by name and version: a version is the same everywhere
}

func (g *generator) chance(of int) bool { return g.rand.IntN(of) == 0 }

func (g *generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *generator) version() string { return g.pick(g.versions...) }

func (g *generator) priority() string { return g.pick("optional", "optional", "standard", "important") }

func (g *generator) name() string { return fmt.Sprintf("p%d", g.rand.IntN(len(g.installed))) }

// fitting is a dependency that what is installed fulfils.
func (g *generator) fitting(not string) string {
	other := g.name()
	if other == not {
		return ""
	}
	return other + g.pick("", fmt.Sprintf(" (= %s)", g.installed[other]), fmt.Sprintf(" (>= %s)", g.installed[other]), " (<= 9:9)")
}

// relation is any dependency on something else.
func (g *generator) relation(not string) string {
	name := g.name()
	if g.chance(3) {
		name = g.pick(append(g.fresh, "nowhere", "virtual")...)
	}
	if name == not {
		return "p0 | p1"
	}
	return name + g.pick("", "", fmt.Sprintf(" (>= %s)", g.version()), fmt.Sprintf(" (= %s)", g.version()), fmt.Sprintf(" (<< %s)", g.version()))
}

func (g *generator) packages(suite string) string {
	var out []string
	seen := map[string]bool{}
	add := func(name, version string) {
		if seen[name+version] {
			return
		}
		seen[name+version] = true
		stanza, known := g.written[name+" "+version]
		if !known {
			stanza = g.stanza(name, version)
			if g.chance(8) && suite != "stable-security" {
				stanza += fmt.Sprintf("Phased-Update-Percentage: %d\n", g.rand.IntN(100))
			}
			g.written[name+" "+version] = stanza
		}
		// apt before 2.7 does not take a phased version for a security update
		// that the security archive lists itself; no publisher does both.
		if suite == "stable-security" && strings.Contains(stanza, "Phased") {
			return
		}
		out = append(out, stanza)
	}
	for i := range len(g.installed) {
		if !g.chance(4) {
			add(fmt.Sprintf("p%d", i), g.version())
		}
	}
	for _, name := range g.fresh {
		if g.chance(2) {
			add(name, g.version())
		}
	}
	return strings.Join(out, "\n")
}

// stanza makes up a version of a package.
func (g *generator) stanza(name, version string) string {
	stanza := fmt.Sprintf("Package: %s\nVersion: %s\nPriority: %s\n", name, version, g.priority())
	if !g.dependencies {
		return stanza
	}
	if g.chance(2) {
		depends := g.relation(name)
		if g.chance(4) {
			depends += " | " + g.relation(name)
		}
		if g.chance(4) {
			depends += ", " + g.relation(name)
		}
		stanza += "Depends: " + depends + "\n"
	}
	if g.chance(8) {
		stanza += g.pick("Breaks: ", "Conflicts: ") + g.relation(name) + "\n"
	}
	if g.chance(8) {
		stanza += "Provides: virtual\n"
	}
	return stanza
}

func (g *generator) pins() string {
	var out []string
	for range 1 + g.rand.IntN(3) {
		out = append(out, fmt.Sprintf("Package: %s\nPin: %s\nPin-Priority: %s\n",
			g.pick("*", g.name(), g.name(), "p[0-2]", "/p[3-5]/"),
			g.pick("release a=stable", "release a=testing", "release n=stable-security", "origin testing.example", "release o=Test", "release l=Test,a=stable-updates"),
			g.pick("-1", "50", "100", "490", "510", "990", "999")))
	}
	return strings.Join(out, "\n")
}

// Hosts that nobody thought up are as apt sees them: archives, priorities, pins,
// holds and phasing.
func TestLiveGeneratedSelectionsAsAptSeesThem(t *testing.T) {
	if agreed, asked := generated(t, false); agreed != asked {
		t.Errorf("%d of %d agree", agreed, asked)
	}
}

// With dependencies made up at random, far wilder than those of any archive,
// the plan is mostly that of apt. Where packages contradict each other, apt
// tries one after the other in the order of its cache, and newer versions of
// apt decide otherwise again; whether such a package is pending, kept back or
// removed changes neither its age nor its deadline.
func TestLiveGeneratedDependenciesMostlyAsAptSeesThem(t *testing.T) {
	if agreed, asked := generated(t, true); agreed*100 < asked*85 {
		t.Errorf("%d of %d agree", agreed, asked)
	}
}

// generated compares many hosts.
func generated(t *testing.T, dependencies bool) (agreed, asked int) {
	count := 150
	if os.Getenv("HYGIENE_FULL") != "" {
		count = 1000
	}
	for seed := range count {
		s := generate(uint64(seed), dependencies)
		root := s.build(t)
		said := ask(t, root)
		asked++
		if diff := compare(said, verdicts(read(t, root))); diff == "" {
			agreed++
		} else if asked-agreed <= 3 || os.Getenv("HYGIENE_SHOW") != "" {
			t.Logf("%s\napt: %q\n(-apt +reader):\n%s", txtar.Format(s.archive), said, diff)
		}
	}
	t.Logf("%d of %d agree", agreed, asked)
	return agreed, asked
}
