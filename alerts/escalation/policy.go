package escalation

import (
	"bytes"
	_ "embed" // the example
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

// A central is the central policy file: who is told, and through what.
type central struct {
	Identity     []string         `yaml:"identity"`
	DefaultOwner name             `yaml:"default_owner"`
	Owners       map[string]owner `yaml:"owners"`
	Chat         name             `yaml:"chat"`
	Deadman      name             `yaml:"deadman"`
	Timings      timings          `yaml:"timings"`
	Links        Links            `yaml:"links"`
	Templates    []string         `yaml:"templates"`
	Global       yaml.Node        `yaml:"global"`
	Receivers    []yaml.Node      `yaml:"receivers"`
}

// An owner is a team: its receivers by severity, one for each tier, and the
// name of whoever steps in at tier 2.
type owner struct {
	Backup    string            `yaml:"backup"`
	Receivers map[string][]name `yaml:"receivers"`
}

// Timings are those of Alertmanager for problems.
type timings struct {
	GroupWait      probes.Duration `yaml:"group_wait"`
	GroupInterval  probes.Duration `yaml:"group_interval"`
	RepeatInterval repeats         `yaml:"repeat_interval"`
	Deadman        probes.Duration `yaml:"deadman"`
}

// repeats say how often each tier is told again while a problem lasts.
type repeats struct {
	Critical []probes.Duration `yaml:"critical"`
	Warning  []probes.Duration `yaml:"warning"`
}

// A name is a word of the file with the line in which it stands.
type name struct {
	Value string
	Line  int
}

// UnmarshalYAML reads a scalar and remembers where it was.
func (n *name) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode || node.Value == "" {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: a name is expected here", node.Line)}}
	}
	n.Value, n.Line = node.Value, node.Line
	return nil
}

// tiers is the number of steps of a ladder.
const tiers = 3

// The severities that people are told of.
const (
	critical = "critical"
	warning  = "warning"
)

func defaultTimings() timings {
	minutes := func(n int) probes.Duration { return probes.Duration(time.Duration(n) * time.Minute) }
	return timings{
		GroupWait:     probes.Duration(30 * time.Second),
		GroupInterval: minutes(1),
		RepeatInterval: repeats{
			Critical: []probes.Duration{minutes(60), minutes(30), minutes(15)},
			Warning:  []probes.Duration{minutes(24 * 60)},
		},
		Deadman: minutes(1),
	}
}

//go:embed example.yml
var example []byte

// Example returns a central policy file in which every key is explained.
func Example() []byte { return bytes.Clone(example) }

// PolicyOptions returns what a central policy file says about the rules: the
// identity of agents, the owners that have a route, and the links.
func PolicyOptions(name string, data []byte) (Options, error) {
	policy, err := parseCentral(name, data)
	if err != nil {
		return Options{}, err
	}
	return Options{
		Labels: policy.Identity,
		Owners: slices.Sorted(maps.Keys(policy.Owners)),
		Links:  policy.Links,
	}, nil
}

