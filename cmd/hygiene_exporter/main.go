// Command hygiene_exporter probes what rots silently on a Linux host, exports
// it to Prometheus, and keeps the problems it finds until they are gone.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // calendars must work on hosts without a zone database

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/version"
)

// A command is one subcommand. It declares its flags, and runs when chosen.
type command interface {
	// declare adds the command to the application.
	declare(app *kingpin.Application) *kingpin.CmdClause
	// run does its work. An error ends the process with status 3, unless it
	// is an exitStatus.
	run(ctx context.Context, e *environment) error
}

// commands lists all subcommands, the default first.
func commands() []command {
	return []command{
		&serveCommand{}, &checkCommand{}, &explainCommand{},
		&portLearnCommand{}, &problemsCommand{}, &problemTestCommand{}, &ackCommand{}, &unackCommand{},
		&baselineShowCommand{}, &baselineAcceptCommand{},
		&drillListCommand{}, &drillRecordCommand{}, &drillRunCommand{}, &drillDeadManCommand{},
		&configCheckCommand{}, &configShowCommand{}, &configExampleCommand{},
		&rulesCommand{}, &alertmanagerCommand{}, &alertmanagerCheckCommand{}, &alertmanagerExampleCommand{},
		&simulateCommand{}, &dashboardsCommand{}, &helperCommand{},
	}
}

// An exitStatus ends the process with a status that means something; what
// there was to say has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// exitUnknown is the status of everything that could not be found out: in the
// convention of monitoring plugins, errors of usage and configuration too.
const exitUnknown = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// application declares all commands, and returns them by their full name.
func application(e *environment) (*kingpin.Application, map[string]command) {
	app := kingpin.New("hygiene_exporter", "Probes what rots silently on this host: certificates, redundancy, patches, ports, backups, drills. Run on defaults without any file or flag.")
	app.Version(version.Print("hygiene_exporter"))
	app.HelpFlag.Short('h')
	app.UsageWriter(e.stdout)
	app.ErrorWriter(e.stderr)
	e.declare(app)
	byName := map[string]command{}
	for _, c := range commands() {
		byName[c.declare(app).FullCommand()] = c
	}
	return app, byName
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	e := &environment{stdout: stdout, stderr: stderr}
	app, byName := application(e)
	terminated := -1
	app.Terminate(func(status int) {
		if terminated < 0 {
			terminated = status
		}
	})
	name, err := app.Parse(args)
	if terminated >= 0 {
		return terminated // --help and --version have printed what they had to
	}
	if err == nil {
		err = byName[name].run(ctx, e)
	}
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err != nil:
		fmt.Fprintf(stderr, "hygiene_exporter: %v\n", err)
		return exitUnknown
	}
	return 0
}
