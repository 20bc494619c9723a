package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/expfmt"

	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/all"
)

// checkCommand looks at this host once, without an agent.
type checkCommand struct {
	probes []string
	output string
	full   bool
}

func (c *checkCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("check", "Look at this host once, without an agent and without leaving a trace. Exit status: 0 ok, 1 warning, 2 critical, 3 unknown.")
	clause.Arg("probe", "Probes to run; all without any.").StringsVar(&c.probes)
	clause.Flag("full", "Also do what is slow, such as reading backups and restoring them for a test.").BoolVar(&c.full)
	clause.Flag("output", "table, json, prom or nagios.").Default("table").EnumVar(&c.output, "table", "json", "prom", "nagios")
	return clause
}

func (c *checkCommand) run(ctx context.Context, e *environment) error {
	var names []string
	for _, spec := range all.Specs() {
		names = append(names, spec.Name)
	}
	memory, err := e.copyState(names...)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(memory) }() // a copy, in the directory for such things
	l, err := newLookFrom(e, c.probes, memory, c.full)
	if err != nil {
		return err
	}
	result, err := l.run(ctx)
	if err != nil {
		return err
	}
	switch c.output {
	case "json":
		err = printJSON(e.stdout, result.json())
	case "prom":
		err = printMetrics(e.stdout, l.collector)
	case "nagios":
		result.nagios(e.stdout)
	default:
		result.table(e.stdout)
		if c.full && len(result.Findings) > 0 {
			// The look leaves no trace, so that explain knows nothing of it.
			fmt.Fprintln(e.stdout, "What only --full finds, explain tells with --full alone.")
		}
	}
	if err != nil {
		return err
	}
	if status := result.status(); status != 0 {
		return status
	}
	return nil
}

func printMetrics(w io.Writer, c *collector.Collector) error {
	families, err := c.Gatherer().Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}

// json is the result for programs. Its fields are a contract.
func (j judged) json() any {
	type finding struct {
		Probe       string `json:"probe"`
		Check       string `json:"check"`
		Object      string `json:"object"`
		Severity    string `json:"severity"`
		Owner       string `json:"owner,omitempty"`
		Summary     string `json:"summary"`
		Description string `json:"description"`
		Impact      string `json:"impact"`
		Action      string `json:"action"`
	}
	findings, unknowns := []finding{}, []unknown{}
	for _, f := range j.Findings {
		findings = append(findings, finding{f.Probe, f.Check, f.Object, f.Severity, f.Owner, f.Text.Summary, f.Description, f.Impact, f.Action})
	}
	outcomes := map[string]string{}
	for _, name := range j.names() {
		outcomes[name] = j.Snapshot.Reports[name].Outcome.String()
	}
	return map[string]any{
		"status":   int(j.status()),
		"findings": findings,
		"unknown":  append(unknowns, j.Unknown...),
		"probes":   outcomes,
	}
}

// table is the result for people: worst first, then what was not seen, then
// what was.
func (j judged) table(w io.Writer) {
	for _, f := range j.Findings {
		fmt.Fprintf(w, "%-8s  %s/%s  %s\n", strings.ToUpper(f.Severity), f.Probe, f.Check, f.Object)
		for _, line := range []string{f.Description, f.Action} {
			if line != "" {
				fmt.Fprintf(w, "          %s\n", strings.TrimSpace(line))
			}
		}
	}
	for _, u := range j.Unknown {
		fmt.Fprintf(w, "UNKNOWN   %s  %s\n          %s: %s\n", u.Probe, u.Object, u.Reason, u.Error)
	}
	if len(j.Findings)+len(j.Unknown) > 0 {
		fmt.Fprintln(w)
	}
	for _, line := range j.probes() {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, j.verdict())
}

// probes says in one line for each probe what it looked at.
func (j judged) probes() []string {
	var lines []string
	for _, name := range j.names() {
		report := j.Snapshot.Reports[name]
		objects := map[string]bool{}
		for _, sample := range report.Samples {
			objects[sample.Object()] = true
		}
		delete(objects, probes.HostObject) // what the probe says of the host as a whole
		lines = append(lines, fmt.Sprintf("%-12s %s, %d objects, %d facts, %d not inspected",
			name, report.Outcome, len(objects), len(report.Samples), len(report.Faults)))
	}
	return lines
}

// names lists the probes that were looked at.
func (j judged) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(j.Snapshot.Reports)), func(name string) bool { return name == collector.AgentProbe })
}

func (j judged) verdict() string {
	word := map[exitStatus]string{0: "OK", 1: "WARNING", 2: "CRITICAL", exitUnknown: "UNKNOWN"}[j.status()]
	count := map[string]int{}
	for _, f := range j.Findings {
		count[f.Severity]++
	}
	return fmt.Sprintf("%s: %d critical, %d warning, %d info, %d unknown",
		word, count["critical"], count["warning"], count["info"], len(j.Unknown))
}

// nagios prints the format of monitoring plugins: a line with performance data,
// then one line for each finding. A pipe separates the data, so no text has one.
func (j judged) nagios(w io.Writer) {
	count := map[string]int{}
	for _, f := range j.Findings {
		count[f.Severity]++
	}
	fmt.Fprintf(w, "HYGIENE %s | critical=%d;;0 warning=%d;0 unknown=%d\n", j.verdict(), count["critical"], count["warning"], len(j.Unknown))
	for _, f := range j.Findings {
		fmt.Fprintf(w, "%s %s\n", strings.ToUpper(f.Severity), noPipe(f.Text.Summary))
	}
	for _, u := range j.Unknown {
		fmt.Fprintf(w, "UNKNOWN %s\n", noPipe(u.Probe+" "+u.Object+": "+u.Error))
	}
}

func noPipe(s string) string { return strings.NewReplacer("|", "¦", "\n", " ").Replace(s) }
