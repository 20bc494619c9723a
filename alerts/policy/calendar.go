package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // hosts and containers without a zone database know their working hours too

	"hygiene_exporter/probes"
)

const (
	dayLength = 24 * time.Hour
	dateForm  = "2006-01-02"
)

// hours is the calendar of working hours. An instant is inside when a clock on
// the wall in the zone shows a time from the start to the end of a shift; this
// holds for hours that the clock skips or shows twice as well. A shift belongs
// to the day on which it starts: it is off when that day is a holiday.
type hours struct {
	zone     *time.Location
	days     [7]bool
	from, to time.Duration // since midnight; the end is beyond 24h when the shift goes over midnight
	holidays map[string]bool
}

func newHours(c WorkingHours, zone *time.Location) (*hours, error) {
	h := &hours{zone: zone, holidays: map[string]bool{}}
	var errs []error
	if len(c.Days) == 0 {
		errs = append(errs, probes.At("days", errors.New("must name at least one day")))
	}
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	for i, name := range c.Days {
		day := slices.Index(names, name)
		if day < 0 {
			errs = append(errs, probes.At(fmt.Sprintf("days[%d]", i), fmt.Errorf("%.40q is not one of mon, tue, wed, thu, fri, sat, sun", name)))
			continue
		}
		h.days[day] = true
	}
	var fromErr, toErr error
	h.from, fromErr = timeOfDay(c.From)
	h.to, toErr = timeOfDay(c.To)
	switch {
	case fromErr == nil && h.from == dayLength:
		fromErr = errors.New("must be before 24:00")
	case fromErr == nil && toErr == nil && h.from == h.to:
		toErr = errors.New("is the same as from; for whole days write 00:00 to 24:00")
	}
	if h.to <= h.from {
		h.to += dayLength
	}
	errs = append(errs, probes.At("from", fromErr), probes.At("to", toErr))
	for i, holiday := range c.Holidays {
		_, err := date(holiday)
		errs = append(errs, probes.At(fmt.Sprintf("holidays[%d]", i), err))
		h.holidays[holiday] = true
	}
	return h, errors.Join(errs...)
}

// timeOfDay reads HH:MM, from 00:00 to 24:00.
func timeOfDay(s string) (time.Duration, error) {
	if s == "24:00" {
		return dayLength, nil
	}
	// The form "15" alone would accept 9:00 as well.
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, fmt.Errorf("%.40q is not a time of day; write it like 09:00", s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

func date(s string) (time.Time, error) {
	day, err := time.Parse(dateForm, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a date; write it like 2026-12-25", strings.TrimSpace(s))
	}
	return day, nil
}

// next returns the first instant inside working hours at or after t. While the
// zone keeps one offset from UTC, the clock on the wall runs evenly; so it
// looks for the next shift on the wall, and starts again where the offset
// changes if the shift lies behind that.
func (h *hours) next(t time.Time) time.Time {
	for {
		wall, end := onWall(t, h.zone)
		inside := t.Add(h.nextOnWall(wall).Sub(wall))
		if end.IsZero() || inside.Before(end) {
			return inside
		}
		t = end
	}
}

// onWall returns what a clock on the wall shows at t, written as if it were
// UTC, and the instant until which that clock runs evenly; zero is for ever.
func onWall(t time.Time, zone *time.Location) (wall, end time.Time) {
	local := t.In(zone)
	_, offset := local.Zone()
	_, end = local.ZoneBounds()
	return t.UTC().Add(time.Duration(offset) * time.Second), end
}

// nextOnWall is next for a clock that runs evenly. It ends because there is a
// working day in each week, and a finite number of holidays.
func (h *hours) nextOnWall(wall time.Time) time.Time {
	for day := wall.Truncate(dayLength).Add(-dayLength); ; day = day.Add(dayLength) {
		if !h.days[day.Weekday()] || h.holidays[day.Format(dateForm)] || !wall.Before(day.Add(h.to)) {
			continue
		}
		if start := day.Add(h.from); wall.Before(start) {
			return start
		}
		return wall
	}
}
