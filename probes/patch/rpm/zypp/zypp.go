// Package zypp reads what zypper knows of updates: the packages that rpm has
// installed, the enabled repositories, and the raw metadata that was last
// downloaded of them. It decides as "zypper list-updates" does as long as
// dependencies permit: dependencies are not solved, so that an update that they
// hold back counts as pending.
package zypp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/lock"
	"hygiene_exporter/probes/patch/rpm/evidence"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/repository"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/sqlite"
	"hygiene_exporter/probes/patch/updates"
)

// A Reader reads the files of zypper.
type Reader struct {
	files     *rootfs.FS
	installed rpmdb.Cache
	metadata  repository.Cache
}

// New returns a reader of a host's files. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files} }

// A source is an enabled repository with what its metadata says.
type source struct {
	repo
	read repository.Repository
	err  error
}

// Read implements updates.Reader.
func (r *Reader) Read(ctx context.Context) (updates.Manager, error) {
	m := updates.Manager{Name: "zypper", Compare: compare}
	if _, err := r.files.Stat(reposDir); errors.Is(err, fs.ErrNotExist) {
		return m, probes.ErrNotApplicable
	}
	packages, state, err := r.installed.Packages(r.files)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(packages) == 0:
		return m, probes.ErrNotApplicable // zypper on a host of another family
	case err != nil && len(packages) == 0:
		return m, err
	case err != nil:
		m.Incomplete = append(m.Incomplete, err)
	}
	changing := errors.Is(err, sqlite.ErrChanging)
	j, problems := r.newJudge(packages)
	m.Incomplete = append(m.Incomplete, problems...)
	for _, s := range j.sources {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		s.read, s.err = r.metadata.Load(r.files, s.dir(), state, func(name string) bool { return len(j.installed[name]) > 0 })
		if errors.Is(s.err, fs.ErrNotExist) {
			s.err = probes.Because(probes.NotFound, fmt.Errorf("its metadata has never been downloaded: %w", s.err))
		}
		m.Repositories = append(m.Repositories, r.repository(s))
		if s.err != nil {
			m.Incomplete = append(m.Incomplete, fmt.Errorf("repository %s: %w", s.alias, s.err))
		}
	}
	r.metadata.Forget()
	if len(j.sources) == 0 {
		m.Incomplete = append(m.Incomplete, probes.Because(probes.NotFound, errors.New("no repository is enabled, so updates cannot be known")))
	}
	j.collect()
	m.Updates = j.updates()
	m.SecurityKnown = j.securityKnown(m.Updates)
	m.Reboots = evidence.Reboots(packages, nil, j.advisories)
	m.Installed, m.Packages = j.describe, j.names
	if m.Busy = lock.Any(lock.Alive(r.files, "/run/zypp.pid"), r.installed.Busy(r.files)); changing {
		m.Busy = updates.Yes
	}
	m.Notes = append(m.Notes, fmt.Sprintf("%d packages are installed, %d repositories enabled.", len(packages), len(j.sources)))
	r.addHistory(&m)
	return m, nil
}

// compare orders versions as they stand in updates, where another name may come
// before one.
func compare(a, b string) int {
	return evr.Compare(evr.Parse(a[strings.LastIndexByte(a, ' ')+1:]), evr.Parse(b[strings.LastIndexByte(b, ' ')+1:]))
}

func (r *Reader) repository(s *source) updates.Repository {
	shown := updates.Repository{Name: s.alias, Err: s.err, Published: s.read.Index.Published(), Refreshed: repository.Refreshed(r.files, s.dir()), Archive: s.read.Archive()}
	if s.err == nil {
		shown.Notes = append(shown.Notes, fmt.Sprintf("%d packages in %s, priority %d.", s.read.Total, s.dir(), s.priority))
		if !s.read.HasAdvisories {
			shown.Notes = append(shown.Notes, "It has no updateinfo: which of its updates are for security is unknown.")
		}
	}
	return shown
}

