// Package pacman reads what pacman knows of updates: the packages in its local
// database and the databases of the repositories as they were last synchronised.
// It decides as pacman -Qu and the upgrade of pacman -Su do. Arch does not say in
// these files which updates are for security, so that stays unknown.
package pacman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/pacman/vercmp"
	"hygiene_exporter/probes/patch/updates"
)

// A Reader reads the files of pacman, and again only those that changed.
type Reader struct {
	files     *rootfs.FS
	local     []entry
	localErr  error
	localKey  string
	databases map[string]database
}

// A database is a synchronised repository.
type database struct {
	key      string
	packages []entry
	total    int
	err      error
}

// New returns a reader of a host's files. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files, databases: map[string]database{}} }

// Read implements updates.Reader.
func (r *Reader) Read(ctx context.Context) (updates.Manager, error) {
	m := updates.Manager{Name: "pacman", Compare: compare}
	c, err := readConfiguration(r.files)
	if errors.Is(err, fs.ErrNotExist) {
		return m, probes.ErrNotApplicable
	} else if err != nil {
		return m, err
	}
	switch err := r.readLocal(c); {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(r.local) == 0:
		return m, probes.ErrNotApplicable // pacman on a host of another family
	case err != nil && len(r.local) == 0:
		return m, err
	case err != nil:
		m.Incomplete = append(m.Incomplete, err)
	}
	told, err := readLog(r.files, c.log)
	if err != nil {
		m.Notes = append(m.Notes, fmt.Sprintf("The log is not read: %v.", err))
	}
	m.LastUpgrade = told.upgraded
	var synchronised [][]entry
	for _, one := range c.repositories {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		db := r.readSync(c, one)
		synchronised = append(synchronised, db.packages)
		m.Repositories = append(m.Repositories, r.repository(c, one, db, told))
		if db.err != nil {
			m.Incomplete = append(m.Incomplete, fmt.Errorf("repository %s: %w", one.name, db.err))
		}
	}
	traceless(m.Repositories)
	if len(c.repositories) == 0 {
		m.Incomplete = append(m.Incomplete, probes.Because(probes.NotFound, errors.New("no repository is configured, so updates cannot be known")))
	}
	for _, p := range r.local {
		if candidate, ok := choose(p, synchronised); ok {
			m.Updates = append(m.Updates, update(c, p, candidate))
		}
	}
	m.Busy = r.busy(c)
	m.Automatic.Enabled = updates.No
	m.Notes = append(m.Notes, fmt.Sprintf("%d packages are installed, %d repositories configured.", len(r.local), len(c.repositories)))
	m.Installed, m.Packages = r.describe(synchronised), r.names
	return m, nil
}

// compare orders versions as they stand in updates, where another name may come
// before one.
func compare(a, b string) int {
	return vercmp.Compare(a[strings.LastIndexByte(a, ' ')+1:], b[strings.LastIndexByte(b, ' ')+1:])
}

func (r *Reader) readLocal(c configuration) error {
	key, err := state(r.files, c.place("local"))
	if err != nil {
		return err
	}
	if key != r.localKey || r.localErr != nil {
		r.local, r.localErr = readLocal(r.files, c)
		r.localKey = key
		clear(r.databases) // other names are wanted
	}
	return r.localErr
}

func (r *Reader) readSync(c configuration, one repository) database {
	place := c.place("sync", one.name+".db")
	key, err := state(r.files, place)
	if errors.Is(err, fs.ErrNotExist) {
		err = probes.Because(probes.NotFound, fmt.Errorf("it has never been synchronised: %w", err))
	}
	if err != nil {
		return database{err: err}
	}
	if known, ok := r.databases[one.name]; ok && known.key == key {
		return known
	}
	db := database{key: key}
	file, err := r.files.Open(place)
	if err != nil {
		return database{err: err}
	}
	defer file.Close()
	installed := map[string]bool{}
	for _, p := range r.local {
		installed[p.name] = true
	}
	db.packages, db.total, db.err = readSync(file, one.name, func(name string) bool { return installed[name] })
	r.databases[one.name] = db
	return db
}

// state changes whenever a file or the list of a directory does.
func state(files *rootfs.FS, place string) (string, error) {
	info, err := files.Stat(place)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano()), nil
}

