package backup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/alertstest"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// alerts runs the probe, and returns which rules find something in what it
// exports.
func (r *rig) alerts(rules *detect.Rules) []string {
	r.t.Helper()
	result := r.run()
	return slices.Compact(alertstest.Found(r.t, rules, "backup", r.now, result.Samples, "HygieneBackup"))
}

// A state of the host is what a rule is about: a backup that is made, and time
// that goes by.
type state func(r *rig)

// backups writes one backup for each size, a day apart, the newest last and an
// hour old; each is looked at while it is the newest.
func backups(sizes ...int) state {
	return func(r *rig) {
		for i, size := range sizes {
			if i > 0 {
				r.now = r.now.Add(day)
			}
			r.write("/b/"+r.now.Format("0102")+".gz", packed(strings.Repeat("x", size)), time.Hour)
			r.run()
		}
	}
}

// old writes a backup of an age.
func old(age time.Duration) state {
	return func(r *rig) { r.write("/b/a.gz", packed("x"), age) }
}

// later lets time go by once the probe has seen what is there.
func later(span time.Duration) state {
	return func(r *rig) {
		r.run()
		r.now = r.now.Add(span)
	}
}

// unreadable writes what nothing on the host can unpack, again and again, so
// that it is never too old.
func unreadable(age time.Duration) state {
	return func(r *rig) {
		data, err := samples.ReadFile("samples/sample.xz")
		if err != nil {
			r.t.Fatal(err)
		}
		r.write("/b/a.xz", data, time.Hour)
		r.run()
		r.now = r.now.Add(age)
		r.write("/b/a.xz", data, time.Hour)
	}
}

