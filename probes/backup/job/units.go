package job

import (
	"cmp"
	"context"

	"hygiene_exporter/probes"
)

// ReadUnits reads the units of a task in their order, and notes what was found
// of each. It stops when ctx is done, behind the unit that reaches the bytes of
// the task, and where the others would not fare better, such as on a network that
// is down. read returns how many bytes it read of a unit.
//
// The error is the one that counts most of those of the units, or that of ctx.
// Without one, all units were read if there are as many in the outcome as in the
// task.
func (o *Outcome) ReadUnits(ctx context.Context, task Task, read func(Unit) (int64, error)) error {
	var worst error
	for _, u := range task.Units {
		if task.Bytes > 0 && o.Bytes >= task.Bytes {
			break
		}
		if ctx.Err() != nil {
			return cmp.Or(worst, ctx.Err())
		}
		n, err := read(u)
		o.Bytes += n
		if ctx.Err() != nil && !IsFlaw(err) {
			return cmp.Or(worst, ctx.Err())
		}
		o.Units[u.ID] = err
		worst = Worse(worst, err)
		if reason := probes.ReasonOf(err); err != nil && !IsFlaw(err) && (reason == probes.Network || reason == probes.Auth) {
			break
		}
	}
	return worst
}

// Worse returns the error that counts: a flaw before all others, and the first
// of equals.
func Worse(a, b error) error {
	if a == nil || IsFlaw(b) && !IsFlaw(a) {
		return b
	}
	return a
}
