package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes"
)

// agentClient reaches the running agent of this host.
func (e *environment) agentClient() (control.Client, error) {
	path := e.socket()
	if path == "" {
		return control.Client{}, errors.New("there is no state directory, so the agent has no control socket; name the directory with --state.dir")
	}
	return control.Client{Path: path}, nil
}

// problemsCommand lists the open problems of the running agent.
type problemsCommand struct{ output string }

func (c *problemsCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("problems", "List the open problems of the running agent.").Alias("problem list")
	clause.Flag("output", "table or json.").Default("table").EnumVar(&c.output, "table", "json")
	return clause
}

func (c *problemsCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	problems, err := client.Problems(ctx)
	if err != nil {
		return err
	}
	if c.output == "json" {
		return printJSON(e.stdout, problems)
	}
	return printProblems(e.stdout, problems, time.Now())
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// printProblems prints one line for each problem, and what follows from it.
func printProblems(w io.Writer, problems []monitor.Problem, now time.Time) error {
	if len(problems) == 0 {
		fmt.Fprintln(w, "no open problem")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "EPISODE\tSEVERITY\tOPEN FOR\tTIER\tNEXT\tOWNER\tPROBLEM\tSTATE")
	for _, p := range problems {
		next := "-"
		if at := p.Next(now); !at.IsZero() {
			next = "in " + age(at.Sub(now))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s/%s/%s\t%s\n", p.Episode, p.Severity, age(now.Sub(p.Since)),
			p.Tier(now), next, orDash(p.Owner), p.Probe, p.Check, p.Object, problemState(p))
	}
	return table.Flush()
}

func problemState(p monitor.Problem) string {
	state := "open"
	switch {
	case !p.SuppressedUntil.IsZero():
		state = "in maintenance until " + p.SuppressedUntil.Format(time.RFC3339)
	case p.Ack != nil:
		state = "taken by " + p.Ack.By + " until " + p.Ack.Expires.Format(time.RFC3339)
	}
	if p.Held {
		state += ", held: " + string(p.HeldReason)
	}
	return state
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age prints a duration in the units of Prometheus, to the second.
func age(d time.Duration) string { return probes.Duration(d.Round(time.Second)).String() }

// ackCommand takes a problem for a while.
type ackCommand struct {
	selector, by, note string
	lasts              probes.Duration
}

func (c *ackCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("ack", "Take a problem: nobody further is told until the time is over. A new occurrence is not covered.")
	clause.Arg("problem", "Its EPISODE, or PROBE/CHECK/OBJECT.").Required().StringVar(&c.selector)
	clause.Flag("for", "How long, such as 2h; at most 30d.").Required().SetValue(durationValue{&c.lasts})
	clause.Flag("by", "Who takes it.").Default(userName()).StringVar(&c.by)
	clause.Flag("note", "What is being done.").StringVar(&c.note)
	return clause
}

func (c *ackCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	taken, err := client.Ack(ctx, control.AckRequest{Selector: c.selector, By: c.by, Note: c.note, For: time.Duration(c.lasts)})
	if err != nil {
		return err
	}
	return printProblems(e.stdout, taken, time.Now())
}

// unackCommand gives a problem back.
type unackCommand struct{ selector, by string }

func (c *unackCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("unack", "Give a problem back: the tiers that are due are told again.")
	clause.Arg("problem", "Its EPISODE, or PROBE/CHECK/OBJECT.").Required().StringVar(&c.selector)
	clause.Flag("by", "Who gives it back.").Default(userName()).StringVar(&c.by)
	return clause
}

func (c *unackCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	given, err := client.Unack(ctx, control.UnackRequest{Selector: c.selector, By: c.by})
	if err != nil {
		return err
	}
	return printProblems(e.stdout, given, time.Now())
}

// problemTestCommand raises a problem to see it arrive.
type problemTestCommand struct {
	object, severity, owner string
	lasts                   probes.Duration
}

func (c *problemTestCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("problem", "Raise a problem.").Command("test", "Raise a test problem in the running agent, to see a page arrive through the whole ladder.")
	clause.Flag("object", "What the page speaks of.").Default("test").StringVar(&c.object)
	clause.Flag("severity", "critical, warning or info.").Default("critical").StringVar(&c.severity)
	clause.Flag("owner", "Whose page it is; default is nobody's, which goes to the default owner.").StringVar(&c.owner)
	clause.Flag("for", "How long it lasts.").Default("10m").SetValue(durationValue{&c.lasts})
	return clause
}

func (c *problemTestCommand) run(ctx context.Context, e *environment) error {
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	err = client.Test(ctx, control.TestRequest{Object: c.object, Severity: c.severity, Owner: c.owner, For: time.Duration(c.lasts)})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "test problem test/test/%s opens now and closes in %s; see: hygiene_exporter problems\n", c.object, c.lasts)
	return nil
}

// userName is who is asking, as the host knows them.
func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// durationValue is a flag in the syntax of Prometheus.
type durationValue struct{ to *probes.Duration }

func (v durationValue) Set(text string) error {
	parsed, err := probes.ParseDuration(text)
	if err == nil {
		*v.to = parsed
	}
	return err
}

func (v durationValue) String() string { return v.to.String() }
