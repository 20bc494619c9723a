package virtual

import (
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"sigs.k8s.io/yaml"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/escalation"
)

func manifest() escalation.Manifest {
	return escalation.Manifest{Name: "hygiene-exporter", Namespace: "monitoring", Labels: map[string]string{"release": "stack"}}
}

// The operator's own types take every key of the objects, and nothing is lost.
func TestOperatorTakesTheRules(t *testing.T) {
	escalationRules, err := escalation.Rules(escalation.Options{Owners: []string{"sre"}})
	if err != nil {
		t.Fatal(err)
	}
	detection, err := alerts.RuleFile()
	if err != nil {
		t.Fatal(err)
	}
	for name, rules := range map[string][]byte{"escalation": escalationRules, "detection": detection} {
		text, err := escalation.PrometheusRule(manifest(), rules)
		if err != nil {
			t.Fatal(err)
		}
		var object monitoringv1.PrometheusRule
		if err := yaml.UnmarshalStrict(text, &object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plain, errs := rulefmt.Parse(rules, false, model.LegacyValidation)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if object.Name != "hygiene-exporter" || object.Labels["release"] != "stack" || len(object.Spec.Groups) != len(plain.Groups) {
			t.Errorf("%s: %+v with %d groups", name, object.ObjectMeta, len(object.Spec.Groups))
		}
		for i, group := range object.Spec.Groups {
			for j, rule := range group.Rules {
				if want := plain.Groups[i].Rules[j]; rule.Expr.String() != want.Expr || rule.Alert != want.Alert || rule.Record != want.Record {
					t.Errorf("%s: rule %d of group %s is %s%s, not %s%s", name, j, group.Name, rule.Alert, rule.Record, want.Alert, want.Record)
				}
			}
		}
	}
}

func TestOperatorTakesTheConfiguration(t *testing.T) {
	policy := strings.Replace(string(escalation.Example()), "api_url: https://chat.example.org/hook", "api_url: {name: chat, key: url}", 1)
	text, err := escalation.AlertmanagerConfig(manifest(), "policy.yml", []byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	var object v1alpha1.AlertmanagerConfig
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Fatal(err)
	}
	plain := generated(t)
	routes, err := object.Spec.Route.ChildRoutes()
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) != len(plain.Route.Routes) || len(object.Spec.Receivers) != len(plain.Receivers) || len(object.Spec.InhibitRules) != len(plain.InhibitRules) {
		t.Errorf("%d routes, %d receivers and %d inhibitions, not %d, %d and %d", len(routes), len(object.Spec.Receivers),
			len(object.Spec.InhibitRules), len(plain.Route.Routes), len(plain.Receivers), len(plain.InhibitRules))
	}
	for _, r := range object.Spec.Receivers {
		if len(r.WebhookConfigs)+len(r.SlackConfigs) != 1 {
			t.Errorf("the receiver %s is empty", r.Name)
		}
	}
	if _, err := escalation.AlertmanagerConfig(manifest(), "policy.yml", escalation.Example()); err == nil || !strings.Contains(err.Error(), "api_url: {name: SECRET, key: KEY}") {
		t.Errorf("a secret in the policy: %v", err)
	}
}
