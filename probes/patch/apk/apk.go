// Package apk reads what apk, the package manager of Alpine, knows of updates:
// the installed packages, the world, and the indexes of repositories in its
// cache. It follows the documented formats apk-v2(5), apk-world(5) and
// apk-repositories(5); apk itself cannot run where this is developed. Indexes in
// the format of apk 3 (.adb) are not read, and that is said. An index does not
// tell which updates are for security, so that stays unknown.
package apk

import (
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
	"hygiene_exporter/probes/patch/apk/version"
	"hygiene_exporter/probes/patch/lock"
	"hygiene_exporter/probes/patch/updates"
)

// installedPaths are where the database of installed packages is.
var installedPaths = []string{"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}

// A Reader reads the files of apk, and again only those that changed.
type Reader struct {
	files     *rootfs.FS
	path, key string
	installed []entry
	indexes   map[string]cached
}

type cached struct {
	key   string
	index index
	err   error
}

// New returns a reader of a host's files. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files, indexes: map[string]cached{}} }

// An offer is a package in a repository.
type offer struct {
	entry
	repo repository
}

// Read implements updates.Reader.
func (r *Reader) Read(ctx context.Context) (updates.Manager, error) {
	m := updates.Manager{Name: "apk", Compare: version.Compare}
	switch err := r.readInstalled(); {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(r.installed) == 0:
		return m, probes.ErrNotApplicable
	case err != nil:
		return m, err
	}
	arch := r.arch()
	repositories, err := readRepositories(r.files, arch)
	if err != nil {
		m.Incomplete = append(m.Incomplete, err)
	}
	world, err := r.files.ReadFile("/etc/apk/world", 4<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.Incomplete = append(m.Incomplete, err)
	}
	constraints := parseWorld(world)
	offers := map[string][]offer{}
	for _, repo := range repositories {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		shown, found := r.load(repo, arch)
		m.Repositories = append(m.Repositories, shown)
		if shown.Err != nil {
			m.Incomplete = append(m.Incomplete, fmt.Errorf("repository %s: %w", repo.name, shown.Err))
		}
		for _, e := range found.packages {
			offers[e.name] = append(offers[e.name], offer{e, repo})
		}
	}
	if len(repositories) == 0 {
		m.Incomplete = append(m.Incomplete, probes.Because(probes.NotFound, errors.New("no repository is configured, so updates cannot be known")))
	}
	for _, p := range r.installed {
		if u, ok := decide(p, offers[p.name], constraints); ok {
			m.Updates = append(m.Updates, u)
		}
	}
	m.Busy = lock.Any(lock.Held(r.files, strings.TrimSuffix(r.path, "installed")+"lock"), lock.Held(r.files, "/run/apk/db.lock"))
	m.LastUpgrade = r.lastUpgrade()
	m.Notes = append(m.Notes, fmt.Sprintf("%d packages are installed, %d repositories configured.", len(r.installed), len(repositories)))
	m.Installed, m.Packages = r.describe(offers, constraints), r.names
	return m, nil
}

// readInstalled reads what is installed, if it has changed.
func (r *Reader) readInstalled() error {
	for _, place := range installedPaths {
		info, err := r.files.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		key := fmt.Sprint(place, info.Size(), info.ModTime().UnixNano())
		if key == r.key {
			return nil
		}
		file, err := r.files.Open(place)
		if err != nil {
			return err
		}
		defer file.Close()
		var packages []entry
		if err := parseRecords(file, func(e entry) { packages = append(packages, e) }); err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		r.path, r.key, r.installed = place, key, packages
		clear(r.indexes) // other names are wanted
		return nil
	}
	return fs.ErrNotExist
}

// arch is the architecture of the host, which apk writes down or the packages
// tell.
func (r *Reader) arch() string {
	if data, err := r.files.ReadFile("/etc/apk/arch", 1000); err == nil {
		if first := strings.Fields(string(data)); len(first) > 0 {
			return first[0]
		}
	}
	for _, p := range r.installed {
		if p.arch != "" && p.arch != "noarch" {
			return p.arch
		}
	}
	return ""
}

// load reads the index of a repository, if it has changed.
func (r *Reader) load(repo repository, arch string) (updates.Repository, index) {
	shown := updates.Repository{Name: repo.name}
	if repo.adb {
		shown.Err = probes.Because(probes.Unsupported, errors.New("its index is in the format of apk 3"))
		return shown, index{}
	}
	for _, place := range repo.places(arch) {
		info, err := r.files.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			shown.Err = err
			return shown, index{}
		}
		shown.Refreshed = info.ModTime()
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && !strings.HasPrefix(repo.url, "/") {
			shown.Refreshed = time.Unix(stat.Ctim.Unix()) // apk touches what is still current
		}
		found := r.read(place, fmt.Sprint(info.Size(), info.ModTime().UnixNano()))
		shown.Published, shown.Err = found.index.published, found.err
		shown.Notes = append(shown.Notes, fmt.Sprintf("%d packages in %s.", found.index.total, place))
		return shown, found.index
	}
	shown.Err = probes.Because(probes.NotFound, errors.New("no index of it is kept here: \"apk update\" has never run, or keeps none"))
	return shown, index{}
}

