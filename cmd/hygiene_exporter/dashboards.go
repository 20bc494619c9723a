package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/dashboards"
)

// dashboardsCommand hands out the dashboards for Grafana.
type dashboardsCommand struct{ uid, dir string }

func (c *dashboardsCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := app.Command("dashboards", "List the dashboards for Grafana, print one of them, or write all to a directory that Grafana provisions.")
	clause.Flag("write", "Write all dashboards into this directory.").ExistingDirVar(&c.dir)
	clause.Arg("uid", "The dashboard to print.").StringVar(&c.uid)
	return clause
}

func (c *dashboardsCommand) run(_ context.Context, e *environment) error {
	files := dashboards.Files()
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return err
	}
	switch {
	case c.uid != "" && c.dir != "":
		return errors.New("give either the uid of a dashboard or --write")
	case c.uid != "":
		return c.print(e, files)
	case c.dir != "":
		return c.write(e, files, names)
	}
	return c.list(e, files, names)
}

func (c *dashboardsCommand) print(e *environment, files fs.FS) error {
	data, err := fs.ReadFile(files, c.uid+".json")
	if err != nil {
		return fmt.Errorf("there is no dashboard %.40q; %q lists them", c.uid, "hygiene_exporter dashboards")
	}
	_, err = e.stdout.Write(data)
	return err
}

func (c *dashboardsCommand) write(e *environment, files fs.FS, names []string) error {
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		path := filepath.Join(c.dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, path)
	}
	return nil
}

func (c *dashboardsCommand) list(e *environment, files fs.FS, names []string) error {
	table := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		var about struct{ Title, Description string }
		if err := json.Unmarshal(data, &about); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", strings.TrimSuffix(name, ".json"), about.Title, about.Description)
	}
	return table.Flush()
}
