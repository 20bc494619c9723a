package dnf

import (
	"cmp"
	"slices"
	"strings"

	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
)

// An offer is a package in a repository.
type offer struct {
	repodata.Package
	repo   *repo
	origin *source
	locked string // why the host forbids it; empty if it does not
}

// installedSet answers what is installed of a name.
type installedSet map[string][]rpmdb.Package

func newInstalledSet(packages []rpmdb.Package) installedSet {
	set := installedSet{}
	for _, p := range packages {
		set[p.Name] = append(set[p.Name], p)
	}
	return set
}

// upgrades returns the newest installed package that an offer would upgrade: one
// of the same name and architecture, where noarch is the same as any. There is
// none if any such package is as new as the offer, as with kernels, of which
// several versions are kept.
func (s installedSet) upgrades(o repodata.Package) (rpmdb.Package, bool) {
	var best rpmdb.Package
	found := false
	for _, p := range s[o.Name] {
		if p.Arch != o.Arch && p.Arch != "noarch" && o.Arch != "noarch" {
			continue
		}
		if evr.Compare(p.EVR, o.EVR) >= 0 {
			return rpmdb.Package{}, false
		}
		if !found || evr.Compare(p.EVR, best.EVR) > 0 {
			best, found = p, true
		}
	}
	return best, found
}

// preferred keeps the offers of each name that come from the repository with the
// best priority among those that offer the name.
func preferred(offers []offer) []offer {
	best := map[string]int{}
	for _, o := range offers {
		if known, ok := best[o.Name]; !ok || o.repo.priority < known {
			best[o.Name] = o.repo.priority
		}
	}
	return slices.DeleteFunc(slices.Clone(offers), func(o offer) bool { return o.repo.priority != best[o.Name] })
}

// A candidate is what dnf would install in place of an installed package.
type candidate struct {
	offer
	installed rpmdb.Package
	obsoletes bool // it has another name, and obsoletes the installed package
}

// candidates returns what would be upgraded, as dnf check-update lists it: the
// newest offer for each name and architecture, and what obsoletes an installed
// package.
func candidates(offers []offer, installed installedSet) []candidate {
	newest := map[string]candidate{}
	var list []candidate
	for _, o := range preferred(offers) {
		if old, ok := installed.upgrades(o.Package); ok {
			key := o.Name + "." + o.Arch
			if known, ok := newest[key]; !ok || evr.Compare(o.EVR, known.EVR) > 0 {
				newest[key] = candidate{offer: o, installed: old}
			}
		}
		list = append(list, obsoleting(o, installed)...)
	}
	for _, c := range newest {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(
			strings.Compare(a.installed.Name, b.installed.Name),
			strings.Compare(a.installed.Arch, b.installed.Arch),
			strings.Compare(a.Name, b.Name),
			strings.Compare(a.Arch, b.Arch),
			evr.Compare(b.EVR, a.EVR),
		)
	})
	return list
}

// obsoleting returns what an offer obsoletes of what is installed, by name.
func obsoleting(o offer, installed installedSet) []candidate {
	var list []candidate
	for _, d := range o.Obsoletes {
		for _, old := range installed[d.Name] {
			if d.Matches(old.Name, old.EVR) && old.Name != o.Name {
				list = append(list, candidate{offer: o, installed: old, obsoletes: true})
			}
		}
	}
	return list
}

// matches reports whether a pattern of an exclude means a package, in any of
// the ways to read it.
func matches(pattern string, p repodata.Package) bool {
	return slices.ContainsFunc(specs(pattern), func(s spec) bool { return s.means(p) })
}

func matchesAny(patterns []string, p repodata.Package) (string, bool) {
	at := slices.IndexFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
	if at < 0 {
		return "", false
	}
	return patterns[at], true
}