// A judge decides what happens to which package.
type judge struct {
	sources    []*source
	policy     policy
	holds      []hold
	installed  map[string][]rpmdb.Package
	offers     map[string][]offer
	replacing  map[string][]offer // by the name of what they obsolete
	advisories map[string][]evidence.Advisory
}

// An offer is a package in a repository.
type offer struct {
	repodata.Package
	from *source
}

func (r *Reader) newJudge(packages []rpmdb.Package) (*judge, []error) {
	j := &judge{installed: map[string][]rpmdb.Package{}, offers: map[string][]offer{}, replacing: map[string][]offer{}, advisories: map[string][]evidence.Advisory{}}
	for _, p := range packages {
		j.installed[p.Name] = append(j.installed[p.Name], p)
	}
	repos, problems := readRepos(r.files)
	for _, one := range repos {
		j.sources = append(j.sources, &source{repo: one})
	}
	var err error
	if j.policy, err = readPolicy(r.files); err != nil {
		problems = append(problems, err)
	}
	if j.holds, err = readHolds(r.files); err != nil {
		problems = append(problems, err)
	}
	return j, problems
}

// collect arranges what the repositories say by names.
func (j *judge) collect() {
	for _, s := range j.sources {
		for _, p := range s.read.Packages {
			o := offer{p, s}
			j.offers[p.Name] = append(j.offers[p.Name], o)
			for _, d := range p.Obsoletes {
				j.replacing[d.Name] = append(j.replacing[d.Name], o)
			}
		}
		for _, a := range s.read.Advisories {
			for _, p := range a.Updates {
				j.advisories[p.Name] = append(j.advisories[p.Name], evidence.Advisory{Advisory: a, Package: p, Repo: s.alias})
			}
		}
	}
}

// candidates returns the offers that libzypp would consider in the place of an
// installed package: what obsoletes it, or else newer ones of its name; of a
// vendor that it may come from; from the most preferred of their repositories,
// even if that has only what is installed; the newest first. Locked ones are
// there only if asked for.
func (j *judge) candidates(p rpmdb.Package, lockedToo bool) []offer {
	var list []offer
	for _, o := range j.offers[p.Name] {
		fits := o.Arch == p.Arch || o.Arch == "noarch" || p.Arch == "noarch"
		if fits && evr.Compare(o.EVR, p.EVR) >= 0 && j.policy.permits(p.Vendor, o.Vendor) {
			list = append(list, o)
		}
	}
	for _, o := range j.replacing[p.Name] {
		obsoletes := func(d repodata.Dependency) bool { return d.Matches(p.Name, p.EVR) }
		if o.Name != p.Name && slices.ContainsFunc(o.Obsoletes, obsoletes) && j.policy.permits(p.Vendor, o.Vendor) {
			list = append(list, o)
		}
	}
	list = slices.DeleteFunc(list, func(o offer) bool { return !lockedToo && locked(j.holds, o.Name, o.from.alias) != "" })
	best := 0
	for i, o := range list {
		if i == 0 || o.from.priority < best {
			best = o.from.priority
		}
	}
	list = slices.DeleteFunc(list, func(o offer) bool {
		return o.from.priority != best || o.Name == p.Name && !j.newest(o, p)
	})
	slices.SortStableFunc(list, func(a, b offer) int {
		return cmp.Or(cmp.Compare(same(a, p), same(b, p)), evr.Compare(b.EVR, a.EVR))
	})
	return list
}

// same is 1 for an offer of the own name: what obsoletes it comes first.
func same(o offer, p rpmdb.Package) int {
	if o.Name == p.Name {
		return 1
	}
	return 0
}

// newest reports whether an offer is newer than all that is installed of the
// package, of which several versions may be kept; only the newest of them has an
// update then.
func (j *judge) newest(o offer, p rpmdb.Package) bool {
	for _, q := range j.installed[p.Name] {
		if q.Arch == p.Arch && (evr.Compare(q.EVR, o.EVR) >= 0 || evr.Compare(q.EVR, p.EVR) > 0) {
			return false
		}
	}
	return true
}

