package send

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes"
)

var start = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// problem is one with tiers at once, after 30 minutes and after 2 hours.
func problem() monitor.Problem {
	return monitor.Problem{Problem: ledger.Problem{
		Key:     ledger.Key{Probe: "certificate", Check: "expired", Object: "/etc/ssl/a.pem", Severity: "critical"},
		Episode: "abcdefgh", Owner: "web", Summary: "Certificate /etc/ssl/a.pem has expired", Since: start,
		Deadlines: []time.Time{start, start.Add(30 * time.Minute), start.Add(2 * time.Hour)},
	}}
}

func from() From {
	return From{
		Job: "hygiene_exporter", Instance: "edge1",
		Links:       escalation.Links{Alertmanager: "https://am.example.org/", Runbooks: "https://wiki.example.org/hygiene"},
		Maintenance: func(string, time.Time) bool { return false },
	}
}

func never(Alert) bool { return false }

// tiers returns which tiers are told, and what else of a problem.
func tiers(alerts []Alert) (all []string) {
	for _, a := range alerts {
		switch {
		case a.Labels["kind"] == "watchdog":
		case a.Labels["kind"] != "":
			all = append(all, a.Labels["kind"])
		default:
			all = append(all, a.Labels["escalation"])
		}
	}
	return all
}

