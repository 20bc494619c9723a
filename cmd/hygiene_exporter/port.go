package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/probes/port"
)

// portLearnCommand prints a policy for what listens now.
type portLearnCommand struct{ watch time.Duration }

func (c *portLearnCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	parent := app.Command("port", "Open ports.")
	clause := parent.Command("learn", "Print a policy that permits what listens now, for a person to review. Nothing is learned in silence.")
	clause.Flag("watch", "How long to look, so that listeners that come and go are seen too.").Default("0s").DurationVar(&c.watch)
	return clause
}

func (c *portLearnCommand) run(ctx context.Context, e *environment) error {
	l, err := newLook(e, []string{"port"}, false)
	if err != nil {
		return err
	}
	entry := l.entries[0]
	learner, ok := entry.Probe.(interface{ Learn(into *port.Learned) })
	if !ok {
		return fmt.Errorf("the probe %s is switched off by the configuration", entry.Spec.Name)
	}
	var learned port.Learned
	end := time.Now().Add(c.watch)
	for {
		result, err := l.run(ctx)
		if err != nil {
			return err
		}
		learner.Learn(&learned)
		for _, u := range result.Unknown {
			fmt.Fprintf(e.stderr, "not seen: %s: %s\n", u.Object, u.Error)
		}
		if !time.Now().Before(end) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Duration(entry.Settings.Interval), time.Until(end))):
		}
	}
	_, err = e.stdout.Write(learned.Policy())
	return err
}
