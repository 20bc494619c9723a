package port

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
)

// Config is the section "port" of the configuration file.
type Config struct {
	probes.Settings `yaml:",inline"`
	// What may and what must listen; the first rule that fits decides. Without any rule nothing is unexpected, but services that must never be on a public address are reported all the same.
	Policy []Rule `yaml:"policy"`
	// Whether the ruleset of nftables is read, to see what it accepts and which ports it publishes. Needs CAP_NET_ADMIN.
	Firewall bool `yaml:"firewall"`
	// Whether the processes behind new sockets are looked for. Without it, only the unit or container is known.
	Processes bool `yaml:"processes"`
	// Longest time that one run looks for processes, and for the packages of their programs; the next one goes on.
	ProcessBudget probes.Duration `yaml:"process_budget"`
}

// A Rule says what is thought of some listeners. What is left empty fits all.
type Rule struct {
	// tcp, udp, sctp, udplite, unix, raw, packet or vsock. Without a rule for unix, raw or packet, none of those is unexpected.
	Protocol string `yaml:"protocol"`
	// Ports and ranges such as "8000-8010"; the word ephemeral stands for ports that the kernel chose.
	Ports []Ports `yaml:"ports"`
	// Who can reach it: any, loopback, link_local, private, bridge, public, wildcard, wildcard_v4, wildcard_v6, device or published; everyone, restricted, abstract or hidden for unix. Wildcard fits the three of them.
	Exposure string `yaml:"exposure"`
	// Pattern of the systemd unit, with * ? [] {} and ** across slashes.
	Unit string `yaml:"unit"`
	// Pattern of the container, as NAME, or as NAMESPACE/POD/NAME in Kubernetes.
	Container string `yaml:"container"`
	// Name or number of the user who owns the socket.
	User string `yaml:"user"`
	// Pattern of the path of the program.
	Executable string `yaml:"executable"`
	// Pattern of the network namespace; empty means that of the host. Without a rule for others, nothing in them is unexpected.
	Namespace string `yaml:"namespace"`
	// Pattern of the path of a unix socket.
	Path string `yaml:"path"`
	// required, allowed or forbidden.
	Expect string `yaml:"expect"`
	// Last day on which the rule permits something, as YYYY-MM-DD in the time zone of the host; from then on, what it permitted is reported.
	Until string `yaml:"until"`
	// Why; required with until.
	Reason string `yaml:"reason"`
	// Who is told; empty means the owner of the probe.
	Owner string `yaml:"owner"`
}

// What a rule may expect.
const (
	required  = "required"
	allowed   = "allowed"
	forbidden = "forbidden"
)

// Ports is a range of ports, or all that the kernel chose.
type Ports struct {
	First, Last uint32
	Ephemeral   bool
}

const ephemeral = "ephemeral"

// UnmarshalYAML reads 22, "8000-8010" or ephemeral.
func (p *Ports) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := parsePorts(node.Value)
	if node.Kind != yaml.ScalarNode {
		err = errors.New("must be a port, a range like 8000-8010, or ephemeral")
	}
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", node.Line, err)}}
	}
	*p = parsed
	return nil
}

func parsePorts(text string) (Ports, error) {
	if text == ephemeral {
		return Ports{Ephemeral: true}, nil
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 32)
	to, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 32)
	if err != nil || err2 != nil || from > to {
		return Ports{}, fmt.Errorf("%.40q is neither a port like 22, nor a range like 8000-8010, nor ephemeral", text)
	}
	return Ports{First: uint32(from), Last: uint32(to)}, nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (p Ports) MarshalYAML() (any, error) {
	if p.First == p.Last && !p.Ephemeral {
		return int(p.First), nil
	}
	return p.String(), nil
}

