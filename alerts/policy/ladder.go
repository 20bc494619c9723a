package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A calendar says when a tier may fall due.
type calendar interface {
	// next returns the first instant inside the calendar at or after t.
	next(t time.Time) time.Time
}

type always struct{}

func (always) next(t time.Time) time.Time { return t }

type ladder struct {
	tiers    []time.Duration
	calendar calendar
}

// ladder finds the ladder of a problem: that of its check, else that of its
// owner, else that of its severity.
func (p *Policy) ladder(s Subject) (ladder, bool) {
	if s.Severity != Critical && s.Severity != Warning {
		return ladder{}, false
	}
	check := "check/" + s.Probe + "/" + s.Check
	owner := "owner/" + s.Owner
	for _, name := range []string{check + "/" + s.Severity, check, owner + "/" + s.Severity, owner, s.Severity} {
		if l, ok := p.ladders[name]; ok {
			return l, true
		}
	}
	return ladder{}, false
}

func newLadders(policies map[string]Ladder, hours calendar) (map[string]ladder, error) {
	var errs []error
	for _, severity := range []string{Critical, Warning} {
		if _, ok := policies[severity]; !ok {
			errs = append(errs, probes.At(severity, errors.New("is missing; without it nobody would be told")))
		}
	}
	ladders := make(map[string]ladder, len(policies))
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		made, err := newLadder(policies[name], hours)
		ladders[name] = made
		errs = append(errs, probes.At(name, errors.Join(checkLadderName(name), err)))
	}
	return ladders, errors.Join(errs...)
}

func newLadder(l Ladder, hours calendar) (ladder, error) {
	var errs []error
	made := ladder{calendar: always{}}
	switch l.Calendar {
	case "", Always:
	case Working:
		made.calendar = hours
	default:
		errs = append(errs, probes.At("calendar", fmt.Errorf("%.40q is neither %s nor %s", l.Calendar, Always, Working)))
	}
	if n := len(l.Tiers); n < 1 || n > MaxTiers {
		errs = append(errs, probes.At("tiers", fmt.Errorf("must be one to %d durations, not %d", MaxTiers, n)))
	}
	earlier := probes.Duration(0)
	for i, tier := range l.Tiers {
		if tier < earlier {
			errs = append(errs, probes.At(fmt.Sprintf("tiers[%d]", i), fmt.Errorf("must be at least %s, not %s", earlier, tier)))
		}
		earlier = max(earlier, tier)
		made.tiers = append(made.tiers, time.Duration(tier))
	}
	return made, errors.Join(errs...)
}

// checkLadderName refuses a name that no problem would ever look for.
func checkLadderName(name string) error {
	kind, rest, compound := strings.Cut(name, "/")
	parts := strings.Split(rest, "/")
	last := parts[len(parts)-1]
	switch {
	case name == Critical, name == Warning:
		return nil
	case name == Info, compound && last == Info:
		return errors.New("info has no tiers")
	case kind == "owner" && compound && rest != "" && last != "":
		return nil
	case kind == "check" && !slices.Contains(parts, "") &&
		(len(parts) == 2 || len(parts) == 3 && (last == Critical || last == Warning)):
		return nil
	}
	return errors.New("is neither critical, warning, owner/NAME nor check/PROBE/CHECK")
}
