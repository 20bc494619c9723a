package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/collector"
	"hygiene_exporter/dashboards/web"
	"hygiene_exporter/probes"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

var renewalDue = &probes.Metric{
	Name:   "hygiene_certificate_renewal_due_timestamp_seconds",
	Help:   "When the certificate should have been renewed.",
	Labels: []string{"object", "slot"},
}

func options() web.Options {
	snapshot := &collector.Snapshot{At: now, Reports: map[string]*collector.Report{
		"agent": {Probe: "agent", Outcome: collector.Succeeded},
		"certificate": {
			Probe: "certificate", Outcome: collector.Succeeded, LastRun: now.Add(-time.Minute), Duration: 1500 * time.Microsecond,
			Samples: []probes.Sample{
				{Metric: renewalDue, Value: probes.Seconds(now.Add(50 * time.Hour)), Labels: []string{"/srv/a.pem", "leaf"}},
				{Metric: renewalDue, Value: probes.Seconds(now.Add(-time.Hour)), Labels: []string{"/srv/late.pem", "leaf"}},
			},
			Faults: []collector.Fault{{
				Fault: probes.Fault{Object: "/srv/<b>.pem", Reason: probes.PermissionDenied, Err: errors.New("open /srv/<b>.pem: permission denied")},
				Since: now.Add(-time.Hour),
			}},
		},
	}}
	return web.Options{
		Metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") }),
		Snapshot: func() *collector.Snapshot { return snapshot },
		Problems: func(context.Context) []monitor.Problem {
			return []monitor.Problem{{
				Problem: ledger.Problem{
					Key:     ledger.Key{Probe: "certificate", Check: "expired", Object: `/srv/"x"<script>.pem`, Severity: "critical"},
					Episode: "aaaabbbb", Summary: "expired", Since: now.Add(-2 * time.Hour),
					Deadlines: []time.Time{now.Add(-2 * time.Hour), now.Add(time.Hour)},
				},
				Action: "renew it",
			}}
		},
		Notices:  func() []string { return []string{"Only this host can scrape the agent."} },
		Ready:    func() bool { return true },
		Links:    func() web.Links { return web.Links{} },
		Runbooks: fstest.MapFS{"certificate-expired.md": {Data: []byte("# Expired\n\nRun `renew` <script>alert(1)</script>.\n")}},
		Host:     "db1", Version: "1.2.3", LoopbackOnly: true,
		Now: func() time.Time { return now },
	}
}

