package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"hygiene_exporter/alerts/escalation"
)

// Options say what kind of stack to start.
type Options struct {
	// Dir takes configuration, data and state.
	Dir string
	// Agent is the configuration of a real agent; empty for none.
	Agent string
	// Target is the address of an agent that somebody else runs.
	Target string
	// Direct makes the real agent tell Alertmanager itself.
	Direct bool
	// Unscraped starts no Prometheus.
	Unscraped bool
	// Alertmanager is the binary to use; empty for the one that Tool finds.
	Alertmanager string
	// Print sees each page when it arrives.
	Print func(Page)
}

// A Stack is a running line from the agent to the receiver.
type Stack struct {
	Dir                             string
	Agent, Prometheus, Alertmanager *Process // Agent is nil when Options.Target is set
	Gap                             *Gap
	Pages                           *Recorder
	binary                          string
}

// ResendDelay is that of Prometheus: it lets Alertmanager believe in an alert
// for four times as long, which must be longer than a restart takes.
const ResendDelay = 5 * time.Second

const policyText = `default_owner: sre
owners:
  sre:
    backup: the platform team
    receivers:
      critical: [primary, backup, manager]
      warning: [tickets]
chat: chat
deadman: deadman
timings: {group_wait: 0s, group_interval: 1s, deadman: 1s}
receivers:
`

// Policy returns the central policy file of the stack: every receiver is the
// recorder.
func Policy(url string) []byte {
	var text strings.Builder
	text.WriteString(policyText)
	for _, receiver := range []string{"primary", "backup", "manager", "tickets", "chat", "deadman"} {
		fmt.Fprintf(&text, "  - name: %s\n    webhook_configs: [{url: %q}]\n", receiver, url)
	}
	return []byte(text.String())
}

// New starts everything and waits until all is ready. What was started before an
// error is ended.
func New(ctx context.Context, o Options) (*Stack, error) {
	s := &Stack{Dir: o.Dir, Pages: NewRecorder(o.Print)}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, o Options) error {
	if err := s.startAlertmanager(ctx, o.Alertmanager); err != nil {
		return err
	}
	target := o.Target
	if o.Agent != "" {
		config := o.Agent
		if o.Direct {
			config += fmt.Sprintf("alertmanager: {urls: [%q], instance: \"host1:10981\"}\n", "http://"+s.Alertmanager.Address)
		}
		if err := s.startAgent(ctx, config); err != nil {
			return err
		}
		target = s.Agent.Address
	}
	if o.Unscraped {
		return nil
	}
	s.Gap = NewGap(target)
	return s.startPrometheus(ctx)
}

func (s *Stack) startAlertmanager(ctx context.Context, binary string) (err error) {
	if binary == "" {
		if binary, err = Tool("alertmanager"); err != nil {
			return err
		}
	}
	policy := Policy(s.Pages.URL())
	config, err := escalation.Alertmanager("policy.yml", policy)
	if err != nil {
		return err
	}
	messages, err := escalation.Template("policy.yml", policy)
	if err != nil {
		return err
	}
	if err := s.write(escalation.TemplateFile, messages); err != nil {
		return err
	}
	if err := s.write("alertmanager.yml", config); err != nil {
		return err
	}
	s.Alertmanager, err = NewProcess(ctx, "alertmanager", binary,
		"--config.file="+s.path("alertmanager.yml"), "--storage.path="+s.path("alertmanager"),
		"--cluster.listen-address=", "--data.maintenance-interval=1s", "--web.listen-address=ADDRESS")
	return err
}

func (s *Stack) startAgent(ctx context.Context, config string) (err error) {
	if s.binary, err = AgentBinary(ctx, s.Dir); err != nil {
		return err
	}
	if err := s.write("agent.yml", []byte(config)); err != nil {
		return err
	}
	if err := os.MkdirAll(s.path("state"), 0o750); err != nil {
		return err
	}
	s.Agent, err = NewProcess(ctx, "agent", s.binary,
		"--config.file="+s.path("agent.yml"), "--state.dir="+s.path("state"), "--web.listen-address=ADDRESS")
	return err
}

func (s *Stack) startPrometheus(ctx context.Context) error {
	binary, err := Tool("prometheus")
	if err != nil {
		return err
	}
	rules, err := escalation.Rules(escalation.Options{Owners: []string{"sre"}})
	if err != nil {
		return err
	}
	if err := s.write("rules.yml", rules); err != nil {
		return err
	}
	config := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
- {job_name: %q, honor_labels: true, static_configs: [{targets: [%q], labels: {instance: "host1:10981"}}]}
`, s.Alertmanager.Address, escalation.DefaultJob, s.Gap.Address())
	if err := s.write("prometheus.yml", []byte(config)); err != nil {
		return err
	}
	s.Prometheus, err = NewProcess(ctx, "prometheus", binary,
		"--config.file="+s.path("prometheus.yml"), "--storage.tsdb.path="+s.path("prometheus"),
		"--rules.alert.resend-delay="+ResendDelay.String(), "--web.listen-address=ADDRESS")
	return err
}

func (s *Stack) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Stack) write(name string, data []byte) error {
	return os.WriteFile(s.path(name), data, 0o600)
}

// Command returns the arguments of the agent's command line for its running
// self, the binary first.
func (s *Stack) Command(args ...string) []string {
	return append([]string{s.binary, "--config.file=" + s.path("agent.yml"), "--state.dir=" + s.path("state")}, args...)
}

func (s *Stack) processes() []*Process {
	var all []*Process
	for _, p := range []*Process{s.Agent, s.Prometheus, s.Alertmanager} {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Output returns what every program has written.
func (s *Stack) Output() string {
	var out strings.Builder
	for _, p := range s.processes() {
		fmt.Fprintf(&out, "==== %s\n%s\n", p.Name, p.Output())
	}
	return out.String()
}

// Close ends everything that was started.
func (s *Stack) Close() error {
	var errs []error
	for _, p := range s.processes() {
		errs = append(errs, p.Kill())
	}
	if s.Gap != nil {
		s.Gap.Close()
	}
	s.Pages.Close()
	return errors.Join(errs...)
}

// moduleAbove returns the directory of the module of the agent.
func moduleAbove() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
