// Package escalation writes what the central side needs to tell people of the
// problems that agents export: the rules for Prometheus and the configuration
// for Alertmanager.
//
// It promises that the same input always gives the same bytes, that nothing it
// writes keeps a clock of its own where the agent has one, and that whatever it
// writes passes its own check. It reads no files and has no side effects.
package escalation

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Options say how Prometheus sees the agents.
type Options struct {
	// Job is the scrape job of the agents; empty means "hygiene_exporter".
	Job string
	// Labels identify one agent; empty means job and instance. Both must be
	// among them. Each further one, such as cluster, divides the agents into
	// fleets which are judged one by one.
	Labels []string
	// Owners are those to whom Alertmanager has a route. When there are any, a
	// rule reports problems of other owners.
	Owners []string
	// Links are the addresses that alerts may point to.
	Links Links
}

// Links are base addresses. Alerts do not carry a link whose address is empty.
type Links struct {
	// Alertmanager is where a silence is made.
	Alertmanager string `yaml:"alertmanager"`
	// Runbooks is where <probe>-<check> is explained.
	Runbooks string `yaml:"runbooks"`
	// Agent is the status page of an agent; {instance} stands for its instance
	// label. Only messages carry it.
	Agent string `yaml:"agent"`
}

// DefaultJob is the scrape job that the documentation uses.
const DefaultJob = "hygiene_exporter"

func defaultLabels() []string { return []string{"job", "instance"} }

// labelName is what Prometheus accepts as the name of a label without quotes.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// problemLabels are those that every problem has of its own.
func problemLabels() []string {
	return []string{"probe", "check", "object", "episode", "severity", "owner", "escalation", "kind", "alertname"}
}

// complete returns the options with every default filled in.
func (o Options) complete() (Options, error) {
	if o.Job == "" {
		o.Job = DefaultJob
	}
	if len(o.Labels) == 0 {
		o.Labels = defaultLabels()
	}
	o.Owners = slices.Compact(slices.Sorted(slices.Values(o.Owners)))
	return o, errors.Join(checkLabels(o.Labels), o.Links.check())
}

func checkLabels(labels []string) error {
	var errs []error
	for i, label := range labels {
		switch {
		case !labelName.MatchString(label):
			errs = append(errs, fmt.Errorf("identity: %.40q is not the name of a label", label))
		case slices.Contains(problemLabels(), label):
			errs = append(errs, fmt.Errorf("identity: %q belongs to the problem, not to the agent", label))
		case slices.Contains(labels[:i], label):
			errs = append(errs, fmt.Errorf("identity: %q is there twice", label))
		}
	}
	for _, label := range defaultLabels() {
		if !slices.Contains(labels, label) {
			errs = append(errs, fmt.Errorf("identity: %q is missing", label))
		}
	}
	return errors.Join(errs...)
}

func (l Links) check() error {
	return errors.Join(
		checkLink("links.alertmanager", l.Alertmanager),
		checkLink("links.runbooks", l.Runbooks),
		checkLink("links.agent", strings.ReplaceAll(l.Agent, instancePlaceholder, "instance")),
	)
}

// instancePlaceholder stands for the instance label in Links.Agent.
const instancePlaceholder = "{instance}"

// checkLink accepts an address that cannot be mistaken for a template, because
// links become a part of one.
func checkLink(name, link string) error {
	if link == "" {
		return nil
	}
	parsed, err := url.Parse(link)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return fmt.Errorf("%s: %.80q is not an http or https address", name, link)
	}
	if strings.ContainsAny(link, "{}\"'`\\ \n") {
		return fmt.Errorf("%s: %.80q contains a brace, a quote or a space", name, link)
	}
	return nil
}

// fleet returns the labels of the identity that are above the single agent.
func (o Options) fleet() []string {
	return slices.DeleteFunc(slices.Clone(o.Labels), func(label string) bool {
		return slices.Contains(defaultLabels(), label)
	})
}