// Every rule fires on facts that the probe has exported of real backups, and
// stays silent on those of the closest state that is in order.
func TestRulesOnWhatIsExported(t *testing.T) {
	rules := alertstest.Rules(t, "backup.yml", Spec().Metrics)
	single := filesJob("db", "/b/*")
	with := func(change func(*Job)) []Job {
		j := single
		change(&j)
		return []Job{j}
	}
	restored := func(j *Job) { j.Verify.Restored = probes.Duration(7 * day) }
	twice := func(j *Job) {
		j.Paths = nil
		j.Copies = []Copy{
			{Name: "near", Options: job.Options{Paths: []string{"/b/*"}}},
			{Name: "far", Options: job.Options{Paths: []string{"/c/*"}}},
		}
		j.Require.Total = 1
	}
	cut := func(r *rig) { r.write("/b/a.gz", packed(strings.Repeat("x", 1000))[:20], time.Hour) }
	far := func(r *rig) { r.write("/c/a.gz", packed("x"), time.Hour) }
	liar := func(r *rig) {
		// It is installed, and says of nothing that it is bad.
		r.world.Programs = map[string]probes.Output{"gzip-version": {Stdout: []byte("gzip 1.12\n")}, "gzip": {}}
		r.restart()
		far(r)
	}
	both := func(states ...state) state {
		return func(r *rig) {
			for _, s := range states {
				s(r)
			}
		}
	}
	fed := map[string]bool{}
	for _, c := range []struct {
		rule   string
		jobs   []Job
		fires  state
		other  []string // rules that fire beside it, as they must
		silent state
	}{
		{rule: "TooOld", fires: old(26*time.Hour + time.Second), silent: old(26*time.Hour - time.Second)},
		{rule: "TooOld", fires: later(27 * time.Hour), other: []string{"Unjudged", "Unverified"}, silent: later(23 * time.Hour)},
		{rule: "MuchTooOld", fires: old(52*time.Hour + time.Second), other: []string{"TooOld"}, silent: old(26 * time.Hour)},
		{rule: "Bad", fires: both(old(2*time.Hour), func(r *rig) { r.write("/b/b.gz", packed(strings.Repeat("x", 1000))[:20], time.Hour) }), other: []string{"NoGoodCopy"}, silent: old(2 * time.Hour)},
		{rule: "NoGoodCopy", jobs: with(twice), fires: cut, other: []string{"Bad", "CopiesMissing"}, silent: both(old(time.Hour), far)},
		{rule: "Unjudged", fires: unreadable(24 * time.Hour), other: []string{"Unverified"}, silent: unreadable(24*time.Hour - time.Second)},
		{rule: "Unverified", jobs: with(func(j *Job) { j.Verify.UnknownAfter = probes.Duration(100 * day) }), fires: unreadable(24 * time.Hour), silent: unreadable(24*time.Hour - time.Second)},
		{rule: "Unverified", jobs: with(func(j *Job) {
			j.Verify = Verify{Cycle: probes.Duration(30 * day), UnknownAfter: probes.Duration(100 * day)}
			j.RPO = probes.Duration(100 * day)
		}), fires: both(unreadable(0), later(30*day)), silent: both(unreadable(0), later(30*day-time.Second))},
		{rule: "RestoreUntested", jobs: with(func(j *Job) {
			restored(j)
			j.Verify.Structure, j.Verify.Read, j.Verify.Cycle, j.Verify.UnknownAfter = 0, 0, 0, probes.Duration(100*day)
		}), fires: unreadable(7 * day), silent: unreadable(7*day - time.Second)},
		{rule: "RestoreUntested", jobs: with(func(j *Job) {
			restored(j)
			j.Verify.Asserted, j.Restore.Assert.MinFiles = probes.Duration(day), 2
			j.RPO = probes.Duration(100 * day)
		}), fires: both(old(2*time.Hour), later(day)), other: []string{"Bad", "NoGoodCopy"}, silent: both(old(2*time.Hour), later(time.Hour))},
		{rule: "RestoreSlow", jobs: with(func(j *Job) { restored(j); j.Restore.Objective = 1 }), fires: old(time.Hour), silent: func(*rig) {}},
		{rule: "Shrunk", fires: backups(1000, 1010, 990, 1005, 995, 1000, 400), silent: backups(1000, 1010, 990, 1005, 995, 1000, 600)},
		{rule: "Grown", fires: backups(1000, 1010, 990, 1005, 995, 1000, 1600), silent: backups(1000, 1010, 990, 1005, 995, 1000, 1400)},
		{rule: "CopiesMissing", jobs: with(func(j *Job) { twice(j); j.Require.Total = 0 }), fires: both(old(time.Hour), far), silent: nil},
		{rule: "CopiesMissing", jobs: with(func(j *Job) { twice(j); j.Require.Offsite = 1; j.Copies[1].Offsite = true }), fires: both(old(time.Hour), func(r *rig) { r.write("/c/a.gz", packed("x"), 30*time.Hour) }), silent: both(old(time.Hour), far)},
		{rule: "SelftestFailed", jobs: with(func(j *Job) { j.Paths = []string{"/c/*"}; j.Verify.Structure, j.Verify.Read, j.Verify.Cycle = 0, 0, 0 }), fires: liar, silent: far},
	} {
		fed["HygieneBackup"+c.rule] = true
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			if c.jobs == nil {
				c.jobs = []Job{single}
			}
			r := newRig(t, slices.Clone(c.jobs)...)
			r.now = r.now.Truncate(time.Second) // rules reckon with milliseconds
			c.fires(r)
			want := append([]string{c.rule}, c.other...)
			slices.Sort(want)
			if diff := cmp.Diff(want, r.alerts(rules)); diff != "" {
				t.Errorf("what fires (-want +got):\n%s", diff)
			}
			if c.silent == nil {
				return
			}
			r = newRig(t, slices.Clone(c.jobs)...)
			r.now = r.now.Truncate(time.Second)
			c.silent(r)
			if got := r.alerts(rules); slices.Contains(got, c.rule) {
				t.Errorf("in order, and there are %v", got)
			}
		})
	}
	for _, rule := range rules.Rules() {
		if !fed[rule.Alert] {
			t.Errorf("nothing that the probe exports makes %s fire here", rule.Alert)
		}
	}
}
