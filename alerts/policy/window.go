package policy

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"hygiene_exporter/probes"
)

// A window is a planned maintenance. Its schedule is asked in the time that a
// clock on the wall shows, written as UTC, so that hours which the zone skips
// or repeats are treated here and not by the library.
type window struct {
	name     string
	probes   []string
	length   time.Duration
	zone     *time.Location
	schedule cron.Schedule
}

func newWindow(c Maintenance, zone *time.Location) (window, error) {
	var errs []error
	if c.Name == "" {
		errs = append(errs, probes.At("name", errors.New("is missing")))
	}
	if c.Duration <= 0 {
		errs = append(errs, probes.At("duration", fmt.Errorf("must be above 0, not %s", c.Duration)))
	}
	schedule, err := parseCron(c.Cron)
	errs = append(errs, probes.At("cron", err))
	return window{
		name: c.Name, probes: c.Probes, length: time.Duration(c.Duration), zone: zone, schedule: schedule,
	}, errors.Join(errs...)
}

// parseCron reads a line of five fields. The library takes a zone in front as
// well, and cannot stand it alone.
func parseCron(line string) (cron.Schedule, error) {
	if strings.Contains(line, "=") {
		return nil, fmt.Errorf("%.40q has a time zone; set escalation.timezone", line)
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, err := parser.Parse(line)
	if err != nil {
		return nil, fmt.Errorf("%.40q is not a cron line of five fields: %w", line, err)
	}
	// The library gives up after five years; from a leap year on they hold every day there is.
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("%.40q never comes", line)
	}
	return schedule, nil
}

// active reports whether at lies in the window, and when the window ends. It
// goes back through the spans in which the clock on the wall runs evenly, to
// the last start that is younger than the length of the window.
func (w *window) active(at time.Time) (end time.Time, ok bool) {
	at = at.UTC().Round(0)
	oldest := at.Add(-w.length) // exclusive
	for last := at; last.After(oldest); {
		local := last.In(w.zone)
		_, offset := local.Zone()
		begin, _ := local.ZoneBounds()
		shift := time.Duration(offset) * time.Second
		span := last.Sub(oldest)
		if !begin.IsZero() && begin.After(oldest) {
			span = last.Sub(begin) + 1 // the first instant of the span counts
		}
		if start, ok := w.lastStart(last.Add(shift), span); ok {
			return start.Add(w.length - shift), true
		}
		if begin.IsZero() || !begin.After(oldest) {
			break
		}
		_, before := begin.Add(-1).In(w.zone).Zone()
		skipped := shift - time.Duration(before)*time.Second
		if _, ok := w.lastStart(begin.UTC().Add(shift-1), skipped); ok && skipped > 0 {
			return begin.UTC().Add(w.length), true
		}
		last = begin.UTC().Add(-1)
	}
	return time.Time{}, false
}

// lastStart finds the last start in the given span up to and including wall.
// The library only looks forward, so it asks for the shortest whole number of
// minutes to go back to find a start.
func (w *window) lastStart(wall time.Time, span time.Duration) (time.Time, bool) {
	if span <= 0 {
		return time.Time{}, false
	}
	after := func(minutes int) time.Time {
		back := min(time.Duration(minutes)*time.Minute, span)
		// A start lies on a full second, and the library looks behind the second it is given.
		return w.schedule.Next(ceilSecond(wall.Add(-back + 1)).Add(-time.Second))
	}
	hit := func(minutes int) bool {
		start := after(minutes)
		return !start.IsZero() && !start.After(wall)
	}
	most := int((span + time.Minute - 1) / time.Minute)
	minutes := sort.Search(most+1, hit)
	if minutes > most {
		return time.Time{}, false
	}
	return after(minutes), true
}

// ceilSecond returns the first full second at or after t.
func ceilSecond(t time.Time) time.Time {
	full := t.Truncate(time.Second)
	if full.Before(t) {
		full = full.Add(time.Second)
	}
	return full
}
