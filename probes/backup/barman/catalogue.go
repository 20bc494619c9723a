package barman

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/wal"
)

// settings are what the configuration of Barman says of a server.
type settings struct {
	base, wals, incoming, errors, locks string // directories
}

const (
	maxInfo = 1 << 20
)

// places lists where Barman looks for its configuration.
func places(named string) []string {
	if named != "" {
		return []string{named}
	}
	return []string{"/etc/barman.conf", "/etc/barman/barman.conf"}
}

// form is that of Python's configparser.
func form() cluster.Form { return cluster.Form{Separators: "=:", Comments: "#;", Fold: true} }

// configuration reads the settings of the server.
func (s *server) configuration() (settings, error) {
	sections := cluster.Settings{}
	found, err := form().Read(s.host.Files, places(s.options.ConfigFile), sections)
	if err != nil {
		return settings{}, err
	}
	if !found {
		return settings{}, probes.Because(probes.NotFound, fmt.Errorf("there is no configuration of Barman at %s", strings.Join(places(s.options.ConfigFile), " or ")))
	}
	if dir := sections["barman"]["configuration_files_directory"]; dir != "" {
		if _, err := form().Include(s.host.Files, dir, sections); err != nil {
			return settings{}, err
		}
	}
	if sections[s.options.Server] == nil {
		return settings{}, probes.Because(probes.NotFound, fmt.Errorf("the configuration of Barman has no server %.80q", s.options.Server))
	}
	return settingsOf(s.options.Server, sections), nil
}

func settingsOf(server string, sections cluster.Settings) settings {
	get := func(key, fallback string) string {
		for _, section := range []string{server, "barman"} {
			if value := sections[section][key]; value != "" {
				return strings.NewReplacer("%(barman_home)s", sections["barman"]["barman_home"], "%(name)s", server).Replace(value)
			}
		}
		return fallback
	}
	home := get("barman_home", "/var/lib/barman")
	top := get("backup_directory", path.Join(home, server))
	return settings{
		base:     get("basebackups_directory", path.Join(top, "base")),
		wals:     get("wals_directory", path.Join(top, "wals")),
		incoming: get("incoming_wals_directory", path.Join(top, "incoming")),
		errors:   get("errors_directory", path.Join(top, "errors")),
		locks:    get("barman_lock_directory", home),
	}
}

// identifier is the name of a backup.
var identifier = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}$`)

// A backup is what backup.info says of one.
type backup struct {
	id, dir            string
	status, failure    string
	mode               string // postgres, rsync-exclusive, rsync-concurrent, snapshot and so on
	encryption         string // of Barman 3.13 and later
	beginWAL, endWAL   string
	segment            int64 // size of one
	size, deduplicated int64
	end                time.Time
	tablespaces        bool
	err                error // why it cannot be restored, or could not be seen
}

// parse reads backup.info, in which each line is a key and a value.
func (b *backup) parse(text string) error {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if !ok || !strings.HasSuffix(line, "\n") {
			return job.Flawed(job.Damaged, "its backup.info has a line %.60q", line)
		}
		if value == "None" {
			value = ""
		}
		values[key] = value
	}
	b.status, b.failure, b.mode, b.encryption = values["status"], values["error"], values["mode"], values["encryption"]
	b.beginWAL, b.endWAL, b.tablespaces = values["begin_wal"], values["end_wal"], values["tablespaces"] != ""
	if b.status == "" {
		return job.Flawed(job.Truncated, "its backup.info does not say how the backup has ended")
	}
	if b.status != "DONE" && b.status != "WAITING_FOR_WALS" {
		return nil
	}
	var errs [4]error
	b.segment, errs[0] = strconv.ParseInt(values["xlog_segment_size"], 10, 64)
	b.size, errs[1] = strconv.ParseInt(values["size"], 10, 64)
	b.end, errs[2] = time.Parse("2006-01-02 15:04:05.999999-07:00", values["end_time"])
	if b.segment > 0 {
		_, errs[3] = wal.ParseSegment(b.endWAL, b.segment)
	}
	if err := errors.Join(errs[:]...); err != nil || b.segment < 1<<20 || b.size < 0 {
		return job.Flawed(job.Damaged, "its backup.info cannot be read: %v", err)
	}
	b.deduplicated = b.size
	if n, err := strconv.ParseInt(values["deduplicated_size"], 10, 64); err == nil && n >= 0 {
		b.deduplicated = n
	}
	return nil
}

// data is the directory of the base backup.
func (b backup) data() string { return path.Join(b.dir, "data") }

func (b backup) unit() job.Unit {
	return job.Unit{ID: b.id, Bytes: max(b.size, 1), Stamp: b.end.UTC().Format(time.RFC3339Nano)}
}

func (b backup) point(l *cluster.Logs) job.Point {
	p := job.Point{ID: b.id, At: b.end, Type: b.mode, Units: []string{b.id}}
	if b.err == nil {
		p.Size = job.Of(b.size)
		p.Units = append(p.Units, l.UnitsOf(b.beginWAL, b.endWAL)...)
	}
	return p
}