// repository describes how fresh a database is. pacman leaves one alone that has
// not changed at the mirror, and gives one that has the date of the mirror.
func (r *Reader) repository(c configuration, one repository, db database, told story) updates.Repository {
	shown := updates.Repository{Name: one.name, Err: db.err}
	info, err := r.files.Stat(c.place("sync", one.name+".db"))
	if err != nil {
		return shown
	}
	shown.Published = info.ModTime()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		shown.Refreshed = time.Unix(stat.Ctim.Unix())
	}
	if told.refreshed.After(shown.Refreshed) {
		shown.Refreshed = told.refreshed
	}
	shown.Notes = append(shown.Notes, fmt.Sprintf("%d packages.", db.total))
	return shown
}

// traceless marks the databases that were left alone while others came: their
// mirror had nothing new for them, or could not be asked, and nothing tells which.
func traceless(list []updates.Repository) {
	var newest time.Time
	for _, r := range list {
		if r.Refreshed.After(newest) {
			newest = r.Refreshed
		}
	}
	for i, r := range list {
		list[i].Traceless = r.Refreshed.Before(newest.Add(-time.Hour)) && r.Err == nil
	}
}

// choose returns what pacman would put in the place of a package: the first
// repository that has a replacement of it or its name decides.
func choose(p entry, synchronised [][]entry) (entry, bool) {
	for _, packages := range synchronised {
		if replacing := slices.IndexFunc(packages, func(e entry) bool { return replacesPackage(e, p) }); replacing >= 0 {
			return packages[replacing], true
		}
		if named := slices.IndexFunc(packages, func(e entry) bool { return e.name == p.name }); named >= 0 {
			return packages[named], vercmp.Compare(packages[named].version, p.version) > 0
		}
	}
	return entry{}, false
}

func update(c configuration, p, candidate entry) updates.Update {
	u := updates.Update{
		Package: p.name, Installed: p.version, Candidate: candidate.version, State: updates.Pending,
		Notes: []string{fmt.Sprintf("%s %s comes from repository %s.", candidate.name, candidate.version, candidate.repo)},
	}
	if candidate.name != p.name {
		u.Candidate = candidate.name + " " + candidate.version
		u.Notes = append(u.Notes, fmt.Sprintf("%s replaces %s.", candidate.name, p.name))
	}
	if why := c.ignores(p, candidate); why != "" {
		u.State = updates.Held
		u.Notes = append(u.Notes, "Held by "+why+".")
	}
	release := updates.Release{Version: u.Candidate, Available: candidate.built, Evidence: "repository " + candidate.repo + ", no date"}
	if !candidate.built.IsZero() {
		release.Evidence = fmt.Sprintf("repository %s, built on %s", candidate.repo, candidate.built.UTC().Format(time.DateOnly))
	}
	u.Releases = []updates.Release{release}
	return u
}

// programs are those that change packages with pacman's lock.
var programs = []string{"pacman", "pamac", "pamac-daemon", "packagekitd", "yay", "paru", "octopi"}

// busy looks for the lock file. One may be left behind by a crash: then no such
// program is there, and whether somebody is at work is unknown.
func (r *Reader) busy(c configuration) updates.Truth {
	if _, err := r.files.Stat(c.place("db.lck")); errors.Is(err, fs.ErrNotExist) {
		return updates.No
	} else if err != nil {
		return updates.Unknown
	}
	entries, err := r.files.ReadDir("/proc")
	if err != nil {
		return updates.Unknown
	}
	for _, e := range entries {
		if name := e.Name(); name[0] < '0' || name[0] > '9' {
			continue
		}
		comm, err := r.files.ReadFile("/proc/"+e.Name()+"/comm", 100)
		if err == nil && slices.Contains(programs, strings.TrimSpace(string(comm))) {
			return updates.Yes
		}
	}
	return updates.Unknown
}

func (r *Reader) names() []string {
	names := make([]string, len(r.local))
	for i, p := range r.local {
		names[i] = p.name
	}
	return names
}

func (r *Reader) describe(synchronised [][]entry) func(string) []string {
	return func(name string) []string {
		var lines []string
		for _, p := range r.local {
			if p.name == name {
				lines = append(lines, "installed "+p.name+" "+p.version)
			}
		}
		for _, e := range slices.Concat(synchronised...) {
			if e.name == name || replacesPackage(e, entry{name: name, version: "0"}) {
				lines = append(lines, fmt.Sprintf("available %s %s, repository %s, built on %s", e.name, e.version, cmp.Or(e.repo, "?"), e.built.UTC().Format(time.DateOnly)))
			}
		}
		return lines
	}
}
