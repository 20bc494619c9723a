package zypp

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/ini"
)

// The places of zypper's configuration.
const (
	reposDir  = "/etc/zypp/repos.d"
	mainFile  = "/etc/zypp/zypp.conf"
	locksFile = "/etc/zypp/locks"
	vendorDir = "/etc/zypp/vendors.d"
	rawDir    = "/var/cache/zypp/raw"
)

// defaultPriority is that of a repository that has none; lower is preferred.
const defaultPriority = 99

// A repo is one enabled repository.
type repo struct {
	alias    string
	priority int
}

// dir is where the metadata of the repository is.
func (r repo) dir() string { return rawDir + "/" + strings.ReplaceAll(r.alias, "/", "_") + "/repodata" }

func readRepos(files *rootfs.FS) ([]repo, []error) {
	entries, err := files.ReadDir(reposDir)
	if err != nil {
		return nil, []error{err}
	}
	var list []repo
	var problems []error
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".repo") {
			continue
		}
		sections, err := ini.Read(files, reposDir+"/"+e.Name())
		if err != nil {
			problems = append(problems, fmt.Errorf("%s/%s: %w", reposDir, e.Name(), err))
		}
		for _, s := range sections {
			if !ini.Truth(s.Values["enabled"], true) {
				continue
			}
			r := repo{alias: s.Name, priority: defaultPriority}
			if n, err := strconv.Atoi(s.Values["priority"]); err == nil && n > 0 {
				r.priority = n
			}
			list = append(list, r)
		}
	}
	return list, problems
}

// A policy is what libzypp may do with vendors.
type policy struct {
	change bool       // to any vendor
	groups [][]string // beginnings of names of vendors that count as one, in lower case
}

func readPolicy(files *rootfs.FS) (policy, error) {
	p := policy{groups: [][]string{{"suse"}, {"opensuse"}}} // vendors that begin so are one in any case
	sections, err := ini.Read(files, mainFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	for _, s := range sections {
		if s.Name == "main" {
			p.change = ini.Truth(s.Values["solver.allowVendorChange"], false)
		}
	}
	entries, err := files.ReadDir(vendorDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	for _, e := range entries {
		sections, err := ini.Read(files, vendorDir+"/"+e.Name())
		if err != nil {
			return p, fmt.Errorf("%s/%s: %w", vendorDir, e.Name(), err)
		}
		for _, s := range sections {
			if s.Name != "main" {
				continue
			}
			var group []string
			for vendor := range strings.SplitSeq(s.Values["vendors"], ",") {
				if vendor = strings.ToLower(strings.TrimSpace(vendor)); vendor != "" {
					group = append(group, vendor)
				}
			}
			p.groups = append(p.groups, group)
		}
	}
	return p, nil
}

// permits reports whether a package may go from one vendor to another.
func (p policy) permits(from, to string) bool {
	if p.change || from == to {
		return true
	}
	from, to = strings.ToLower(from), strings.ToLower(to)
	return slices.ContainsFunc(p.groups, func(group []string) bool {
		begins := func(name string) bool {
			return slices.ContainsFunc(group, func(vendor string) bool { return strings.HasPrefix(name, vendor) })
		}
		return begins(from) && begins(to)
	})
}

// A hold is an entry of the file of locks: all that it says must fit.
type hold struct {
	names     []string
	match     string // glob, exact, substring or regex
	sensitive bool
	repo      string
	types     []string
	text      string
}

func readHolds(files *rootfs.FS) ([]hold, error) {
	data, err := files.ReadFile(locksFile, 4<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return parseHolds(string(data)), nil
}

// parseHolds reads entries of lines "key: value", with empty lines between them.
func parseHolds(text string) []hold {
	var holds []hold
	h := hold{match: "substring"}
	finish := func() {
		if len(h.names) > 0 {
			h.text = "lock of " + strings.Join(h.names, ", ")
			holds = append(holds, h)
		}
		h = hold{match: "substring"}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			finish()
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || line[0] == '#' {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "solvable_name", "query_string":
			h.names = append(h.names, value)
		case "complex": // name, operator and version; the name decides
			if words := strings.Fields(value); len(words) > 0 {
				h.names = append(h.names, words[len(words)-1])
			}
		case "match_type":
			h.match = value
		case "case_sensitive":
			h.sensitive = value == "on" || value == "true"
		case "repo":
			h.repo = value
		case "type":
			h.types = append(h.types, value)
		}
	}
	finish()
	return holds
}

// holdsBack reports whether a name from a repository is locked. An installed
// package comes from no repository.
func (h hold) holdsBack(name, alias string) bool {
	if h.repo != "" && h.repo != alias || len(h.types) > 0 && !slices.Contains(h.types, "package") {
		return false
	}
	return slices.ContainsFunc(h.names, func(pattern string) bool {
		name, pattern := name, pattern
		if !h.sensitive {
			name, pattern = strings.ToLower(name), strings.ToLower(pattern)
		}
		switch h.match {
		case "glob":
			ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), name)
			return ok && err == nil
		case "exact", "words":
			return name == pattern
		case "regex":
			expression, err := regexp.Compile(pattern)
			return err == nil && expression.MatchString(name)
		}
		return strings.Contains(name, pattern)
	})
}

// locked returns the hold of a package, or "".
func locked(holds []hold, name, alias string) string {
	at := slices.IndexFunc(holds, func(h hold) bool { return h.holdsBack(name, alias) })
	if at < 0 {
		return ""
	}
	return holds[at].text
}
