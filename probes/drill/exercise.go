package drill

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A Runner runs a program to its end, or to the end of ctx.
type Runner func(ctx context.Context, argv []string) (probes.Output, error)

// An Exercise carries out a drill of the kind command, for a person who watches.
type Exercise struct {
	Drill Drill
	Run   Runner
	// Begun is called when the drill is about to begin, with a record that says
	// so and no more. With an error it does not begin.
	Begun func(Record) error
	Say   func(format string, args ...any)
	Now   func() time.Time
	Pause func(time.Duration) // between two checks
}

// Do carries out the drill and returns its evidence. An error means that it did
// not begin: not everything worked, or the start could not be recorded. What
// comes after an interruption is still whether everything works.
func (e *Exercise) Do(ctx context.Context) (Record, error) {
	run := e.Drill.Run
	if len(run.Check) > 0 {
		if why := e.check(ctx); why != "" {
			return Record{}, fmt.Errorf("not begun: the check fails already: %s", why)
		}
	}
	start := e.Now().UTC()
	r := Record{
		Drill: e.Drill.Name, At: start, How: ByCommand, Result: Aborted,
		Unfinished: true, Detail: map[string]string{"program": run.Command[0]},
	}
	if err := e.Begun(r); err != nil {
		return Record{}, fmt.Errorf("not begun: %w", err)
	}
	e.Say("running %s, for %s at most", run.Command[0], run.Timeout)
	limited, cancel := context.WithTimeout(ctx, time.Duration(run.Timeout))
	out, err := e.Run(limited, run.Command)
	cancel()
	r.Unfinished, r.Detail = false, map[string]string{"program": run.Command[0]}
	sum := sha256.Sum256(append(append([]byte{}, out.Stdout...), out.Stderr...))
	r.Detail["output_sha256"] = hex.EncodeToString(sum[:])
	switch {
	case ctx.Err() != nil:
		r.Detail["why"] = "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		r.Result, r.Detail["why"] = Failed, "the command did not end within "+run.Timeout.String()
	case err != nil:
		r.Result, r.Detail["why"] = Failed, cut(err.Error())
	case out.ExitCode != 0:
		r.Result, r.Detail["why"] = Failed, "the command ended with status "+strconv.Itoa(out.ExitCode)
	default:
		r.Result = Passed
	}
	e.recover(context.WithoutCancel(ctx), &r)
	r.Seconds = e.Now().Sub(start).Seconds()
	return r, nil
}

// recover waits until everything works again.
func (e *Exercise) recover(ctx context.Context, r *Record) {
	run := e.Drill.Run
	if len(run.Check) == 0 {
		return
	}
	e.Say("waiting until %s passes, for %s at most", run.Check[0], run.RecoverWithin)
	end := e.Now().Add(time.Duration(run.RecoverWithin))
	for {
		why := e.check(ctx)
		works := why == ""
		r.Recovered = &works
		if works {
			return
		}
		if !e.Now().Before(end) {
			if r.Result == Passed {
				r.Result, r.Detail["why"] = Failed, "did not recover: "+why
			}
			return
		}
		e.Pause(time.Second)
	}
}

// checkTimeout bounds one look whether everything works.
const checkTimeout = 30 * time.Second

// check returns why not everything works; empty when it does.
func (e *Exercise) check(ctx context.Context) string {
	if err := Check(ctx, e.Run, e.Drill.Run.Check); err != nil {
		return cut(err.Error())
	}
	return ""
}

// Check runs the program that passes when everything works.
func Check(ctx context.Context, run Runner, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out, err := run(ctx, argv)
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("%s ended with status %d", argv[0], out.ExitCode)
	}
	return err
}

// cut bounds what evidence tells of a cause.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), 300)], "") }
