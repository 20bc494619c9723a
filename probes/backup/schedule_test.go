package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A stand is a copy that is as a test wants it, and remembers what was checked.
type stand struct {
	sight   job.Sight
	checked []string // depth and units of each check
	took    func()   // lets time go by during a check
	err     error    // what each check finds
}

func (s *stand) Look(context.Context) (job.Sight, error) { return s.sight, nil }

func (s *stand) Check(_ context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}, Err: s.err}
	var names []string
	for _, u := range task.Units {
		if task.Bytes > 0 && out.Bytes >= task.Bytes {
			break // as a kind does: what was begun is read to its end
		}
		names = append(names, u.ID)
		if task.Depth == job.Read {
			out.Units[u.ID] = s.err
		}
		out.Bytes += u.Bytes
	}
	s.checked = append(s.checked, string(task.Depth)+" "+strings.Join(names, " "))
	if s.took != nil {
		s.took()
	}
	return out
}

// units makes points of one unit each of 100 bytes, the newest first.
func units(now time.Time, names ...string) job.Sight {
	var sight job.Sight
	for i, name := range names {
		sight.Points = append(sight.Points, job.Point{ID: name, At: now.Add(-time.Duration(i+1) * time.Hour), Units: []string{name}})
		sight.Units = append(sight.Units, job.Unit{ID: name, Bytes: 100, Stamp: "1"})
	}
	return sight
}

// A plan is a probe on a stand, and does one task at a time, as between two runs
// of an agent.
type plan struct {
	*rig
	stand *stand
}

func newPlan(t *testing.T, change func(*Config), names ...string) *plan {
	t.Helper()
	j := filesJob("a", "/b/*")
	j.RPO = probes.Duration(1000 * day)
	r := newRig(t, j)
	r.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	change(r.conf)
	p := &plan{rig: r, stand: &stand{sight: units(r.now, names...)}}
	p.reopen()
	return p
}

// reopen starts a new probe on the same state, with the stand for its copy.
func (p *plan) reopen() {
	p.t.Helper()
	p.restart()
	p.probe.host.Work = probes.Scheduled // so that the window counts; nobody wakes a worker here
	for _, place := range p.probe.places {
		place.copy = p.stand
	}
	if err := p.probe.load(); err != nil {
		p.t.Fatal(err)
	}
}

// look looks, and returns the facts, by name of the metric.
func (p *plan) look() map[string]float64 {
	p.t.Helper()
	if err := p.probe.look(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	facts := map[string]float64{}
	for _, s := range p.probe.report().Samples {
		name := strings.TrimPrefix(s.Metric.Name, "hygiene_backup_")
		for _, label := range []string{"depth", "requirement", "verdict", "reason", "bound"} {
			if slices.Contains(s.Metric.Labels, label) {
				name += " " + s.Label(label)
			}
		}
		facts[name] = s.Value
	}
	return facts
}

// work does all that is due, and returns what was checked.
func (p *plan) work() []string {
	p.t.Helper()
	p.look()
	p.stand.checked = nil
	for range 1000 {
		t, due := p.probe.next(p.now)
		if !due {
			return p.stand.checked
		}
		p.probe.do(p.t.Context(), t)
	}
	p.t.Fatal("the work never ends")
	return nil
}

func (p *plan) expect(want ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.work()); diff != "" {
		p.t.Errorf("%s (-want +got):\n%s", p.now.Format(time.DateTime), diff)
	}
}

func TestTheNewestIsReadFirst(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) { c.Jobs[0].Verify.BytesPerDay = 300 }, "e", "d", "c", "b", "a")
	p.expect("structure e", "read e", "read d") // which ends the budget
	p.now = p.now.Add(day)
	p.expect("structure e", "read c b")
	p.stand.sight = units(p.now, "f", "e", "d", "c", "b", "a")
	p.now = p.now.Add(day)
	p.expect("structure f", "read f", "read a") // a new backup before what is left of the old ones
}

