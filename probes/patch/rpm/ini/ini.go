// Package ini reads the configuration files of dnf, yum and zypper.
package ini

import (
	"bufio"
	"io"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

// A Section is one [section] of a configuration file, in the dialect that dnf
// and yum share: "key = value", lines that begin with a blank go on with the
// value, and "#" and ";" begin a comment at the start of a line only.
type Section struct {
	Name   string
	Values map[string]string
}

// Parse reads a configuration file. Lines that are none are passed over, as dnf
// does.
func Parse(r io.Reader) ([]Section, error) {
	var sections []Section
	key := ""
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t\r")
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			key = ""
			continue
		case line[0] == '#' || line[0] == ';':
			continue
		case trimmed[0] == '[' && strings.Contains(trimmed, "]"):
			name, _, _ := strings.Cut(trimmed[1:], "]")
			sections = append(sections, Section{Name: strings.TrimSpace(name), Values: map[string]string{}})
			key = ""
			continue
		case len(sections) == 0:
			continue
		}
		values := sections[len(sections)-1].Values
		if (line[0] == ' ' || line[0] == '\t') && key != "" {
			values[key] += "\n" + trimmed
			continue
		}
		name, value, ok := strings.Cut(trimmed, "=")
		if !ok {
			continue
		}
		key = strings.TrimSpace(name)
		values[key] = strings.TrimSpace(value)
	}
	return sections, lines.Err()
}

// Read reads a configuration file of the host.
func Read(files *rootfs.FS, place string) ([]Section, error) {
	file, err := files.Open(place)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Parse(file)
}

// List splits a value into words.
func List(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(", \t\n", r) })
}

// Truth reads a switch as dnf does.
func Truth(value string, otherwise bool) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "true", "on":
		return true
	case "0", "no", "false", "off":
		return false
	}
	return otherwise
}
