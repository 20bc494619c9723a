package failover

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/drill"
)

// A Guard stands by to undo a plan.
type Guard interface {
	// Arm returns once somebody stands by who outlives the drill.
	Arm(Order) (Armed, error)
}

// An Armed guard waits for the end of the drill.
type Armed interface {
	// Disarm says that the drill has ended and all is as it should be. It reports
	// whether the guard had acted before.
	Disarm() (acted bool, err error)
}

// An Exercise carries out a failover, for a person who watches.
type Exercise struct {
	Drill   drill.Drill
	Plan    Plan
	Machine *Machine
	Guard   Guard
	// Begun is called when the drill is about to begin, with a record that says
	// so and no more. With an error it does not begin.
	Begun func(drill.Record) error
	Say   func(format string, args ...any)
	Now   func() time.Time

	works *works
	armed Armed
	from  time.Time // of the switch
}

// Do carries out the failover and returns its evidence. An error means that it
// did not begin, and that nothing was changed. An interruption ends it early:
// everything is put back all the same.
func (e *Exercise) Do(ctx context.Context) (drill.Record, error) {
	refuse := func(err error) (drill.Record, error) { return drill.Record{}, fmt.Errorf("not begun: %w", err) }
	var err error
	if e.works, err = newWorks(e.Machine, e.Drill, e.Plan); err != nil {
		return refuse(err)
	}
	if err := e.works.once(ctx); err != nil {
		return refuse(fmt.Errorf("not everything works already: %w", err))
	}
	r := e.Plan.record(e.Drill.Name, e.Now().UTC())
	if e.armed, err = e.Guard.Arm(Order{Drill: e.Drill, Plan: e.Plan, Record: r}); err != nil {
		return refuse(fmt.Errorf("nobody stands by to undo it: %w", err))
	}
	if err := e.Begun(r); err != nil {
		_, disarm := e.armed.Disarm()
		return refuse(errors.Join(err, disarm))
	}
	r.Unfinished = false
	served := e.Machine.served(e.Plan.To)
	e.works.times, e.works.longest = 0, 0
	err = e.perform(ctx, &r)
	switch {
	case ctx.Err() != nil:
		r.Detail["why"] = "interrupted"
	case err != nil:
		r.Result, r.Detail["why"] = drill.Failed, cut(err.Error())
	case e.works.device != "" && e.Machine.served(e.Plan.To) <= served:
		r.Result, r.Detail["why"] = drill.Failed, "the kernel has counted no reading on "+strings.Join(e.Plan.To, " and ")
	default:
		r.Result = drill.Passed
	}
	r.Detail["looks"] = strconv.Itoa(e.works.times)
	r.Detail["slowest_look"] = e.works.longest.Round(time.Millisecond).String()
	e.end(context.WithoutCancel(ctx), &r)
	r.Detail["lasted"] = e.Now().Sub(r.At).Round(time.Millisecond).String()
	return r, nil
}

// record is the evidence of a failover that has begun.
func (p Plan) record(name string, at time.Time) drill.Record {
	return drill.Record{
		Drill: name, At: at, How: drill.ByCommand, Result: drill.Aborted, Unfinished: true,
		Detail: map[string]string{
			"object": p.Object, "from": cut(strings.Join(p.From, " ")), "to": cut(strings.Join(p.To, " ")), "before": cut(p.Before),
		},
	}
}

// perform takes the members out of use and sees whether everything works
// without them. An error says what does not.
func (e *Exercise) perform(ctx context.Context, r *drill.Record) error {
	f := e.Drill.Failover
	take, _ := e.how()
	e.from = e.Now()
	limited, cancel := context.WithDeadline(ctx, e.from.Add(time.Duration(f.RestoreAfter)-margin))
	defer cancel()
	e.Say("%s", take)
	if err := e.Plan.Take(limited, e.Machine); err != nil {
		return err
	}
	if err := e.await(limited, time.Duration(within(e.Drill))); err != nil {
		return fmt.Errorf("nothing works without %s: %w", strings.Join(e.Plan.From, " and "), err)
	}
	r.Seconds = e.Now().Sub(e.from).Seconds()
	e.Say("everything works after %s; it must go on for %s", time.Duration(r.Seconds*1e9).Round(time.Millisecond), f.Hold)
	for end := e.Now().Add(time.Duration(f.Hold)); e.Now().Before(end); {
		e.Machine.Pause(min(time.Second, end.Sub(e.Now())))
		if err := ctx.Err(); err != nil {
			return err
		}
		err := e.works.once(limited)
		if err == nil {
			err = e.Plan.Taken(limited, e.Machine)
		}
		if err != nil {
			r.Seconds = 0 // how long it was away is known when it is back
			return fmt.Errorf("it worked for a moment, and then not: %w", err)
		}
	}
	return nil
}

// await looks until everything works.
func (e *Exercise) await(ctx context.Context, within time.Duration) error {
	end := e.Now().Add(within)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	var before error
	for {
		err := e.works.once(ctx)
		if err != nil && ctx.Err() != nil && before != nil {
			return before // what was cut short says nothing
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		before = err
		e.Machine.Pause(100 * time.Millisecond)
		if !e.Now().Before(end) {
			return err
		}
	}
}

// end puts everything back, or leaves it where it stays, and sees whether
// everything works then.
func (e *Exercise) end(ctx context.Context, r *drill.Record) {
	var undone error
	if e.Drill.Failover.Stay && r.Result == drill.Passed {
		r.Detail["put_back"] = "no, it stays"
		undone = e.Plan.Taken(ctx, e.Machine)
	} else {
		_, back := e.how()
		e.Say("%s", back)
		r.Detail["after"], undone = e.Plan.Back(ctx, e.Machine)
		r.Detail["put_back"] = "by the drill"
	}
	acted, err := false, undone
	if undone == nil { // otherwise the guard is to try as well
		acted, err = e.armed.Disarm()
	}
	switch {
	case acted:
		r.Result, r.Detail["put_back"] = drill.Failed, "by the dead man"
		r.Detail["why"] = "the dead man put it back before the drill did"
	case undone == nil && err != nil: // all is as it should be, and nobody else is needed
		r.Detail["dead_man"] = cut("was gone: " + err.Error())
	}
	works := undone
	if works == nil {
		works = e.await(ctx, max(time.Duration(e.Drill.Run.RecoverWithin), margin))
	}
	recovered := works == nil
	r.Recovered = &recovered
	if !recovered && r.Result == drill.Passed {
		r.Result, r.Detail["why"] = drill.Failed, cut("did not recover: "+works.Error())
	}
	if recovered && r.Seconds == 0 && r.Result == drill.Failed {
		r.Seconds = e.Now().Sub(e.from).Seconds()
	}
}

func (e *Exercise) how() (take, back string) {
	how, _, err := split(e.Plan.Object)
	if err != nil {
		return "", ""
	}
	return how.how(e.Plan)
}

// cut bounds what evidence tells.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), 300)], "") }
