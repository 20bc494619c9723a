package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/collector"
	"hygiene_exporter/dashboards/preview"
	"hygiene_exporter/dashboards/web"
	"hygiene_exporter/probes"
)

// reports are those of the first host of a fixture of the dashboards.
func reports(t *testing.T, state string) map[string]*collector.Report {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + state + ".prom")
	if err != nil {
		t.Fatal(err)
	}
	store, err := preview.Parse(data, now)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*collector.Report{"agent": {Probe: "agent", Outcome: collector.Succeeded}}
	metrics := map[string]*probes.Metric{}
	for _, series := range store.Series() {
		if series.Instance != store.Series()[0].Instance {
			continue
		}
		probe, _, _ := strings.Cut(strings.TrimPrefix(series.Name, "hygiene_"), "_")
		if !slices.Contains([]string{"certificate", "redundancy", "patch", "port", "backup", "drill"}, probe) {
			continue
		}
		if all[probe] == nil {
			all[probe] = &collector.Report{Probe: probe, Outcome: collector.Succeeded, LastRun: now.Add(-time.Minute), Duration: time.Millisecond}
		}
		m := metrics[series.Name]
		if m == nil {
			m = &probes.Metric{Name: series.Name, Help: "A fact."}
			for name := range series.Labels {
				m.Labels = append(m.Labels, name)
			}
			slices.Sort(m.Labels)
			metrics[series.Name] = m
		}
		var values []string
		for _, name := range m.Labels {
			values = append(values, series.Labels[name])
		}
		all[probe].Samples = append(all[probe].Samples, probes.Sample{Metric: m, Value: series.Value, Labels: values})
	}
	return all
}

// state is what the pages are about.
func state(t *testing.T, name string) web.Options {
	t.Helper()
	o := options()
	fixture := name
	if fixture != "healthy" {
		fixture = "degraded"
	}
	all := reports(t, fixture)
	for _, report := range all {
		switch name {
		case "unknown":
			report.Outcome, report.Err = collector.Failed, errors.New("open /proc: permission denied")
		case "first start":
			*report = collector.Report{Probe: report.Probe, Outcome: collector.NotRun}
		}
	}
	snapshot := &collector.Snapshot{At: now, Reports: all}
	o.Snapshot = func() *collector.Snapshot { return snapshot }
	if name != "degraded" {
		o.Problems = func(context.Context) []monitor.Problem { return nil }
	}
	o.History = func() []ledger.Past {
		if name == "first start" {
			return nil
		}
		return []ledger.Past{{
			Problem: ledger.Problem{Key: ledger.Key{Probe: "redundancy", Check: "degraded", Object: "mdraid/md0", Severity: "warning"}, Since: now.Add(-50 * time.Hour)},
			Closed:  now.Add(-2 * time.Hour), Reason: ledger.Resolved, TakenBy: "kim",
		}}
	}
	return o
}

// paths are those of all pages.
func paths() []string {
	return []string{"/", "/history", "/probes/certificate", "/probes/redundancy", "/probes/patch", "/probes/port", "/probes/backup", "/probes/drill"}
}

