package apt

import (
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/decompress"
	"hygiene_exporter/probes/patch/apt/deb822"
	"hygiene_exporter/probes/patch/updates"
)

// An operation is one entry of apt's log, history.log.
type operation struct {
	ended    time.Time
	upgraded bool
	failed   bool
}

// readHistory reads a log, whose times are local ones without a zone.
func readHistory(source io.Reader, zone *time.Location, each func(operation)) error {
	scanner := deb822.NewScanner(source)
	for scanner.Next() {
		var o operation
		scanner.Stanza().Fields(func(name, value []byte) bool {
			switch string(name) {
			case "End-Date":
				o.ended, _ = time.ParseInLocation("2006-01-02 15:04:05", strings.Join(strings.Fields(string(value)), " "), zone)
			case "Upgrade":
				o.upgraded = true
			case "Error":
				o.failed = true
			}
			return true
		})
		each(o)
	}
	return scanner.Err()
}

// maxLogs is how many rotated logs are searched for the last upgrade.
const maxLogs = 12

// lastUpgrade returns when packages were last upgraded with success, from the
// newest log that knows. Where nothing is known, the line says why.
func (v *view) lastUpgrade() (time.Time, string) {
	zone := v.zone()
	log := v.conf.File("Dir::Log::History")
	for n := range maxLogs + 1 {
		names := []string{log}
		if n > 0 {
			names = []string{fmt.Sprintf("%s.%d.gz", log, n), fmt.Sprintf("%s.%d", log, n)}
		}
		var last time.Time
		for _, name := range names {
			err := v.tracked.stream(name, func(file io.Reader) error {
				plain, err := decompress.New(file)
				if err != nil {
					return err
				}
				defer plain.Close()
				return readHistory(plain, zone, func(o operation) {
					if o.upgraded && !o.failed && o.ended.After(last) {
						last = o.ended
					}
				})
			})
			if err != nil && !isMissing(err) {
				return time.Time{}, fmt.Sprintf("When packages were last upgraded is not known: %v.", err)
			}
		}
		if !last.IsZero() {
			return last, fmt.Sprintf("Packages were last upgraded at %s UTC, by %s.", last.UTC().Format(time.DateTime), names[0])
		}
	}
	return time.Time{}, "When packages were last upgraded is not known: the logs of apt tell of no upgrade."
}

// zone returns the time zone of the host.
func (v *view) zone() *time.Location {
	data, err := v.tracked.config("/etc/localtime")
	if err == nil && len(data) > 0 {
		if zone, err := time.LoadLocationFromTZData("Local", data); err == nil {
			return zone
		}
	}
	return time.UTC
}

// automatic tells whether unattended-upgrades is switched on, and when it last
// succeeded: apt's daily job touches its stamp only then.
func (v *view) automatic() updates.Automatic {
	a := updates.Automatic{Enabled: updates.No}
	note := func(format string, args ...any) { a.Notes = append(a.Notes, fmt.Sprintf(format, args...)) }
	every := v.conf.Find("APT::Periodic::Unattended-Upgrade", "0")
	installed := v.packages.byName["unattended-upgrades"]
	switch {
	case v.confBroken:
		a.Enabled = updates.Unknown
		note("Whether updates are installed automatically is not known, because the configuration of apt is not.")
		return a
	case every == "0" || !v.conf.Bool("APT::Periodic::Enable", true):
		note("Updates are not installed automatically: APT::Periodic does not say so.")
		return a
	case len(installed) == 0:
		note("Updates are not installed automatically: unattended-upgrades is not installed, although APT::Periodic::Unattended-Upgrade is %q.", every)
		return a
	}
	a.Enabled = updates.Yes
	note("Updates are installed automatically: APT::Periodic::Unattended-Upgrade is %q, and unattended-upgrades is installed.", every)
	for _, name := range []string{"upgrade-stamp", "unattended-upgrades-stamp"} {
		stamp := path.Join(v.conf.File("Dir::State"), "periodic", name)
		v.tracked.note(stamp)
		if info, err := v.tracked.files.Stat(stamp); err == nil {
			a.LastSuccess = info.ModTime()
			note("It last succeeded at %s UTC, by %s.", a.LastSuccess.UTC().Format(time.DateTime), stamp)
			return a
		}
	}
	note("It has never succeeded: there is no stamp of it.")
	return a
}
