package command

import (
	"context"

	"hygiene_exporter/probes"
)

// Direct runs a command line that a person has configured and now asks for, with
// the rights of that person; no probe can. It is otherwise run like the command
// of a probe: without a shell, in a clean environment, with a bounded output,
// and it is killed with everything it started at the end of ctx.
func Direct(ctx context.Context, argv []string) (probes.Output, error) {
	return newRunner().run(ctx, argv)
}
