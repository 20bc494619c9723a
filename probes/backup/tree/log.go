package tree

import (
	"regexp"
	"strings"
	"time"
)

// A run is one of rsnapshot, as its log tells.
type run struct {
	level      string
	begin, end time.Time // end is zero when it did not come to its end
	copied     bool      // it had begun to copy
	failed     string    // the first error, or what was left out
	warned     string    // the first warning
}

var (
	logged = regexp.MustCompile(`^\[([^\]]{10,40})\] (.*)$`)
	// started and ended match what rsnapshot says of a run; before the level stand
	// its options.
	started = regexp.MustCompile(`rsnapshot(?: .*)? (\S+): started$`)
	ended   = regexp.MustCompile(`rsnapshot(?: .*)? (\S+): completed(?: successfully|, but with some (warnings|errors))$`)
	copying = regexp.MustCompile(`^\S*rsync\S* `)
)

// parseLog reads the log of rsnapshot, oldest run first. Its times have no zone.
func parseLog(text string, zone *time.Location) []run {
	var runs []run
	open := false
	for line := range strings.Lines(text) {
		m := logged.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		if m == nil {
			continue
		}
		at, err := moment(m[1], zone)
		if err != nil {
			continue
		}
		said := m[2]
		if s := started.FindStringSubmatch(said); s != nil {
			runs, open = append(runs, run{level: s[1], begin: at}), true
			continue
		}
		if !open {
			continue
		}
		r := &runs[len(runs)-1]
		if e := ended.FindStringSubmatch(said); e != nil {
			if e[1] != r.level {
				continue
			}
			r.end, open = at, false
			switch {
			case e[2] == "errors" && r.failed == "":
				r.failed = "it completed, but with some errors"
			case e[2] == "warnings" && r.warned == "":
				r.warned = "it completed, but with some warnings"
			}
			continue
		}
		switch _, problem, _ := strings.Cut(said, "ERROR: "); {
		case copying.MatchString(said):
			r.copied = true
		case problem != "" && r.failed == "":
			r.failed = problem
		case strings.Contains(said, "transferred partially") && r.failed == "":
			r.failed = said // what could not be read is not in the tree
		case strings.Contains(said, "WARNING: ") && r.warned == "":
			r.warned = said
		}
	}
	return runs
}

// moment reads a time of the log: of rsnapshot 1.4, and of those before.
func moment(text string, zone *time.Location) (time.Time, error) {
	at, err := time.ParseInLocation("2006-01-02T15:04:05", text, zone)
	if err != nil {
		at, err = time.ParseInLocation("02/Jan/2006:15:04:05", text, zone)
	}
	return at, err
}

// slack is how much later than its time in the log something may happen.
const slack = 2 * time.Second

// of returns the run that made the tree of an instant, which rsnapshot gives the
// tree when it has copied, and the one after it that went wrong before that, if
// any. nil: the log does not tell.
func of(runs []run, name string, at time.Time) (made, broken *run) {
	for i := range runs {
		r := &runs[i]
		switch {
		case r.level != name:
		case r.begin.After(at.Add(slack)):
			if r.end.IsZero() && r.copied {
				broken = r
			} else if !r.end.IsZero() {
				broken = nil
			}
		default:
			made = r
		}
	}
	return made, broken
}
