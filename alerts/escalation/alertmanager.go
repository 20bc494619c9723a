package escalation

import (
	"bytes"
	_ "embed" // the text of the configuration
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"

	"hygiene_exporter/probes"
)

//go:embed alertmanager.yml.tmpl
var alertmanagerTemplate string

//go:embed message.tmpl.tmpl
var messageTemplate string

// TemplateFile is the name under which the configuration expects the message
// template, beside itself.
const TemplateFile = "hygiene_exporter.tmpl"

// Alertmanager makes the whole configuration of Alertmanager, 0.25 or later,
// from the central policy file.
func Alertmanager(name string, data []byte) ([]byte, error) {
	policy, err := parseCentral(name, data)
	if err != nil {
		return nil, err
	}
	out, err := render("alertmanager", alertmanagerTemplate, policy, policy.functions())
	if err != nil {
		return nil, err
	}
	if err := CheckAlertmanager(out); err != nil {
		return nil, fmt.Errorf("%s: people would not be told: %w", name, err)
	}
	return out, nil
}

// Template makes the message template that receivers may use: a title and a text
// with owner, backup, tier, acknowledge command and silence link.
func Template(name string, data []byte) ([]byte, error) {
	policy, err := parseCentral(name, data)
	if err != nil {
		return nil, err
	}
	return render("message", messageTemplate, policy, policy.functions())
}

// A leaf is a route for the tiers of one severity that share a receiver and a
// repeat interval.
type leaf struct {
	Severity, Receiver string
	Tier               int
	Repeat             probes.Duration
	HostDown           probes.Duration // between messages about a host that is down
}

func (c *central) functions() template.FuncMap {
	return template.FuncMap{
		"owners":  func() []string { return slices.Sorted(maps.Keys(c.Owners)) },
		"backup":  func(who string) string { return c.Owners[who].Backup },
		"leaves":  c.leaves,
		"first":   func(who string) string { return c.Owners[who].Receivers[critical][0].Value },
		"node":    node,
		"quote":   strconv.Quote,
		"list":    func(labels ...string) string { return strings.Join(append(slices.Clone(c.Identity), labels...), ", ") },
		"fleet":   c.fleet,
		"trim":    func(link string) string { return strings.TrimRight(link, "/") },
		"agent":   c.agentLink,
		"matcher": func(label, value string) string { return yamlQuote(label + "=" + strconv.Quote(value)) },
	}
}

// leaves returns the routes of an owner. A severity that it does not name is
// routed like critical.
func (c *central) leaves(who string) []leaf {
	var leaves []leaf
	repeats := map[string][]probes.Duration{
		critical: c.Timings.RepeatInterval.Critical,
		warning:  c.Timings.RepeatInterval.Warning,
	}
	for _, severity := range []string{warning, critical} {
		ladder := c.Owners[who].Receivers[severity]
		for i := 0; len(ladder) > 0 && i < tiers; i++ {
			leaves = append(leaves, leaf{
				Severity: severity,
				Receiver: last(ladder, i).Value,
				Tier:     i + 1,
				Repeat:   last(repeats[severity], i),
				HostDown: 5 * c.Timings.GroupInterval,
			})
		}
	}
	return leaves
}

// last returns the element at i, or the last one when the list is shorter.
func last[T any](list []T, i int) T { return list[min(i, len(list)-1)] }

// fleet returns what alerts about many agents have in common.
func (c *central) fleet(labels ...string) string {
	return strings.Join(append(Options{Labels: c.Identity}.fleet(), labels...), ", ")
}

// agentLink returns the template of the link to the status page.
func (c *central) agentLink() string {
	return strings.ReplaceAll(c.Links.Agent, instancePlaceholder, "{{ .Labels.instance }}")
}

// node prints a part of the policy file as it was, with its comments.
func node(indent int, part yaml.Node) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&part); err != nil {
		return "", err
	}
	if err := encoder.Close(); err != nil {
		return "", err
	}
	pad := "\n" + strings.Repeat(" ", indent)
	return strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", pad), nil
}

// yamlQuote prints text as a YAML scalar in single quotes.
func yamlQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
