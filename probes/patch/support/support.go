// Package support tells until when the publisher of a distribution gives
// security updates, phase by phase: from the data that the host itself brings
// (os-release, distro-info), and else from a table that knows its own age.
package support

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/assignments"
	"hygiene_exporter/probes/internal/rootfs"
)

// The phases of support, in their order.
const (
	Standard = "standard" // for everybody
	LTS      = "lts"      // by others or with less, and for everybody
	Extended = "extended" // for those who pay for it
)

// Phases lists the closed set.
func Phases() []string { return []string{Standard, LTS, Extended} }

// A State is what is known of a host.
type State struct {
	Name    string // such as "debian 12"
	Ends    map[string]time.Time
	Covered time.Time // end of the last phase that this host gets; zero if unknown
	Rolling bool      // there are no releases that could end
	Table   bool      // something is from the table of this package
	Notes   []string
}

// Read looks at the host.
func Read(files *rootfs.FS) (State, error) {
	release, err := osRelease(files)
	if err != nil {
		return State{}, err
	}
	id, version := release["ID"], release["VERSION_ID"]
	s := State{Name: strings.TrimSpace(id + " " + version), Ends: map[string]time.Time{}}
	if id == "raspbian" {
		id = "debian"
	}
	if id == "centos" && strings.Contains(release["NAME"], "Stream") {
		id = "centos stream"
	}
	if slices.Contains(rolling, id) || id == "debian" && version == "" {
		s.Rolling = true
		s.Notes = append(s.Notes, s.Name+" has no releases that end.")
		return s, nil
	}
	s.set(Standard, date(release["SUPPORT_END"]), "SUPPORT_END of os-release")
	s.set(Standard, productEnd(files), product)
	if id == "debian" || id == "ubuntu" {
		if err := s.fromDistroInfo(files, id, version); err != nil {
			s.Notes = append(s.Notes, fmt.Sprintf("distro-info is not read: %v.", err))
		}
	}
	s.fromTable(id, version)
	s.cover(files, id)
	if s.Covered.IsZero() {
		s.Notes = append(s.Notes, "Until when "+s.Name+" is supported is not known.")
	}
	return s, nil
}

// set records the end of a phase, of which the first source counts.
func (s *State) set(phase string, end time.Time, source string) bool {
	if end.IsZero() || !s.Ends[phase].IsZero() {
		return false
	}
	s.Ends[phase] = end
	s.Notes = append(s.Notes, fmt.Sprintf("%s until %s, says %s.", phase, end.Format(time.DateOnly), source))
	return true
}

// cover decides which phase is the last one of this host.
func (s *State) cover(files *rootfs.FS, id string) {
	phases := []string{Standard, LTS}
	if id == "ubuntu" && subscribed(files) {
		phases = append(phases, Extended)
		s.Notes = append(s.Notes, "The host is attached to Ubuntu Pro with esm-infra.")
	}
	for _, phase := range phases {
		if end := s.Ends[phase]; end.After(s.Covered) {
			s.Covered = end
		}
	}
}

func (s *State) fromTable(id, version string) {
	for _, r := range table {
		if r.id != id || version != r.release && !strings.HasPrefix(version, r.release+".") {
			continue
		}
		source := "a table of " + TableDate.Format(time.DateOnly)
		for i, end := range []string{r.standard, r.lts, r.extended} {
			s.Table = s.set(Phases()[i], date(end), source) || s.Table
		}
	}
}

// distroInfo are the columns of distro-info-data for each phase.
var distroInfo = map[string]map[string][]string{
	"debian": {Standard: {"eol"}, LTS: {"eol-lts"}, Extended: {"eol-elts"}},
	"ubuntu": {Standard: {"eol-server", "eol"}, Extended: {"eol-esm"}},
}

func (s *State) fromDistroInfo(files *rootfs.FS, id, version string) error {
	path := "/usr/share/distro-info/" + id + ".csv"
	data, err := files.ReadFile(path, 4<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	ends, err := parseDistroInfo(bytes.NewReader(data), id, version)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, phase := range Phases() {
		s.set(phase, ends[phase], path)
	}
	return nil
}

// parseDistroInfo returns the ends of the phases of one release.
func parseDistroInfo(r io.Reader, id, version string) (map[string]time.Time, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = -1 // what is not known yet is left out at the end
	columns, err := rows.Read()
	if err != nil {
		return nil, err
	}
	ends := map[string]time.Time{}
	for {
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return ends, nil
		} else if err != nil {
			return nil, err
		}
		value := func(column string) string {
			if at := slices.Index(columns, column); at >= 0 && at < len(fields) {
				return fields[at]
			}
			return ""
		}
		if number, _, _ := strings.Cut(value("version"), " "); number != version {
			continue
		}
		for phase, names := range distroInfo[id] {
			for _, column := range names {
				if end := date(value(column)); !end.IsZero() && ends[phase].IsZero() {
					ends[phase] = end
				}
			}
		}
	}
}

// subscribed reports whether Ubuntu Pro gives this host extended updates of the
// base system.
func subscribed(files *rootfs.FS) bool {
	data, err := files.ReadFile("/var/lib/ubuntu-advantage/status.json", 4<<20)
	if err != nil {
		return false
	}
	var status struct {
		Attached bool `json:"attached"`
		Services []struct {
			Name   string `json:"name"`
			Status string `json:"status"`
		} `json:"services"`
	}
	if json.Unmarshal(data, &status) != nil || !status.Attached {
		return false
	}
	for _, service := range status.Services {
		if service.Name == "esm-infra" && service.Status == "enabled" {
			return true
		}
	}
	return false
}

// product describes the installed product of SUSE.
const product = "/etc/products.d/baseproduct"

var endOfLife = regexp.MustCompile(`<endoflife>\s*(\d{4}-\d{2}-\d{2})\s*</endoflife>`)

// productEnd is the end of general support that a product of SUSE names; zero if
// it names none.
func productEnd(files *rootfs.FS) time.Time {
	data, err := files.ReadFile(product, 4<<20)
	if err != nil {
		return time.Time{}
	}
	if match := endOfLife.FindSubmatch(data); match != nil {
		return date(string(match[1]))
	}
	return time.Time{}
}

// osRelease reads os-release(5).
func osRelease(files *rootfs.FS) (map[string]string, error) {
	data, err := files.ReadFile("/etc/os-release", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = files.ReadFile("/usr/lib/os-release", 1<<20)
	}
	if err != nil {
		return nil, err
	}
	return assignments.Parse(data), nil
}