func TestWhoIsTold(t *testing.T) {
	ack := func(p *monitor.Problem, expires time.Duration) {
		p.Ack = &ledger.Ack{By: "kim", At: start, Expires: start.Add(expires)}
	}
	for name, c := range map[string]struct {
		after  time.Duration
		change func(*monitor.Problem, *From)
		told   bool
		want   []string
	}{
		"before the first deadline nobody is": {after: -time.Second},
		"at the first deadline tier 1 is":     {want: []string{"1"}},
		"tiers add up":                        {after: 2 * time.Hour, want: []string{"1", "2", "3"}},
		"a taken problem has tier 1, which Alertmanager mutes, and no other": {
			after: 2 * time.Hour, change: func(p *monitor.Problem, _ *From) { ack(p, 3*time.Hour) }, want: []string{"ack", "1"},
		},
		"after the acknowledgement expired all tiers that are due are": {
			after: 2 * time.Hour, change: func(p *monitor.Problem, _ *From) { ack(p, time.Hour) }, want: []string{"1", "2", "3"},
		},
		"in a maintenance window that began before nobody is": {
			change: func(p *monitor.Problem, f *From) {
				p.SuppressedUntil = start.Add(time.Hour)
				f.Maintenance = func(string, time.Time) bool { return true }
			},
		},
		"a maintenance window takes nothing back": {
			told:   true,
			change: func(p *monitor.Problem, f *From) { p.SuppressedUntil = start.Add(time.Hour) },
			want:   []string{"1"},
		},
		"a tier that fell due before the window is told by an agent that has just started": {
			after: time.Minute,
			change: func(p *monitor.Problem, f *From) {
				p.SuppressedUntil = start.Add(time.Hour)
				f.Maintenance = func(_ string, at time.Time) bool { return at.After(start) }
			},
			want: []string{"1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, f := problem(), from()
			if c.change != nil {
				c.change(&p, &f)
			}
			got := tiers(f.Alerts([]monitor.Problem{p}, start.Add(c.after), func(Alert) bool { return c.told }))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAlertsAreThoseOfTheRules(t *testing.T) {
	got := from().Alerts([]monitor.Problem{problem()}, start.Add(time.Minute), never)
	want := Alert{
		Labels: map[string]string{
			"alertname": "HygieneCertificateProblem", "job": "hygiene_exporter", "instance": "edge1",
			"probe": "certificate", "check": "expired", "object": "/etc/ssl/a.pem", "episode": "abcdefgh",
			"severity": "critical", "owner": "web", "escalation": "1",
		},
		Annotations: map[string]string{
			"summary":     "certificate/expired: /etc/ssl/a.pem on edge1",
			"description": "Certificate /etc/ssl/a.pem has expired. Tier 2 is told at 2027-03-01 12:30:00 +0000 UTC. Tier 3 is told at 2027-03-01 14:00:00 +0000 UTC. Take it on the host: hygiene_exporter ack abcdefgh --for 2h --by NAME",
			"silence_url": "https://am.example.org/#/silences/new?filter=%7Binstance%3D%22edge1%22%2Cepisode%3D%22abcdefgh%22%7D",
			"runbook_url": "https://wiki.example.org/hygiene/certificate-expired",
		},
		StartsAt: start,
	}
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("alert (-want +got):\n%s", diff)
	}
}

// An alertmanager remembers what it was told, and can refuse.
type alertmanager struct {
	mu     sync.Mutex
	refuse bool
	now    time.Time // of the round
	calls  []call
}

// A call is what was sent, and when.
type call struct {
	at     time.Time
	alerts []Alert
}

func (a *alertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	var alerts []Alert
	if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil || r.URL.Path != "/api/v2/alerts" {
		http.Error(w, "what", http.StatusBadRequest)
		return
	}
	a.calls = append(a.calls, call{a.now, alerts})
}

// last returns the tiers of the last call, with ~ for those that ended.
func (a *alertmanager) last() (all []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.calls) == 0 {
		return nil
	}
	last := a.calls[len(a.calls)-1]
	for _, alert := range last.alerts {
		if tier := alert.Labels["escalation"]; tier != "" {
			if !alert.EndsAt.Equal(last.at.Add(lifetime)) {
				tier = "~" + tier
			}
			all = append(all, tier)
		}
	}
	return all
}

func (a *alertmanager) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

func sender(t *testing.T, problems *[]monitor.Problem, receivers ...*alertmanager) *Sender {
	t.Helper()
	c := Default()
	for _, r := range receivers {
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		c.URLs = append(c.URLs, server.URL+"/")
	}
	s, err := New(Options{
		Config: c, From: from(), Log: slog.New(slog.DiscardHandler),
		Problems: func(context.Context) []monitor.Problem { return *problems },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSending(t *testing.T) {
	var one, other alertmanager
	problems := []monitor.Problem{problem()}
	s := sender(t, &problems, &one, &other)
	at := func(after time.Duration) {
		one.now, other.now = start.Add(after), start.Add(after)
		s.round(t.Context(), start.Add(after))
	}
	expect := func(what string, calls int, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, one.last()); diff != "" || one.count() != calls {
			t.Errorf("%s: %d calls (-want +got):\n%s", what, one.count(), diff)
		}
	}
	at(0)
	expect("what is new is sent at once", 1, "1")
	at(30 * time.Second)
	expect("what is known is not sent again before a minute", 1, "1")
	at(time.Minute)
	expect("it is after a minute", 2, "1")
	other.refuse = true
	at(30 * time.Minute)
	expect("a tier that falls due is sent with what is due to be repeated, whatever another Alertmanager does", 3, "1", "2")
	if status := s.Status(); status[0].Failed != nil || status[1].Failed == nil || status[1].Errors != 1 {
		t.Errorf("status: %+v", status)
	}
	other.refuse = false
	calls := other.count()
	at(30*time.Minute + time.Second)
	if other.count() != calls {
		t.Error("an Alertmanager that refused is asked again within a second")
	}
	problems = nil
	at(31 * time.Minute)
	expect("an end is sent", 4, "~1", "~2")
	if diff := cmp.Diff([]string{"~1"}, other.last()); diff != "" {
		t.Errorf("the one that refused is told of what it knows of (-want +got):\n%s", diff)
	}
	at(32*time.Minute + time.Second)
	expect("an end is repeated", 5, "~1", "~2")
	at(47 * time.Minute)
	at(48*time.Minute + time.Second)
	if got := one.last(); got != nil || len(s.alerts) != 1 {
		t.Errorf("after a quarter of an hour the end is still sent: %v", got)
	}
}

func TestWhatBeginsAgainIsFiring(t *testing.T) {
	var one alertmanager
	problems := []monitor.Problem{problem()}
	s := sender(t, &problems, &one)
	s.round(t.Context(), start)
	problems[0].Ack = &ledger.Ack{By: "kim", At: start, Expires: start.Add(time.Hour)}
	s.round(t.Context(), start.Add(31*time.Minute))
	problems[0].Ack = nil
	one.now = start.Add(62 * time.Minute)
	s.round(t.Context(), one.now)
	if diff := cmp.Diff([]string{"1", "2"}, one.last()); diff != "" {
		t.Errorf("after the acknowledgement expired (-want +got):\n%s", diff)
	}
}

func TestValidateReportsEveryMistakeAtItsPath(t *testing.T) {
	c := Config{
		URLs: []string{"am:9093", "http://user:secret@am:9093"}, Timeout: probes.Duration(time.Hour),
		Username: "u", TokenFile: "token", CertFile: "/c.pem",
	}
	var got []string
	for _, err := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		var at *probes.FieldError
		if !errors.As(err, &at) {
			t.Fatalf("%v has no path", err)
		}
		got = append(got, at.Path)
	}
	want := []string{"urls[0]", "urls[1]", "job", "timeout", "token_file", "username", "token_file", "cert_file"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestFilesOfTheConfigurationAreUsed(t *testing.T) {
	c := Default()
	c.CAFile = "/nonexistent/ca.pem"
	if _, err := New(Options{Config: c}); err == nil {
		t.Error("a file that is missing is no error")
	}
}
