package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
)

// door is what the control socket leads to: the problems, and what the probes
// remember.
type door struct {
	*monitor.Monitor
	agent *agent
}

var _ control.Service = door{}

// Baseline implements control.Service.
func (d door) Baseline(context.Context) ([]control.Baseline, error) {
	var (
		all  []control.Baseline
		errs []error
	)
	for _, entry := range *d.agent.entries.Load() {
		baseliner, ok := entry.Probe.(probes.Baseliner)
		if !ok {
			continue
		}
		remembered, err := baseliner.Baseline()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", entry.Spec.Name, err))
		}
		for _, r := range remembered {
			all = append(all, control.Baseline{Probe: entry.Spec.Name, Remembered: r})
		}
	}
	return all, errors.Join(errs...)
}

// Accept implements control.Service. Objects that can be accepted are, whatever
// is wrong with others.
func (d door) Accept(_ context.Context, probe string, objects []string) ([]control.Baseline, error) {
	var baseliner probes.Baseliner
	for _, entry := range *d.agent.entries.Load() {
		if b, ok := entry.Probe.(probes.Baseliner); ok && entry.Spec.Name == probe {
			baseliner = b
		}
	}
	if baseliner == nil {
		return nil, fmt.Errorf("the probe %.40q has no baseline, or is switched off", probe)
	}
	var (
		all  []control.Baseline
		errs []error
	)
	for _, object := range objects {
		r, err := baseliner.Accept(object)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, control.Baseline{Probe: probe, Remembered: r})
	}
	return all, errors.Join(errs...)
}

// keep makes the probes of a configuration reachable.
func (a *agent) keep(list []collector.Entry) { a.entries.Store(&list) }

// baselineShowCommand lists what the running agent remembers.
type baselineShowCommand struct{ output string }

func (c *baselineShowCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := baselineClause(app).Command("show", "List what the running agent remembers that there should be.")
	clause.Flag("output", "table or json.").Default("table").EnumVar(&c.output, "table", "json")
	return clause
}

// baselineClause is the common part of the commands; it is declared once.
func baselineClause(app *kingpin.Application) *kingpin.CmdClause {
	if clause := app.GetCommand("baseline"); clause != nil {
		return clause
	}
	return app.Command("baseline", "What there should be, as far as the agent has seen it.")
}

func (c *baselineShowCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	all, err := client.Baseline(ctx)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return printJSON(e.stdout, all)
	}
	return printBaseline(e.stdout, all)
}

// printBaseline prints one line for each object.
func printBaseline(w io.Writer, all []control.Baseline) error {
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing is remembered")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROBE\tOBJECT\tMEMBERS\tTHERE\tSPARES\tSTATE\tKNOWN SINCE\tMISSING")
	for _, b := range all {
		if b.Removed {
			b.State = "given up"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", b.Probe, b.Object, b.Expected, b.Present, b.Spares,
			orDash(b.State), b.Since.Local().Format(time.DateTime), orDash(strings.Join(b.Missing, ", ")))
	}
	return table.Flush()
}

// baselineAcceptCommand takes what is there for what there should be.
type baselineAcceptCommand struct {
	probe   string
	objects []string
}

func (c *baselineAcceptCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := baselineClause(app).Command("accept", "Take what is there now for what there should be; an object that is not there is given up.")
	clause.Flag("probe", "Whose objects they are.").Default("redundancy").StringVar(&c.probe)
	clause.Arg("object", "The objects, or a part of each that only it has.").Required().StringsVar(&c.objects)
	return clause
}

func (c *baselineAcceptCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	all, err := client.Baseline(ctx)
	if err != nil {
		return err
	}
	var known, wanted []string
	for _, b := range all {
		if b.Probe == c.probe {
			known = append(known, b.Object)
		}
	}
	for _, part := range c.objects {
		object, err := pick(known, part)
		if err != nil {
			return err
		}
		wanted = append(wanted, object)
	}
	accepted, err := client.Accept(ctx, control.AcceptRequest{Probe: c.probe, Objects: wanted})
	if err != nil {
		return err
	}
	return printBaseline(e.stdout, accepted)
}
