package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
)

type override struct {
	Override
	index   int
	expires time.Time // the end of its last day; zero is never
}

// A Decision says what the overrides make of a problem.
type Decision struct {
	// Owner and Severity are those of the problem, or the new ones. A problem
	// that is accepted keeps its severity.
	Owner, Severity string
	// Accepted says that somebody has taken the risk: it is not a problem.
	Accepted bool
	// Override is the index of the override that matched, or -1.
	Override int
	// Until is the instant at which the override ends; zero means never.
	Until time.Time
	// Reason and By are those of the override.
	Reason, By string
}

func newOverride(c Override, zone *time.Location) (override, error) {
	made := override{Override: c}
	var errs []error
	if c.Object != "" && !doublestar.ValidatePattern(c.Object) {
		errs = append(errs, probes.At("object", fmt.Errorf("%.40q is not a valid pattern", c.Object)))
	}
	severities := []string{"", Critical, Warning, Info, None}
	if !slices.Contains(severities, c.Severity) {
		errs = append(errs, probes.At("severity", fmt.Errorf("%.40q is not one of critical, warning, info, none", c.Severity)))
	}
	if c.Owner == "" && c.Severity == "" {
		errs = append(errs, errors.New("changes nothing; give it an owner or a severity"))
	}
	switch {
	case c.Until != "":
		day, err := date(c.Until)
		errs = append(errs, probes.At("until", err))
		made.expires = startOfDay(day.Add(dayLength), zone)
	case c.Severity == None:
		errs = append(errs, probes.At("until", errors.New("is missing; a risk is accepted until a date")))
	}
	if c.Severity == None && c.Reason == "" {
		errs = append(errs, probes.At("reason", errors.New("is missing; a risk is accepted for a reason")))
	}
	return made, errors.Join(errs...)
}

// startOfDay returns the first instant of a day in the zone, also where the
// clock skips midnight.
func startOfDay(day time.Time, zone *time.Location) time.Time {
	year, month, number := day.Date()
	t := time.Date(year, month, number, 0, 0, 0, 0, zone)
	if hour, minute, _ := t.Clock(); hour == 0 && minute == 0 {
		return t.UTC()
	}
	begin, end := t.ZoneBounds()
	if t.Day() == number { // already counted with the new offset
		return begin.UTC()
	}
	return end.UTC()
}

// Decide returns what the first matching override says, or the problem's own
// owner and severity.
func (p *Policy) Decide(s Subject, at time.Time) Decision {
	d := Decision{Owner: s.Owner, Severity: s.Severity, Override: -1}
	for _, o := range p.overrides {
		if !o.matches(s, at) {
			continue
		}
		d.Override, d.Until, d.Reason, d.By = o.index, o.expires, o.Reason, o.By
		d.Accepted = o.Severity == None
		if o.Owner != "" {
			d.Owner = o.Owner
		}
		if o.Severity != "" && !d.Accepted {
			d.Severity = o.Severity
		}
		break
	}
	return d
}

func (o *override) matches(s Subject, at time.Time) bool {
	return (o.Probe == "" || o.Probe == s.Probe) &&
		(o.Check == "" || o.Check == s.Check) &&
		(o.expires.IsZero() || at.Before(o.expires)) &&
		(o.Object == "" || doublestar.MatchUnvalidated(o.Object, s.Object))
}
