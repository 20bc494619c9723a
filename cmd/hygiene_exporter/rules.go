package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts"
	"hygiene_exporter/alerts/escalation"
)

// rulesCommand prints rule files for Prometheus.
type rulesCommand struct {
	kind, job, identity, policy string

	operator operatorFlags
}

func (c *rulesCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("rules", "Print the rule file that Prometheus loads.")
	clause.Flag("kind", "escalation: the problems that agents find go up the ladder. detection: Prometheus itself finds them, without tiers and acknowledgement; set alerts.evaluate to false then.").
		Default("escalation").EnumVar(&c.kind, "escalation", "detection")
	clause.Flag("job", "Scrape job of the agents. Default: "+escalation.DefaultJob+".").StringVar(&c.job)
	clause.Flag("identity", "Labels that identify an agent, with commas: job,instance and possibly cluster. Default: those of the policy, else job,instance.").StringVar(&c.identity)
	clause.Flag("policy", "Central policy file. With it, the rules know its owners, and report problems of others, and its links.").ExistingFileVar(&c.policy)
	c.operator.declare(clause, "PrometheusRule")
	return clause
}

func (c *rulesCommand) run(_ context.Context, e *environment) error {
	text, err := c.text()
	if err == nil && c.operator.wanted {
		text, err = escalation.PrometheusRule(c.operator.manifest(), text)
	}
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(text)
	return err
}

func (c *rulesCommand) text() ([]byte, error) {
	if c.kind == "detection" {
		return alerts.RuleFile()
	}
	options, err := c.options()
	if err != nil {
		return nil, err
	}
	return escalation.Rules(options)
}

// operatorFlags ask for an object of the Prometheus operator.
type operatorFlags struct {
	wanted    bool
	namespace string
	labels    map[string]string
}

func (o *operatorFlags) declare(clause *kingpin.CmdClause, kind string) {
	clause.Flag("operator", "Print the object of the Prometheus operator with the same content: "+kind+".").BoolVar(&o.wanted)
	clause.Flag("operator.namespace", "Namespace of the object.").StringVar(&o.namespace)
	o.labels = map[string]string{}
	clause.Flag("operator.label", "Label of the object as NAME=VALUE, by which the operator finds it. Repeatable.").StringMapVar(&o.labels)
}

func (o *operatorFlags) manifest() escalation.Manifest {
	return escalation.Manifest{Name: "hygiene-exporter", Namespace: o.namespace, Labels: o.labels}
}

// options are those of the policy file, and of the flags that were given.
func (c *rulesCommand) options() (escalation.Options, error) {
	var options escalation.Options
	if c.policy != "" {
		data, err := os.ReadFile(c.policy)
		if err != nil {
			return options, err
		}
		if options, err = escalation.PolicyOptions(c.policy, data); err != nil {
			return options, err
		}
	}
	if c.job != "" {
		options.Job = c.job
	}
	if c.identity != "" {
		options.Labels = strings.Split(c.identity, ",")
	}
	return options, nil
}

// alertmanagerCommand prints the configuration of Alertmanager, or the message
// template that goes with it.
type alertmanagerCommand struct {
	policy   string
	template bool
	operator operatorFlags
}

const alertmanagerHelp = "Configuration of Alertmanager, from one central policy file."

func (c *alertmanagerCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := parent(app, "alertmanager", alertmanagerHelp).Command("generate", "Print the configuration that a policy file describes. This is the default.").Default()
	clause.Flag("template", "Print the message template that the configuration loads instead.").BoolVar(&c.template)
	clause.Arg("policy", "The central policy file.").Required().ExistingFileVar(&c.policy)
	c.operator.declare(clause, "AlertmanagerConfig")
	return clause
}

func (c *alertmanagerCommand) run(_ context.Context, e *environment) error {
	data, err := os.ReadFile(c.policy)
	if err != nil {
		return err
	}
	generate := escalation.Alertmanager
	switch {
	case c.template:
		generate = escalation.Template
	case c.operator.wanted:
		generate = func(name string, data []byte) ([]byte, error) {
			return escalation.AlertmanagerConfig(c.operator.manifest(), name, data)
		}
	}
	text, err := generate(c.policy, data)
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(text)
	return err
}

// alertmanagerCheckCommand checks a configuration that somebody wrote.
type alertmanagerCheckCommand struct{ file string }

func (c *alertmanagerCheckCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := parent(app, "alertmanager", alertmanagerHelp).Command("check", "Say whether a configuration of Alertmanager brings every problem to somebody.")
	clause.Arg("file", "The configuration of Alertmanager.").Required().ExistingFileVar(&c.file)
	return clause
}

func (c *alertmanagerCheckCommand) run(_ context.Context, e *environment) error {
	data, err := os.ReadFile(c.file)
	if err != nil {
		return err
	}
	if err := escalation.CheckAlertmanager(data); err != nil {
		return fmt.Errorf("%s:\n%w", c.file, err)
	}
	fmt.Fprintf(e.stdout, "%s brings every problem to somebody\n", c.file)
	return nil
}

// alertmanagerExampleCommand prints an example of a policy file.
type alertmanagerExampleCommand struct{}

func (c *alertmanagerExampleCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return parent(app, "alertmanager", alertmanagerHelp).Command("example", "Print a central policy file to start from.")
}

func (c *alertmanagerExampleCommand) run(_ context.Context, e *environment) error {
	_, err := e.stdout.Write(escalation.Example())
	return err
}
