package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/config"
	"hygiene_exporter/probes"
)

// configCheckCommand says whether an agent would start with a configuration.
type configCheckCommand struct{}

func (c *configCheckCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return configClause(app).Command("check", "Say everything that is wrong with the configuration file, its rules included.")
}

// configClause is the parent of the commands on configuration; the first that
// asks makes it.
func configClause(app *kingpin.Application) *kingpin.CmdClause {
	return parent(app, "config", "Check, show or print a configuration.")
}

// parent returns a command that only has subcommands.
func parent(app *kingpin.Application, name, help string) *kingpin.CmdClause {
	if clause := app.GetCommand(name); clause != nil {
		return clause
	}
	return app.Command(name, help)
}

func (c *configCheckCommand) run(_ context.Context, e *environment) error {
	loaded, err := e.loadConfig()
	if err != nil {
		return err
	}
	_, err = monitorConfig(loaded)
	hosts, hostErr := e.dryHost(loaded, probes.Never)
	if hostErr == nil {
		_, hostErr = entries(loaded, hosts)
	}
	if err := errors.Join(err, hostErr); err != nil {
		return loaded.Locate(err)
	}
	name := e.configFile
	if name == "" {
		name = "the built-in configuration"
	}
	fmt.Fprintf(e.stdout, "%s is valid\n", name)
	return nil
}

// configShowCommand prints the configuration in force.
type configShowCommand struct{}

func (c *configShowCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return configClause(app).Command("show", "Print the configuration in force, defaults included.")
}

func (c *configShowCommand) run(_ context.Context, e *environment) error {
	loaded, err := e.loadConfig()
	if err != nil {
		return err
	}
	text, err := loaded.Marshal()
	if err != nil {
		return err
	}
	_, err = e.stdout.Write(text)
	return err
}

// configExampleCommand prints an example.
type configExampleCommand struct{}

func (c *configExampleCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return configClause(app).Command("example", "Print a configuration file with every key, its meaning and its default.")
}

func (c *configExampleCommand) run(_ context.Context, e *environment) error {
	_, err := e.stdout.Write(config.Example())
	return err
}