// updates returns one update for each installed package that has one.
func (j *judge) updates() []updates.Update {
	var list []updates.Update
	for _, name := range j.names() {
		for _, p := range j.installed[name] {
			why := locked(j.holds, p.Name, "@System")
			found := j.candidates(p, why != "")
			if len(found) == 0 {
				if found = j.candidates(p, true); len(found) == 0 {
					continue
				}
				why = locked(j.holds, found[0].Name, found[0].from.alias)
			}
			list = append(list, j.update(p, found[0], why))
		}
	}
	return list
}

func (j *judge) update(p rpmdb.Package, o offer, held string) updates.Update {
	prefix := ""
	if o.Name != p.Name {
		prefix = o.Name + " "
	}
	u := updates.Update{
		Package: j.label(p), Installed: p.String(), Candidate: prefix + o.String(), State: updates.Pending,
		Releases: j.releases(p, o, prefix),
		Notes:    []string{fmt.Sprintf("%s comes from repository %s.", o.NEVRA(), o.from.alias)},
	}
	if prefix != "" {
		u.Notes = append(u.Notes, fmt.Sprintf("%s replaces %s.", o.Name, p.Name))
	}
	if held != "" {
		u.State = updates.Held
		u.Notes = append(u.Notes, "Held by a "+held+".")
	}
	return u
}

func (j *judge) releases(p rpmdb.Package, o offer, prefix string) []updates.Release {
	var offers []evidence.Offer
	for _, one := range j.offers[o.Name] {
		if j.policy.permits(p.Vendor, one.Vendor) {
			offers = append(offers, evidence.Offer{Package: one.Package, Repo: one.from.alias, Published: one.from.read.Index.Published()})
		}
	}
	between := func(version evr.EVR, arch string) bool {
		return (arch == o.Arch || arch == p.Arch) && evr.Compare(version, o.EVR) <= 0 && (prefix != "" || evr.Compare(version, p.EVR) > 0)
	}
	return evidence.Releases(prefix, between, offers, j.advisories[o.Name])
}

// label names an installed package: with its architecture where others of the
// name are installed.
func (j *judge) label(p rpmdb.Package) string {
	for _, q := range j.installed[p.Name] {
		if q.Arch != p.Arch {
			return p.Name + "." + p.Arch
		}
	}
	return p.Name
}

// securityKnown reports whether every package that has an update is one that a
// repository with advisories offers, too: at SUSE, updates come from other
// repositories than the packages of the first day, and only those have them.
func (j *judge) securityKnown(list []updates.Update) bool {
	if !slices.ContainsFunc(j.sources, func(s *source) bool { return s.read.HasAdvisories }) {
		return false
	}
	for _, u := range list {
		name, _, _ := strings.Cut(u.Package, ".")
		known := func(o offer) bool { return o.from.read.HasAdvisories && o.String() == u.Candidate }
		if !slices.ContainsFunc(slices.Concat(j.offers[u.Package], j.offers[name], j.replacing[name]), func(o offer) bool {
			return known(o) || o.from.read.HasAdvisories && strings.HasSuffix(u.Candidate, " "+o.String())
		}) {
			return false
		}
	}
	return true
}

// names lists all installed packages.
func (j *judge) names() []string {
	var names []string
	for name := range j.installed {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// describe tells what is installed of a name and where it could come from.
func (j *judge) describe(name string) []string {
	var lines []string
	for _, p := range j.installed[name] {
		lines = append(lines, fmt.Sprintf("installed %s, vendor %q, lock %q", p.NEVRA(), p.Vendor, locked(j.holds, name, "@System")))
	}
	for _, o := range j.offers[name] {
		lines = append(lines, fmt.Sprintf("available %s, repository %s, priority %d, vendor %q", o.NEVRA(), o.from.alias, o.from.priority, o.Vendor))
	}
	for _, a := range j.advisories[name] {
		lines = append(lines, fmt.Sprintf("advisory %s, %s, %s: %s-%s.%s", a.ID, a.Type, evidence.Day(a.Date()), name, a.Package.EVR, a.Package.Arch))
	}
	return lines
}
