package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
)

// rig is a host whose clock the test moves.
type rig struct {
	t     *testing.T
	world *probetest.World
	now   time.Time
	probe *Probe
}

func newRig(t *testing.T, drills string) *rig {
	r := &rig{t: t, world: &probetest.World{Root: t.TempDir()}, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
	r.configure(drills)
	return r
}

// section decodes the drills over their defaults, as the agent does.
func section(t *testing.T, drills string) *Config {
	t.Helper()
	var list []yaml.Node
	if err := yaml.Unmarshal([]byte(drills), &list); err != nil {
		t.Fatal(err)
	}
	c := defaultConfig()
	for _, node := range list {
		var d Drill
		d.SetDefaults()
		if err := node.Decode(&d); err != nil {
			t.Fatal(err)
		}
		c.Drills = append(c.Drills, d)
	}
	return c
}

// configure restarts the agent with other drills.
func (r *rig) configure(drills string) {
	r.t.Helper()
	c := section(r.t, drills)
	if err := c.Validate(); err != nil {
		r.t.Fatal(err)
	}
	probe, err := c.New(r.world.Host())
	if err != nil {
		r.t.Fatal(err)
	}
	r.probe = probe.(*Probe)
	r.probe.now = func() time.Time { return r.now }
}

// facts runs the probe and returns its facts; an instant is told in days from
// the beginning of the test.
func (r *rig) facts() []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, s := range result.Samples {
		name := strings.TrimSuffix(strings.TrimPrefix(s.Metric.Name, "hygiene_drill_"), "_seconds")
		value := fmt.Sprint(s.Value)
		switch {
		case s.Metric == lastResult && s.Value == 0, s.Metric == interval, s.Metric == objective:
			continue
		case s.Metric == lastResult:
			value = s.Labels[1]
		case strings.HasSuffix(name, "_timestamp"):
			name = strings.TrimSuffix(name, "_timestamp")
			value = fmt.Sprint((s.Value - probes.Seconds(start)) / 86400)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", s.Object(), name, value))
	}
	for _, object := range result.Removed {
		lines = append(lines, object+" gone")
	}
	return lines
}

func (r *rig) expect(when string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.facts()); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func (r *rig) day(n float64) {
	r.now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n * float64(24*time.Hour)))
}

func (r *rig) record(change func(rec *Record)) {
	r.t.Helper()
	rec := Record{Drill: "ups", At: r.now, How: ByPerson, Result: Passed, By: "kim"}
	change(&rec)
	if _, err := r.probe.Record(rec, 1000); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) sees(kind, object string, detail map[string]string) {
	r.t.Helper()
	if err := r.world.Host().Events.Observe(probes.Event{Kind: kind, Object: object, At: r.now, Detail: detail}); err != nil {
		r.t.Fatal(err)
	}
}

func TestADrillIsDueFromWhenItIsConfiguredAndThenFromItsLastSuccess(t *testing.T) {
	r := newRig(t, `[{name: ups, kind: attested, interval: 10d}]`)
	r.expect("when configured", "ups deadline 10")
	r.day(4)
	r.configure(`[{name: ups, kind: attested, interval: 10d}]`)
	r.expect("after a restart", "ups deadline 10")
	no, yes := false, true
	r.record(func(rec *Record) { rec.Result, rec.Recovered, rec.Seconds = Failed, &no, 30 })
	r.expect("after a failure", "ups deadline 10", "ups last_attempt 4", "ups last_result failed", "ups last_duration 30", "ups recovered 0")
	r.day(5)
	r.record(func(rec *Record) { rec.Result = Aborted })
	r.expect("an aborted drill proves nothing", "ups deadline 10", "ups last_attempt 5", "ups last_result failed", "ups last_duration 30", "ups recovered 0")
	r.day(6)
	r.record(func(rec *Record) { rec.Recovered, rec.Seconds = &yes, 20 })
	passed := []string{"ups deadline 16", "ups last_success 6", "ups last_attempt 6", "ups last_result passed", "ups last_duration 20", "ups recovered 1"}
	r.expect("after a success", passed...)
	r.day(7)
	r.record(func(rec *Record) { rec.At = r.now.Add(-5 * 24 * time.Hour) })
	r.expect("an older success that is told later changes nothing", passed...)
	r.day(100)
	r.record(func(*Record) {})
	r.day(7)
	r.expect("a success by a clock that was wrong is not believed", passed...)
}

