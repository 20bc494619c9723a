package escalation_test

import (
	"bytes"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/escalation"
)

func TestExample(t *testing.T) {
	config, err := escalation.Alertmanager("example.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.alertmanager.yml", config)
	messages, err := escalation.Template("example.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "example.tmpl", messages)
	options, err := escalation.PolicyOptions("example.yml", escalation.Example())
	want := escalation.Options{Labels: []string{"job", "instance"}, Owners: []string{"sre", "web"}}
	if diff := cmp.Diff(want, options); diff != "" || err != nil {
		t.Errorf("options (-want +got), error %v:\n%s", err, diff)
	}
}

// An alert and a message are what Alertmanager gives to templates.
type (
	alert struct {
		Status              string
		Labels, Annotations map[string]string
	}
	message struct {
		Status, ExternalURL string
		CommonLabels        map[string]string
		Alerts              []alert
	}
)

func TestMessages(t *testing.T) {
	tier := func(owner, status string) message {
		labels := map[string]string{
			"instance": "db1:10981", "probe": "certificate", "check": "renewal", "object": "/etc/ssl/a b.pem",
			"episode": "k3v9q2xa", "severity": "critical", "escalation": "2", "owner": owner,
		}
		if owner == "" {
			delete(labels, "owner")
		}
		return message{
			Status: status, ExternalURL: "http://alertmanager:9093", CommonLabels: labels,
			Alerts: []alert{{Status: status, Labels: labels, Annotations: map[string]string{
				"summary":     "certificate/renewal: /etc/ssl/a b.pem on db1:10981",
				"description": "Renewal is overdue. Tier 3 is told at 2026-11-24 14:00:00 +0000 UTC. Take it on the host: hygiene_exporter ack k3v9q2xa --for 2h --by NAME",
			}}},
		}
	}
	ack := tier("web", "firing")
	delete(ack.CommonLabels, "escalation")
	ack.CommonLabels["kind"] = "ack"
	linked := bytes.Replace(escalation.Example(), []byte(`agent: ""`), []byte(`agent: "https://{instance}/"`), 1)
	linked = bytes.Replace(linked, []byte(`runbooks: ""`), []byte(`runbooks: "https://wiki.example.org/r/"`), 1)
	linked = bytes.Replace(linked, []byte(`alertmanager: ""`), []byte(`alertmanager: "https://am.example.org/"`), 1)
	var out strings.Builder
	for _, tt := range []struct {
		name   string
		policy []byte
		data   message
	}{
		{"tier 2 of web", escalation.Example(), tier("web", "firing")},
		{"tier 2 is solved", escalation.Example(), tier("sre", "resolved")},
		{"an unknown owner goes to the default owner", escalation.Example(), tier("nobody", "firing")},
		{"no owner, all links", linked, tier("", "firing")},
		{"somebody has it", escalation.Example(), ack},
	} {
		text, err := escalation.Template("example.yml", tt.policy)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := template.New("").Option("missingkey=zero").Parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("== " + tt.name + "\n")
		for _, part := range []string{"hygiene.title", "hygiene.text"} {
			if err := parsed.ExecuteTemplate(&out, part, tt.data); err != nil {
				t.Fatal(err)
			}
			out.WriteString("\n")
		}
	}
	golden(t, "messages.txt", []byte(out.String()))
}

// small is a policy file as short as possible.
const small = `default_owner: sre
owners:
  sre:
    receivers: {critical: [pager]}
chat: pager
deadman: pager
receivers:
  - name: pager
    webhook_configs: [{url: "http://pager"}]
`

func TestPolicyErrors(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		want           string
	}{
		{"the small policy is complete", "", "", ""},
		{"an unknown key", "chat:", "chatt:", "p.yml:5: field chatt not found"},
		{"a key twice", "chat: pager", "chat: pager\nchat: pager", `p.yml:6: mapping key "chat" already defined at line 5`},
		{"no YAML at all", "owners:", "owners: [", "p.yml:1: did not find expected ',' or ']'"},
		{"a second document", "chat: pager", "chat: pager\n---\n", "p.yml: there is more than one document"},
		{"a receiver that does not exist", "[pager]", "[pager, boss]", `p.yml:4: owners.sre.receivers.critical: there is no receiver "boss"`},
		{"a severity that nobody is told of", "critical: [pager]", "critical: [pager], info: [pager]", "p.yml: owners.sre.receivers.info: the severities are critical and warning"},
		{"four tiers", "[pager]", "[pager, pager, pager, pager]", "p.yml:4: owners.sre.receivers.critical: there are 3 tiers, not 4"},
		{"no receiver for critical problems", "critical", "warning", "p.yml: owners.sre: receivers.critical is missing"},
		{"an unknown default owner", "default_owner: sre", "default_owner: web", `p.yml:1: default_owner: there is no owner "web"`},
		{"no dead man's switch", "deadman: pager\n", "", "p.yml: deadman is missing"},
		{"a receiver without a name", "name: pager", "nam: pager", "p.yml:8: a receiver without a name"},
		{"a duration that is none", "chat:", "timings: {group_wait: soon}\nchat:", `p.yml:5: "soon" is not a duration; write it like 30s, 5m, 26h or 7d`},
		{"no repeat interval", "chat:", "timings: {repeat_interval: {warning: []}}\nchat:", "p.yml: timings.repeat_interval.warning takes 1 to 3 values"},
		{"an identity without the job", "chat:", "identity: [instance]\nchat:", `p.yml: identity: "job" is missing`},
		{"a link that is none", "chat:", "links: {agent: here}\nchat:", `p.yml: links.agent: "here" is not an http or https address`},
		{"a receiver that sends nothing", `webhook_configs: [{url: "http://pager"}]`, "", "reaches nobody"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := escalation.Alertmanager("p.yml", []byte(strings.Replace(small, tt.old, tt.new, 1)))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error is %v\nit should contain %s", err, tt.want)
			}
		})
	}
	if _, err := escalation.Alertmanager("p.yml", nil); err == nil || err.Error() != "p.yml: the file is empty" {
		t.Errorf("an empty file gives %v", err)
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	text := strings.NewReplacer("chat: pager", "chat: nowhere", "deadman: pager", "deadman: nobody").Replace(small)
	_, err := escalation.Alertmanager("p.yml", []byte(text))
	want := "p.yml:5: chat: there is no receiver \"nowhere\"\np.yml:6: deadman: there is no receiver \"nobody\""
	if err == nil || err.Error() != want {
		t.Errorf("error is %v\nwant %s", err, want)
	}
}

func FuzzAlertmanager(f *testing.F) {
	f.Add(string(escalation.Example()))
	f.Add(small)
	f.Add("receivers: [{name: &a [*a]}]")
	// Whatever the policy file says, either it is refused, or people are told.
	f.Fuzz(func(t *testing.T, text string) {
		config, err := escalation.Alertmanager("p.yml", []byte(text))
		if err != nil {
			return
		}
		if err := escalation.CheckAlertmanager(config); err != nil {
			t.Errorf("%v in\n%s", err, config)
		}
	})
}
