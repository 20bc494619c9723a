package cluster

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

// maxConfig is more than any file of settings holds.
const maxConfig = 1 << 20

// Settings are those of a program, by section and key.
type Settings map[string]map[string]string

// A Form is what the files of settings of a program look like.
type Form struct {
	Separators string // of keys and values
	Comments   string // what a line begins with that says nothing
	Fold       bool   // whether the case of keys is none
}

// Parse adds the settings of a file by section. What it does not understand, the
// program itself complains of.
func (f Form) Parse(text string, into Settings) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			if into[section] == nil {
				into[section] = map[string]string{}
			}
			continue
		}
		at := strings.IndexAny(line, f.Separators)
		if at <= 0 || into[section] == nil || strings.ContainsAny(line[:1], f.Comments) {
			continue
		}
		key := strings.TrimSpace(line[:at])
		if f.Fold {
			key = strings.ToLower(key)
		}
		into[section][key] = strings.TrimSpace(line[at+1:])
	}
}

// Read adds the settings of the first of some files that there is, and reports
// whether there is one.
func (f Form) Read(files *rootfs.FS, places []string, into Settings) (bool, error) {
	for _, place := range places {
		text, err := files.ReadFile(place, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		f.Parse(string(text), into)
		return true, nil
	}
	return false, nil
}

// Include adds the settings of all files *.conf in a directory, which may be
// missing, and reports whether there is one.
func (f Form) Include(files *rootfs.FS, dir string, into Settings) (found bool, err error) {
	entries, err := files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".conf") {
			continue
		}
		text, err := files.ReadFile(path.Join(dir, entry.Name()), maxConfig)
		if err != nil {
			return found, err
		}
		f.Parse(string(text), into)
		found = true
	}
	return found, nil
}
