package escalation_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"hygiene_exporter/alerts/escalation"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file below testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not up to date, run the test with -update (-want +got):\n%s", path, diff)
	}
}

func everything() escalation.Options {
	return escalation.Options{
		Job:    "agents",
		Labels: []string{"cluster", "job", "instance"},
		Owners: []string{"web", "sre", "a.b"},
		Links: escalation.Links{
			Alertmanager: "https://alertmanager.example.org/",
			Runbooks:     "https://wiki.example.org/runbooks",
			Agent:        "https://{instance}/",
		},
	}
}

func TestRules(t *testing.T) {
	for name, options := range map[string]escalation.Options{
		"default.rules.yml":    {},
		"everything.rules.yml": everything(),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := escalation.Rules(options)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, got)
			again, err := escalation.Rules(options)
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("the second call gave something else, error %v", err)
			}
		})
	}
}

// Routes, inhibitions and people rely on these.
func TestEveryRuleIsComplete(t *testing.T) {
	text, err := escalation.Rules(everything())
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.LegacyValidation)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" {
				continue
			}
			if !strings.HasPrefix(rule.Alert, "Hygiene") {
				t.Errorf("%s: the name does not begin with Hygiene", rule.Alert)
			}
			if strings.Contains(rule.Annotations["summary"], "$value") {
				t.Errorf("%s: the summary changes with the value: %s", rule.Alert, rule.Annotations["summary"])
			}
			for _, key := range []string{"summary", "description"} {
				if rule.Annotations[key] == "" {
					t.Errorf("%s: there is no %s", rule.Alert, key)
				}
			}
			if n := strings.Count(rule.Annotations["description"], "query"); n > 1 {
				t.Errorf("%s: the description asks %d queries", rule.Alert, n)
			}
			if strings.Contains(rule.Annotations["silence_url"], "escalation") {
				t.Errorf("%s: the silence would end with the tier: %s", rule.Alert, rule.Annotations["silence_url"])
			}
		}
	}
}

func TestRulesRefuse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options escalation.Options
		want    string
	}{
		{"an identity that is no label", escalation.Options{Labels: []string{"job", "instance", "a-b"}}, `identity: "a-b" is not the name of a label`},
		{"an identity that belongs to problems", escalation.Options{Labels: []string{"job", "instance", "owner"}}, `identity: "owner" belongs to the problem, not to the agent`},
		{"an identity with a label twice", escalation.Options{Labels: []string{"job", "instance", "job"}}, `identity: "job" is there twice`},
		{"an identity without instance", escalation.Options{Labels: []string{"job"}}, `identity: "instance" is missing`},
		{"a link without a scheme", escalation.Options{Links: escalation.Links{Runbooks: "wiki/runbooks"}}, `links.runbooks: "wiki/runbooks" is not an http or https address`},
		{"a link that would become a template", escalation.Options{Links: escalation.Links{Alertmanager: "http://a/{{ $value }}"}}, `links.alertmanager: "http://a/{{ $value }}" contains a brace, a quote or a space`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := escalation.Rules(tt.options)
			if err == nil {
				t.Fatalf("no error, but %d bytes", len(out))
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// Every file below testdata belongs to a test: the golden files to those of this
// package, the rule tests to that of the module test, which runs them all.
func TestEveryFileOfTestdataIsUsed(t *testing.T) {
	known := map[string]bool{
		"default.rules.yml": true, "everything.rules.yml": true, "example.alertmanager.yml": true,
		"example.tmpl": true, "messages.txt": true, "fuzz": true,
	}
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !known[entry.Name()] && !strings.HasSuffix(entry.Name(), ".test.yml") {
			t.Errorf("no test reads testdata/%s", entry.Name())
		}
	}
}
