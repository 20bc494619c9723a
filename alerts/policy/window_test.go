package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/policy"
)

func TestMaintenance(t *testing.T) {
	type answer struct {
		Until  string
		Name   string
		Active bool
	}
	tests := []struct {
		name, windows, probe, at string
		want                     answer
	}{
		{"before it starts it is not active", `{name: n, cron: "0 2 * * 6", duration: 3h}`, "port", "2026-05-02 01:59", answer{}},
		{"the first instant counts", `{name: n, cron: "0 2 * * 6", duration: 3h}`, "port", "2026-05-02 02:00", answer{"2026-05-02 05:00", "n", true}},
		{"the end does not count", `{name: n, cron: "0 2 * * 6", duration: 3h}`, "port", "2026-05-02 05:00", answer{}},
		{"a probe that is named is in it", `{name: n, cron: "0 2 * * 6", duration: 3h, probes: [patch, port]}`, "port", "2026-05-02 02:30", answer{"2026-05-02 05:00", "n", true}},
		{"a probe that is not named is not", `{name: n, cron: "0 2 * * 6", duration: 3h, probes: [patch]}`, "port", "2026-05-02 02:30", answer{}},
		{"of two windows the one that ends last counts", `{name: n, cron: "0 2 * * 6", duration: 3h}, {name: o, cron: "0 1 * * 6", duration: 6h}`, "port", "2026-05-02 02:30", answer{"2026-05-02 07:00", "o", true}},
		{"a window longer than its period never ends", `{name: n, cron: "0 * * * *", duration: 90m}`, "port", "2026-05-02 02:30", answer{"2026-05-02 03:30", "n", true}},
		{"a start that spring skips is made up for", `{name: n, cron: "30 2 * * *", duration: 1h}`, "port", "2026-03-29 03:10", answer{"2026-03-29 04:00", "n", true}},
		{"what starts twice in autumn lasts on the wall", `{name: n, cron: "30 2 * * *", duration: 3h}`, "port", "2026-10-25 05:10", answer{"2026-10-25 05:30", "n", true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := mustParse(t, berlin+"\nmaintenance: ["+test.windows+"]")
			until, name, active := p.Maintenance(test.probe, instant(t, "Europe/Berlin", test.at))
			got := answer{Name: name, Active: active}
			if active {
				got.Until = until.In(instant(t, "Europe/Berlin", test.at).Location()).Format("2006-01-02 15:04")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("maintenance (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimeline(t *testing.T) {
	at := func(text string) time.Time { return instant(t, "Europe/Berlin", "2026-05-02 "+text).UTC() }
	critical := policy.Subject{Probe: "port", Check: "open", Object: "host", Severity: "critical"}
	const night = berlin + `
maintenance: [{name: night, cron: "0 2 * * 6", duration: 1h}]
overrides: [{check: old, severity: none, until: 2026-12-31, reason: replaced}]`
	tests := []struct {
		name     string
		incident policy.Incident
		want     []policy.Event
	}{
		{"nobody takes it", policy.Incident{Subject: critical, Since: at("12:00")}, []policy.Event{
			{At: at("12:00"), What: "opened, tier 1 due", Told: []int{1}},
			{At: at("12:30"), What: "tier 2 due", Told: []int{2}},
			{At: at("14:00"), What: "tier 3 due", Told: []int{3}},
		}},
		{"somebody takes it and forgets it", policy.Incident{Subject: critical, Since: at("12:00"), Acked: at("12:10"), AckExpires: at("12:40")}, []policy.Event{
			{At: at("12:00"), What: "opened, tier 1 due", Told: []int{1}},
			{At: at("12:10"), What: "acknowledged", Muted: []int{1}},
			{At: at("12:30"), What: "tier 2 due", Muted: []int{1, 2}},
			{At: at("12:40"), What: "acknowledgement expired", Told: []int{1, 2}},
			{At: at("14:00"), What: "tier 3 due", Told: []int{3}},
		}},
		{"somebody takes it and solves it", policy.Incident{Subject: critical, Since: at("12:00"), Acked: at("12:10"), AckExpires: at("13:40"), Closed: at("12:20")}, []policy.Event{
			{At: at("12:00"), What: "opened, tier 1 due", Told: []int{1}},
			{At: at("12:10"), What: "acknowledged", Muted: []int{1}},
			{At: at("12:20"), What: "closed"},
		}},
		{"maintenance neither pages nor forgets", policy.Incident{Subject: critical, Since: at("02:15")}, []policy.Event{
			{At: at("02:15"), What: "opened, tier 1 due, in maintenance night", Muted: []int{1}},
			{At: at("02:45"), What: "tier 2 due, in maintenance night", Muted: []int{1, 2}},
			{At: at("03:00"), What: "maintenance over", Told: []int{1, 2}},
			{At: at("04:15"), What: "tier 3 due", Told: []int{3}},
		}},
		{"an accepted risk tells nobody", policy.Incident{Subject: policy.Subject{Check: "old", Severity: "critical"}, Since: at("12:00")}, []policy.Event{
			{At: at("12:00"), What: "risk accepted by override 0: replaced"},
		}},
		{"info tells nobody", policy.Incident{Subject: policy.Subject{Severity: "info"}, Since: at("12:00")}, []policy.Event{
			{At: at("12:00"), What: "opened"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, mustParse(t, night).Timeline(test.incident)); diff != "" {
				t.Errorf("timeline (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimelineOfAMaintenanceWithoutEndEnds(t *testing.T) {
	p := mustParse(t, `maintenance: [{name: forever, cron: "* * * * *", duration: 1h}]`)
	events := p.Timeline(policy.Incident{Subject: policy.Subject{Severity: "critical"}, Since: time.Unix(0, 0)})
	for _, event := range events {
		if len(event.Told) > 0 {
			t.Errorf("told in maintenance: %+v", event)
		}
	}
	if len(events) < 3 || len(events) > 200 {
		t.Errorf("%d events", len(events))
	}
}

func BenchmarkMaintenance(b *testing.B) {
	for _, line := range []string{"* * * * *", "0 2 * * 6", "0 0 29 2 *"} {
		b.Run(line, func(b *testing.B) {
			p := mustParse(b, `maintenance: [{name: w, cron: "`+line+`", duration: 30d}]`)
			at := time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)
			for b.Loop() {
				p.Maintenance("port", at)
			}
		})
	}
}
