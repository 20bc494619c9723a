// Package dnf reads what dnf 4, dnf5 and yum know of updates: the packages that
// rpm has installed, the repositories that are enabled, and the metadata that
// was last downloaded of them. It decides as "dnf check-update" does, with code
// of its own over the files: no package manager runs, nothing is refreshed, no
// lock is taken.
//
// dnf 4 is what the tests compare with. dnf5 keeps the same metadata, as zchunk
// files, elsewhere; yum keeps the SQLite form of it.
package dnf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/lock"
	"hygiene_exporter/probes/patch/rpm/evidence"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/repository"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
	"hygiene_exporter/probes/patch/sqlite"
	"hygiene_exporter/probes/patch/updates"
)

// name is that of the package manager; yum is the older name of dnf.
const name = "dnf"

// A Reader reads the files of dnf and yum.
type Reader struct {
	files     *rootfs.FS
	installed rpmdb.Cache
	metadata  repository.Cache
	history   history
}

// New returns a reader of a host's files. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files} }

// A source is an enabled repository with what its metadata says.
type source struct {
	repo
	dir  string
	read repository.Repository
	err  error
	note string
}

// Read implements updates.Reader.
func (r *Reader) Read(ctx context.Context) (updates.Manager, error) {
	m := updates.Manager{Name: name, Compare: compare}
	if !configured(r.files) {
		return m, probes.ErrNotApplicable
	}
	packages, state, err := r.installed.Packages(r.files)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(packages) == 0:
		return m, probes.ErrNotApplicable // dnf on a host of another family
	case err != nil && len(packages) == 0:
		return m, err
	case err != nil:
		m.Incomplete = append(m.Incomplete, err)
	}
	changing := errors.Is(err, sqlite.ErrChanging)
	c := readConfiguration(r.files, packages)
	if len(c.repositories) == 0 && zypper(r.files) {
		return m, probes.ErrNotApplicable // its repositories are those of zypper
	}
	m.Incomplete = append(m.Incomplete, c.problems...)
	set := newInstalledSet(packages)
	sources, err := r.load(ctx, c, state, set)
	if err != nil {
		return m, err
	}
	for _, s := range sources {
		m.Repositories = append(m.Repositories, r.repository(s))
		if s.err != nil {
			m.Incomplete = append(m.Incomplete, fmt.Errorf("repository %s: %w", s.id, s.err))
		}
	}
	if len(sources) == 0 {
		m.Incomplete = append(m.Incomplete, probes.Because(probes.NotFound, errors.New("no repository is enabled, so updates cannot be known")))
	}
	j := r.newJudge(c, sources, set, &m)
	m.Updates = j.updates()
	m.SecurityKnown = j.securityKnown(m.Updates)
	m.Reboots = evidence.Reboots(packages, rebootNames(r.files), j.advisories)
	m.Installed, m.Packages = j.describe, j.names
	if m.Busy = r.busy(c); changing {
		m.Busy = updates.Yes
	}
	m.Notes = append(m.Notes, j.notes()...)
	r.addHistory(&m)
	return m, nil
}

// compare orders versions as they stand in updates, where another name may come
// before one.
func compare(a, b string) int {
	return evr.Compare(evr.Parse(a[strings.LastIndexByte(a, ' ')+1:]), evr.Parse(b[strings.LastIndexByte(b, ' ')+1:]))
}

// zypper reports whether the host is one of zypper.
func zypper(files *rootfs.FS) bool {
	_, err := files.Stat("/etc/zypp/repos.d")
	return err == nil
}

// load finds and reads the metadata of all enabled repositories.
func (r *Reader) load(ctx context.Context, c configuration, key string, set installedSet) ([]*source, error) {
	defer r.metadata.Forget()
	wanted := func(name string) bool { return len(set[name]) > 0 }
	sources := make([]*source, len(c.repositories))
	for i, one := range c.repositories {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		s := &source{repo: one}
		s.dir, s.note, s.err = findMetadata(r.files, c, one)
		if s.err == nil {
			s.read, s.err = r.metadata.Load(r.files, s.dir, key, wanted)
		}
		sources[i] = s
	}
	replacing := replacements(sources, wanted)
	if len(replacing) == 0 {
		return sources, nil
	}
	// A repository that is preferred may also have these names, without
	// obsoleting anything.
	for _, s := range sources {
		if s.err == nil {
			s.read, s.err = r.metadata.Load(r.files, s.dir, key+fmt.Sprint(replacing), func(name string) bool {
				_, replaces := slices.BinarySearch(replacing, name)
				return replaces || wanted(name)
			})
		}
	}
	return sources, ctx.Err()
}