func ask(o web.Options, method, target, host string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	r.Host = host
	w := httptest.NewRecorder()
	web.New(o).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStatusPageShowsProblemsDeadlinesAndWhatWasNotSeen(t *testing.T) {
	r := ask(options(), "GET", "/", "localhost:10981")
	text := body(t, r)
	if r.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", r.StatusCode, text)
	}
	for _, want := range []string{
		"1 open problem, 1 critical",
		"Only this host can scrape the agent.",
		"/srv/&#34;x&#34;&lt;script&gt;.pem",
		"hygiene_exporter ack aaaabbbb",
		"Next escalation in 1h 0m",
		"2d 2h", "certificate: renewal due", "/srv/a.pem",
		"open /srv/&lt;b&gt;.pem: permission denied",
		`href="/runbooks/certificate-expired"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, unwanted := range []string{"<script", "/srv/late.pem", "style=", "http://", "https://"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
}

func TestVerdictIsGoodOnlyIfEverythingWasSeen(t *testing.T) {
	for name, c := range map[string]struct {
		severity string // of the problem; empty: there is none
		outcome  collector.Outcome
		faults   bool
		want     string
	}{
		"nothing wrong":                     {"", collector.Succeeded, false, "no open problem; everything configured was inspected"},
		"an object could not be inspected":  {"", collector.Succeeded, true, "no open problem, but 1 object could not be inspected"},
		"the probe failed":                  {"", collector.Failed, false, "1 probe could not run"},
		"the probe has not run yet":         {"", collector.NotRun, false, "first look under way"},
		"a problem is worse than the fault": {"critical", collector.Succeeded, true, "1 open problem, 1 critical"},
		"what is only worth knowing":        {"info", collector.Succeeded, false, "1 note"},
		"a note is listed beside the fault": {"info", collector.Succeeded, true, "1 note, and 1 object could not be inspected"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			open := o.Problems(t.Context())
			if c.severity == "" {
				open = nil
			}
			for i := range open {
				open[i].Severity = c.severity
			}
			o.Problems = func(context.Context) []monitor.Problem { return open }
			report := o.Snapshot().Reports["certificate"]
			report.Outcome = c.outcome
			if !c.faults {
				report.Faults = nil
			}
			if text := body(t, ask(o, "GET", "/", "localhost")); !strings.Contains(text, c.want) {
				t.Errorf("the page lacks %q:\n%s", c.want, text)
			}
		})
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	for _, target := range []string{"/", "/metrics", "/nothing", "/runbooks/certificate-expired", "/api/v1/facts"} {
		r := ask(options(), "GET", target, "127.0.0.1:10981")
		if policy := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self';") {
			t.Errorf("%s: Content-Security-Policy is %q", target, policy)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", target)
		}
	}
}

func TestOnLoopbackForeignNamesAreRefused(t *testing.T) {
	for host, want := range map[string]int{
		"localhost": 200, "localhost:10981": 200, "LOCALHOST.:1": 200, "agent.localhost": 200,
		"127.0.0.1": 200, "127.8.9.1:80": 200, "[::1]": 200, "[::1]:10981": 200,
		"attacker.example": 421, "localhost.attacker.example": 421, "10.0.0.1:10981": 421, "127.0.0.1.nip.example": 421, "": 421,
	} {
		if got := ask(options(), "GET", "/metrics", host).StatusCode; got != want {
			t.Errorf("host %q: status %d, want %d", host, got, want)
		}
	}
	o := options()
	o.LoopbackOnly = false
	if got := ask(o, "GET", "/metrics", "db1.example:10981").StatusCode; got != 200 {
		t.Errorf("an agent that listens elsewhere refuses its own name: %d", got)
	}
}

func TestFactsAreSelectedByProbeAndObject(t *testing.T) {
	var answer struct {
		Probes []struct {
			Probe string
			Facts []struct {
				Name   string
				Labels map[string]string
				Value  float64
			}
			Faults []struct{ Object, Reason string }
		}
	}
	r := ask(options(), "GET", "/api/v1/facts?probe=certificate&object=/srv/a.pem", "localhost")
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Probes) != 1 || len(answer.Probes[0].Facts) != 1 || len(answer.Probes[0].Faults) != 0 {
		t.Fatalf("got %+v, want one fact of one probe", answer)
	}
	if fact := answer.Probes[0].Facts[0]; fact.Labels["slot"] != "leaf" || fact.Value != probes.Seconds(now.Add(50*time.Hour)) {
		t.Errorf("got %+v", fact)
	}
	r = ask(options(), "GET", "/api/v1/facts?probe=certificates", "localhost")
	if text := body(t, r); r.StatusCode != http.StatusNotFound || !strings.Contains(text, "there are certificate, agent") {
		t.Errorf("status %d: %s", r.StatusCode, text)
	}
}

func TestRunbooksAreRenderedWithoutRawHTML(t *testing.T) {
	text := body(t, ask(options(), "GET", "/runbooks/certificate-expired", "localhost"))
	if !strings.Contains(text, "<h1>Expired</h1>") || strings.Contains(text, "<script") {
		t.Errorf("got %s", text)
	}
	for _, target := range []string{"/runbooks/none", "/runbooks/..%2fweb", "/runbooks/.."} {
		if r := ask(options(), "GET", target, "localhost"); r.StatusCode == http.StatusOK {
			t.Errorf("%s: status %d", target, r.StatusCode)
		}
	}
}

func TestLinksLeadWhereTheConfigurationSays(t *testing.T) {
	o := options()
	o.Links = func() web.Links {
		return web.Links{Alertmanager: "https://am.example.org/", Runbooks: "https://wiki.example.org/r", Agent: "https://db1.example.org:10981/"}
	}
	text := body(t, ask(o, "GET", "/", "localhost"))
	for _, want := range []string{
		`href="https://wiki.example.org/r/certificate-expired"`,
		`href="https://am.example.org/#/silences/new?filter=%7Bepisode%3D%22aaaabbbb%22%7D"`,
		`<link rel="canonical" href="https://db1.example.org:10981/">`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s:\n%s", want, text)
		}
	}
	if answer := body(t, ask(o, "GET", "/api/v1/problems", "localhost")); !strings.Contains(answer, `"agent": "https://db1.example.org:10981/"`) {
		t.Errorf("the API says %s", answer)
	}
}

func TestReloadIsOffUnlessAllowed(t *testing.T) {
	if r := ask(options(), "POST", "/-/reload", "localhost"); r.StatusCode != http.StatusForbidden {
		t.Errorf("status %d, want 403", r.StatusCode)
	}
	o := options()
	o.Reload = func() error { return errors.New("config.yml:3: probes: unknown key") }
	if r := ask(o, "POST", "/-/reload", "localhost"); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body(t, r), "config.yml:3") {
		t.Errorf("status %d, want 422 and the mistake", r.StatusCode)
	}
	if r := ask(o, "GET", "/-/reload", "localhost"); r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d, want 405", r.StatusCode)
	}
}

func TestReadyWaitsForTheFirstRuns(t *testing.T) {
	o := options()
	o.Ready = func() bool { return false }
	if r := ask(o, "GET", "/-/ready", "localhost"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d, want 503", r.StatusCode)
	}
	if r := ask(o, "GET", "/-/healthy", "localhost"); r.StatusCode != http.StatusOK {
		t.Errorf("healthy: status %d", r.StatusCode)
	}
}
