package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/policy"
	"hygiene_exporter/probes"
)

// simulateCommand shows who would be told when of a problem.
type simulateCommand struct {
	subject            policy.Subject
	at                 string
	acked, lasts, open probes.Duration
}

func (c *simulateCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("simulate", "Show which tier would be told when of a problem, by the escalation of the configuration.")
	clause.Flag("probe", "Probe of the problem.").Default("certificate").StringVar(&c.subject.Probe)
	clause.Flag("check", "Check of the problem.").Default("expired").StringVar(&c.subject.Check)
	clause.Flag("object", "Object of the problem.").Default("example").StringVar(&c.subject.Object)
	clause.Flag("severity", "critical, warning or info.").Default("critical").EnumVar(&c.subject.Severity, "critical", "warning", "info")
	clause.Flag("owner", "Owner of the problem.").StringVar(&c.subject.Owner)
	clause.Flag("at", "When it opens, such as 2026-12-24T18:00:00Z. Default: now.").StringVar(&c.at)
	clause.Flag("ack-after", "After which time somebody takes it.").SetValue(durationValue{&c.acked})
	clause.Flag("ack-for", "For how long.").Default("2h").SetValue(durationValue{&c.lasts})
	clause.Flag("close-after", "After which time it is over.").SetValue(durationValue{&c.open})
	return clause
}

func (c *simulateCommand) run(_ context.Context, e *environment) error {
	loaded, err := e.loadConfig()
	if err != nil {
		return err
	}
	p, err := policy.New(loaded.Escalation, loaded.Overrides, loaded.Maintenance)
	if err != nil {
		return loaded.Locate(err)
	}
	incident := policy.Incident{Subject: c.subject, Since: time.Now().Truncate(time.Second)}
	if c.at != "" {
		if incident.Since, err = time.Parse(time.RFC3339, c.at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	if c.acked > 0 {
		incident.Acked = incident.Since.Add(time.Duration(c.acked))
		incident.AckExpires = incident.Acked.Add(time.Duration(c.lasts))
	}
	if c.open > 0 {
		incident.Closed = incident.Since.Add(time.Duration(c.open))
	}
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHEN\tAFTER\tTOLD\tMUTED\tWHAT")
	for _, event := range p.Timeline(incident) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", event.At.Format(time.RFC3339), age(event.At.Sub(incident.Since)),
			tiers(event.Told), tiers(event.Muted), event.What)
	}
	return table.Flush()
}

func tiers(numbers []int) string {
	if len(numbers) == 0 {
		return "-"
	}
	return "tier " + strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}
