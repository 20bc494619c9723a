package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/probes"
)

// document is the part of the configuration file that belongs to the policy.
type document struct {
	Escalation  policy.Escalation    `yaml:"escalation"`
	Overrides   []policy.Override    `yaml:"overrides"`
	Maintenance []policy.Maintenance `yaml:"maintenance"`
}

// parse builds a policy from a piece of configuration over the defaults.
func parse(text string) (*policy.Policy, error) {
	d := document{Escalation: policy.Default()}
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		return nil, err
	}
	return policy.New(d.Escalation, d.Overrides, d.Maintenance)
}

func mustParse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := parse(text)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	return p
}

// instant reads a time such as 2026-03-27 16:50 in a zone.
func instant(t testing.TB, zone, text string) time.Time {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatalf("zone: %v", err)
	}
	form := "2006-01-02 15:04"
	if strings.Contains(text, " +") {
		form += " -0700"
	}
	at, err := time.ParseInLocation(form, text, location)
	if err != nil {
		t.Fatalf("instant: %v", err)
	}
	return at
}

const berlin = "escalation: {timezone: Europe/Berlin}"

func TestDefaultIsValid(t *testing.T) {
	if _, err := policy.New(policy.Default(), nil, nil); err != nil {
		t.Errorf("New(Default()): %v", err)
	}
}

func TestNewReportsEveryMistakeAtItsPath(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"an unknown zone", `escalation: {timezone: Mars/Base}`, []string{`escalation.timezone: "Mars/Base" is not a known time zone`}},
		{"an empty zone", `escalation: {timezone: ""}`, []string{`escalation.timezone: is empty; write a name like Europe/Berlin, or Local for the zone of the host`}},
		{"no working day", `escalation: {working_hours: {days: []}}`, []string{`escalation.working_hours.days: must name at least one day`}},
		{"a day that is none", `escalation: {working_hours: {days: [mon, Tuesday]}}`, []string{`escalation.working_hours.days[1]: "Tuesday" is not one of mon, tue, wed, thu, fri, sat, sun`}},
		{"times of day that are none", `escalation: {working_hours: {from: "9:00", to: "25:00"}}`, []string{
			`escalation.working_hours.from: "9:00" is not a time of day; write it like 09:00`,
			`escalation.working_hours.to: "25:00" is not a time of day; write it like 09:00`,
		}},
		{"a shift without a length", `escalation: {working_hours: {from: "09:00", to: "09:00"}}`, []string{`escalation.working_hours.to: is the same as from; for whole days write 00:00 to 24:00`}},
		{"a shift that starts when the day is over", `escalation: {working_hours: {from: "24:00"}}`, []string{`escalation.working_hours.from: must be before 24:00`}},
		{"a holiday that is no date", `escalation: {working_hours: {holidays: [2026-12-25, 2026-02-30]}}`, []string{`escalation.working_hours.holidays[1]: "2026-02-30" is not a date; write it like 2026-12-25`}},
		{"tiers that fall", `escalation: {policies: {critical: {tiers: [1h, 30m]}}}`, []string{`escalation.policies.critical.tiers[1]: must be at least 1h, not 30m`}},
		{"no tier", `escalation: {policies: {warning: {calendar: always}}}`, []string{`escalation.policies.warning.tiers: must be one to 3 durations, not 0`}},
		{"four tiers", `escalation: {policies: {warning: {tiers: [1h, 2h, 3h, 4h]}}}`, []string{`escalation.policies.warning.tiers: must be one to 3 durations, not 4`}},
		{"an unknown calendar", `escalation: {policies: {warning: {tiers: [1h], calendar: moon}}}`, []string{`escalation.policies.warning.calendar: "moon" is neither always nor working_hours`}},
		{"ladders that nothing would take", `escalation: {policies: {urgent: {tiers: [1h]}, info: {tiers: [1h]}, owner/: {tiers: [1h]}, check/port: {tiers: [1h]}, owner/web/info: {tiers: [1h]}, check/port/open/high: {tiers: [1h]}}}`, []string{
			`escalation.policies.check/port: is neither critical, warning, owner/NAME nor check/PROBE/CHECK`,
			`escalation.policies.check/port/open/high: is neither critical, warning, owner/NAME nor check/PROBE/CHECK`,
			`escalation.policies.info: info has no tiers`,
			`escalation.policies.owner/: is neither critical, warning, owner/NAME nor check/PROBE/CHECK`,
			`escalation.policies.owner/web/info: info has no tiers`,
			`escalation.policies.urgent: is neither critical, warning, owner/NAME nor check/PROBE/CHECK`,
		}},
		{"a grace that would silence the agent", `escalation: {startup_grace: 1d}`, []string{`escalation.startup_grace: must be between 0 and 1h, not 1d`}},
		{"an override that changes nothing", `overrides: [{probe: port}]`, []string{`overrides[0]: changes nothing; give it an owner or a severity`}},
		{"mistakes in the second override", `overrides: [{owner: web}, {object: "a[", severity: high, until: soon}]`, []string{
			`overrides[1].object: "a[" is not a valid pattern`,
			`overrides[1].severity: "high" is not one of critical, warning, info, none`,
			`overrides[1].until: "soon" is not a date; write it like 2026-12-25`,
		}},
		{"a risk accepted for ever and for nothing", `overrides: [{severity: none}]`, []string{
			`overrides[0].until: is missing; a risk is accepted until a date`,
			`overrides[0].reason: is missing; a risk is accepted for a reason`,
		}},
		{"windows without a name, a length or a time", `maintenance: [{}]`, []string{
			`maintenance[0].name: is missing`,
			`maintenance[0].duration: must be above 0, not 0s`,
			`maintenance[0].cron: "" is not a cron line of five fields: empty spec string`,
		}},
		{"a window that never comes", `maintenance: [{name: a, cron: "0 0 31 2 *", duration: 1h}]`, []string{`maintenance[0].cron: "0 0 31 2 *" never comes`}},
		{"a window with its own zone", `maintenance: [{name: a, cron: "TZ=UTC", duration: 1h}]`, []string{`maintenance[0].cron: "TZ=UTC" has a time zone; set escalation.timezone`}},
		{"two windows of one name", `maintenance: [{name: a, cron: "0 0 * * *", duration: 1h}, {name: a, cron: "0 1 * * *", duration: 1h}]`, []string{`maintenance[1].name: "a" is the name of an earlier window too`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse(test.text)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if _, ok := errors.AsType[*probes.FieldError](err); !ok {
				t.Errorf("%v holds no FieldError", err)
			}
		})
	}
}