// replacements returns the names of packages that replace installed ones, if
// some repositories are preferred to others.
func replacements(sources []*source, wanted func(string) bool) []string {
	priorities := map[int]bool{}
	names := map[string]bool{}
	for _, s := range sources {
		priorities[s.priority] = true
		for _, p := range s.read.Packages {
			if !wanted(p.Name) {
				names[p.Name] = true
			}
		}
	}
	if len(priorities) < 2 {
		return nil
	}
	return slices.Sorted(maps.Keys(names))
}

func (r *Reader) repository(s *source) updates.Repository {
	shown := updates.Repository{Name: s.id, Err: s.err}
	if s.dir == "" {
		return shown
	}
	shown.Refreshed = repository.Refreshed(r.files, s.dir)
	shown.Published, shown.Archive = s.read.Index.Published(), s.read.Archive()
	shown.Notes = append(shown.Notes, fmt.Sprintf("%d packages in %s", s.read.Total, s.dir))
	if s.note != "" {
		shown.Notes = append(shown.Notes, s.note)
	}
	if s.err == nil && !s.read.HasAdvisories {
		shown.Notes = append(shown.Notes, "It has no updateinfo: which of its updates are for security is unknown.")
	}
	return shown
}

// busy looks at the locks of dnf 4, yum and rpm.
func (r *Reader) busy(c configuration) updates.Truth {
	truths := []updates.Truth{lock.Alive(r.files, "/run/yum.pid"), lock.Held(r.files, "/run/dnf/rpmtransaction.lock")}
	for _, place := range []string{"/var/lib/dnf/rpmdb_lock.pid", c.cacheDir() + "/metadata_lock.pid", c.cacheDir() + "/download_lock.pid"} {
		truths = append(truths, lock.Alive(r.files, place))
	}
	return lock.Any(append(truths, r.installed.Busy(r.files))...)
}

// A judge decides what happens to which package.
type judge struct {
	files      *rootfs.FS
	config     configuration
	sources    []*source
	installed  installedSet
	count      int // of installed packages
	modules    *modularity
	locks      verdict
	offers     []offer // all that modules leave
	byName     map[string][]offer
	advisories map[string][]evidence.Advisory
}

func (r *Reader) newJudge(c configuration, sources []*source, set installedSet, m *updates.Manager) *judge {
	j := &judge{files: r.files, config: c, sources: sources, installed: set, advisories: map[string][]evidence.Advisory{}}
	states, err := readModuleStates(r.files)
	if err != nil {
		m.Incomplete = append(m.Incomplete, fmt.Errorf("modules: %w", err))
	}
	j.modules = resolveModules(sources, states, platform(r.files), c.variables["basearch"])
	l, err := readLocks(r.files)
	if err != nil {
		m.Incomplete = append(m.Incomplete, err)
	}
	all := set.packages()
	j.count = len(all)
	for _, s := range sources {
		all = append(all, s.read.Packages...)
		for _, p := range s.read.Packages {
			if !j.modules.hides(p, s.hotfixes) {
				j.offers = append(j.offers, offer{Package: p, repo: &s.repo, origin: s})
			}
		}
		for _, a := range s.read.Advisories {
			for _, p := range a.Updates {
				if j.modules.applies(p) {
					j.advisories[p.Name] = append(j.advisories[p.Name], evidence.Advisory{Advisory: a, Package: p, Repo: s.id})
				}
			}
		}
	}
	j.locks = l.judge(all)
	j.byName = map[string][]offer{}
	for i, o := range j.offers {
		j.offers[i].locked = j.forbids(o)
		j.byName[o.Name] = append(j.byName[o.Name], j.offers[i])
	}
	return j
}

