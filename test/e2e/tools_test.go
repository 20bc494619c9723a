//go:build live

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/alerts/escalation"
	"hygiene_exporter/test/stack"
)

// escalationTestdata holds the rule tests, beside the rules that they test.
const (
	escalationTestdata = "../../alerts/escalation/testdata"
	detectionRules     = "../../alerts/rules"
)

// run runs a tool and returns what it prints; it must succeed.
func run(t *testing.T, path string, args ...string) string {
	t.Helper()
	var complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(path), strings.Join(args, " "), err, out, &complaints)
	}
	return string(out)
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := stack.Tool(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, filepath.Join(escalationTestdata, "*.rules.yml"), filepath.Join(detectionRules, "*.yml")) {
		run(t, tool(t, "promtool"), "check", "rules", "--lint=all", "--lint-fatal", file)
	}
}

// The oldest Prometheus that we support is that of Debian 12.
func TestOldPromtoolAcceptsTheRules(t *testing.T) {
	t.Parallel()
	for _, file := range files(t, filepath.Join(escalationTestdata, "*.rules.yml"), filepath.Join(detectionRules, "*.yml")) {
		run(t, "/usr/bin/promtool", "check", "rules", file)
	}
}

func TestPromtoolRunsTheRuleTests(t *testing.T) {
	t.Parallel()
	tests := files(t, filepath.Join(escalationTestdata, "*.test.yml"), filepath.Join(detectionRules, "tests", "*_test.yml"))
	run(t, tool(t, "promtool"), append([]string{"test", "rules"}, tests...)...)
}

// files returns what matches; a pattern that matches nothing is an error.
func files(t *testing.T, patterns ...string) (all []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s matches %d files, error %v", pattern, len(found), err)
		}
		all = append(all, found...)
	}
	return all
}

// alertmanagers returns the binaries to test with: the newest, and that of the
// oldest Debian we support where it is installed.
func alertmanagers(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"newest": tool(t, "alertmanager")}
	if path, err := stack.Tool("prometheus-alertmanager"); err == nil {
		found["debian"] = path
	}
	return found
}

func example(t *testing.T) (config string) {
	t.Helper()
	text, err := escalation.Alertmanager("example.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	messages, err := escalation.Template("example.yml", escalation.Example())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"alertmanager.yml": text, escalation.TemplateFile: messages} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "alertmanager.yml")
}

// amtools returns amtool of each Alertmanager: Debian installs it beside.
func amtools(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{"newest": tool(t, "amtool")}
	if path, err := stack.Tool("prometheus-alertmanager"); err == nil {
		found["debian"] = filepath.Join(filepath.Dir(path), "amtool")
	}
	return found
}

func TestAmtoolAcceptsTheExample(t *testing.T) {
	t.Parallel()
	config := example(t)
	for version, amtool := range amtools(t) {
		if out := run(t, amtool, "check-config", config); !strings.Contains(out, "1 templates") {
			t.Errorf("%s: the message template was not found:\n%s", version, out)
		}
	}
}

// The routing of Alertmanager itself judges our tree.
func TestEveryAlertIsRouted(t *testing.T) {
	t.Parallel()
	config := example(t)
	for _, tt := range []struct{ labels, want string }{
		{"owner=web severity=critical escalation=1", "web-pager"},
		{"owner=web severity=critical escalation=2", "sre-pager"},
		{"owner=web severity=critical escalation=3", "management"},
		{"owner=web severity=warning escalation=1", "web-tickets"},
		{"owner=web severity=warning escalation=2", "web-tickets"},
		{"owner=web severity=warning escalation=3", "sre-tickets"},
		{"owner=sre severity=critical escalation=2", "platform-pager"},
		{"owner=sre severity=warning escalation=3", "sre-pager"},
		{"owner=nobody severity=critical escalation=1", "sre-pager"},
		{"severity=critical escalation=2", "platform-pager"},
		{"severity=warning escalation=1", "sre-tickets"},
		{"severity=page escalation=3", "management"},
		{"alertname=HygieneHostDown severity=critical escalation=3", "management"},
		{"alertname=HygieneMassProblem kind=mass owner=web severity=critical escalation=1", "web-pager"},
		{"kind=ack owner=web severity=critical", "team-chat"},
		{"kind=watchdog severity=none", "deadman"},
		{"alertname=SomethingElse severity=critical", "sre-pager"},
	} {
		for version, amtool := range amtools(t) {
			args := append([]string{"config", "routes", "test", "--config.file=" + config}, strings.Fields(tt.labels)...)
			if got := strings.TrimSpace(run(t, amtool, args...)); got != tt.want {
				t.Errorf("%s: %s goes to %q, not %q", version, tt.labels, got, tt.want)
			}
		}
	}
}
