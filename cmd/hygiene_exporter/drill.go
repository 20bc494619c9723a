package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
)

// drills returns the probe of the running agent.
func (d door) drills() (*drill.Probe, error) {
	for _, entry := range *d.agent.entries.Load() {
		if probe, ok := entry.Probe.(*drill.Probe); ok {
			return probe, nil
		}
	}
	return nil, errors.New("the probe drill is switched off by the configuration")
}

// Drills implements control.Service.
func (d door) Drills(context.Context) ([]drill.Standing, error) {
	probe, err := d.drills()
	if err != nil {
		return nil, err
	}
	return probe.Standings()
}

// RecordDrill implements control.Service.
func (d door) RecordDrill(_ context.Context, record drill.Record, uid uint32) (drill.Standing, error) {
	probe, err := d.drills()
	if err != nil {
		return drill.Standing{}, err
	}
	return probe.Record(record, uid)
}

// drillClause is the common part of the commands; it is declared once.
func drillClause(app *kingpin.Application) *kingpin.CmdClause {
	if clause := app.GetCommand("drill"); clause != nil {
		return clause
	}
	return app.Command("drill", "What must be exercised, and the evidence that it was.")
}

// drillListCommand lists the drills of the running agent.
type drillListCommand struct{ output string }

func (c *drillListCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := drillClause(app).Command("list", "List all drills: when each was last passed, by when it must be again, and the last evidence.")
	clause.Flag("output", "table, json, or evidence: all records that are kept, one line of JSON each.").Default("table").EnumVar(&c.output, "table", "json", "evidence")
	return clause
}

func (c *drillListCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	all, err := client.Drills(ctx)
	if err != nil {
		return err
	}
	switch c.output {
	case "json":
		return printJSON(e.stdout, all)
	case "evidence":
		return printEvidence(e.stdout, all)
	}
	return printDrills(e.stdout, all, time.Now())
}

// printEvidence prints one line for each record.
func printEvidence(w io.Writer, all []drill.Standing) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, s := range all {
		for _, r := range s.Records {
			if err := encoder.Encode(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// printDrills prints one line for each drill.
func printDrills(w io.Writer, all []drill.Standing, now time.Time) error {
	if len(all) == 0 {
		fmt.Fprintln(w, "no drill is configured")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DRILL\tKIND\tOWNER\tLAST PASSED\tDUE\tTOOK\tMAY TAKE\tLAST EVIDENCE")
	for _, s := range all {
		passed, due, last := "never", "", ""
		if !s.Success.IsZero() {
			passed = s.Success.Local().Format(time.DateTime)
		}
		if !s.Deadline.IsZero() {
			due = s.Deadline.Local().Format(time.DateTime)
			if !now.Before(s.Deadline) {
				due += " OVERDUE"
			}
		}
		if n := len(s.Records); n > 0 {
			last = s.Records[n-1].Text()
		}
		if s.Removed {
			s.Kind = "configured no more"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.Kind, orDash(s.Owner), passed, orDash(due),
			orDash(spanOf(s.Seconds)), orDash(spanOf(s.Objective)), orDash(last))
	}
	return table.Flush()
}

// spanOf prints a time in seconds; empty when there is none.
func spanOf(seconds float64) string {
	if seconds <= 0 {
		return ""
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

// drillRecordCommand attests a drill.
type drillRecordCommand struct {
	name, by, note, evidence, result, at, recovered string
	took                                            probes.Duration
}

func (c *drillRecordCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := drillClause(app).Command("record", "Attest that a drill took place, with your name and with evidence.")
	clause.Arg("drill", "The drill, or a part of its name that only it has.").Required().StringVar(&c.name)
	clause.Flag("result", "passed or failed.").Required().EnumVar(&c.result, string(drill.Passed), string(drill.Failed))
	clause.Flag("by", "Who attests it.").Default(userName()).StringVar(&c.by)
	clause.Flag("note", "What was done and seen.").StringVar(&c.note)
	clause.Flag("evidence", "A file that shows it, such as a protocol. Its name and SHA-256 are kept; keep the file yourself.").PlaceHolder("FILE").StringVar(&c.evidence)
	clause.Flag("at", "When it began, as 2026-11-25 or 2026-11-25T14:30:00Z. Default: now.").StringVar(&c.at)
	clause.Flag("took", "How long it took until everything worked again, such as 90s.").SetValue(durationValue{&c.took})
	clause.Flag("recovered", "Whether everything works again: yes or no.").EnumVar(&c.recovered, "yes", "no")
	return clause
}

func (c *drillRecordCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	r, err := c.record(time.Now())
	if err != nil {
		return err
	}
	s, err := pickDrill(ctx, client, c.name)
	if err != nil {
		return err
	}
	r.Drill = s.Name
	if s, err = client.RecordDrill(ctx, r); err != nil {
		return err
	}
	return printDrills(e.stdout, []drill.Standing{s}, time.Now())
}

// record is what the flags say.
func (c *drillRecordCommand) record(now time.Time) (r drill.Record, err error) {
	r = drill.Record{
		At: now, How: drill.ByPerson, Result: drill.Result(c.result), By: c.by, Note: c.note, Seconds: time.Duration(c.took).Seconds(),
	}
	if c.recovered != "" {
		yes := c.recovered == "yes"
		r.Recovered = &yes
	}
	if c.at != "" {
		if r.At, err = time.Parse(time.RFC3339, c.at); err != nil {
			if r.At, err = time.ParseInLocation(time.DateOnly, c.at, time.Local); err != nil {
				return r, fmt.Errorf("--at=%.40q is no instant; write it like 2026-11-25 or 2026-11-25T14:30:00Z", c.at)
			}
		}
	}
	if c.evidence != "" {
		r.File = filepath.Base(c.evidence)
		if r.SHA256, err = hashFile(c.evidence); err != nil {
			return r, fmt.Errorf("evidence: %w", err)
		}
	}
	return r, nil
}

// hashFile returns the SHA-256 of a regular file that is not empty.
func hashFile(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is no file", path)
	case info.Size() == 0:
		return "", fmt.Errorf("%s is empty, and shows nothing", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// pickDrill returns the one configured drill of the agent that is meant.
func pickDrill(ctx context.Context, client control.Client, part string) (drill.Standing, error) {
	all, err := client.Drills(ctx)
	if err != nil {
		return drill.Standing{}, err
	}
	var names []string
	byName := map[string]drill.Standing{}
	for _, s := range all {
		if !s.Removed {
			names, byName[s.Name] = append(names, s.Name), s
		}
	}
	name, err := pick(names, part)
	return byName[name], err
}
