package pgbackrest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
)

// settings are what the configuration of pgBackRest says of one repository.
type settings struct {
	kind  string // posix, s3 and so on
	path  string
	host  string // that holds the repository; empty: this one
	pass  string // of an encrypted repository
	locks string // directory of lock files
}

// local reports whether the repository is a directory of this host.
func (s settings) local() bool {
	return s.host == "" && slices.Contains([]string{"posix", "cifs"}, s.kind)
}

// media is what the repository lies on.
func (s settings) media() string {
	switch {
	case s.host != "" || s.kind == "sftp":
		return "server"
	case s.local():
		return "disk"
	}
	return "object_storage"
}

const maxConfig = 1 << 20

// places lists where pgBackRest looks for its configuration.
func places(named string) []string {
	if named != "" {
		return []string{named}
	}
	return []string{"/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"}
}

// configuration reads the settings of the repository.
func (r *repository) configuration() (settings, error) {
	sections := map[string]map[string]string{}
	found := false
	for _, place := range places(r.options.ConfigFile) {
		text, err := r.host.Files.ReadFile(place, maxConfig)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return settings{}, err
		}
		parseConfig(string(text), sections)
		found = true
		break
	}
	if r.options.ConfigFile == "" {
		included, err := r.include(sections)
		if err != nil {
			return settings{}, err
		}
		found = found || included
	}
	if !found {
		return settings{}, probes.Because(probes.NotFound, fmt.Errorf("there is no configuration of pgBackRest at %s", strings.Join(places(r.options.ConfigFile), " or ")))
	}
	if sections[r.options.Stanza] == nil {
		return settings{}, probes.Because(probes.NotFound, fmt.Errorf("the configuration of pgBackRest has no stanza %.80q", r.options.Stanza))
	}
	return r.settings(sections)
}

// include reads the directory of further configuration files.
func (r *repository) include(sections map[string]map[string]string) (found bool, err error) {
	const dir = "/etc/pgbackrest/conf.d"
	entries, err := r.host.Files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".conf") {
			continue
		}
		text, err := r.host.Files.ReadFile(path.Join(dir, entry.Name()), maxConfig)
		if err != nil {
			return found, err
		}
		parseConfig(string(text), sections)
		found = true
	}
	return found, err
}

// parseConfig adds the settings of a file by section. What it does not
// understand, pgBackRest itself complains of.
func parseConfig(text string, sections map[string]map[string]string) {
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			if sections[section] == nil {
				sections[section] = map[string]string{}
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && sections[section] != nil && !strings.HasPrefix(line, "#") {
			sections[section][strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
}

// settings picks those of the repository. What is said of the stanza counts for
// more than what is said for all.
func (r *repository) settings(sections map[string]map[string]string) (settings, error) {
	get := func(fallback string, keys ...string) string {
		for _, section := range []string{r.options.Stanza, "global"} {
			for _, key := range keys {
				if value, set := sections[section][key]; set {
					return value
				}
			}
		}
		return fallback
	}
	option := func(name, fallback string) string {
		keys := []string{"repo" + r.number() + "-" + name}
		if r.number() == "1" {
			keys = append(keys, "repo-"+name) // as older versions call it
		}
		return get(fallback, keys...)
	}
	s := settings{
		kind: option("type", "posix"), path: option("path", ""), host: option("host", ""),
		pass: option("cipher-pass", ""), locks: get("/tmp/pgbackrest", "lock-path"),
	}
	switch {
	case s.path == "" && s.host == "" && r.number() != "1":
		return s, probes.Because(probes.NotFound, fmt.Errorf("the configuration of pgBackRest has no repository %s", r.number()))
	case s.path == "":
		s.path = "/var/lib/pgbackrest"
	}
	return s, nil
}
