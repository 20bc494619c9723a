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
	// Cluster is a line with two replicas of Prometheus and three members of
	// Alertmanager that gossip.
	Cluster bool
	// Print sees each page when it arrives.
	Print func(Page)
}

// A Stack is a running line from the agent to the receiver.
type Stack struct {
	Dir                             string
	Agent, Prometheus, Alertmanager *Process // Agent is nil when Options.Target is set
	Gap                             *Gap     // between the agent and Prometheus
	Pages                           *Recorder
	binary                          string

	// Replica and Peers are further ones of a cluster. Replica reaches the
	// agent through a gap of its own.
	Replica    *Process
	ReplicaGap *Gap
	Peers      []*Process
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
	if err := s.startAlertmanagers(ctx, o); err != nil {
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
	var err error
	s.Gap = NewGap(target)
	if s.Prometheus, err = s.startPrometheus(ctx, "prometheus", s.Gap); err != nil || !o.Cluster {
		return err
	}
	s.ReplicaGap = NewGap(target)
	s.Replica, err = s.startPrometheus(ctx, "replica", s.ReplicaGap)
	return err
}

func (s *Stack) startAlertmanagers(ctx context.Context, o Options) (err error) {
	binary := o.Alertmanager
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
	if !o.Cluster {
		s.Alertmanager, err = s.startAlertmanager(ctx, binary, "alertmanager", "--cluster.listen-address=")
		return err
	}
	gossip := make([]string, members)
	peers := []string{"--cluster.peer-timeout=" + PeerTimeout.String(), "--cluster.settle-timeout=2s", "--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=1s", "--cluster.probe-interval=500ms", "--cluster.reconnect-interval=1s"}
	for i := range gossip {
		if gossip[i], err = freeAddress(ctx); err != nil {
			return err
		}
		peers = append(peers, "--cluster.peer="+gossip[i])
	}
	for i, own := range gossip {
		p, err := s.startAlertmanager(ctx, binary, fmt.Sprintf("alertmanager%d", i), append(peers, "--cluster.listen-address="+own, "--cluster.advertise-address="+own)...)
		if err != nil {
			return err
		}
		s.Peers = append(s.Peers, p)
	}
	s.Alertmanager, s.Peers = s.Peers[0], s.Peers[1:]
	return nil
}

// members is the size of a cluster of Alertmanagers.
const members = 3

// PeerTimeout is how long each member of a cluster waits for those before it.
const PeerTimeout = time.Second

func (s *Stack) startAlertmanager(ctx context.Context, binary, name string, cluster ...string) (*Process, error) {
	return NewProcess(ctx, name, binary, append(cluster,
		"--config.file="+s.path("alertmanager.yml"), "--storage.path="+s.path(name),
		"--data.maintenance-interval=1s", "--web.listen-address=ADDRESS")...)
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

func (s *Stack) startPrometheus(ctx context.Context, name string, gap *Gap) (*Process, error) {
	binary, err := Tool("prometheus")
	if err != nil {
		return nil, err
	}
	rules, err := escalation.Rules(escalation.Options{Owners: []string{"sre"}})
	if err != nil {
		return nil, err
	}
	if err := s.write("rules.yml", rules); err != nil {
		return nil, err
	}
	var alertmanagers []string
	for _, p := range append([]*Process{s.Alertmanager}, s.Peers...) {
		alertmanagers = append(alertmanagers, p.Address)
	}
	config := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: [%s]}]}]}
scrape_configs:
- {job_name: %q, honor_labels: true, static_configs: [{targets: [%q], labels: {instance: "host1:10981"}}]}
`, strings.Join(alertmanagers, ", "), escalation.DefaultJob, gap.Address())
	if err := s.write(name+".yml", []byte(config)); err != nil {
		return nil, err
	}
	return NewProcess(ctx, name, binary,
		"--config.file="+s.path(name+".yml"), "--storage.tsdb.path="+s.path(name),
		"--rules.alert.resend-delay="+ResendDelay.String(), "--web.listen-address=ADDRESS")
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
	for _, p := range append([]*Process{s.Agent, s.Prometheus, s.Replica, s.Alertmanager}, s.Peers...) {
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
	for _, gap := range []*Gap{s.Gap, s.ReplicaGap} {
		if gap != nil {
			gap.Close()
		}
	}
	s.Pages.Close()
	return errors.Join(errs...)
}

// moduleAbove returns the directory of the module of the agent.
func moduleAbove() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}
