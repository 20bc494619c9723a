package dnf

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/rpm/repodata"
)

// lockPlugins are the places of the configuration of the versionlock plugin of
// dnf 4 and yum, each with the list it has if it names no other: one pattern on
// each line; a leading "!" forbids versions instead of all others.
var lockPlugins = []struct{ config, list string }{
	{"/etc/dnf/plugins/versionlock.conf", "/etc/dnf/plugins/versionlock.list"},
	{"/etc/yum/pluginconf.d/versionlock.conf", "/etc/yum/pluginconf.d/versionlock.list"},
}

// lockFile is where dnf5 keeps its locks.
const lockFile = "/etc/dnf/versionlock.toml"

// maxLocks is more than any list of locks has.
const maxLocks = 4 << 20

// locks say which versions of packages are permitted. A package that no lock
// names is free.
type locks struct {
	patterns []string
	rules    []rule // of dnf5
}

// A rule is a lock of dnf5: a version is permitted if all conditions hold. Of
// several rules for a name, one must permit it.
type rule struct {
	Name       string      `toml:"name"`
	Conditions []condition `toml:"conditions"`
}

type condition struct {
	Key        string `toml:"key"`
	Comparator string `toml:"comparator"`
	Value      string `toml:"value"`
}

func readLocks(files *rootfs.FS) (locks, error) {
	var l locks
	for _, plugin := range lockPlugins {
		place, err := lockList(files, plugin.config, plugin.list)
		if err != nil {
			return l, err
		}
		if place == "" {
			continue
		}
		data, err := files.ReadFile(place, maxLocks)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		l.patterns = append(l.patterns, parseLockList(data)...)
	}
	data, err := files.ReadFile(lockFile, maxLocks)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return l, err
	}
	var document struct {
		Packages []rule `toml:"packages"`
	}
	if _, err := toml.Decode(string(data), &document); err != nil {
		return l, probes.Because(probes.Malformed, fmt.Errorf("%s: %w", lockFile, err))
	}
	l.rules = document.Packages
	return l, nil
}

// lockList returns the list that the configuration of the plugin names; it may
// also switch the plugin off.
func lockList(files *rootfs.FS, config, list string) (string, error) {
	sections, err := ini.Read(files, config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, s := range sections {
		if s.Name == "main" && !ini.Truth(s.Values["enabled"], true) {
			return "", nil
		}
		if s.Name == "main" {
			list = cmp.Or(s.Values["locklist"], list)
		}
	}
	return list, nil
}

func parseLockList(data []byte) []string {
	var patterns []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			patterns = append(patterns, line)
		}
	}
	return patterns
}

// A verdict tells which versions the locks forbid, once it is known which
// packages there are: what a pattern means depends on that.
type verdict struct {
	locks
	allowed  []spec // versions that are locked to
	names    []string
	excluded []spec
}

// judge resolves the patterns against all packages, installed and offered. Like
// dnf, it tries the ways in which a pattern can be read and takes the first that
// means any package; the names of the ways tried are all locked.
func (l locks) judge(packages []repodata.Package) verdict {
	v := verdict{locks: l}
	for _, pattern := range l.patterns {
		text, exclude := strings.CutPrefix(pattern, "!")
		for _, s := range specs(strings.TrimSpace(text)) {
			if exclude {
				v.excluded = append(v.excluded, s)
			} else {
				v.allowed, v.names = append(v.allowed, s), append(v.names, s.name)
			}
			if slices.ContainsFunc(packages, s.means) {
				break
			}
		}
	}
	return v
}

// forbids returns the lock that forbids a package, or "".
func (v verdict) forbids(p repodata.Package) string {
	means := func(s spec) bool { return s.means(p) }
	if at := slices.IndexFunc(v.excluded, means); at >= 0 {
		return "versionlock !" + v.excluded[at].text
	}
	at := slices.IndexFunc(v.names, func(name string) bool { return glob(name, p.Name) })
	if at >= 0 && !slices.ContainsFunc(v.allowed, means) {
		return "versionlock " + v.allowed[at].text
	}
	return v.forbidsByRule(p)
}

func (v verdict) forbidsByRule(p repodata.Package) string {
	forbidden := ""
	for _, r := range v.rules {
		if !glob(r.Name, p.Name) {
			continue
		}
		if !slices.ContainsFunc(r.Conditions, func(c condition) bool { return !c.holds(p) }) {
			return ""
		}
		forbidden = "versionlock of " + r.Name
	}
	return forbidden
}

// locked reports whether a lock names a package at all.
func (v verdict) locked(name string) bool {
	return slices.ContainsFunc(v.names, func(n string) bool { return glob(n, name) }) ||
		slices.ContainsFunc(v.rules, func(r rule) bool { return glob(r.Name, name) })
}

func (c condition) holds(p repodata.Package) bool {
	var order int
	switch c.Key {
	case "evr":
		want := evr.Parse(c.Value)
		order = cmp.Or(
			evr.CompareVersions(cmp.Or(p.Epoch, "0"), want.Epoch),
			evr.CompareVersions(p.Version, want.Version),
		)
		if order == 0 && want.Release != "" {
			order = evr.CompareVersions(p.Release, want.Release)
		}
	case "epoch":
		order = evr.CompareVersions(cmp.Or(p.Epoch, "0"), c.Value)
	case "arch":
		order = strings.Compare(p.Arch, c.Value)
	default:
		return true
	}
	switch c.Comparator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	return true
}

// A spec is one way to read a pattern; what is empty is any.
type spec struct {
	text, name, epoch, version, release, arch string
}

// specs returns the ways to read a pattern, the most special one first.
func specs(text string) []spec {
	var list []spec
	whole, arch := text, ""
	if at := strings.LastIndexByte(text, '.'); at > 0 {
		whole, arch = text[:at], text[at+1:]
	}
	add := func(text, arch string, parts int) {
		s := spec{name: text, arch: arch}
		for n := parts; n > 1; n-- {
			at := strings.LastIndexByte(s.name, '-')
			if at <= 0 {
				return
			}
			part := s.name[at+1:]
			s.name = s.name[:at]
			if n == 3 {
				s.release = part
			} else {
				s.version = part
			}
		}
		if epoch, version, ok := strings.Cut(s.version, ":"); ok {
			s.epoch, s.version = epoch, version
		}
		list = append(list, s)
	}
	if arch != "" {
		add(whole, arch, 3)
	}
	add(text, "", 3)
	add(text, "", 2)
	if arch != "" {
		add(whole, arch, 1)
	}
	add(text, "", 1)
	for i := range list {
		list[i].text = text
	}
	return list
}

func (s spec) means(p repodata.Package) bool {
	return glob(s.name, p.Name) &&
		(s.epoch == "" || s.epoch == cmp.Or(p.Epoch, "0")) &&
		(s.version == "" || glob(s.version, p.Version)) &&
		(s.release == "" || glob(s.release, p.Release)) &&
		(s.arch == "" || glob(s.arch, p.Arch))
}

// glob matches as fnmatch does; a pattern that is none means itself.
func glob(pattern, text string) bool {
	if pattern == text {
		return true
	}
	matched, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), text)
	return err == nil && matched
}
