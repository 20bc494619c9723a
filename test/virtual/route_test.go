package virtual

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"hygiene_exporter/alerts/escalation"
)

// generated is the configuration that comes from the example of a policy.
func generated(t *testing.T) *config.Config {
	t.Helper()
	text, err := escalation.Alertmanager("policy.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := config.Load(strings.Replace(string(text), `templates: ["hygiene_exporter.tmpl"]`, "", 1))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Each alert of each tier of each owner reaches the receiver that the example
// names, and no other, in a group of its own.
func TestEveryTierOfEveryOwnerHasItsReceiver(t *testing.T) {
	routes := dispatch.NewRoute(generated(t).Route, nil)
	ladders := map[string]map[string][]string{
		"sre": {"critical": {"sre-pager", "platform-pager", "management"}, "warning": {"sre-tickets", "sre-tickets", "sre-pager"}},
		"web": {"critical": {"web-pager", "sre-pager", "management"}, "warning": {"web-tickets", "web-tickets", "sre-tickets"}},
	}
	ladders["nobody"], ladders[""] = ladders["sre"], ladders["sre"]
	for _, probe := range []string{"certificate", "redundancy", "patch", "port", "backup", "drill", "agent", "own"} {
		for owner, ladder := range ladders {
			for severity, receivers := range ladder {
				for i, want := range receivers {
					labels := model.LabelSet{
						"alertname": model.LabelValue(escalation.AlertName(probe)), "probe": model.LabelValue(probe), "check": "c", "object": "o",
						"episode": "aaaaaaaa", "severity": model.LabelValue(severity), "escalation": model.LabelValue(fmt.Sprint(i + 1)),
						"job": "hygiene_exporter", "instance": "host1:10981",
					}
					if owner != "" {
						labels["owner"] = model.LabelValue(owner)
					}
					found := routes.Match(labels)
					if len(found) != 1 || found[0].RouteOpts.Receiver != want {
						t.Errorf("%v reaches %d routes, the first to %s, not %s", labels, len(found), found[0].RouteOpts.Receiver, want)
					}
					for _, label := range []model.LabelName{"episode", "escalation", "instance"} {
						if _, grouped := found[0].RouteOpts.GroupBy[label]; !grouped {
							t.Errorf("%v: %s does not tell groups apart", labels, label)
						}
					}
				}
			}
		}
	}
}

func TestSignalsHaveTheirReceivers(t *testing.T) {
	routes := dispatch.NewRoute(generated(t).Route, nil)
	for _, c := range []struct {
		labels model.LabelSet
		want   string
	}{
		{model.LabelSet{"alertname": "HygieneWatchdog", "kind": "watchdog"}, "deadman"},
		{model.LabelSet{"alertname": "HygieneAgentWatchdog", "kind": "watchdog", "instance": "edge1"}, "deadman"},
		{model.LabelSet{"alertname": "HygieneProblemAcknowledged", "kind": "ack", "owner": "web"}, "team-chat"},
		{model.LabelSet{"alertname": "HygieneMassProblem", "kind": "mass", "owner": "web", "severity": "critical", "escalation": "1"}, "web-pager"},
		{model.LabelSet{"alertname": "HygieneHostDown", "severity": "critical", "escalation": "3"}, "management"},
		{model.LabelSet{"alertname": "HygieneNoAgents", "severity": "critical", "escalation": "1"}, "sre-pager"},
		{model.LabelSet{"alertname": "SomebodyElses"}, "sre-pager"},
	} {
		if found := routes.Match(c.labels); len(found) != 1 || found[0].RouteOpts.Receiver != c.want {
			t.Errorf("%v reaches %s, not %s", c.labels, found[0].RouteOpts.Receiver, c.want)
		}
	}
}

// inhibitors are alerts that mute each other, by name.
func inhibitors() map[string]model.LabelSet {
	problem := func(severity, tier, episode string) model.LabelSet {
		return model.LabelSet{
			"alertname": "HygieneCertificateProblem", "probe": "certificate", "check": "expired", "object": "/a.pem", "owner": "web",
			"episode": model.LabelValue(episode), "severity": model.LabelValue(severity), "escalation": model.LabelValue(tier),
			"job": "hygiene_exporter", "instance": "host1:10981",
		}
	}
	ack := problem("critical", "", "aaaaaaaa")
	delete(ack, "escalation")
	ack["alertname"], ack["kind"] = "HygieneProblemAcknowledged", "ack"
	return map[string]model.LabelSet{
		"ack":       ack,
		"critical1": problem("critical", "1", "aaaaaaaa"),
		"critical2": problem("critical", "2", "aaaaaaaa"),
		"warning1":  problem("warning", "1", "bbbbbbbb"),
		"host1":     {"alertname": "HygieneHostDown", "probe": "agent", "check": "host_down", "severity": "critical", "escalation": "1", "job": "hygiene_exporter", "instance": "host1:10981"},
	}
}

// permutations calls do with every order.
func permutations(items []string, do func([]string)) {
	var place func(int)
	place = func(n int) {
		if n == len(items) {
			do(items)
			return
		}
		for i := n; i < len(items); i++ {
			items[n], items[i] = items[i], items[n]
			place(n + 1)
			items[n], items[i] = items[i], items[n]
		}
	}
	place(0)
}

// Whatever the order in which alerts arrive, the same are muted.
func TestInhibitionDoesNotDependOnTheOrderOfArrival(t *testing.T) {
	alerts := inhibitors()
	want := []string{"critical1", "warning1"} // by the acknowledgement; by the critical problem and the host
	var names []string
	for name := range alerts {
		names = append(names, name)
	}
	slices.Sort(names)
	rules := generated(t).InhibitRules
	permutations(names, func(order []string) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			store, err := mem.NewAlerts(ctx, time.Hour, 0, nil, quiet(), eventrecorder.NopRecorder(), prometheus.NewRegistry(), featurecontrol.NoopFlags{})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			inhibitor := inhibit.NewInhibitor(store, rules, quiet(), eventrecorder.NopRecorder())
			go inhibitor.Run()
			inhibitor.WaitForLoading()
			defer inhibitor.Stop()
			for _, name := range order {
				now := time.Now()
				one := &alert.Alert{UpdatedAt: now, Alert: model.Alert{Labels: alerts[name], StartsAt: now, EndsAt: now.Add(time.Hour)}}
				if err := store.Put(ctx, one); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			var muted []string
			for _, name := range names {
				if inhibitor.Mutes(ctx, alerts[name]) {
					muted = append(muted, name)
				}
			}
			slices.Sort(muted)
			if !slices.Equal(muted, want) {
				t.Errorf("in the order %v muted are %v, not %v", order, muted, want)
			}
		})
	})
}
