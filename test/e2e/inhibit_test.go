//go:build live

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// amAlert is an alert of the API of Alertmanager.
type amAlert struct {
	Labels map[string]string `json:"labels"`
	EndsAt time.Time         `json:"endsAt,omitzero"`
	Status struct {
		InhibitedBy []string `json:"inhibitedBy"`
	} `json:"status,omitzero"`
}

func call(t *testing.T, method, url string, body, into any) {
	t.Helper()
	var buf bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&buf).Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, &buf)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// each says in short what an alert is: the name in the test, the labels, and
// whether Alertmanager must mute it.
type each struct {
	name, labels string
	muted        bool
}

// Alertmanager itself says what it mutes, whatever comes first.
func TestInhibitionInEveryOrder(t *testing.T) {
	t.Parallel()
	const web = "probe=certificate check=renewal object=/a.pem owner=web "
	for _, tt := range []struct {
		name   string
		alerts []each
	}{
		{"tiers never mute each other", []each{
			{"t1", web + "severity=critical episode=e escalation=1", false},
			{"t2", web + "severity=critical episode=e escalation=2", false},
			{"t3", web + "severity=critical episode=e escalation=3", false},
		}},
		{"an acknowledgement mutes tier 1 of its episode only", []each{
			{"ack", web + "severity=critical episode=e kind=ack", false},
			{"t1", web + "severity=critical episode=e escalation=1", true},
			{"t2", web + "severity=critical episode=e escalation=2", false},
			{"later", web + "severity=critical episode=f escalation=1", false},
		}},
		{"a critical problem mutes the warning of its object and check only", []each{
			{"crit", web + "severity=critical episode=e escalation=1", false},
			{"warn", web + "severity=warning episode=f escalation=2", true},
			{"other", strings.Replace(web, "/a.pem", "/b.pem", 1) + "severity=warning episode=g escalation=1", false},
		}},
		{"a mass problem mutes its own tier and owner only", []each{
			{"mass", "instance= probe=certificate check=renewal owner=web severity=critical kind=mass escalation=1", false},
			{"t1", web + "severity=critical episode=e escalation=1", true},
			{"t2", web + "severity=critical episode=e escalation=2", false},
			{"other", strings.Replace(web, "owner=web", "owner=sre", 1) + "severity=critical episode=f escalation=1", false},
		}},
		{"a host that is down mutes warnings only", []each{
			{"down", "alertname=HygieneHostDown probe=agent check=host_down severity=critical escalation=1", false},
			{"warn", web + "severity=warning episode=e escalation=1", true},
			{"crit", web + "severity=critical episode=f escalation=1", false},
			{"elsewhere", web + "instance=b severity=warning episode=g escalation=1", false},
		}},
	} {
		for version, binary := range alertmanagers(t) {
			t.Run(fmt.Sprintf("%s, %s", tt.name, version), func(t *testing.T) {
				t.Parallel()
				l := start(t, stack.Options{Target: newFakeAgent(t).address(), Alertmanager: binary})
				url := "http://" + l.Alertmanager.Address + "/api/v2/alerts"
				for round, order := range permutations(tt.alerts) {
					judge(t, url, fmt.Sprintf("r%d", round), order)
				}
			})
		}
	}
}

// judge sends the alerts one by one and compares what is muted.
func judge(t *testing.T, url, round string, order []each) {
	t.Helper()
	for _, one := range order {
		post(t, url, round, one)
	}
	// Alertmanager takes notice of alerts in their order, a little later. When
	// it mutes the last one, it knows all those before.
	post(t, url, round, each{"canary", "episode=canary kind=ack", false})
	post(t, url, round, each{"muted", "episode=canary escalation=1", true})
	for deadline := time.Now().Add(time.Minute); !muted(t, url, round)["muted"]; {
		if time.Now().After(deadline) {
			t.Fatal("an acknowledgement mutes nothing")
		}
	}
	got := muted(t, url, round)
	for _, one := range order {
		if is, ok := got[one.name]; !ok || is != one.muted {
			t.Errorf("order %v: %s is muted: %v, known: %v", names(order), one.name, is, ok)
		}
	}
}

// post sends one alert. Nothing of one round may speak for another: each has
// checks and instances of its own.
func post(t *testing.T, url, round string, one each) {
	t.Helper()
	labels := map[string]string{"alertname": "HygieneCertificateProblem", "job": "hygiene_exporter", "instance": "a", "check": "any", "test": round + one.name}
	for pair := range strings.FieldsSeq(one.labels) {
		key, value, _ := strings.Cut(pair, "=")
		labels[key] = value
	}
	for _, key := range []string{"check", "instance"} {
		if labels[key] != "" {
			labels[key] += round
		}
	}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	call(t, http.MethodPost, url, []amAlert{{Labels: labels, EndsAt: time.Now().Add(time.Hour)}}, nil)
}

// muted returns the alerts of a round by name, and whether they are muted.
func muted(t *testing.T, url, round string) map[string]bool {
	t.Helper()
	var all []amAlert
	call(t, http.MethodGet, url+"?filter="+fmt.Sprintf("test%%3D~%%22%s[a-z].*%%22", round), nil, &all)
	got := map[string]bool{}
	for _, alert := range all {
		got[strings.TrimPrefix(alert.Labels["test"], round)] = len(alert.Status.InhibitedBy) > 0
	}
	return got
}

func names(order []each) []string {
	var all []string
	for _, one := range order {
		all = append(all, one.name)
	}
	return all
}

// permutations returns all orders of the alerts.
func permutations(all []each) [][]each {
	if len(all) < 2 {
		return [][]each{all}
	}
	var orders [][]each
	for i := range all {
		rest := slices.Concat(all[:i], all[i+1:])
		for _, order := range permutations(rest) {
			orders = append(orders, append([]each{all[i]}, order...))
		}
	}
	return orders
}
