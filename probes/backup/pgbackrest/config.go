package pgbackrest

import (
	"fmt"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
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

// places lists where pgBackRest looks for its configuration.
func places(named string) []string {
	if named != "" {
		return []string{named}
	}
	return []string{"/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"}
}

func form() cluster.Form { return cluster.Form{Separators: "=", Comments: "#"} }

// configuration reads the settings of the repository.
func (r *repository) configuration() (settings, error) {
	sections := cluster.Settings{}
	found, err := form().Read(r.host.Files, places(r.options.ConfigFile), sections)
	if err != nil {
		return settings{}, err
	}
	if r.options.ConfigFile == "" {
		included, err := form().Include(r.host.Files, "/etc/pgbackrest/conf.d", sections)
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

// settings picks those of the repository. What is said of the stanza counts for
// more than what is said for all.
func (r *repository) settings(sections cluster.Settings) (settings, error) {
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
