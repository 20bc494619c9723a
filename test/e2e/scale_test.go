//go:build live

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/test/stack"
)

// A fleet is the size that the rules must carry.
const (
	fleetHosts    = 10_000
	fleetProblems = 5 // of each host
	fleetBudget   = 10 * time.Second
)

// fleet is the exposition of all agents together. Prometheus takes the labels
// as they are, so that one target stands for all.
func fleet(now time.Time) string {
	var out strings.Builder
	probes := []string{"certificate", "redundancy", "patch", "port", "backup"}
	for host := range fleetHosts {
		identity := fmt.Sprintf(`job="hygiene_exporter",instance="host%05d.example.org:10981"`, host)
		fmt.Fprintf(&out, "up{%s} 1\n", identity)
		for i := range fleetProblems {
			labels := fmt.Sprintf(`%s,probe=%q,check="check%d",object="/etc/ssl/private/object-%d.pem",episode="e%05d%d",severity="critical",owner="web"`,
				identity, probes[i], i, i, host, i)
			fmt.Fprintf(&out, "hygiene_problem_info{%s,summary=\"Object %d of the host is in a bad state\",held=\"false\",acked_by=\"\"} 1\n", labels, i)
			for tier := range 3 {
				due := now.Add(time.Duration(tier)*time.Hour - time.Minute)
				fmt.Fprintf(&out, "hygiene_problem_escalation_timestamp_seconds{%s,escalation=\"%d\"} %f\n", labels, tier+1, seconds(due))
			}
		}
	}
	return out.String()
}

// TestFleetOfTenThousand measures an evaluation with 50,000 alerts. It runs
// alone, and with HYGIENE_FULL only: the time means nothing on a busy machine.
func TestFleetOfTenThousand(t *testing.T) {
	if os.Getenv("HYGIENE_FULL") == "" {
		t.Skip("HYGIENE_FULL is not set")
	}
	exposition := fleet(time.Now())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, exposition)
	}))
	defer server.Close()
	prometheus := fleetPrometheus(t, server.Listener.Addr().String())
	alerts, took, seen := 0, math.Inf(1), map[float64]bool{}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	// The first evaluation with all alerts also creates them. Of the three after
	// it, the one that was disturbed least counts.
	for deadline := time.Now().Add(6 * time.Minute); len(seen) < 4 && time.Now().Before(deadline); <-tick.C {
		var last float64
		if alerts, last = escalationGroup(t, prometheus.Address); alerts < fleetHosts*fleetProblems {
			continue
		}
		if len(seen) > 0 && !seen[last] {
			took = min(took, last)
		}
		seen[last] = true
	}
	t.Logf("%d alerts in %.1f s", alerts, took)
	if alerts < fleetHosts*fleetProblems {
		t.Fatalf("only %d alerts fire", alerts)
	}
	if took > fleetBudget.Seconds() {
		t.Errorf("an evaluation takes %.1f s, more than %s", took, fleetBudget)
	}
}

func fleetPrometheus(t *testing.T, target string) *stack.Process {
	t.Helper()
	rules, err := escalation.Rules(escalation.Options{})
	must(t, err)
	dir := t.TempDir()
	write(t, dir+"/rules.yml", string(rules))
	write(t, dir+"/prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 30s, scrape_timeout: 29s, evaluation_interval: 30s}
rule_files: [rules.yml]
scrape_configs:
- {job_name: fleet, honor_labels: true, static_configs: [{targets: [%q]}]}
`, target))
	prometheus, err := stack.NewProcess(t.Context(), "prometheus", tool(t, "prometheus"),
		"--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address=ADDRESS")
	must(t, err)
	t.Cleanup(func() { must(t, prometheus.Kill()) })
	return prometheus
}

// escalationGroup returns the number of problems that fire, and how many seconds
// the last evaluation of their rules took.
func escalationGroup(t *testing.T, address string) (alerts int, took float64) {
	t.Helper()
	var rules struct {
		Data struct {
			Groups []struct {
				Name           string
				EvaluationTime float64
			}
		}
	}
	call(t, http.MethodGet, "http://"+address+"/api/v1/rules?type=alert&exclude_alerts=true", nil, &rules)
	for _, group := range rules.Data.Groups {
		if group.Name == "hygiene-escalation" {
			took = group.EvaluationTime
		}
	}
	var counted struct {
		Data struct {
			Result []struct{ Value [2]json.RawMessage }
		}
	}
	query := url.Values{"query": {`count(ALERTS{alertname=~"Hygiene.*Problem", episode!=""})`}}
	call(t, http.MethodGet, "http://"+address+"/api/v1/query?"+query.Encode(), nil, &counted)
	for _, result := range counted.Data.Result {
		if _, err := fmt.Sscanf(string(result.Value[1]), `"%d"`, &alerts); err != nil {
			t.Fatal(err)
		}
	}
	return alerts, took
}
