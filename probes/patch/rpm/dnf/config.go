package dnf

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/rpmdb"
)

// defaultPriority is that of a repository that has none of its own; lower is
// preferred.
const defaultPriority = 99

// A configuration is what dnf and yum are told about repositories.
type configuration struct {
	main         map[string]string
	repositories []repo
	variables    map[string]string
	problems     []error
}

// A repo is one enabled repository.
type repo struct {
	id       string
	url      string // metalink, mirrorlist or first baseurl, with variables replaced
	excludes []string
	includes []string
	priority int
	hotfixes bool
	cachedir string
}

// mains are the places of the main configuration; the later ones win.
var mains = []string{"/usr/share/dnf5/libdnf.conf.d", "/etc/yum.conf", "/etc/dnf/dnf.conf", "/etc/dnf/libdnf5.conf.d"}

// repoDirs are the places of definitions of repositories.
var repoDirs = []string{"/etc/yum.repos.d", "/etc/yum/repos.d", "/etc/distro.repos.d", "/usr/share/dnf5/repos.d"}

// overrideDirs change definitions of repositories, the later ones last.
var overrideDirs = []string{"/usr/share/dnf5/repos.override.d", "/etc/dnf/repos.override.d"}

// configured reports whether the host has a configuration of dnf or yum.
func configured(files *rootfs.FS) bool {
	for _, place := range []string{"/etc/dnf/dnf.conf", "/etc/yum.conf", "/usr/share/dnf5/libdnf.conf.d"} {
		if _, err := files.Stat(place); err == nil {
			return true
		}
	}
	return false
}

// readConfiguration reads all that dnf would read. What cannot be read is in
// problems, and hides nothing else.
func readConfiguration(files *rootfs.FS, installed []rpmdb.Package) configuration {
	c := configuration{main: map[string]string{}}
	var sections []ini.Section
	for _, place := range mains {
		found := c.readAll(files, place, ".conf")
		sections = append(sections, found...)
	}
	dirs := repoDirs
	for _, s := range sections {
		if s.Name == "main" {
			maps.Copy(c.main, s.Values)
		}
	}
	if own := ini.List(c.main["reposdir"]); len(own) > 0 {
		dirs = own
	}
	c.variables = c.readVariables(files, installed)
	for _, dir := range dirs {
		sections = append(sections, c.readAll(files, dir, ".repo")...)
	}
	c.override(files, sections)
	for _, s := range sections {
		if s.Name != "main" && ini.Truth(s.Values["enabled"], true) {
			c.repositories = append(c.repositories, c.repo(s))
		}
	}
	c.repositories = slices.CompactFunc(c.repositories, func(a, b repo) bool { return a.id == b.id })
	return c
}

// override applies what the files of overrides say about repositories, by
// patterns of their ids.
func (c *configuration) override(files *rootfs.FS, sections []ini.Section) {
	for _, dir := range overrideDirs {
		for _, change := range c.readAll(files, dir, ".repo") {
			for _, s := range sections {
				if matched, _ := path.Match(change.Name, s.Name); matched && s.Name != "main" {
					maps.Copy(s.Values, change.Values)
				}
			}
		}
	}
}

func (c *configuration) repo(s ini.Section) repo {
	r := repo{
		id:       c.replace(s.Name),
		excludes: append(ini.List(s.Values["excludepkgs"]), ini.List(s.Values["exclude"])...),
		includes: ini.List(s.Values["includepkgs"]),
		priority: defaultPriority,
		hotfixes: ini.Truth(s.Values["module_hotfixes"], false),
		cachedir: c.replace(s.Values["cachedir"]),
	}
	if n, err := strconv.Atoi(s.Values["priority"]); err == nil {
		r.priority = n
	}
	url := cmp.Or(s.Values["metalink"], s.Values["mirrorlist"])
	if bases := ini.List(s.Values["baseurl"]); url == "" && len(bases) > 0 {
		url = bases[0]
	}
	r.url = c.replace(url)
	return r
}

// readAll reads a configuration file, or those of a directory with a suffix, in
// the order of their names.
func (c *configuration) readAll(files *rootfs.FS, place, suffix string) []ini.Section {
	info, err := files.Stat(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var sections []ini.Section
	if err == nil && !info.IsDir() {
		sections, err = ini.Read(files, place)
	} else if err == nil {
		var entries []fs.DirEntry
		entries, err = files.ReadDir(place)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), suffix) || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			found, fileErr := ini.Read(files, place+"/"+e.Name())
			if fileErr != nil && !errors.Is(fileErr, fs.ErrNotExist) {
				c.problems = append(c.problems, fmt.Errorf("%s/%s: %w", place, e.Name(), fileErr))
			}
			sections = append(sections, found...)
		}
	}
	if err != nil {
		c.problems = append(c.problems, fmt.Errorf("%s: %w", place, err))
	}
	return sections
}