// Each page of each state is whole, works without scripts and styles of its own,
// and can be heard as well as seen. With HYGIENE_REVIEW the pages are written
// to that directory, to be looked at.
func TestEveryPageOfEveryState(t *testing.T) {
	for _, name := range []string{"healthy", "degraded", "unknown", "first start"} {
		o := state(t, name)
		for _, path := range paths() {
			t.Run(name+path, func(t *testing.T) {
				r := ask(o, "GET", path, "localhost")
				text := body(t, r)
				if r.StatusCode != http.StatusOK {
					t.Fatalf("status %d: %s", r.StatusCode, text)
				}
				checkPage(t, text)
				if dir := os.Getenv("HYGIENE_REVIEW"); dir != "" {
					file := strings.ReplaceAll(strings.Trim(name+path, "/"), "/", "-") + ".html"
					if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(file, " ", "-")), []byte(text), 0o600); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// checkPage checks what every page has to have, and what none may.
func checkPage(t *testing.T, text string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			if n.Namespace == "" { // a picture has titles of its own
				count[n.Data]++
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has the attribute %s, which the policy of the page forbids", n.Data, a.Key)
				}
				if a.Key == "lang" {
					count["lang"]++
				}
				if a.Key == "scope" {
					count["scope"]++
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(root)
	for _, one := range []string{"h1", "main", "title", "lang"} {
		if count[one] != 1 {
			t.Errorf("there are %d of %s", count[one], one)
		}
	}
	if count["script"] > 0 || count["th"] != count["scope"] {
		t.Errorf("%d scripts, %d heads of columns of which %d say so", count["script"], count["th"], count["scope"])
	}
	for _, rest := range []string{"<no value>", "%!", "ZgotmplZ", "0001-01-01"} {
		if strings.Contains(text, rest) {
			t.Errorf("the page has %q", rest)
		}
	}
}

func TestProbePagesShowTheirFacts(t *testing.T) {
	for path, want := range map[string][]string{
		"/probes/certificate": {"/etc/ssl/api.pem", "key_exposed", "mail.example.org:25", "Time left", `<rect class="critical"`},
		"/probes/redundancy":  {"mdraid/md0", "bond/bond0", "1 of 2 members", "controller/megaraid_sas", "42 %"},
		"/probes/patch":       {"openssl", "3.0.17", "nginx.service", "Reboot"},
		"/probes/port":        {"tcp/wildcard:6379@redis.service", "dangerous", "redis-server", "Missing"},
		"/probes/backup":      {"db-nightly", "locked", "4 KiB", "Depth", "due since"},
		"/probes/drill":       {"bond0-failover", "Calendar", "190d 0h ago"},
		"/history":            {"mdraid/md0", "kim", "it was seen to be over", "2d 0h"},
	} {
		text := body(t, ask(state(t, "degraded"), "GET", path, "localhost"))
		for _, one := range want {
			if !strings.Contains(text, one) {
				t.Errorf("%s lacks %q", path, one)
			}
		}
	}
}

func TestProbePageSaysWhatIsNotKnown(t *testing.T) {
	for name, want := range map[string]string{
		"first start": "The first run is under way: nothing is known yet.",
		"unknown":     "The last run failed. What is shown is what an earlier one saw.",
	} {
		if text := body(t, ask(state(t, name), "GET", "/probes/port", "localhost")); !strings.Contains(text, want) {
			t.Errorf("%s: the page lacks %q", name, want)
		}
	}
	o := state(t, "healthy")
	for outcome, want := range map[collector.Outcome]string{
		collector.NotApplicable: "This host has nothing of the kind.",
		collector.Disabled:      "This probe is switched off in the configuration.",
	} {
		*o.Snapshot().Reports["drill"] = collector.Report{Probe: "drill", Outcome: outcome}
		if text := body(t, ask(o, "GET", "/probes/drill", "localhost")); !strings.Contains(text, want) {
			t.Errorf("%s: the page lacks %q", outcome, want)
		}
	}
	if r := ask(o, "GET", "/probes/nothing", "localhost"); r.StatusCode != http.StatusNotFound {
		t.Errorf("a probe that is not there: status %d", r.StatusCode)
	}
}

// A probe without a view of its own is shown all the same.
func TestUnknownProbeHasATable(t *testing.T) {
	o := state(t, "healthy")
	o.Snapshot().Reports["thing"] = &collector.Report{Probe: "thing", Outcome: collector.Succeeded, Samples: []probes.Sample{
		{Metric: &probes.Metric{Name: "hygiene_thing_size", Help: "How large it is.", Labels: []string{"object"}}, Value: 7, Labels: []string{"a<b"}},
	}}
	text := body(t, ask(o, "GET", "/probes/thing", "localhost"))
	for _, want := range []string{"How large it is.", "a&lt;b", ">7<"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestTablesAreBounded(t *testing.T) {
	o := state(t, "healthy")
	m := &probes.Metric{Name: "hygiene_thing_size", Help: "How large it is.", Labels: []string{"object"}}
	r := &collector.Report{Probe: "thing", Outcome: collector.Succeeded}
	for n := range 700 {
		r.Samples = append(r.Samples, probes.Sample{Metric: m, Value: float64(n), Labels: []string{fmt.Sprint("o", n)}})
	}
	o.Snapshot().Reports["thing"] = r
	if text := body(t, ask(o, "GET", "/probes/thing", "localhost")); strings.Count(text, "<tr") > 502 || !strings.Contains(text, "and 200 more") {
		t.Errorf("the page has %d rows", strings.Count(text, "<tr"))
	}
}
