package apt

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/apt/deb822"
	"hygiene_exporter/probes/patch/apt/version"
)

// A pkg is a package of one architecture; packages for all architectures count
// as of the native one, as in apt.
type pkg struct {
	name, arch string
	foreign    bool
	current    *ver // what is installed, or nil
	held       bool
	versions   []*ver // newest first
}

// String returns the name as apt prints it.
func (p *pkg) String() string {
	if p.foreign {
		return p.name + ":" + p.arch
	}
	return p.name
}

// A ver is one version of a package.
type ver struct {
	pkg     *pkg
	version string
	indexes []*index // that list it
	control
	parsed relations
}

// A control holds what else the fields of a version say.
type control struct {
	source, sourceVersion string
	phased                int // percentage of hosts that get it; 100 when it is not phased
	multiArch             string
	essential             bool // or important to apt, such as itself
	priority              string

	depends, preDepends, recommends, conflicts, breaks, provides, replaces string
}

// An index is a file of available packages.
type index struct {
	repository   *repository
	component    string
	architecture string // for which it was fetched
	path         string
	modified     time.Time // as the server has it: apt sets it so
	priority     int       // by policy
}

// A repository is a source with its release file.
type repository struct {
	*source
	release
	releaseFile string    // empty without one
	refreshed   time.Time // when apt last knew that it is current
	unsigned    bool      // without a signature, apt leaves no trace of finding it unchanged
	traceless   bool      // and nothing else tells when apt last looked
	modified    time.Time // of the release file, as the server has it
	indexes     []*index
	missing     []string // indexes that should be there and are not
	err         error
}

// packages holds those that are installed, and others that were asked for, by
// name.
type packages struct {
	native string
	byName map[string][]*pkg
}

// ofArch returns the package of an architecture, if it is there.
func ofArch(list []*pkg, arch string) *pkg {
	for _, known := range list {
		if known.arch == arch {
			return known
		}
	}
	return nil
}

// add returns the package of an architecture, which may be new.
func (p *packages) add(name, arch string) *pkg {
	if known := ofArch(p.byName[name], arch); known != nil {
		return known
	}
	n := &pkg{name: name, arch: arch, foreign: arch != p.native}
	p.byName[name] = append(p.byName[name], n)
	return n
}

// architecture maps the architecture of a stanza to that of its package.
func (p *packages) architecture(field string) string {
	if field == "all" || field == "" {
		return p.native
	}
	return field
}

// at returns the version of a package, in its place among the others; it is
// new if nothing has listed it so far.
func (p *pkg) at(text string) (v *ver, fresh bool) {
	i, found := slices.BinarySearchFunc(p.versions, text, func(known *ver, text string) int {
		return version.Compare(text, known.version)
	})
	if found {
		return p.versions[i], false
	}
	v = &ver{pkg: p, version: text, control: control{phased: 100}}
	p.versions = slices.Insert(p.versions, i, v)
	return v, true
}

// fill takes over the fields of a stanza.
func (v *ver) fill(s deb822.Stanza) {
	v.source, v.sourceVersion = v.pkg.name, v.version
	v.essential = v.pkg.name == "apt"
	s.Fields(func(name, value []byte) bool {
		text := func() string { return string(value) }
		switch strings.ToLower(string(name)) {
		case "source":
			v.source, v.sourceVersion = sourceOf(text(), v.version)
		case "phased-update-percentage":
			if n, err := strconv.Atoi(text()); err == nil {
				v.phased = n
			}
		case "multi-arch":
			v.multiArch = strings.ToLower(text())
		case "essential", "important", "protected":
			v.essential = v.essential || bytes.EqualFold(value, []byte("yes"))
		case "priority":
			v.priority = text()
		case "depends":
			v.depends = text()
		case "pre-depends":
			v.preDepends = text()
		case "recommends":
			v.recommends = text()
		case "conflicts":
			v.conflicts = text()
		case "breaks":
			v.breaks = text()
		case "provides":
			v.provides = text()
		case "replaces":
			v.replaces = text()
		}
		return true
	})
}

// sourceOf reads the field Source: "name" or "name (version)".
func sourceOf(field, binary string) (name, version string) {
	name, rest, found := strings.Cut(field, "(")
	if !found {
		return strings.TrimSpace(name), binary
	}
	return strings.TrimSpace(name), strings.TrimRight(strings.TrimSpace(rest), ") ")
}