// parseCentral reads the central policy file strictly. Every mistake is
// reported, each with its file and, where it has one, its line.
func parseCentral(file string, data []byte) (*central, error) {
	policy := &central{
		Identity:  defaultLabels(),
		Timings:   defaultTimings(),
		Templates: []string{TemplateFile},
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(policy); err != nil {
		return nil, located(file, err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: there is more than one document", file)
	}
	var errs []error
	for _, one := range policy.problems() {
		errs = append(errs, one.in(file))
	}
	return policy, errors.Join(errs...)
}

// A complaint is a mistake at a line; line 0 is the whole file.
type complaint struct {
	line int
	text string
}

func (c complaint) in(file string) error {
	if c.line == 0 {
		return fmt.Errorf("%s: %s", file, c.text)
	}
	return fmt.Errorf("%s:%d: %s", file, c.line, c.text)
}

// lineNumber is how yaml.v3 begins its messages.
var lineNumber = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// located turns the errors of yaml.v3 into complaints.
func located(file string, err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: the file is empty", file)
	}
	messages := []string{err.Error()}
	if mistakes, ok := errors.AsType[*yaml.TypeError](err); ok {
		messages = mistakes.Errors
	}
	var errs []error
	for _, message := range messages {
		one := complaint{text: strings.ReplaceAll(message, " in type escalation.central", "")}
		if found := lineNumber.FindStringSubmatch(one.text); found != nil {
			one.line, _ = strconv.Atoi(found[1]) // the expression admits digits only
			one.text = found[2]
		}
		errs = append(errs, one.in(file))
	}
	return errors.Join(errs...)
}

// receiverLines returns the line of each receiver by its name.
func (c *central) receiverLines() (map[string]int, []complaint) {
	lines := map[string]int{}
	var wrong []complaint
	for i := range c.Receivers {
		node := &c.Receivers[i]
		var one struct {
			Name string `yaml:"name"`
		}
		switch err := node.Decode(&one); {
		case err != nil || one.Name == "":
			wrong = append(wrong, complaint{node.Line, "a receiver without a name"})
		case lines[one.Name] != 0:
			wrong = append(wrong, complaint{node.Line, fmt.Sprintf("receiver %.40q is there twice", one.Name)})
		default:
			lines[one.Name] = node.Line
		}
	}
	return lines, wrong
}

// problems returns all that is wrong in a file that could be decoded.
func (c *central) problems() []complaint {
	known, wrong := c.receiverLines()
	refer := func(what string, to name) {
		if to.Value == "" {
			wrong = append(wrong, complaint{0, what + " is missing"})
		} else if known[to.Value] == 0 {
			wrong = append(wrong, complaint{to.Line, fmt.Sprintf("%s: there is no receiver %.40q", what, to.Value)})
		}
	}
	refer("chat", c.Chat)
	refer("deadman", c.Deadman)
	if _, ok := c.Owners[c.DefaultOwner.Value]; !ok {
		wrong = append(wrong, complaint{c.DefaultOwner.Line, fmt.Sprintf("default_owner: there is no owner %.40q", c.DefaultOwner.Value)})
	}
	for _, who := range slices.Sorted(maps.Keys(c.Owners)) {
		ladder := c.Owners[who].Receivers
		if len(ladder[critical]) == 0 {
			wrong = append(wrong, complaint{0, fmt.Sprintf("owners.%s: receivers.critical is missing", who)})
		}
		for _, severity := range slices.Sorted(maps.Keys(ladder)) {
			path := fmt.Sprintf("owners.%s.receivers.%s", who, severity)
			wrong = append(wrong, ladderProblems(path, severity, ladder[severity])...)
			for _, to := range ladder[severity] {
				refer(path, to)
			}
		}
	}
	for _, err := range []error{checkLabels(c.Identity), c.Links.check()} {
		if err != nil {
			wrong = append(wrong, complaint{0, strings.ReplaceAll(err.Error(), "\n", "; ")})
		}
	}
	return append(wrong, c.Timings.problems()...)
}

func ladderProblems(path, severity string, ladder []name) []complaint {
	switch {
	case severity != critical && severity != warning:
		return []complaint{{0, fmt.Sprintf("%s: the severities are critical and warning", path)}}
	case len(ladder) == 0:
		return []complaint{{0, path + ": names no receiver"}}
	case len(ladder) > tiers:
		return []complaint{{ladder[tiers].Line, fmt.Sprintf("%s: there are %d tiers, not %d", path, tiers, len(ladder))}}
	}
	return nil
}

func (t timings) problems() []complaint {
	var wrong []complaint
	if t.GroupInterval <= 0 {
		wrong = append(wrong, complaint{0, "timings.group_interval must be above 0"})
	}
	if t.Deadman <= 0 {
		wrong = append(wrong, complaint{0, "timings.deadman must be above 0"})
	}
	wrong = append(wrong, repeatProblems("critical", t.RepeatInterval.Critical)...)
	return append(wrong, repeatProblems("warning", t.RepeatInterval.Warning)...)
}

func repeatProblems(severity string, values []probes.Duration) []complaint {
	path := "timings.repeat_interval." + severity
	if len(values) == 0 || len(values) > tiers {
		return []complaint{{0, fmt.Sprintf("%s takes 1 to %d values", path, tiers)}}
	}
	for _, value := range values {
		if value <= 0 {
			return []complaint{{0, path + " must be above 0"}}
		}
	}
	return nil
}