func TestARemovedDrillIsGoneAndItsEvidenceIsKept(t *testing.T) {
	r := newRig(t, `[{name: ups, kind: attested, interval: 10d}, {name: never, kind: attested, interval: 10d}]`)
	r.facts()
	r.record(func(*Record) {})
	r.day(1)
	r.configure(`[]`)
	r.expect("removed", "never gone", "ups gone")
	r.day(7)
	r.expect("still", "never gone", "ups gone")
	r.day(9)
	r.expect("after a week", probes.ErrNotApplicable.Error())
	all, err := r.probe.Standings()
	if err != nil || len(all) != 1 || all[0].Name != "ups" || !all[0].Removed || len(all[0].Records) != 1 {
		t.Errorf("afterwards: %+v, %v", all, err)
	}
	r.configure(`[{name: ups, kind: attested, interval: 20d}]`)
	r.expect("configured again", "ups deadline 20", "ups last_success 0", "ups last_attempt 0", "ups last_result passed")
}

func TestWhatOtherProbesSawCounts(t *testing.T) {
	r := newRig(t, `
- {name: bond, kind: observed, object: "bond/*", interval: 10d}
- {name: db, kind: restore, object: db-nightly, interval: 10d}`)
	r.expect("at first", "bond deadline 10", "db deadline 10")
	r.day(1)
	r.sees("failover", "multipath/mpatha", nil)
	r.sees("failover", "bond/bond0", map[string]string{"from": "eth0", "to": "eth1"})
	r.sees("backup_verification", "db-nightly", map[string]string{"depth": "read", "verdict": "good", "seconds": "9"})
	r.sees("backup_verification", "web", map[string]string{"depth": "restored", "verdict": "good", "seconds": "9"})
	bond := []string{"bond deadline 11", "bond last_success 1", "bond last_attempt 1", "bond last_result passed"}
	r.expect("a failover of the bond, and nothing of the job", append(slices.Clone(bond), "db deadline 10")...)
	r.day(2)
	r.sees("backup_verification", "db-nightly", map[string]string{"depth": "restored", "verdict": "unknown", "seconds": "1"})
	r.expect("a restore that could not be judged", append(slices.Clone(bond), "db deadline 10", "db last_attempt 2")...)
	r.day(3)
	r.sees("backup_verification", "db-nightly", map[string]string{"depth": "asserted", "verdict": "good", "seconds": "12.5"})
	r.expect("a restore", append(slices.Clone(bond), "db deadline 13", "db last_success 3", "db last_attempt 3", "db last_result passed", "db last_duration 12.5")...)
	r.day(4)
	r.sees("backup_verification", "db-nightly", map[string]string{"depth": "restored", "verdict": "bad", "seconds": "3"})
	r.expect("a bad one", append(slices.Clone(bond), "db deadline 13", "db last_success 3", "db last_attempt 4", "db last_result failed", "db last_duration 3")...)
	r.day(5)
	r.sees("failover", "bond/bond0", nil)
	r.day(4.5)
	r.expect("a clock that was set back", append(slices.Clone(bond), "db deadline 13", "db last_success 3", "db last_attempt 4", "db last_result failed", "db last_duration 3")...)
}