func TestTheLeastRecentlyReadIsReadFirst(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) {
		c.Jobs[0].Verify.Structure, c.Jobs[0].Verify.Read = 0, 0
		c.Jobs[0].Verify.Cycle = probes.Duration(40 * day)
	}, "c", "b", "a")
	p.stand.sight = units(p.now, "b")
	p.expect("read b")
	p.now = p.now.Add(day)
	p.stand.sight = units(p.now, "b", "a")
	p.expect("read a")
	p.now = p.now.Add(28 * day)
	p.stand.sight = units(p.now, "c", "b", "a")
	p.expect("read c") // the others are not due before three quarters of the cycle
	p.now = p.now.Add(day)
	p.expect("read b")
	p.now = p.now.Add(day)
	p.expect("read a")
	p.now = p.now.Add(100 * day)
	p.expect("read c b a") // all of them, by when they were read
}

func TestTheBudgetOfBytes(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) {
		c.Jobs[0].Verify.Structure, c.Jobs[0].Verify.Read = 0, 0
		c.Jobs[0].Verify.BytesPerDay = 250
	}, "7", "6", "5", "4", "3", "2", "1")
	p.expect("read 7 6 5") // what was begun is read to its end
	p.expect()
	p.now = p.now.Add(23 * time.Hour)
	p.expect()
	p.reopen()
	p.expect() // a restart is no new day
	p.now = p.now.Add(time.Hour)
	p.expect("read 4 3 2")
	if facts := p.look(); facts["verify_coverage_ratio"] != 6.0/7 || facts["verified_bytes_total"] != 600 {
		t.Errorf("%v", facts)
	}
	p.now = p.now.Add(day)
	p.expect("read 1")
}

func TestTheBudgetOfTime(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) {
		c.TimePerDay = probes.Duration(3 * time.Hour)
		c.Jobs[0].Verify.Structure, c.Jobs[0].Verify.Read = 0, 0
		c.Jobs[0].Verify.BytesPerDay = 0
	}, "a")
	p.stand.sight = units(p.now, slices.Collect(func(yield func(string) bool) {
		for i := range 5 * batch {
			if !yield(fmt.Sprintf("%03d", i)) {
				return
			}
		}
	})...)
	p.stand.took = func() { p.now = p.now.Add(time.Hour) }
	begun := p.now
	if got := len(p.work()); got != 3 {
		t.Errorf("%d checks of an hour each within 3 hours a day", got)
	}
	p.reopen()
	if got := len(p.work()); got != 0 {
		t.Errorf("%d checks more after a restart", got)
	}
	p.now = begun.Add(day)
	if got := len(p.work()); got != 2 {
		t.Errorf("%d checks on the next day, and 2 are left", got)
	}
}

// A check that failed is not made again at once, and a lock that is long gone
// keeps nobody waiting.
func TestChecksThatCouldNotBeMadeWait(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) { c.Jobs[0].Verify.Read, c.Jobs[0].Verify.Cycle = 0, 0 }, "a")
	p.stand.err = probes.Because(probes.Locked, errors.New("somebody writes"))
	p.expect("structure a")
	p.expect()
	p.now = p.now.Add(3*time.Hour - time.Second)
	p.expect()
	p.now = p.now.Add(time.Second)
	p.stand.err = nil
	p.expect("structure a")
	p.now = p.now.Add(17 * time.Hour)
	p.expect()
	p.stand.sight.Busy = "a backup runs"
	p.now = p.now.Add(2 * time.Hour)
	p.expect()
	p.stand.sight.Busy = ""
	p.expect("structure a")
}