// forbids returns why the configuration forbids an offer, or "".
func (j *judge) forbids(o offer) string {
	main := j.config.main
	if pattern, ok := matchesAny(slices.Concat(ini.List(main["excludepkgs"]), ini.List(main["exclude"])), o.Package); ok {
		return "excludepkgs " + pattern
	}
	if pattern, ok := matchesAny(o.repo.excludes, o.Package); ok {
		return "excludepkgs " + pattern + " of repository " + o.repo.id
	}
	if patterns := ini.List(main["includepkgs"]); len(patterns) > 0 {
		if _, ok := matchesAny(patterns, o.Package); !ok {
			return "includepkgs does not name it"
		}
	}
	if len(o.repo.includes) > 0 {
		if _, ok := matchesAny(o.repo.includes, o.Package); !ok {
			return "includepkgs of repository " + o.repo.id + " does not name it"
		}
	}
	if lock := j.locks.forbids(o.Package); lock != "" {
		return lock
	}
	for _, c := range obsoleting(o, j.installed) {
		if j.locks.locked(c.installed.Name) {
			return "versionlock of " + c.installed.Name + ", which it obsoletes"
		}
	}
	return ""
}

// updates returns one update for each installed package that has one. An upgrade
// comes before an obsoleter, and what is permitted before what is not.
func (j *judge) updates() []updates.Update {
	permitted := slices.DeleteFunc(slices.Clone(j.offers), func(o offer) bool { return o.locked != "" })
	chosen := map[string]candidate{}
	var order []string
	take := func(list []candidate) {
		for _, c := range list {
			key := c.installed.NEVRA()
			if known, ok := chosen[key]; ok && !better(c, known) {
				continue
			} else if !ok {
				order = append(order, key)
			}
			chosen[key] = c
		}
	}
	take(candidates(permitted, j.installed))
	before := len(order)
	done := map[string]bool{}
	for _, key := range order {
		done[key] = true
	}
	take(slices.DeleteFunc(candidates(j.offers, j.installed), func(c candidate) bool { return done[c.installed.NEVRA()] }))
	var list []updates.Update
	for i, key := range order {
		list = append(list, j.update(chosen[key], i >= before))
	}
	return list
}

// better reports whether c is the better candidate for the same package.
func better(c, than candidate) bool {
	if c.obsoletes != than.obsoletes {
		return than.obsoletes
	}
	return evr.Compare(c.EVR, than.EVR) > 0
}

func (j *judge) update(c candidate, held bool) updates.Update {
	u := updates.Update{
		Package: j.label(c.installed), Installed: c.installed.String(), Candidate: c.text(), State: updates.Pending,
		Releases: j.releases(c),
		Notes:    []string{fmt.Sprintf("%s comes from repository %s.", c.NEVRA(), c.repo.id)},
	}
	if c.obsoletes {
		u.Notes = append(u.Notes, fmt.Sprintf("%s replaces %s.", c.Name, c.installed.Name))
	}
	if len(j.installed[c.installed.Name]) > 1 && !c.obsoletes {
		u.Notes = append(u.Notes, "Several versions are installed; this is the newest.")
	}
	if held {
		u.State = updates.Held
		u.Notes = append(u.Notes, "Held by "+c.locked+".")
	}
	return u
}

// text is the version of a candidate, with its name if that is another one.
func (c candidate) text() string {
	if c.obsoletes {
		return c.Name + " " + c.String()
	}
	return c.String()
}

// label names an installed package: with its architecture where others of the
// name are installed.
func (j *judge) label(p rpmdb.Package) string {
	for _, other := range j.installed[p.Name] {
		if other.Arch != p.Arch {
			return p.Name + "." + p.Arch
		}
	}
	return p.Name
}

// securityKnown reports whether every update comes from a repository that tells
// security updates from others, and there is one that does.
func (j *judge) securityKnown(list []updates.Update) bool {
	known := slices.ContainsFunc(j.sources, func(s *source) bool { return s.read.HasAdvisories })
	if !known || j.pinned() != "" {
		return false
	}
	for _, c := range candidates(j.offers, j.installed) {
		if !c.origin.read.HasAdvisories {
			return false
		}
	}
	return true
}

// names lists all installed packages.
func (j *judge) names() []string {
	var names []string
	for n := range j.installed {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (s installedSet) packages() []repodata.Package {
	var list []repodata.Package
	for _, group := range s {
		for _, p := range group {
			list = append(list, repodata.Package{Name: p.Name, EVR: p.EVR, Arch: p.Arch})
		}
	}
	slices.SortFunc(list, func(a, b repodata.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), evr.Compare(a.EVR, b.EVR), strings.Compare(a.Arch, b.Arch))
	})
	return list
}
