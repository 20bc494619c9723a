package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
)

// A level is one of the series of trees that rsnapshot keeps.
type level struct {
	name string
	keep int
}

// A backupPoint is what rsnapshot copies, and where to below each tree.
type backupPoint struct {
	source, place string
	script        bool // it is what a script writes
}

// A configuration is what counts of that of rsnapshot.
type configuration struct {
	root          string
	levels        []level // the first is the one that is copied, the others are turned
	points        []backupPoint
	lock, log     string
	syncFirst     bool
	longArguments string
	notes         []string
	files         int
}

// reader reads a file of the configuration.
type reader func(path string) ([]byte, error)

const (
	maxIncluded = 8  // how deep one file may include another
	maxFiles    = 64 // of a configuration in all
)

// parseConfiguration reads the configuration of rsnapshot, and what it includes.
// Its fields are separated by tabs, and a line that begins with a blank goes on
// with the one before.
func parseConfiguration(name string, read reader) (configuration, error) {
	c := configuration{longArguments: "--relative"}
	if err := c.include(name, read, 0); err != nil {
		return c, err
	}
	switch {
	case c.root == "":
		return c, probes.Because(probes.Malformed, fmt.Errorf("%s: there is no snapshot_root", name))
	case !path.IsAbs(c.root):
		return c, probes.Because(probes.Malformed, fmt.Errorf("%s: the snapshot_root %.80q is not an absolute path", name, c.root))
	case len(c.levels) == 0:
		return c, probes.Because(probes.Malformed, fmt.Errorf("%s: nothing is retained", name))
	}
	c.root = path.Clean(c.root)
	return c, nil
}

func (c *configuration) include(name string, read reader, depth int) error {
	if c.files++; depth > maxIncluded || c.files > maxFiles {
		return probes.Because(probes.Malformed, fmt.Errorf("%s is one file too many, or includes itself", name))
	}
	data, err := read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return probes.Because(probes.NotFound, fmt.Errorf("there is no configuration of rsnapshot at %s", name))
	}
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))) {
		line = strings.TrimSuffix(line, "\n")
		if len(lines) > 0 && line != "" && strings.ContainsRune(" \t", rune(line[0])) {
			lines[len(lines)-1] += "\t" + strings.TrimSpace(line)
			lines = append(lines, "") // so that the numbers stay
			continue
		}
		lines = append(lines, line)
	}
	for i, line := range lines {
		if line == "" || line[0] == '#' {
			continue
		}
		if err := c.line(line, read, depth); err != nil {
			return fmt.Errorf("%s line %d: %w", name, i+1, err)
		}
	}
	return nil
}

// line takes over one line.
func (c *configuration) line(line string, read reader, depth int) error {
	var fields []string
	for field := range strings.SplitSeq(line, "\t") {
		if field = strings.TrimSpace(field); field != "" {
			fields = append(fields, field)
		}
	}
	key, values := fields[0], fields[1:]
	malformed := func(format string, args ...any) error {
		return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
	}
	need := map[string]int{"snapshot_root": 1, "retain": 2, "interval": 2, "backup": 2, "backup_script": 2, "lockfile": 1, "logfile": 1, "include_conf": 1, "sync_first": 1, "rsync_long_args": 1}
	if len(values) < need[key] || strings.Contains(key, " ") {
		return malformed("%.40q lacks a value; are there blanks where a tab should be?", key)
	}
	switch key {
	case "snapshot_root":
		c.root = values[0]
	case "retain", "interval":
		n, err := strconv.Atoi(values[1])
		if err != nil || n < 1 || strings.ContainsAny(values[0], "/.") {
			return malformed("%.40q %.40q is no level and its number", values[0], values[1])
		}
		c.levels = append(c.levels, level{values[0], n})
	case "backup", "backup_script":
		c.points = append(c.points, backupPoint{values[0], values[1], key == "backup_script"})
	case "lockfile":
		c.lock = values[0]
	case "logfile":
		c.log = values[0]
	case "sync_first":
		c.syncFirst = values[0] == "1"
	case "rsync_long_args":
		c.longArguments = strings.Join(values, " ")
	case "include_conf":
		if strings.HasPrefix(values[0], "`") {
			c.notes = append(c.notes, "the configuration includes what a command prints, which is not looked at")
			return nil
		}
		return c.include(values[0], read, depth+1)
	}
	return nil
}

// expected is where a backup point lies below a tree, as far as the
// configuration tells.
func (c *configuration) expected(p backupPoint) string {
	if p.script || !strings.Contains(c.longArguments, "--relative") {
		return p.place
	}
	source := p.source
	if before, after, remote := strings.Cut(source, ":"); remote && !strings.Contains(before, "/") {
		source = after
	}
	switch {
	case strings.HasPrefix(source, ":"), strings.Contains(p.source, "://"), !path.IsAbs(source):
		return p.place // a module of a server, or a snapshot of LVM
	}
	if _, below, cut := strings.Cut(source, "/./"); cut {
		source = below
	}
	return path.Join(p.place, source)
}