// String returns the ports as they are written in the configuration.
func (p Ports) String() string {
	switch {
	case p.Ephemeral:
		return ephemeral
	case p.First == p.Last:
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func defaultConfig() *Config {
	settings := probes.DefaultSettings(5 * time.Second)
	// A run takes milliseconds, but on a busy host it may have to wait.
	settings.Timeout = probes.Duration(4 * time.Second)
	settings.MaxAge = probes.Duration(time.Minute)
	return &Config{Settings: settings, Processes: true, ProcessBudget: probes.Duration(200 * time.Millisecond)}
}

// Validate returns everything that is wrong with the section.
func (c *Config) Validate() error {
	errs := []error{c.Settings.Validate()}
	if c.ProcessBudget <= 0 || c.ProcessBudget >= c.Timeout {
		errs = append(errs, probes.At("process_budget", fmt.Errorf("must be above 0 and below the timeout of %s, not %s", c.Timeout, c.ProcessBudget)))
	}
	for i, rule := range c.Policy {
		errs = append(errs, probes.At(fmt.Sprintf("policy[%d]", i), rule.validate()))
	}
	return errors.Join(errs...)
}

func (r Rule) validate() error {
	var errs []error
	add := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	var known []string
	for _, protocol := range listeners.Protocols() {
		known = append(known, string(protocol))
	}
	if r.Protocol != "" && !slices.Contains(known, r.Protocol) {
		add("protocol", "%.40q is none of %s", r.Protocol, strings.Join(known, ", "))
	}
	for i, ports := range r.Ports {
		if ports.Last > 65535 && r.Protocol != string(listeners.Vsock) {
			add(fmt.Sprintf("ports[%d]", i), "%s is above 65535", ports)
		}
	}
	classes := append([]string{"any"}, exposures()...)
	if r.Exposure != "" && !slices.Contains(classes, r.Exposure) {
		add("exposure", "%.40q is none of %s", r.Exposure, strings.Join(classes, ", "))
	}
	for key, pattern := range map[string]string{
		"unit": r.Unit, "container": r.Container, "executable": r.Executable, "namespace": r.Namespace, "path": r.Path,
	} {
		if !doublestar.ValidatePattern(pattern) {
			add(key, "%.80q is not a valid pattern", pattern)
		}
	}
	if r.Path != "" && r.Protocol != string(listeners.Unix) {
		add("path", "belongs to the protocol unix alone")
	}
	return errors.Join(append(errs, r.validateExpectation())...)
}

func (r Rule) validateExpectation() error {
	var errs []error
	add := func(key, text string) { errs = append(errs, probes.At(key, errors.New(text))) }
	switch r.Expect {
	case allowed, forbidden:
	case required:
		if r.Protocol == "" {
			add("protocol", "is missing; what is required must be named")
		}
		if len(r.Ports) != 1 && r.Protocol != string(listeners.Unix) || len(r.Ports) > 1 {
			add("ports", "must be one port or one range; write a rule for each port that is required")
		}
		if r.Protocol == string(listeners.Unix) && r.Path == "" {
			add("path", "is missing; what is required must be named")
		}
	case "":
		add("expect", "is missing; write required, allowed or forbidden")
	default:
		add("expect", fmt.Sprintf("%.40q is none of required, allowed, forbidden", r.Expect))
	}
	if r.Until != "" {
		if _, err := time.Parse(time.DateOnly, r.Until); err != nil {
			add("until", fmt.Sprintf("%.40q is not a date like 2027-01-31", r.Until))
		}
		if r.Expect == forbidden {
			add("until", "a ban has no end; only what is permitted can expire")
		}
		if r.Reason == "" {
			add("reason", "is missing; an exception needs one")
		}
	}
	return errors.Join(errs...)
}

// ends returns the instant at which a rule ceases to permit something; zero if
// it never does.
func (r Rule) ends() time.Time {
	day, err := time.ParseInLocation(time.DateOnly, r.Until, time.Local)
	if err != nil {
		return time.Time{}
	}
	return day.AddDate(0, 0, 1)
}

// New returns the probe.
func (c *Config) New(host probes.Host) (probes.Probe, error) { return newProbe(c, host), nil }
