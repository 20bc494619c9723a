package pacman

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/decompress"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/pacman/vercmp"
)

// maxDesc is more than the description of any package has.
const maxDesc = 4 << 20

// An entry is a package, installed or in a repository, as its desc file says.
type entry struct {
	name, version string
	repo          string // empty if it is installed
	groups        []string
	replaces      []string
	built         time.Time
}

// parseDesc reads a desc file: "%KEY%", then one value on each line up to an
// empty one.
func parseDesc(r io.Reader) (entry, error) {
	var e entry
	key := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxDesc)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case line == "":
			key = ""
		case key == "" && len(line) > 2 && line[0] == '%' && line[len(line)-1] == '%':
			key = line
		case key == "%NAME%":
			e.name = line
		case key == "%VERSION%":
			e.version = line
		case key == "%GROUPS%":
			e.groups = append(e.groups, line)
		case key == "%REPLACES%":
			e.replaces = append(e.replaces, line)
		case key == "%BUILDDATE%":
			if seconds, err := strconv.ParseInt(line, 10, 64); err == nil && seconds > 0 {
				e.built = time.Unix(seconds, 0)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return entry{}, err
	}
	if e.name == "" || e.version == "" {
		return entry{}, malformed("a package without a name or a version")
	}
	return e, nil
}

// readLocal reads what is installed. A directory without a desc file, as there
// are while pacman is at work, is no package for pacman either. Packages that
// can be read come with the error about the others.
func readLocal(files *rootfs.FS, c configuration) ([]entry, error) {
	dir := c.place("local")
	entries, err := files.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var packages []entry
	var bad []error
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		place := path.Join(dir, e.Name(), "desc")
		data, err := files.ReadFile(place, maxDesc)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var p entry
		if err == nil {
			p, err = parseDesc(bytes.NewReader(data))
		}
		if err != nil {
			bad = append(bad, fmt.Errorf("%s: %w", place, err))
			continue
		}
		packages = append(packages, p)
	}
	if len(bad) > 3 {
		bad = append(bad[:3], fmt.Errorf("and %d more", len(bad)-3))
	}
	return packages, errors.Join(bad...)
}

// readSync reads the database of a repository and keeps the packages that have
// a wanted name or replace one.
func readSync(r io.Reader, repo string, wanted func(string) bool) ([]entry, int, error) {
	content, err := decompress.New(r)
	if err != nil {
		return nil, 0, err
	}
	defer content.Close()
	archive := tar.NewReader(content)
	var packages []entry
	count := 0
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return packages, count, nil
		}
		if err != nil {
			return nil, 0, malformed("%v", err)
		}
		if path.Base(header.Name) != "desc" || header.Typeflag != tar.TypeReg {
			continue
		}
		e, err := parseDesc(io.LimitReader(archive, maxDesc))
		if err != nil {
			return nil, 0, malformed("%s: %v", header.Name, err)
		}
		count++
		if e.repo = repo; wanted(e.name) || replacesAny(e, wanted) {
			packages = append(packages, e)
		}
	}
}

func replacesAny(e entry, wanted func(string) bool) bool {
	for _, text := range e.replaces {
		if name, _, _ := splitDependency(text); wanted(name) {
			return true
		}
	}
	return false
}

// replacesPackage reports whether an entry of a repository replaces what is
// installed, in that version.
func replacesPackage(e, local entry) bool {
	for _, text := range e.replaces {
		name, relation, version := splitDependency(text)
		if name != local.name {
			continue
		}
		order := vercmp.Compare(local.version, version)
		switch relation {
		case "":
			return true
		case "=":
			return order == 0
		case "<":
			return order < 0
		case "<=":
			return order <= 0
		case ">":
			return order > 0
		case ">=":
			return order >= 0
		}
	}
	return false
}

func splitDependency(text string) (name, relation, version string) {
	at := strings.IndexAny(text, "<>=")
	if at < 0 {
		return text, "", ""
	}
	rest := strings.TrimLeft(text[at:], "<>=")
	return text[:at], text[at : len(text)-len(rest)], rest
}

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}
