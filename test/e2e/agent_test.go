//go:build live

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/test/stack"
)

// life is that of a certificate which stays overdue, and no more, for the
// length of a scenario.
const life = 40 * time.Minute

// agent runs a stack with the real agent, and a certificate that it watches.
func agent(t *testing.T, wait, life time.Duration) (*line, stack.Certificate, time.Time) {
	t.Helper()
	return agentOf(t, stack.Options{}, wait, life)
}

func agentOf(t *testing.T, o stack.Options, wait, life time.Duration) (*line, stack.Certificate, time.Time) {
	t.Helper()
	dir := t.TempDir()
	certificate, err := stack.NewCertificate(dir, "a.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.Renew(); err != nil {
		t.Fatal(err)
	}
	o.Agent = stack.AgentConfig(dir, ladder())
	l := start(t, o)
	overdue := time.Now().Add(wait).Truncate(time.Second) // the resolution of certificates
	must(t, certificate.OverdueIn(wait, life))
	return l, certificate, overdue
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tier is a page of the problem of the certificate, whatever its episode.
func tier(n, status string) stack.Match {
	return stack.Match{Alert: "HygieneCertificateProblem", Tier: n, Status: status}
}

// golden is what people are told in the course of one whole ladder, with the
// times rounded to rungs.
const golden = "testdata/ladder.golden"

func TestAgentLadderAndRenewal(t *testing.T) {
	t.Parallel()
	l, certificate, overdue := agent(t, 3*time.Second, life)
	for i, n := range []string{"1", "2", "3"} {
		l.after(l.wait(3*time.Second+rung+patience, tier(n, "firing")), overdue, time.Duration(i)*rung)
	}
	l.until(overdue.Add(3*rung - time.Second))
	must(t, certificate.Renew())
	for _, n := range []string{"1", "2", "3"} {
		l.wait(2*patience, tier(n, "resolved"))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if story := l.story(overdue); story != string(want) {
		t.Errorf("the story was\n%snot\n%s", story, want)
	}
}

// killed climbs the ladder and kills one program between tier 1 and tier 2.
func killed(t *testing.T, pick func(*line) *stack.Process) {
	t.Parallel()
	l, certificate, overdue := agent(t, 3*time.Second, life)
	first := l.wait(3*time.Second+patience, tier("1", "firing"))
	l.restart(pick(l))
	for i, n := range []string{"2", "3"} {
		page := l.wait(rung+patience, tier(n, "firing"))
		l.after(page, overdue, time.Duration(i+1)*rung)
		if page.Labels["episode"] != first.Labels["episode"] {
			t.Errorf("the problem became another: %s, then %s", first, page)
		}
	}
	l.never(tier("", "resolved"))
	must(t, certificate.Renew())
	for _, n := range []string{"1", "2", "3"} {
		l.wait(2*patience, tier(n, "resolved"))
	}
}

func TestAgentKilled(t *testing.T) {
	killed(t, func(l *line) *stack.Process { return l.Agent })
}

func TestAgentWithPrometheusKilled(t *testing.T) {
	killed(t, func(l *line) *stack.Process { return l.Prometheus })
}

func TestAgentWithAlertmanagerKilled(t *testing.T) {
	killed(t, func(l *line) *stack.Process { return l.Alertmanager })
}

func TestAgentBehindAGap(t *testing.T) {
	t.Parallel()
	l, certificate, overdue := agent(t, 3*time.Second, life)
	l.wait(3*time.Second+patience, tier("1", "firing"))
	l.Gap.Cut(true)
	l.after(l.wait(rung+patience, tier("2", "firing")), overdue, rung)
	l.Gap.Cut(false)
	l.after(l.wait(rung+patience, tier("3", "firing")), overdue, 2*rung)
	l.never(tier("", "resolved"))
	must(t, certificate.Renew())
	l.wait(2*patience, tier("3", "resolved"))
}

// What cannot be read any more is not solved: not after its facts expired, and
// not for an agent that never saw it otherwise.
func TestAgentHoldsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	l, certificate, overdue := agent(t, 3*time.Second, life)
	l.wait(3*time.Second+patience, tier("1", "firing"))
	must(t, certificate.Damage())
	l.restart(l.Agent)
	l.after(l.wait(rung+patience, tier("2", "firing")), overdue, rung)
	l.until(time.Now().Add(10 * time.Second)) // ten times max_age
	l.never(tier("", "resolved"))
	must(t, certificate.Renew())
	l.wait(2*patience, tier("1", "resolved"))
}

func TestAgentProblemThatReturns(t *testing.T) {
	t.Parallel()
	l, certificate, _ := agent(t, 3*time.Second, life)
	first := l.wait(3*time.Second+patience, tier("1", "firing"))
	must(t, certificate.Renew())
	l.wait(2*patience, tier("1", "resolved"))
	must(t, certificate.OverdueIn(0, life))
	again := tier("1", "firing")
	for deadline := time.Now().Add(2 * patience); ; {
		pages := l.Pages.Pages(again)
		if len(pages) > 1 {
			if pages[1].Labels["episode"] == first.Labels["episode"] {
				t.Errorf("the episode is the old one: %s", pages[1])
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the problem returned and nobody was told:\n%s", l.Pages)
		}
		l.until(time.Now().Add(100 * time.Millisecond))
	}
}

func TestAgentRiseToCritical(t *testing.T) {
	t.Parallel()
	const short = 80 * time.Second // critical ten seconds after overdue
	l, certificate, overdue := agent(t, 3*time.Second, short)
	l.wait(3*time.Second+patience, stack.Match{Severity: "warning", Receiver: "tickets", Tier: "1", Status: "firing"})
	rise := overdue.Add(stack.UntilCritical(short))
	l.after(l.wait(stack.UntilCritical(short)+patience, stack.Match{Severity: "critical", Receiver: "primary", Tier: "1", Status: "firing"}), rise, 0)
	l.never(stack.Match{Status: "resolved"})
	must(t, certificate.Renew())
	l.wait(2*patience, stack.Match{Severity: "critical", Tier: "1", Status: "resolved"})
	l.wait(2*patience, stack.Match{Severity: "warning", Tier: "1", Status: "resolved"})
}

func TestAgentAcknowledgement(t *testing.T) {
	t.Parallel()
	l, _, _ := agent(t, 3*time.Second, life)
	first := l.wait(3*time.Second+patience, tier("1", "firing"))
	episode := first.Labels["episode"]
	taken := time.Now()
	command(l, "ack", episode, "--for", "14s", "--by", "kim")
	l.wait(patience, stack.Match{Alert: "HygieneProblemAcknowledged", Receiver: "chat", Status: "firing", Episode: episode})
	var problems []struct {
		Episode string `json:"episode"`
		Ack     *struct {
			By string `json:"by"`
		} `json:"ack"`
	}
	if err := json.Unmarshal([]byte(command(l, "problems", "--output=json")), &problems); err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || problems[0].Episode != episode || problems[0].Ack == nil || problems[0].Ack.By != "kim" {
		t.Errorf("the agent lists %+v", problems)
	}
	expiry := taken.Add(14 * time.Second)
	l.until(expiry.Add(-500 * time.Millisecond))
	l.never(tier("2", "firing"))
	l.never(tier("1", "resolved"))
	l.after(l.wait(2*patience, tier("2", "firing")), expiry, 0)
	l.wait(2*patience, tier("3", "firing"))
}

// command runs the agent's command line against the running agent.
func command(l *line, args ...string) string {
	l.t.Helper()
	all := l.Command(args...)
	out, err := exec.CommandContext(l.t.Context(), all[0], all[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestAgentGeneratesTheSameFiles(t *testing.T) {
	t.Parallel()
	binary, err := stack.AgentBinary(t.Context(), t.TempDir())
	must(t, err)
	rules := run(t, binary, "rules", "--kind=escalation")
	want := read(t, filepath.Join(escalationTestdata, "default.rules.yml"))
	if rules != want {
		t.Errorf("the agent prints other rules than %s", escalationTestdata)
	}
	example := filepath.Join(t.TempDir(), "policy.yml")
	write(t, example, run(t, binary, "alertmanager", "example"))
	config := run(t, binary, "alertmanager", example)
	if config == "" {
		t.Error("the agent prints no configuration for Alertmanager")
	}
	file := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, file, config)
	run(t, binary, "alertmanager", "check", file)
	run(t, tool(t, "amtool"), "check-config", file)
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	t.Parallel()
	l, _, _ := agent(t, 0, life)
	l.wait(patience, tier("1", "firing"))
	check := exec.CommandContext(t.Context(), tool(t, "promtool"), "check", "metrics")
	check.Stdin = strings.NewReader(fetch(t, "http://"+l.Agent.Address+"/metrics"))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return string(body)
}
