package repodata

import (
	"bytes"
	"encoding/xml"
	"io"
	"time"

	"hygiene_exporter/probes/patch/rpm/evr"
)

// A Package is one version of a package that a repository offers.
type Package struct {
	Name string
	evr.EVR
	Arch      string
	Vendor    string
	Built     time.Time
	Added     time.Time // of the file in the repository
	Obsoletes []Dependency
	Provides  []string // names, without versions
}

// NEVRA names the package as dnf does, with an epoch only if there is one.
func (p Package) NEVRA() string { return p.Name + "-" + p.String() + "." + p.Arch }

// A Dependency names packages, and versions of them if Flags is not empty: EQ,
// LT, LE, GT or GE.
type Dependency struct {
	Name  string
	Flags string
	evr.EVR
}

// Matches reports whether a package of that name and version is meant.
func (d Dependency) Matches(name string, version evr.EVR) bool {
	return d.Name == name && (d.Flags == "" || evr.Satisfies(version, d.Flags, d.EVR))
}

// ReadPrimary reads primary.xml and calls each with the packages that have a
// wanted name or obsolete one. Source packages are left out. It returns how many
// packages there are in all.
func ReadPrimary(r io.Reader, wanted func(name string) bool, each func(Package)) (int, error) {
	count := 0
	err := elements(r, "package", func(element []byte) error {
		count++
		if !wanted(string(inner(element, "name"))) && !obsoletesAny(element, wanted) {
			return nil
		}
		p, err := decodePackage(element)
		if err == nil && p.Arch != "src" && p.Arch != "nosrc" {
			each(p)
		}
		return err
	})
	return count, err
}

// obsoletesAny looks at the names in the section of what is obsoleted, which
// most packages do not have.
func obsoletesAny(element []byte, wanted func(string) bool) bool {
	found := false
	names(inner(element, "rpm:obsoletes"), func(name []byte) bool {
		found = wanted(string(name))
		return !found
	})
	return found
}

// primaryPackage is an element of primary.xml.
type primaryPackage struct {
	Name    string  `xml:"name"`
	Arch    string  `xml:"arch"`
	Version version `xml:"version"`
	Time    struct {
		File  string `xml:"file,attr"`
		Build string `xml:"build,attr"`
	} `xml:"time"`
	Format struct {
		Vendor    string       `xml:"vendor"`
		Obsoletes []dependency `xml:"obsoletes>entry"`
		Provides  []dependency `xml:"provides>entry"`
	} `xml:"format"`
}

type version struct {
	Epoch   string `xml:"epoch,attr"`
	Version string `xml:"ver,attr"`
	Release string `xml:"rel,attr"`
}

type dependency struct {
	Name  string `xml:"name,attr"`
	Flags string `xml:"flags,attr"`
	version
}

func (v version) evr() evr.EVR {
	if v.Epoch == "" {
		v.Epoch = "0"
	}
	return evr.EVR{Epoch: v.Epoch, Version: v.Version, Release: v.Release}
}

func decodePackage(element []byte) (Package, error) {
	var read primaryPackage
	if err := xml.Unmarshal(element, &read); err != nil {
		return Package{}, malformed("a package of primary.xml: %v", err)
	}
	p := Package{
		Name: read.Name, EVR: read.Version.evr(), Arch: read.Arch, Vendor: read.Format.Vendor,
		Built: seconds(read.Time.Build), Added: seconds(read.Time.File),
	}
	for _, d := range read.Format.Obsoletes {
		p.Obsoletes = append(p.Obsoletes, Dependency{Name: d.Name, Flags: d.Flags, EVR: d.evr()})
	}
	for _, d := range read.Format.Provides {
		if !bytes.ContainsAny([]byte(d.Name), "()/") { // what could be the name of a package
			p.Provides = append(p.Provides, d.Name)
		}
	}
	if p.Name == "" || p.Version == "" || p.Arch == "" {
		return Package{}, malformed("a package of primary.xml without name, version or architecture: %.80q", element)
	}
	return p, nil
}