func TestEvidenceIsBoundedAndAFlappingLinkDoesNotPushOutPeople(t *testing.T) {
	r := newRig(t, `[{name: ups, kind: observed, object: bond/bond0}]`)
	r.record(func(*Record) {})
	for range 500 {
		r.now = r.now.Add(time.Minute)
		r.sees("failover", "bond/bond0", nil)
	}
	r.facts()
	all, err := r.probe.Standings()
	if err != nil || len(all[0].Records) != 2 || all[0].Records[0].By != "kim" || all[0].Records[1].Count != 500 {
		t.Errorf("got %+v, %v", all, err)
	}
	for range 2 * maxRecords {
		r.now = r.now.Add(time.Minute)
		r.record(func(*Record) {})
	}
	all, _ = r.probe.Standings()
	if n := len(all[0].Records); n != maxRecords {
		t.Errorf("%d records are kept", n)
	}
}

func TestWhatCannotBeIsNotRecorded(t *testing.T) {
	r := newRig(t, `[{name: ups, kind: attested}, {name: script, kind: command, run: {command: [/bin/true]}}]`)
	for want, change := range map[string]func(rec *Record){
		"no drill of the configuration is called": func(rec *Record) { rec.Drill = "none" },
		"the result is":          func(rec *Record) { rec.Result = "fine" },
		"is attested or run":     func(rec *Record) { rec.How = ByProbe },
		"who says so is missing": func(rec *Record) { rec.By = "" },
		"cannot have been at":    func(rec *Record) { rec.At = r.now.Add(time.Hour) },
		"cannot be below 0":      func(rec *Record) { rec.Seconds = -1 },
		"the text is too long":   func(rec *Record) { rec.Note = strings.Repeat("x", 2000) },
		"and is not run":         func(rec *Record) { rec.How = ByCommand },
		"only a run that":        func(rec *Record) { rec.Unfinished = true },
		"only root runs drills":  func(rec *Record) { rec.Drill, rec.How = "script", ByCommand },
	} {
		rec := Record{Drill: "ups", At: r.now, How: ByPerson, Result: Passed, By: "kim"}
		change(&rec)
		if _, err := r.probe.Record(rec, 1000); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	r.world.Broken = errors.New("the disk is full")
	if _, err := r.probe.Record(Record{Drill: "ups", At: r.now, How: ByPerson, Result: Passed, By: "kim"}, 1); err == nil || !strings.Contains(err.Error(), "not saved") {
		t.Errorf("a record that is not saved: %v", err)
	}
}

func TestWhatIsWrongWithTheSectionIsSaidWithItsPlace(t *testing.T) {
	c := section(t, `
- {name: "a b", kind: magic, interval: 0s, objective: 1m}
- {name: x, kind: observed}
- {name: x, kind: attested, object: bond/bond0}
- {name: y, kind: command, run: {check: [true], timeout: 0s}}
- {name: z, kind: restore, object: "[", run: {command: [/bin/true]}}
- {name: f1, kind: failover, object: "bond/*", run: {check: [/bin/true], command: [/bin/true]}, failover: {hold: 1m}}
- {name: f2, kind: failover, object: team/t0}
- {name: f3, kind: failover, object: multipath/a, failover: {stay: true, allowed: true}}
- {name: f4, kind: attested, failover: {allowed: true}}
- {name: fine, kind: failover, object: multipath/a}`)
	var got []string
	for _, err := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		got = append(got, strings.Split(err.Error(), "\n")...)
	}
	want := []string{
		`drills[0].name: "a b" is no name; use up to 100 letters, digits and . _ / : @ -`,
		`drills[0].kind: must be one of attested, observed, command, restore, failover, not "magic"`,
		`drills[0].interval: must be above 0, not 0s`,
		`drills[1].object: names the object in which a drill of the kind observed is seen, and is missing`,
		`drills[2].object: is for the kinds observed, restore and failover`,
		`drills[2].name: "x" stands here twice`,
		`drills[3].run.command: names the program to run, and is missing`,
		`drills[3].run.check: "true" is not the absolute path of a program`,
		`drills[3].run.timeout: must be above 0, not 0s`,
		`drills[4].object: "[" is not a valid pattern`,
		`drills[4].run.command: is for the kind command`,
		`drills[5].object: names one bond, team or multipath device, such as bond/bond0, and not "bond/*"`,
		`drills[5].run.command: is for the kind command`,
		`drills[5].failover.restore_after: must be 1m10s at least, which is hold and the time to switch twice, and not 45s`,
		`drills[6].failover: needs run.check, a program that passes while the network works, such as [/usr/bin/ping, -c1, -W1, 192.0.2.1]: that a link is up does not say that anything arrives`,
		`drills[7].failover.stay: is for bonds and teams; a path always comes back`,
		`drills[8].failover: is for the kind failover`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThereIsOneDrillAtATime(t *testing.T) {
	r := newRig(t, `
- {name: one, kind: command, run: {command: [/bin/true], timeout: 1h}}
- {name: two, kind: command, run: {command: [/bin/true]}}`)
	begin := func(name string) (Record, error) {
		rec := Record{Drill: name, At: r.now, How: ByCommand, Result: Aborted, By: "kim", Unfinished: true}
		_, err := r.probe.Record(rec, 0)
		return rec, err
	}
	first, err := begin("one")
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	if _, err := begin("two"); err == nil || !strings.Contains(err.Error(), "one is being run by kim") {
		t.Errorf("a second one: %v", err)
	}
	first.Unfinished, first.Result = false, Passed
	if s, err := r.probe.Record(first, 0); err != nil || len(s.Records) != 1 || s.Records[0].Result != Passed {
		t.Errorf("the end of the first: %+v, %v", s, err)
	}
	if _, err := begin("two"); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	r.now = r.now.Add(time.Hour)
	if _, err := begin("one"); err != nil {
		t.Errorf("after one that never told its end: %v", err)
	}
}

func TestAnExplanationShowsTheEvidence(t *testing.T) {
	r := newRig(t, `[{name: ups, kind: attested, interval: 10d, objective: 1m}]`)
	no := false
	r.record(func(rec *Record) {
		rec.Result, rec.Recovered, rec.Seconds, rec.Note, rec.File, rec.SHA256 = Failed, &no, 90, "did not switch", "log.txt", "abc"
	})
	r.day(12)
	text, err := r.probe.Explain(context.Background(), "ups")
	for _, want := range []string{"overdue for 2 days", "passed     never", "may take   1m0s", "took       1m30s", "not everything worked", `failed, in 1m30s, did not recover, by kim, "did not switch", log.txt sha256 abc`} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("%q is not in %v:\n%s", want, err, text)
		}
	}
}

