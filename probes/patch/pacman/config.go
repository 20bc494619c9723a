package pacman

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

const configPath = "/etc/pacman.conf"

// A configuration is what pacman.conf(5) says about updates.
type configuration struct {
	database     string // DBPath
	log          string
	ignored      []string // IgnorePkg, patterns
	groups       []string // IgnoreGroup, patterns
	repositories []repository
}

// A repository is one section besides [options].
type repository struct {
	name     string
	upgrades bool // whether its Usage lets it upgrade packages
}

// maxIncludes is how deep files may include each other, as in pacman.
const maxIncludes = 10

func readConfiguration(files *rootfs.FS) (configuration, error) {
	c := configuration{database: "/var/lib/pacman", log: "/var/log/pacman.log"}
	section := ""
	err := c.read(files, configPath, &section, 0)
	c.database = path.Clean(c.database)
	return c, err
}

// read reads a file; the section goes on in what it includes and after it.
func (c *configuration) read(files *rootfs.FS, place string, section *string, depth int) error {
	if depth > maxIncludes {
		return fmt.Errorf("%s: files include each other too deeply", place)
	}
	file, err := files.Open(place)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			*section = line[1 : len(line)-1]
			if *section != "options" {
				c.repositories = append(c.repositories, repository{name: *section, upgrades: true})
			}
		default:
			key, value, _ := strings.Cut(line, "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if key == "Include" {
				if err := c.include(files, value, section, depth); err != nil {
					return fmt.Errorf("%s, line %d: %w", place, n, err)
				}
				continue
			}
			c.set(*section, key, value)
		}
	}
	return lines.Err()
}

func (c *configuration) set(section, key, value string) {
	words := strings.Fields(value)
	switch {
	case section != "options":
		if key == "Usage" {
			c.repositories[len(c.repositories)-1].upgrades = slices.Contains(words, "All") || slices.Contains(words, "Upgrade")
		}
	case key == "DBPath":
		c.database = value
	case key == "LogFile":
		c.log = value
	case key == "IgnorePkg":
		c.ignored = append(c.ignored, words...)
	case key == "IgnoreGroup":
		c.groups = append(c.groups, words...)
	}
}

// include reads the files that a pattern means. Patterns are supported in the
// last part of a path, which is where they are written.
func (c *configuration) include(files *rootfs.FS, pattern string, section *string, depth int) error {
	if !strings.ContainsAny(pattern, "*?[") {
		err := c.read(files, pattern, section, depth+1)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a list of mirrors says nothing that matters
		}
		return err
	}
	entries, err := files.ReadDir(path.Dir(pattern))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if ok, _ := path.Match(path.Base(pattern), e.Name()); !ok {
			continue
		}
		if err := c.read(files, path.Join(path.Dir(pattern), e.Name()), section, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// ignores returns why a package is not upgraded to a candidate, or "".
func (c *configuration) ignores(local, candidate entry) string {
	for _, pattern := range c.ignored {
		if match(pattern, local.name) || match(pattern, candidate.name) {
			return "IgnorePkg " + pattern
		}
	}
	for _, pattern := range c.groups {
		for _, group := range slices.Concat(local.groups, candidate.groups) {
			if match(pattern, group) {
				return "IgnoreGroup " + pattern
			}
		}
	}
	at := slices.IndexFunc(c.repositories, func(r repository) bool { return r.name == candidate.repo })
	if at >= 0 && !c.repositories[at].upgrades {
		return "the Usage of repository " + candidate.repo
	}
	return ""
}

func match(pattern, text string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "[!", "[^"), text)
	return pattern == text || ok && err == nil
}

// place is a file of the database.
func (c *configuration) place(parts ...string) string {
	return path.Join(append([]string{cmp.Or(c.database, "/var/lib/pacman")}, parts...)...)
}
