package escalation_test

import (
	"strings"
	"testing"

	"hygiene_exporter/alerts/escalation"
)

func TestCheckAlertmanager(t *testing.T) {
	good, err := escalation.Alertmanager("example.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, old, new string
		want           string
	}{
		{"what we write is good", "", "", ""},
		{
			"a group without the episode", "object, episode, severity", "object, severity",
			`tier 1 of a critical problem of owner "": the route to "sre-pager" does not group by episode, so that a problem that returns is not told again`,
		},
		{
			"a tier that goes nowhere", "- name: management", "- name: somebody",
			`tier 3 of a critical problem of owner "web": there is no receiver "management"`,
		},
		{
			"a receiver that sends nothing", "webhook_configs: [{url: \"https://pager.example.org/web\"}]", "",
			`tier 1 of a critical problem of owner "web" reaches nobody`,
		},
		{
			"a route with a time interval", "- receiver: \"web-pager\"\n      matchers:", "- receiver: \"web-pager\"\n      active_time_intervals: [business]\n      matchers:",
			`the route to "web-pager" has time intervals and forgets what happens outside of them`,
		},
		{
			"tiers that mute each other", "inhibit_rules:", "inhibit_rules:\n- {source_match_re: {escalation: \"2|3\"}, target_match_re: {escalation: \"1|2\"}, equal: [instance, episode]}",
			`inhibit_rules[0]: tier 2 mutes tier 1 of the same problem, so that somebody is never told`,
		},
		{
			"an acknowledgement for the whole host", "equal: [job, instance, episode]", "equal: [job, instance]",
			"inhibit_rules[0]: an acknowledgement mutes another episode",
		},
		{
			"an acknowledgement without effect", `- source_matchers: ['kind="ack"']`, `- source_matchers: ['kind="akk"']`,
			"inhibit_rules: an acknowledgement does not mute tier 1 of its episode",
		},
		{
			"a critical problem that mutes the whole host", "equal: [job, instance, probe, check, object]", "equal: [job, instance]",
			"inhibit_rules[1]: a critical problem mutes the warning of another object",
		},
		{
			"a mass problem that mutes all tiers", "equal: [probe, check, severity, owner, escalation]", "equal: [probe, check]",
			"inhibit_rules[2]: tier 1 of a mass problem mutes tier 2 of its problems",
		},
		{
			"a host that is down mutes pages", `['severity="warning"', 'escalation=~"1|2|3"', 'episode=~".+"']` + "\n  equal: [job, instance]\n", `['escalation=~"1|2|3"', 'episode=~".+"']` + "\n  equal: [job, instance]\n",
			"inhibit_rules[3]: a host that is down mutes critical problems, also for the Prometheus that reaches it",
		},
		{
			"a slow watchdog", "group_interval: 1m\n    repeat_interval: 1s", "group_interval: 1m\n    repeat_interval: 1h",
			`the watchdog: the route to "deadman" sends only every 1h0m0s; a dead man's switch needs a signal every 5m0s`,
		},
		{
			"an acknowledgement that nobody reads", "receiver: \"team-chat\"", "receiver: \"nirvana\"",
			`the alert for an acknowledged problem: there is no receiver "nirvana"`,
		},
		{
			"a matcher with a broken expression", `'kind="watchdog"'`, `'kind=~"("'`,
			"the expression \"(\": error parsing regexp: missing closing ): `^(?:()$`",
		},
		{"no route", "route:", "rout:", "the configuration of Alertmanager has no route"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(string(good), tt.old, tt.new, 1)
			if tt.old != "" && text == string(good) {
				t.Fatalf("there is no %q to replace", tt.old)
			}
			err := escalation.CheckAlertmanager([]byte(text))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is\n%v\nit should contain\n%s", err, tt.want)
			}
		})
	}
}

// A configuration in the words of others: old syntax, continue, everything grouped.
func TestCheckUnderstandsOtherConfigurations(t *testing.T) {
	const text = `
route:
  receiver: all
  group_by: ['...']
  repeat_interval: 5m
  routes:
  - {receiver: log, continue: true, match_re: {alertname: "Hygiene.*"}}
  - {receiver: all, match: {owner: web}, matchers: ['{severity=~"critical|warning", escalation!=""}']}
inhibit_rules:
- {source_match: {kind: ack}, target_match: {escalation: "1"}, equal: [instance, episode]}
- {source_matchers: [severity=critical], target_matchers: [severity = warning], equal: [instance, probe, check, object]}
- {source_match: {kind: mass}, target_match_re: {episode: ".+"}, equal: [probe, check, severity, owner, escalation]}
- {source_matchers: ['"alertname"="HygieneHostDown"'], target_matchers: [severity="warning"], equal: [instance]}
receivers:
- {name: log, webhook_configs: [{url: "http://log"}]}
- {name: all, webhook_configs: [{url: "http://all"}]}
`
	if err := escalation.CheckAlertmanager([]byte(text)); err != nil {
		t.Error(err)
	}
}

func FuzzCheckAlertmanager(f *testing.F) {
	f.Add("route: {matchers: ['a=\"b\\\"c\",d!~e']}")
	f.Add("route: {routes: [null]}")
	f.Add("route: {receiver: a, match: {'': x}}\ninhibit_rules: [null]")
	// Any text gives an answer, and a configuration without receivers a bad one.
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "receivers") {
			return
		}
		if err := escalation.CheckAlertmanager([]byte(text)); err == nil {
			t.Errorf("a configuration without receivers is fine: %q", text)
		}
	})
}
