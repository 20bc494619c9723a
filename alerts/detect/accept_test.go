package detect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sortedByText(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

func mustLoad(t testing.TB, files ...string) *Rules {
	t.Helper()
	var list []File
	for i, text := range files {
		list = append(list, File{Name: string(rune('a'+i)) + ".yml", Data: []byte(text)})
	}
	rules, err := Load(list, declared())
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestLoadAccepts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		give string
		want []string // the metrics that the rule reads
	}{
		{"a plain comparison", "hygiene_disk_broken == 1", []string{"hygiene_disk_broken"}},
		{"a deadline", "min without (slot) (hygiene_disk_deadline_timestamp_seconds <= time())", []string{"hygiene_disk_deadline_timestamp_seconds"}},
		{"an aggregation that keeps the host", "max by (instance, object, owner) (hygiene_disk_broken == 1)", []string{"hygiene_disk_broken"}},
		{"a comparison of sides with the same labels", "hygiene_disk_broken > hygiene_disk_limit", []string{"hygiene_disk_broken", "hygiene_disk_limit"}},
		{"a join on host and object", "hygiene_disk_broken and on (instance, object) hygiene_disk_bare > 2", []string{"hygiene_disk_bare", "hygiene_disk_broken"}},
		{"a comparison that brings the owner", "hygiene_disk_broken > on (instance, object) group_left (owner) hygiene_disk_limit", []string{"hygiene_disk_broken", "hygiene_disk_limit"}},
		{"an exclusion by host", "hygiene_disk_broken unless on (instance) hygiene_agent_clock_synchronised == 0", []string{"hygiene_agent_clock_synchronised", "hygiene_disk_broken"}},
		{"a union", "(hygiene_disk_broken == 1) or (hygiene_disk_limit == 0)", []string{"hygiene_disk_broken", "hygiene_disk_limit"}},
		{"arithmetic with numbers", "abs(-hygiene_disk_broken * 2) > clamp_min(hygiene_disk_limit, 0)", []string{"hygiene_disk_broken", "hygiene_disk_limit"}},
		{"values of the closed set", `max without (finding) (hygiene_disk_finding{finding=~"worn|slow", owner!="db"} == 1)`, []string{"hygiene_disk_finding"}},
		{"a pattern that fits the closed set", `max without (finding) (hygiene_disk_finding{finding=~"wo.+"} == 1)`, []string{"hygiene_disk_finding"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rules := mustLoad(t, file(test.give)).Rules()
			want := []Rule{{
				Alert: "HygieneDisk", Probe: "disk", Check: "broken", Severity: Warning, Expr: test.give,
				Annotations: map[string]string{"summary": "Disk {{ $labels.object }}", "description": "d", "impact": "i", "action": "a"},
				Metrics:     test.want, File: "a.yml", Line: 4,
			}}
			if diff := cmp.Diff(want, rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsEverythingOfARule(t *testing.T) {
	t.Parallel()
	rules := mustLoad(t, `groups:
- name: g
  interval: 1m
  rules:
  - alert: HygieneClock
    for: 30m
    expr: hygiene_agent_clock_synchronised == 0
    labels: {probe: agent, check: clock, severity: info, object: host}
    annotations: {summary: The clock, description: d, impact: i, action: a, dashboard: extra}
`).Rules()
	want := []Rule{{
		Alert: "HygieneClock", Probe: "agent", Check: "clock", Severity: Info, Object: "host",
		Expr: "hygiene_agent_clock_synchronised == 0", For: 30 * time.Minute,
		Annotations: map[string]string{"summary": "The clock", "description": "d", "impact": "i", "action": "a", "dashboard": "extra"},
		Metrics:     []string{"hygiene_agent_clock_synchronised"}, File: "a.yml", Line: 5,
	}}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestLoadReadsAliases(t *testing.T) {
	t.Parallel()
	text := strings.Replace(file("hygiene_disk_broken == 1"), "labels: {", "labels: &l {", 1) + `  - alert: HygieneDiskSlow
    expr: hygiene_disk_brokn == 1
    labels: *l
    annotations: ` + texts + "\n"
	_, err := Load([]File{{Name: "f.yml", Data: []byte(text)}}, declared())
	want := "f.yml:9: HygieneDiskSlow: no probe declares the metric hygiene_disk_brokn\n" +
		"f.yml:8: HygieneDiskSlow: disk/broken warning is found by HygieneDisk already (f.yml:4)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestLaterFilesReplaceAlerts(t *testing.T) {
	t.Parallel()
	other := strings.Replace(file("hygiene_disk_limit == 7"), "severity: warning", "severity: critical", 1)
	rules := mustLoad(t, file("hygiene_disk_broken == 1"), other).Rules()
	if len(rules) != 1 || rules[0].Expr != "hygiene_disk_limit == 7" || rules[0].Severity != Critical || rules[0].File != "b.yml" {
		t.Errorf("rules = %+v", rules)
	}
}

func TestLoadComplainsAboutAllFiles(t *testing.T) {
	t.Parallel()
	_, err := Load([]File{
		{Name: "a.yml", Data: []byte("groups: [")},
		{Name: "b.yml"},
		{Name: "c.yml", Data: []byte(file("hygiene_disk_brokn"))},
	}, declared())
	want := "a.yml:1: did not find expected node content\nc.yml:5: HygieneDisk: no probe declares the metric hygiene_disk_brokn"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestDisable(t *testing.T) {
	t.Parallel()
	second := strings.NewReplacer("HygieneDisk", "HygieneDiskSlow", "check: broken", "check: slow").Replace(file("hygiene_disk_limit == 7"))
	rules := mustLoad(t, file("hygiene_disk_broken == 1"), second)
	left, err := rules.Disable([]string{"HygieneDisk"})
	if err != nil {
		t.Fatal(err)
	}
	if got := left.Rules(); len(got) != 1 || got[0].Alert != "HygieneDiskSlow" {
		t.Errorf("left: %+v", got)
	}
	_, err = rules.Disable([]string{"HygieneDisk", "HygieneDsik", "Hygiene"})
	if want := "no rule is called \"Hygiene\"\nno rule is called \"HygieneDsik\""; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if len(rules.Rules()) != 2 {
		t.Error("Disable changed the rules it was given")
	}
}