func (r *Reader) read(place, key string) cached {
	if known, ok := r.indexes[place]; ok && known.key == key {
		return known
	}
	found := cached{key: key}
	file, err := r.files.Open(place)
	if err != nil {
		return cached{err: err}
	}
	defer file.Close()
	names := map[string]bool{}
	for _, p := range r.installed {
		names[p.name] = true
	}
	found.index, found.err = readIndex(file, func(name string) bool { return names[name] })
	r.indexes[place] = found
	return found
}

// decide returns the update of an installed package: the newest version that
// its tag and the world permit, or else the newest one, which is held.
func decide(p entry, offers []offer, world []constraint) (updates.Update, bool) {
	var permitted, held offer
	why := ""
	var releases []offer
	for _, o := range offers {
		if version.Compare(o.version, p.version) <= 0 || !tagged(p, o, world) {
			continue
		}
		releases = append(releases, o)
		if forbidden := forbids(o.entry, world); forbidden != "" {
			if held.name == "" || version.Compare(o.version, held.version) > 0 {
				held, why = o, forbidden
			}
		} else if permitted.name == "" || version.Compare(o.version, permitted.version) > 0 {
			permitted = o
		}
	}
	chosen, state := permitted, updates.Pending
	if permitted.name == "" {
		chosen, state = held, updates.Held
	}
	if chosen.name == "" {
		return updates.Update{}, false
	}
	u := updates.Update{
		Package: p.name, Installed: p.version, Candidate: chosen.version, State: state,
		Notes: []string{fmt.Sprintf("%s-%s comes from repository %s.", chosen.name, chosen.version, chosen.repo.name)},
	}
	if state == updates.Held {
		u.Notes = append(u.Notes, "Held by the world: "+why+".")
	}
	for _, o := range releases {
		if version.Compare(o.version, chosen.version) <= 0 && !slices.ContainsFunc(u.Releases, func(r updates.Release) bool { return r.Version == o.version }) {
			u.Releases = append(u.Releases, updates.Release{
				Version: o.version, Available: o.built,
				Evidence: fmt.Sprintf("repository %s, built on %s", o.repo.name, o.built.UTC().Format(time.DateOnly)),
			})
		}
	}
	return u, true
}

// tagged reports whether a repository may give a package: one without a tag
// may, another only if the world asks for that tag or the package came from it.
func tagged(p entry, o offer, world []constraint) bool {
	return o.repo.tag == "" || o.repo.tag == p.tag ||
		slices.ContainsFunc(world, func(c constraint) bool { return c.name == p.name && c.tag == o.repo.tag })
}

// forbids returns the part of the world that does not permit a version, or "".
func forbids(e entry, world []constraint) string {
	for _, c := range world {
		checksum := c.operator == "><" // of one build of the package
		if c.name == e.name && c.operator != "" && (checksum || c.holds(e.version) == c.against) {
			return c.name + c.operator + c.version
		}
	}
	return ""
}

func (c constraint) holds(have string) bool {
	if strings.Contains(c.operator, "~") && version.Begins(have, c.version) {
		return true
	}
	order := version.Compare(have, c.version)
	return order < 0 && strings.Contains(c.operator, "<") ||
		order > 0 && strings.Contains(c.operator, ">") ||
		order == 0 && strings.Contains(c.operator, "=")
}

// lastUpgrade reads the log of apk: "Running `apk upgrade` at 2026-01-02
// 03:04:05", and below it what was done.
func (r *Reader) lastUpgrade() time.Time {
	data, err := r.files.ReadFile("/var/log/apk.log", 16<<20)
	if err != nil {
		return time.Time{}
	}
	var last, run time.Time
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if _, stamp, ok := strings.Cut(line, "` at "); ok && strings.HasPrefix(line, "Running `") {
			run, _ = time.Parse(time.DateTime, stamp)
		}
		if strings.Contains(line, ") Upgrading ") && !run.IsZero() {
			last = run
		}
	}
	return last
}

func (r *Reader) names() []string {
	names := make([]string, len(r.installed))
	for i, p := range r.installed {
		names[i] = p.name
	}
	return names
}

func (r *Reader) describe(offers map[string][]offer, world []constraint) func(string) []string {
	return func(name string) []string {
		var lines []string
		for _, p := range r.installed {
			if p.name == name {
				lines = append(lines, "installed "+p.name+"-"+p.version)
			}
		}
		for _, o := range offers[name] {
			line := fmt.Sprintf("available %s-%s, repository %s", o.name, o.version, o.repo.name)
			if why := forbids(o.entry, world); why != "" {
				line += ", held by the world: " + why
			}
			lines = append(lines, line)
		}
		return lines
	}
}
