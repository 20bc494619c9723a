// Package tool asks programs for what the kernel does not tell: vdevs of ZFS,
// disks behind a RAID controller, power supplies. A program may take long, so
// that each has its own schedule, and what it said is kept with its age.
package tool

import (
	"context"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// Tools asks the programs of one host. It is used by one goroutine at a time.
type Tools struct {
	host  probes.Host
	state probes.State
}

// New returns the tools of a host. It touches nothing. The state is theirs
// alone: what was said, and when the next question is due.
func New(host probes.Host, state probes.State) *Tools { return &Tools{host: host, state: state} }

// Read asks what is due and returns what all programs said last, each group
// with the time at which it was said. A kind whose program has not answered is
// closed, with the reason. It never waits longer than ctx.
func (t *Tools) Read(context.Context, time.Time) group.Reading { return group.Reading{} }

// Commands lists every program that is run.
func Commands() []probes.Command { return nil }
