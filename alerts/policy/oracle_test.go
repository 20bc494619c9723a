package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/probes"
)

// zones holds clocks that jump in many ways: by an hour, by half of one, at
// midnight, in Ramadan, by a whole day, in winter, never.
func zones() []string {
	return []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Casablanca",
		"Pacific/Apia", "Europe/Dublin", "America/St_Johns", "Asia/Kathmandu", "UTC",
	}
}

// seasons holds instants close to which some of the zones change their offset.
func seasons() []time.Time {
	return []time.Time{
		time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 4, 4, 6, 0, 0, 0, time.UTC),
		time.Date(2026, 2, 14, 12, 0, 0, 0, time.UTC),
		time.Date(2011, 12, 29, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// slow is the calendar read off the clock on the wall, minute by minute.
type slow struct {
	zone     *time.Location
	days     string
	from, to int // minutes since midnight
	holidays string
}

func (s slow) inside(t time.Time) bool {
	local := t.In(s.zone)
	minute := local.Hour()*60 + local.Minute()
	year, month, day := local.Date()
	works := func(back int) bool {
		d := time.Date(year, month, day-back, 12, 0, 0, 0, time.UTC)
		name := strings.ToLower(d.Weekday().String()[:3])
		return strings.Contains(s.days, name) && !strings.Contains(s.holidays, d.Format("2006-01-02"))
	}
	if s.from < s.to {
		return minute >= s.from && minute < s.to && works(0)
	}
	return minute >= s.from && works(0) || minute < s.to && works(1)
}

func (s slow) next(t time.Time) time.Time {
	if s.inside(t) {
		return t
	}
	t = t.Truncate(time.Minute).Add(time.Minute)
	for !s.inside(t) {
		t = t.Add(time.Minute)
	}
	return t
}

func clock(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// TestDeadlinesAgainstTheWallClock compares the calendar with one that steps
// through time minute by minute, and checks what must hold for every ladder:
// no deadline lies before since plus its tier, each lies inside the calendar,
// and none lies before that of an earlier tier.
func TestDeadlinesAgainstTheWallClock(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		checkDeadlines(t, r)
	}
}

func FuzzDeadlines(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkDeadlines(t, rand.New(rand.NewPCG(a, b))) })
}

func checkDeadlines(t *testing.T, r *rand.Rand) {
	t.Helper()
	zone := pick(r, zones())
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	since := pick(r, seasons()).Add(time.Duration(r.Int64N(int64(60 * time.Hour))))
	s := slow{zone: location, from: r.IntN(24 * 60), to: r.IntN(24*60 + 1)}
	if s.from == s.to {
		s.to = 24 * 60
	}
	e := policy.Default()
	e.Timezone = zone
	e.WorkingHours = policy.WorkingHours{From: clock(s.from), To: clock(s.to)}
	for range 1 + r.IntN(4) {
		day := pick(r, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"})
		e.WorkingHours.Days = append(e.WorkingHours.Days, day)
		s.days += day
	}
	for range r.IntN(4) {
		holiday := since.AddDate(0, 0, r.IntN(10)-1).Format("2006-01-02")
		e.WorkingHours.Holidays = append(e.WorkingHours.Holidays, holiday)
		s.holidays += holiday
	}
	var tiers []probes.Duration
	for d := probes.Duration(0); len(tiers) < 3; d += probes.Duration(r.Int64N(int64(20 * time.Hour))) {
		tiers = append(tiers, d)
	}
	e.Policies[policy.Warning] = policy.Ladder{Tiers: tiers, Calendar: policy.Working}
	p, err := policy.New(e, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := p.Deadlines(policy.Subject{Severity: policy.Warning}, since)
	var earlier time.Time
	for i, deadline := range got {
		due := since.Add(time.Duration(tiers[i]))
		if deadline.Before(due) || deadline.Before(earlier) || !s.inside(deadline) {
			t.Fatalf("%s %+v tier %d: %s is before %s or %s, or outside", zone, e.WorkingHours, i, deadline.In(location), due.In(location), earlier)
		}
		if want := s.next(due); !deadline.Equal(want) {
			t.Fatalf("%s %+v tier %d from %s: got %s, want %s", zone, e.WorkingHours, i, due.In(location), deadline.In(location), want.In(location))
		}
		earlier = deadline
	}
}

// TestMaintenanceAgainstTheWallClock compares the windows with a walk through
// all minutes that could have started one.
func TestMaintenanceAgainstTheWallClock(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		checkMaintenance(t, r)
	}
}

func FuzzMaintenance(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkMaintenance(t, rand.New(rand.NewPCG(a, b))) })
}

func checkMaintenance(t *testing.T, r *rand.Rand) {
	t.Helper()
	zone := pick(r, zones())
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	field := func(most int) string {
		switch r.IntN(4) {
		case 0:
			return "*"
		case 1:
			return "*/" + strconv.Itoa(1+r.IntN(most))
		}
		return strconv.Itoa(r.IntN(most))
	}
	line := field(60) + " " + pick(r, []string{field(24), field(4), "0", "2"}) + " * * " + pick(r, []string{"*", "*", "0", "6"})
	length := time.Duration(1+r.IntN(50*60)) * time.Minute
	at := pick(r, seasons()).Add(time.Duration(r.Int64N(int64(72 * time.Hour))))

	e := policy.Default()
	e.Timezone = zone
	p, err := policy.New(e, nil, []policy.Maintenance{{Name: "w", Cron: line, Duration: probes.Duration(length)}})
	if err != nil {
		t.Fatal(err)
	}
	schedule, err := cron.ParseStandard(line)
	if err != nil {
		t.Fatal(err)
	}
	var want time.Time
	for minute := at.Truncate(time.Minute); minute.After(at.Add(-length)); minute = minute.Add(-time.Minute) {
		if starts(schedule, minute, location) {
			want = minute.Add(length)
			break
		}
	}
	until, _, active := p.Maintenance("patch", at)
	if active != !want.IsZero() || !until.Equal(want) {
		t.Fatalf("%s %q for %s at %s: got %v until %s, want %s", zone, line, length, at.In(location), active, until.In(location), want.In(location))
	}
}

// starts reports whether the wall shows a time of the schedule at this minute,
// or has just skipped one.
func starts(schedule cron.Schedule, minute time.Time, zone *time.Location) bool {
	wall := func(t time.Time) time.Time {
		l := t.In(zone)
		return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
	}
	now, before := wall(minute), wall(minute.Add(-time.Minute))
	from := now
	if skipped := before.Add(time.Minute); skipped.Before(now) {
		from = skipped
	}
	return !schedule.Next(from.Add(-time.Second)).After(now)
}