// The agent takes the evidence of a failover from root alone, and knows of one
// that runs.
func TestTheEvidenceOfAFailover(t *testing.T) {
	r := newRig(t, `
- {name: path, kind: failover, object: multipath/a, interval: 10d, objective: 1s, failover: {allowed: true}}
- {name: other, kind: failover, object: multipath/b}`)
	r.facts()
	begun := Record{Drill: "path", At: r.now, How: ByCommand, Result: Aborted, By: "kim", Unfinished: true}
	if _, err := r.probe.Record(begun, 1000); err == nil || !strings.Contains(err.Error(), "only root") {
		t.Errorf("somebody else: %v", err)
	}
	if _, err := r.probe.Record(begun, 0); err != nil {
		t.Fatal(err)
	}
	other := begun
	other.Drill = "other"
	if _, err := r.probe.Record(other, 0); err == nil || !strings.Contains(err.Error(), "one drill at a time") {
		t.Errorf("two at once: %v", err)
	}
	// The dead man says how it ended, and later so does the drill, which hung.
	recovered := true
	ended := begun
	ended.Unfinished, ended.Result, ended.Recovered = false, Failed, &recovered
	for range 2 {
		if _, err := r.probe.Record(ended, 0); err != nil {
			t.Fatal(err)
		}
	}
	s, err := r.probe.Standings()
	if err != nil || len(s[0].Records) != 2 {
		t.Errorf("%d records, %v", len(s[0].Records), err)
	}
	r.expect("it has failed", "path deadline 10", "path last_attempt 0", "path last_result failed", "path recovered 1", "other deadline 180")
}