func TestNewRefusesToTellNobody(t *testing.T) {
	e := policy.Default()
	delete(e.Policies, policy.Critical)
	_, err := policy.New(e, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "escalation.policies.critical: is missing") {
		t.Errorf("New without a ladder for critical: %v", err)
	}
}

func TestDeadlines(t *testing.T) {
	const custom = `
escalation:
  timezone: Europe/Berlin
  working_hours: {holidays: [2026-12-25]}
  policies:
    owner/web: {tiers: [5m]}
    owner/web/critical: {tiers: [1m]}
    owner/team/net: {tiers: [6m]}
    check/port/open: {tiers: [2m]}
    check/port/open/warning: {tiers: [3m], calendar: always}
`
	tests := []struct {
		name, text string
		subject    policy.Subject
		since      string
		want       []string
	}{
		{
			"critical falls due at any hour", berlin,
			policy.Subject{Severity: "critical"},
			"2026-03-28 23:50",
			[]string{"2026-03-28 23:50", "2026-03-29 00:20", "2026-03-29 01:50"},
		},
		{
			"a warning of Friday evening waits for Monday", berlin,
			policy.Subject{Severity: "warning"},
			"2026-03-27 18:00",
			[]string{"2026-03-30 09:00", "2026-03-31 09:00", "2026-04-06 09:00"},
		},
		{
			"a holiday moves on to the next working day", custom,
			policy.Subject{Severity: "warning"},
			"2026-12-25 10:00",
			[]string{"2026-12-28 09:00", "2026-12-28 10:00", "2027-01-01 10:00"},
		},
		{"info has no tiers", custom, policy.Subject{Severity: "info", Owner: "web"}, "2026-03-27 18:00", nil},
		{"an unknown severity has no tiers", custom, policy.Subject{Severity: "", Owner: "web"}, "2026-03-27 18:00", nil},
		{"the owner goes before the severity", custom, policy.Subject{Severity: "warning", Owner: "web"}, "2026-03-27 18:00", []string{"2026-03-27 18:05"}},
		{"the owner with a severity goes before the owner", custom, policy.Subject{Severity: "critical", Owner: "web"}, "2026-03-27 18:00", []string{"2026-03-27 18:01"}},
		{"an owner may hold a slash", custom, policy.Subject{Severity: "critical", Owner: "team/net"}, "2026-03-27 18:00", []string{"2026-03-27 18:06"}},
		{"the check goes before the owner", custom, policy.Subject{Probe: "port", Check: "open", Severity: "critical", Owner: "web"}, "2026-03-27 18:00", []string{"2026-03-27 18:02"}},
		{"the check with a severity goes before the check", custom, policy.Subject{Probe: "port", Check: "open", Severity: "warning", Owner: "web"}, "2026-03-27 18:00", []string{"2026-03-27 18:03"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var want []time.Time
			for _, text := range test.want {
				want = append(want, instant(t, "Europe/Berlin", text).UTC())
			}
			got := mustParse(t, test.text).Deadlines(test.subject, instant(t, "Europe/Berlin", test.since))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("deadlines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkingHoursWhereTheClockJumps(t *testing.T) {
	tests := []struct {
		name, zone, days, from, to, since, want string
	}{
		{"a start that spring skips is the moment after the jump", "Europe/Berlin", "sun", "02:30", "06:00", "2026-03-29 00:00", "2026-03-29 03:00 +0200"},
		{"a shift that spring swallows is off", "Europe/Berlin", "sun", "02:00", "03:00", "2026-03-29 00:00", "2026-04-05 02:00 +0200"},
		{"a start that autumn shows twice counts at once", "Europe/Berlin", "sun", "02:30", "06:00", "2026-10-25 00:00", "2026-10-25 02:30 +0200"},
		{"an end that autumn shows twice is left and entered again", "Europe/Berlin", "sun", "01:00", "02:30", "2026-10-25 02:40 +0200", "2026-10-25 02:00 +0100"},
		{"a night shift belongs to the day on which it starts", "Europe/Berlin", "fri", "22:00", "06:00", "2026-05-02 05:00", "2026-05-02 05:00 +0200"},
		{"a night shift is over in the morning", "Europe/Berlin", "fri", "22:00", "06:00", "2026-05-02 06:00", "2026-05-08 22:00 +0200"},
		{"a day that never was has no shift", "Pacific/Apia", "fri", "09:00", "17:00", "2011-12-30 00:00 +1000", "2012-01-06 09:00 +1400"},
		{"a day without midnight starts at one", "Asia/Beirut", "sun", "00:00", "24:00", "2026-03-28 12:00", "2026-03-29 01:00 +0300"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := mustParse(t, `
escalation:
  timezone: `+test.zone+`
  working_hours: {days: [`+test.days+`], from: "`+test.from+`", to: "`+test.to+`"}
  policies: {warning: {tiers: [0s], calendar: working_hours}}`)
			got := p.Deadlines(policy.Subject{Severity: "warning"}, instant(t, test.zone, test.since))
			want := []time.Time{instant(t, test.zone, test.want).UTC()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("deadlines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	p := mustParse(t, berlin+`
overrides:
- {probe: certificate, object: "/srv/old/**", check: expired, severity: none, until: 2027-03-01, reason: decommissioned, by: kim}
- {object: "/srv/**", owner: files}
- {probe: port, severity: info, until: 2026-12-31}
- {probe: port, severity: warning, owner: net}`)
	endOfMarch1 := instant(t, "Europe/Berlin", "2027-03-02 00:00").UTC()
	endOfYear := instant(t, "Europe/Berlin", "2027-01-01 00:00").UTC()
	tests := []struct {
		name    string
		subject policy.Subject
		at      time.Time
		want    policy.Decision
	}{
		{
			"a risk is accepted on its last day",
			policy.Subject{Probe: "certificate", Check: "expired", Object: "/srv/old/a/b.pem", Severity: "critical", Owner: "web"},
			endOfMarch1.Add(-time.Nanosecond),
			policy.Decision{Owner: "web", Severity: "critical", Accepted: true, Override: 0, Until: endOfMarch1, Reason: "decommissioned", By: "kim"},
		},
		{
			"after the last day the next match takes over",
			policy.Subject{Probe: "certificate", Check: "expired", Object: "/srv/old/a/b.pem", Severity: "critical", Owner: "web"},
			endOfMarch1,
			policy.Decision{Owner: "files", Severity: "critical", Override: 1},
		},
		{
			"another check is not accepted",
			policy.Subject{Probe: "certificate", Check: "weak", Object: "/srv/old/a.pem", Severity: "critical"},
			endOfYear,
			policy.Decision{Owner: "files", Severity: "critical", Override: 1},
		},
		{
			"the first match wins",
			policy.Subject{Probe: "port", Check: "open", Object: "tcp/x:1", Severity: "critical", Owner: "web"},
			endOfYear.Add(-time.Hour),
			policy.Decision{Owner: "web", Severity: "info", Override: 2, Until: endOfYear},
		},
		{
			"owner and severity change together",
			policy.Subject{Probe: "port", Check: "open", Object: "tcp/x:1", Severity: "critical", Owner: "web"},
			endOfYear,
			policy.Decision{Owner: "net", Severity: "warning", Override: 3},
		},
		{
			"what nothing matches stays as it is",
			policy.Subject{Probe: "patch", Check: "late", Object: "host", Severity: "warning", Owner: "sre"},
			endOfYear,
			policy.Decision{Owner: "sre", Severity: "warning", Override: -1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, p.Decide(test.subject, test.at)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLastDayOfAnOverrideEndsWhereTheNextBegins(t *testing.T) {
	for zone, want := range map[string]string{
		"Asia/Beirut":   "2026-03-29 01:00 +0300", // no midnight
		"Europe/Berlin": "2026-03-29 00:00 +0100",
		"Pacific/Apia":  "2026-03-29 00:00 +1300",
	} {
		p := mustParse(t, `
escalation: {timezone: `+zone+`}
overrides: [{owner: a, until: 2026-03-28}]`)
		got := p.Decide(policy.Subject{}, instant(t, zone, "2026-03-28 22:00")).Until
		if diff := cmp.Diff(instant(t, zone, want).UTC(), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", zone, diff)
		}
	}
}
