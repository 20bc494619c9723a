package detect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// declared holds the metrics of an invented probe "disk" and two of the agent.
func declared() []*probes.Metric {
	return []*probes.Metric{
		{Name: "hygiene_disk_deadline_timestamp_seconds", Labels: []string{"object", "slot", "owner"}},
		{Name: "hygiene_disk_broken", Labels: []string{"object", "owner"}},
		{Name: "hygiene_disk_limit", Labels: []string{"object", "owner"}},
		{Name: "hygiene_disk_bare", Labels: []string{"object"}},
		{
			Name: "hygiene_disk_finding", Labels: []string{"object", "finding", "owner"},
			Values: map[string][]string{"finding": {"worn", "slow"}},
		},
		{Name: "hygiene_probe_due_timestamp_seconds", Labels: []string{"name"}},
		{Name: "hygiene_agent_clock_synchronised"},
	}
}

func metric(t *testing.T, name string) *probes.Metric {
	t.Helper()
	for _, m := range declared() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

const texts = "{summary: 'Disk {{ $labels.object }}', description: d, impact: i, action: a}"

// file wraps one rule; its expression stands in line 5 and its labels in line 6.
func file(expr string) string {
	return `groups:
- name: g
  rules:
  - alert: HygieneDisk
    expr: ` + expr + `
    labels: {probe: disk, check: broken, severity: warning}
    annotations: ` + texts + "\n"
}

func replaced(old, text string) string {
	return strings.Replace(file("hygiene_disk_broken == 1"), old, text, 1)
}

const (
	labelsText = "labels: {probe: disk, check: broken, severity: warning}"
	ruleText   = "  - alert: HygieneDisk\n"
)

func TestLoadComplains(t *testing.T) {
	t.Parallel()
	const functionList = "abs, ceil, clamp, clamp_max, clamp_min, floor, label_join, label_replace, round, sgn, time"
	tests := []struct {
		name string
		give string
		want string
	}{
		{
			"text that is no YAML", "groups: [",
			"f.yml:1: did not find expected node content",
		},
		{
			"an unknown field", replaced("expr:", "exprr:"),
			"f.yml:5: field exprr not found",
		},
		{
			"several unknown fields at once", "groups:\n- name: g\n  intervall: 5s\n  rules: []\n  limmit: 3\n",
			"f.yml:3: field intervall not found\nf.yml:5: field limmit not found",
		},
		{
			"a duration that is none", replaced(ruleText, ruleText+"    for: soon\n"),
			`f.yml:1: not a valid duration string: "soon"`,
		},
		{
			"a second document", file("hygiene_disk_broken == 1") + "---\ngroups: []\n",
			"f.yml:8: a second YAML document, which Prometheus would not read",
		},
		{
			"two groups of one name", "groups:\n- name: g\n  rules: []\n- name: g\n  rules: []\n",
			`f.yml:4: groupname: "g" is repeated in the same file`,
		},
		{
			"a group without a name", "groups:\n- name: ''\n  rules: []\n",
			"f.yml:2: Groupname must not be empty",
		},
		{
			"a join on a label of one side", file("hygiene_disk_broken and on (instance, slot) hygiene_disk_limit"),
			"f.yml:5: HygieneDisk: a join on the label slot, which only one of the sides {object, owner} and {object, owner} can have",
		},
		{
			"a rule without an expression", replaced("    expr: hygiene_disk_broken == 1\n", ""),
			"f.yml:4: HygieneDisk: field 'expr' must be set in rule",
		},
		{
			"an expression that does not parse", file("hygiene_disk_broken =="),
			"f.yml:5: HygieneDisk: could not parse expression: 1:23: parse error: unexpected end of input",
		},
		{
			"a label name that is none", replaced("severity: warning", "severity: warning, a-b: c"),
			"f.yml:6: HygieneDisk: invalid label name: a-b\n" +
				"f.yml:6: HygieneDisk: the label a-b: a rule sets probe, check, severity and, about the whole host, object: host",
		},
		{
			"a template that does not parse", replaced("description: d", "description: '{{ nonsense }}'"),
			`f.yml:7: HygieneDisk: annotation "description": template: __alert_HygieneDisk:1: function "nonsense" not defined`,
		},
		{
			"a recording rule", "groups:\n- name: g\n  rules:\n  - record: a\n    expr: hygiene_disk_broken\n",
			"f.yml:4: a recording rule: the agent evaluates alerts only, and reads no recorded series",
		},
		{
			"a limit of the group", replaced("- name: g\n", "- name: g\n  limit: 5\n"),
			`f.yml:3: group "g": limit: above the limit Prometheus drops all alerts of the group`,
		},
		{
			"a query offset of the group", replaced("- name: g\n", "- name: g\n  query_offset: 5s\n"),
			`f.yml:3: group "g": query_offset: facts are evaluated at their own instant`,
		},
		{
			"labels of the group", replaced("- name: g\n", "- name: g\n  labels: {a: b}\n"),
			`f.yml:3: group "g": labels: write them into each rule, where they can be read`,
		},
		{
			"keep_firing_for", replaced(ruleText, ruleText+"    keep_firing_for: 5m\n"),
			"f.yml:5: HygieneDisk: keep_firing_for: a problem ends on evidence, not after a time",
		},
		{
			"an alert with another prefix", replaced("HygieneDisk", "DiskBroken"),
			"f.yml:4: DiskBroken: the name of an alert is Hygiene… in camel case",
		},
		{
			"one alert twice in a file", file("hygiene_disk_broken == 1") + strings.TrimPrefix(file("hygiene_disk_broken == 1"), "groups:\n- name: g\n  rules:\n"),
			"f.yml:8: HygieneDisk: there is an alert of this name in line 4",
		},
		{
			"two rules for one problem", file("hygiene_disk_broken == 1") + strings.Replace(strings.TrimPrefix(file("hygiene_disk_broken == 1"), "groups:\n- name: g\n  rules:\n"), "HygieneDisk", "HygieneDiskToo", 1),
			"f.yml:8: HygieneDiskToo: disk/broken warning is found by HygieneDisk already (f.yml:4)",
		},
		{
			"no labels at all", replaced("    "+labelsText+"\n", ""),
			"f.yml:4: HygieneDisk: the label probe is missing\n" +
				"f.yml:4: HygieneDisk: the label check is missing\n" +
				"f.yml:4: HygieneDisk: the label severity is missing",
		},
		{
			"an unknown severity", replaced("severity: warning", "severity: page"),
			`f.yml:6: HygieneDisk: the label severity: "page" is not one of critical, warning, info`,
		},
		{
			"a template in a label", replaced("check: broken", "check: '{{ $labels.object }}'"),
			"f.yml:6: HygieneDisk: the label check is a template: a problem would change its identity\n" +
				`f.yml:6: HygieneDisk: the label check: "{{ $labels.object }}" is not a word in small letters`,
		},
		{
			"a label of its own", replaced("check: broken", "check: broken, team: db"),
			"f.yml:6: HygieneDisk: the label team: a rule sets probe, check, severity and, about the whole host, object: host",
		},
		{
			"an object that is not the host", replaced("check: broken", "check: broken, object: sda"),
			`f.yml:6: HygieneDisk: the label object: "sda"; only a rule about the whole host sets it, to host` + "\n" +
				"f.yml:5: HygieneDisk: the result has the label object and the rule sets it too",
		},
		{
			"a probe that the expression knows nothing of", replaced("probe: disk", "probe: dsik"),
			`f.yml:5: HygieneDisk: the expression reads no metric of the probe "dsik"`,
		},
		{
			"missing texts", replaced(", impact: i, action: a", ", impact: ' '"),
			"f.yml:7: HygieneDisk: the annotation impact is missing\nf.yml:7: HygieneDisk: the annotation action is missing",
		},
		{
			"a number in the summary", replaced("'Disk {{ $labels.object }}'", "'{{ $labels.object }} {{ $value }}'"),
			"f.yml:7: HygieneDisk: the annotation summary names what it is about and nothing that changes; its only template is {{ $labels.object }}",
		},
		{
			"the host in the summary", replaced("'Disk {{ $labels.object }}'", "'{{ $labels.object }} on {{ $labels.instance }}'"),
			"f.yml:7: HygieneDisk: the annotation summary names what it is about and nothing that changes; its only template is {{ $labels.object }}",
		},
		{
			"a text with a label that the result has not", replaced("impact: i", "impact: 'see {{ $labels.slot }}'"),
			"f.yml:7: HygieneDisk: the annotation impact reads $labels.slot, which the result {object, owner} does not have",
		},
		{
			"a metric that nobody declares", file("hygiene_disk_brokn == 1"),
			"f.yml:5: HygieneDisk: no probe declares the metric hygiene_disk_brokn",
		},
		{
			"several mistakes in one expression", file("hygiene_disk_brokn == 1 and on (instance, object) hygiene_disk_limit offset 5m"),
			"f.yml:5: HygieneDisk: no probe declares the metric hygiene_disk_brokn\n" +
				"f.yml:5: HygieneDisk: offset: the agent has no earlier samples, and the selector would be empty for ever",
		},
		{
			"the line of a mistake in a literal block", file("|\n      hygiene_disk_broken == 1\n      and on (instance, object)\n      hygiene_disk_brokn\n"),
			"f.yml:8: HygieneDisk: no probe declares the metric hygiene_disk_brokn",
		},
		{
			"a matcher on a label that the metric has not", file(`hygiene_disk_broken{slot="a"} == 1`),
			"f.yml:5: HygieneDisk: the metric hygiene_disk_broken has no label slot",
		},
		{
			"a matcher on a value outside the closed set", file(`max without (finding) (hygiene_disk_finding{finding="old"} == 1)`),
			`f.yml:5: HygieneDisk: the label finding of hygiene_disk_finding is never "old", only one of worn, slow`,
		},
		{
			"a negative matcher on a value outside the closed set", file(`max without (finding) (hygiene_disk_finding{finding!="old"} == 1)`),
			`f.yml:5: HygieneDisk: the label finding of hygiene_disk_finding is never "old", only one of worn, slow`,
		},
		{
			"one of several values outside the closed set", file(`max without (finding) (hygiene_disk_finding{finding=~"worn|old"} == 1)`),
			`f.yml:5: HygieneDisk: the label finding of hygiene_disk_finding is never "old", only one of worn, slow`,
		},
		{
			"a pattern that no value of the closed set fits", file(`max without (finding) (hygiene_disk_finding{finding=~"x.+"} == 1)`),
			`f.yml:5: HygieneDisk: the matcher finding=~"x.+" excludes every value of the label: worn, slow`,
		},
		{
			"a matcher on the instance", file(`hygiene_disk_broken{instance="a"} == 1`),
			"f.yml:5: HygieneDisk: the metric hygiene_disk_broken has no label instance",
		},
		{
			"a range selector", file("max without (slot) (changes(hygiene_disk_deadline_timestamp_seconds[5m])) > 0"),
			"f.yml:5: HygieneDisk: a range selector: the agent has one sample of each series",
		},
		{
			"a subquery", file("max_over_time(hygiene_disk_broken[5m:]) > 0"),
			"f.yml:5: HygieneDisk: a subquery: the agent has one sample of each series",
		},
		{
			"an offset", file("hygiene_disk_broken unless hygiene_disk_broken offset 1h"),
			"f.yml:5: HygieneDisk: offset: the agent has no earlier samples, and the selector would be empty for ever",
		},
		{
			"an offset in the future", file("hygiene_disk_broken offset -1h == 1"),
			"f.yml:5: HygieneDisk: offset: the agent has no earlier samples, and the selector would be empty for ever",
		},
		{
			"a time of its own", file("hygiene_disk_broken @ 100 == 1"),
			"f.yml:5: HygieneDisk: @: the agent has no other samples than those of now",
		},
		{
			"the end of a range as time", file("hygiene_disk_broken @ end() == 1"),
			"f.yml:5: HygieneDisk: @: the agent has no other samples than those of now",
		},
		{
			"a selector without a name", file(`'{object="sda"} == 1'`),
			"f.yml:5: HygieneDisk: a selector without the name of a metric",
		},
		{
			"absent", file("absent(hygiene_disk_broken)"),
			"f.yml:5: HygieneDisk: absent() is not for detection rules; use one of " + functionList,
		},
		{
			"a vector as a number", file("hygiene_disk_broken > scalar(hygiene_disk_limit)"),
			"f.yml:5: HygieneDisk: scalar() is not for detection rules; use one of " + functionList,
		},
		{
			"an aggregation that picks series", file("topk by (instance) (1, hygiene_disk_broken)"),
			"f.yml:5: HygieneDisk: topk is not for detection rules; use max, min, sum, count, avg or group",
		},
		{
			"an aggregation over hosts", file("max by (object, owner) (hygiene_disk_broken == 1)"),
			"f.yml:5: HygieneDisk: max mixes hosts in a central Prometheus; write by (instance, …) or without (…)",
		},
		{
			"an aggregation that removes the host", file("max without (instance) (hygiene_disk_broken == 1)"),
			"f.yml:5: HygieneDisk: without (instance) mixes hosts in a central Prometheus",
		},
		{
			"a join over hosts", file("hygiene_disk_broken and on (object) hygiene_disk_limit"),
			"f.yml:5: HygieneDisk: a join without the instance mixes hosts in a central Prometheus; write and on (instance, …)",
		},
		{
			"a join that ignores the host", file("hygiene_disk_broken and ignoring (instance) hygiene_disk_limit"),
			"f.yml:5: HygieneDisk: ignoring (instance) mixes hosts in a central Prometheus",
		},
		{
			"a comparison of sides with different labels", file("hygiene_disk_broken > hygiene_disk_bare"),
			"f.yml:5: HygieneDisk: the sides of > have different labels, {object, owner} and {object}, and never meet; write > on (instance, …)",
		},
		{
			"a union of sides with different labels", file("hygiene_disk_broken or on (instance, object) hygiene_disk_bare"),
			"f.yml:5: HygieneDisk: the sides of or have different labels, {object, owner} and {object}, and never meet; write or on (instance, …)",
		},
		{
			"several results for an object", file("hygiene_disk_deadline_timestamp_seconds <= time()"),
			"f.yml:5: HygieneDisk: the result has the label slot, so that an object can have several; remove it, as in max without (slot) (…)",
		},
		{
			"results without an object", file("max by (instance, owner) (hygiene_disk_broken == 1)"),
			"f.yml:5: HygieneDisk: the result {owner} has no label object; a rule about the whole host sets object: host\n" +
				"f.yml:7: HygieneDisk: the annotation summary reads $labels.object, which the result {owner} does not have",
		},
		{
			"a comparison that loses the owner", file("hygiene_disk_broken > on (instance, object) hygiene_disk_limit"),
			"f.yml:5: HygieneDisk: the result {object} has lost the label owner, and nobody would be told",
		},
		{
			"a label that is replaced from one that is not there", file(`label_replace(hygiene_disk_broken, "object", "$1", "device", "(.*)")`),
			`f.yml:5: HygieneDisk: label_replace: the argument {object, owner} has no label "device"`,
		},
		{
			"a label that is the central side's", file(`label_replace(hygiene_disk_broken, "instance", "$1", "object", "(.*)")`),
			"f.yml:5: HygieneDisk: label_replace: the label instance belongs to the central Prometheus",
		},
		{
			"no comparison", file("hygiene_disk_broken"),
			"f.yml:5: HygieneDisk: the expression compares nothing, so that it finds every object, good or bad",
		},
		{
			"a comparison that yields 0 and 1", file("hygiene_disk_broken == bool 1"),
			"f.yml:5: HygieneDisk: the expression compares nothing, so that it finds every object, good or bad",
		},
		{
			"a comparison of numbers alone", file("hygiene_disk_broken * (time() > bool 5)"),
			"f.yml:5: HygieneDisk: the expression compares nothing, so that it finds every object, good or bad",
		},
		{
			"one number as the result", file("time() > bool 5"),
			"f.yml:5: HygieneDisk: the expression reads no metric",
		},
		{
			"an expression without a metric", file("time() > 1"),
			"f.yml:5: HygieneDisk: could not parse expression: 1:8: parse error: comparisons between scalars must use BOOL modifier",
		},
		{
			"a number as the result", file("time()"),
			"f.yml:5: HygieneDisk: the expression reads no metric",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			rules, err := Load([]File{{Name: "f.yml", Data: []byte(test.give)}}, declared())
			if err == nil {
				t.Fatalf("Load accepted it: %+v", rules.Rules())
			}
			want := strings.Split(test.want, "\n")
			got := strings.Split(err.Error(), "\n")
			if diff := cmp.Diff(sortedByText(want), sortedByText(got)); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}
