package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/alecthomas/kingpin/v2"
	"github.com/coreos/go-systemd/v22/activation"

	"hygiene_exporter/probes/all"
	"hygiene_exporter/probes/host"
)

// helperCommand runs the few read-only commands that need root, for an agent
// that is not root.
type helperCommand struct{}

func (c *helperCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return app.Command("helper", "Run the compiled list of read-only commands that need root, for an agent without rights. Started by its systemd socket.")
}

func (c *helperCommand) run(ctx context.Context, e *environment) error {
	listeners, err := activation.Listeners()
	if err != nil {
		return err
	}
	if len(listeners) != 1 {
		return fmt.Errorf("the helper takes one socket from systemd, and was given %d; start it with its unit hygiene_exporter-helper.socket", len(listeners))
	}
	err = host.ServeHelper(ctx, listeners[0], all.Specs(), e.log())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