func TestCoverageOutlivesARestart(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) {
		c.Jobs[0].Verify.Structure, c.Jobs[0].Verify.Read = 0, 0
		c.Jobs[0].Verify.BytesPerDay = 200
	}, "d", "c", "b", "a")
	begun := p.now
	p.expect("read d c")
	before := p.look()
	p.reopen()
	if diff := cmp.Diff(before, p.look()); diff != "" {
		t.Errorf("a restart changes what is known (-before +after):\n%s", diff)
	}
	if before["verify_coverage_ratio"] != 0.5 || before["oldest_unverified_timestamp_seconds"] != probes.Seconds(begun) {
		t.Errorf("%v", before)
	}
	p.stand.sight.Units[1].Stamp = "2" // c was written anew
	if got := p.look()["verify_coverage_ratio"]; got != 0.25 {
		t.Errorf("what was written anew counts as read: %v", got)
	}
	p.now = p.now.Add(day)
	p.expect("read c b")
	p.now = p.now.Add(31 * day)
	if got := p.look()["verify_coverage_ratio"]; got != 0 {
		t.Errorf("what was read before the cycle counts: %v", got)
	}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	window := func(text string) Window {
		t.Helper()
		match := windowForm.FindStringSubmatch(text)
		if match == nil {
			t.Fatal(text)
		}
		var n [4]int
		for i := range n {
			_, _ = fmt.Sscan(match[i+1], &n[i])
		}
		return Window{From: n[0]*60 + n[1], To: n[2]*60 + n[3], Set: true}
	}
	for _, c := range []struct {
		name, window, day string
		first, last       string // instants inside, in UTC
		minutes           int    // inside, of that day and the next until noon
	}{
		{"a window within a day", "01:30-04:00", "2026-03-10", "2026-03-10T00:30", "2026-03-10T02:59", 150},
		{"a window across midnight", "22:00-06:00", "2026-03-10", "2026-03-10T21:00", "2026-03-11T04:59", 480},
		{"until midnight", "20:00-24:00", "2026-03-10", "2026-03-10T19:00", "2026-03-10T22:59", 240},
		{"across the night in which an hour is left out", "22:00-06:00", "2026-03-28", "2026-03-28T21:00", "2026-03-29T03:59", 420},
		{"across the night in which an hour comes twice", "22:00-06:00", "2026-10-24", "2026-10-24T20:00", "2026-10-25T04:59", 540},
		{"an hour that is left out", "02:00-03:00", "2026-03-29", "", "", 0},
		{"an hour that comes twice", "02:00-03:00", "2026-10-25", "2026-10-25T00:00", "2026-10-25T01:59", 120},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := window(c.window)
			noon, err := time.ParseInLocation(time.DateOnly, c.day, berlin)
			if err != nil {
				t.Fatal(err)
			}
			begin, end := noon, noon.Add(24*time.Hour)
			if w.From > w.To {
				begin, end = noon.Add(12*time.Hour), noon.Add(36*time.Hour)
			}
			var inside []time.Time
			for at := begin; at.Before(end); at = at.Add(time.Minute) {
				if w.contains(at) {
					inside = append(inside, at)
				}
			}
			first, last := "", ""
			if len(inside) > 0 {
				first, last = inside[0].UTC().Format("2006-01-02T15:04"), inside[len(inside)-1].UTC().Format("2006-01-02T15:04")
			}
			got := []any{first, last, len(inside)}
			if diff := cmp.Diff([]any{c.first, c.last, c.minutes}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Outside of the window nothing is begun; who asks by hand waits for nothing.
func TestNothingIsBegunOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	p := newPlan(t, func(c *Config) { c.Window = Window{From: 22 * 60, To: 6 * 60, Set: true} }, "a")
	p.expect() // it is noon
	p.now = p.now.Add(9*time.Hour + 59*time.Minute)
	p.expect()
	p.now = p.now.Add(time.Minute)
	p.expect("structure a", "read a")
	p.now = p.now.Add(40 * day).Add(-10 * time.Hour)
	p.expect()
	p.probe.host.Work = probes.AtOnce
	p.expect("structure a", "read a")
}

func TestCopiesThatCount(t *testing.T) {
	t.Parallel()
	young, stale := time.Hour, 3000*day
	type place struct {
		devices   []string
		age       time.Duration
		media     string
		offsite   bool
		immutable bool
		bad       bool
	}
	for _, c := range []struct {
		name   string
		places []place
		want   string // total, media, offsite, immutable, each of how many there must be
	}{
		{"one copy", []place{{devices: []string{"disk/sda"}, age: young, media: "disk"}}, "1/0 1/0 0/0 0/0"},
		{"three on two media, one of them elsewhere and locked", []place{
			{devices: []string{"disk/sda"}, age: young, media: "disk"},
			{devices: []string{"disk/sdb"}, age: young, media: "disk"},
			{devices: []string{"bucket"}, age: young, media: "object_storage", offsite: true, immutable: true},
		}, "3/3 2/0 1/1 1/1"},
		{"two on one disk", []place{{devices: []string{"disk/sda"}, age: young, media: "disk"}, {devices: []string{"disk/sda"}, age: young, media: "disk"}}, "1/2 1/0 0/0 0/0"},
		{"two in one pool", []place{{devices: []string{"zfs/tank"}, age: young, media: "snapshot"}, {devices: []string{"zfs/tank"}, age: young, media: "disk"}}, "1/2 2/0 0/0 0/0"},
		{"two arrays that share a disk", []place{{devices: []string{"disk/sda", "disk/sdb"}, age: young}, {devices: []string{"disk/sdb", "disk/sdc"}, age: young}}, "1/2 0/0 0/0 0/0"},
		{"an array across the disks of two others, named first", []place{
			{devices: []string{"disk/sda", "disk/sdb"}, age: young}, {devices: []string{"disk/sda"}, age: young}, {devices: []string{"disk/sdb"}, age: young},
		}, "2/3 0/0 0/0 0/0"},
		{"an array across the disks of two others, named last", []place{
			{devices: []string{"disk/sda"}, age: young}, {devices: []string{"disk/sdb"}, age: young}, {devices: []string{"disk/sda", "disk/sdb"}, age: young},
		}, "2/3 0/0 0/0 0/0"},
		{"disks that nobody knows", []place{{age: young}, {age: young}}, "2/2 0/0 0/0 0/0"},
		{"one that is too old", []place{{devices: []string{"disk/sda"}, age: young, media: "disk"}, {devices: []string{"disk/sdb"}, age: stale, media: "tape", offsite: true}}, "1/2 1/0 0/1 0/0"},
		{"one that is bad", []place{{devices: []string{"disk/sda"}, age: young, media: "disk"}, {devices: []string{"disk/sdb"}, age: young, media: "tape", offsite: true, bad: true}}, "1/2 1/0 0/1 0/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := filesJob("a", "/b/*")
			j.RPO = probes.Duration(1000 * day)
			for i, p := range c.places {
				j.Copies = append(j.Copies, Copy{Name: fmt.Sprint("c", i), Offsite: p.offsite, Immutable: p.immutable})
			}
			r := newRig(t, j)
			for i, p := range c.places {
				sight := units(r.now.Add(time.Hour-p.age), "x")
				sight.Devices, sight.Media = p.devices, p.media
				s := &stand{sight: sight}
				if p.bad {
					s.err = job.Flawed(job.Damaged, "damaged")
				}
				r.probe.places[i].copy = s
			}
			counted, required := map[string]float64{}, map[string]float64{}
			for _, s := range r.run().Samples {
				switch s.Metric {
				case copies:
					counted[s.Label("requirement")] = s.Value
				case copiesRequired:
					required[s.Label("requirement")] = s.Value
				}
			}
			var got []string
			for _, name := range []string{"total", "media", "offsite", "immutable"} {
				got = append(got, fmt.Sprintf("%v/%v", counted[name], required[name]))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got): %s", diff)
			}
		})
	}
}
