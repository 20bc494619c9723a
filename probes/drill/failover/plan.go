// Package failover takes a member of something redundant out of use while
// somebody watches, sees whether everything works without it, and puts it back.
// Only what the kernel and its daemons hold in memory is changed: nothing is
// written that a reboot would find again. Before anything is changed, another
// process stands by that puts everything back when the drill does not.
//
// The agent never calls it; "drill run" does, for root.
package failover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/redundancy/group"
)

// A Machine is what a failover may touch.
type Machine struct {
	probes.Host // as the probe of redundancy reads it
	Sys         string
	Dev         string
	Run         drill.Runner
	Pause       func(time.Duration)
}

// A Plan is one failover: what is taken out of use, and so what must come back.
// It holds all that another process needs to undo it.
type Plan struct {
	Object  string            `json:"object"` // such as bond/bond0
	From    []string          `json:"from"`   // members that are taken out of use
	To      []string          `json:"to"`     // members that are to take over
	Numbers map[string]string `json:"numbers,omitempty"`
	Before  string            `json:"before"` // how it was
}

// A mechanism fails over one kind of thing.
type mechanism interface {
	// read returns how a thing is.
	read(ctx context.Context, m *Machine, name string) (group.Group, error)
	// choose decides what is taken out of use and what takes over. A wish names a
	// member in the way in which the configuration does; it may be empty.
	choose(g group.Group, wish string) (from, to []string, err error)
	// take takes members out of use; back undoes that. Both may be called again.
	take(ctx context.Context, m *Machine, p Plan) error
	back(ctx context.Context, m *Machine, p Plan) error
	// taken and whole tell from how a thing is whether that was done.
	taken(g group.Group, p Plan) bool
	whole(g group.Group, p Plan) bool
	// how says what is done, for a person.
	how(p Plan) (take, back string)
}

// split returns the mechanism for an object, and its name without the kind.
func split(object string) (mechanism, string, error) {
	kind, name, _ := strings.Cut(object, "/")
	switch kind {
	case group.Bond:
		return bonds{}, name, nil
	case group.Team:
		return teams{}, name, nil
	case group.Multipath:
		return paths{}, name, nil
	}
	return nil, "", fmt.Errorf("%.80q is no bond, team or multipath device", object)
}

// Prepare looks at an object and decides what a failover of it would do. It
// changes nothing. An error says why it must not be done.
func Prepare(ctx context.Context, m *Machine, object, wish string) (Plan, error) {
	plan := Plan{Object: object}
	how, name, err := split(object)
	if err != nil {
		return plan, err
	}
	g, err := how.read(ctx, m, name)
	if err == nil {
		err = g.Err
	}
	if err == nil {
		err = g.Doubt
	}
	if err != nil {
		return plan, fmt.Errorf("%s: %w", object, err)
	}
	plan.Before = describe(g)
	for _, member := range g.Members {
		if !member.Active && !member.Spare {
			return plan, fmt.Errorf("%s is not whole: %s", object, plan.Before)
		}
	}
	if plan.From, plan.To, err = how.choose(g, wish); err != nil {
		return plan, fmt.Errorf("%s: %w", object, err)
	}
	plan.Numbers = m.numbers(plan)
	return plan, nil
}

// Take takes the members out of use, and returns when the kernel says that they
// are.
func (p Plan) Take(ctx context.Context, m *Machine) error {
	how, _, err := split(p.Object)
	if err != nil {
		return err
	}
	if err := how.take(ctx, m, p); err != nil {
		return err
	}
	for range 10 { // daemons answer before it is done
		if err = p.Taken(ctx, m); err == nil || ctx.Err() != nil {
			return err
		}
		m.Pause(200 * time.Millisecond)
	}
	return err
}

// Taken returns an error unless the members are out of use.
func (p Plan) Taken(ctx context.Context, m *Machine) error {
	how, name, err := split(p.Object)
	if err != nil {
		return err
	}
	g, err := how.read(ctx, m, name)
	if err == nil && !how.taken(g, p) {
		err = fmt.Errorf("%s is not changed over, or not any more: %s", p.Object, describe(g))
	}
	return err
}

// Back puts the members back, and returns how the object is then. Some tries are
// made until the kernel says that all is as it was.
func (p Plan) Back(ctx context.Context, m *Machine) (after string, err error) {
	how, name, err := split(p.Object)
	if err != nil {
		return "", err
	}
	for range 10 {
		err = how.back(ctx, m, p)
		g, unread := how.read(ctx, m, name)
		switch {
		case unread != nil:
			err = unread
		case how.whole(g, p):
			return describe(g), nil
		case err == nil:
			err = fmt.Errorf("%s is not as it was: %s", p.Object, describe(g))
		}
		after = describe(g)
		m.Pause(time.Second)
	}
	return after, err
}

// Steps says, for a person, what a drill does and how that is undone.
func (p Plan) Steps(d drill.Drill) []string {
	how, _, err := split(p.Object)
	if err != nil {
		return nil
	}
	take, back := how.how(p)
	f := d.Failover
	works := "everything must work: " + what(d)
	steps := []string{
		"now " + p.Object + " is: " + p.Before,
		"before anything is changed, " + works,
		fmt.Sprintf("a process of its own stands by, which undoes everything after %s, or at once when the drill is killed", f.RestoreAfter),
		"the start is recorded with the agent",
		take,
		fmt.Sprintf("%s, within %s, and for %s on end", works, within(d), f.Hold),
		back,
		fmt.Sprintf("%s, within %s", works, d.Run.RecoverWithin),
		"the end is recorded with the agent",
	}
	if f.Stay {
		steps[6] = "it stays so when all that worked; otherwise " + back
	}
	return steps
}

// what says how a drill sees that everything works.
func what(d drill.Drill) string {
	var all []string
	if kind, name, _ := strings.Cut(d.Object, "/"); kind == group.Multipath {
		all = append(all, name+" can be read, past all caches")
	}
	if len(d.Run.Check) > 0 {
		all = append(all, strings.Join(d.Run.Check[:1], " ")+" passes")
	}
	return strings.Join(all, ", and ")
}

// within is how long the first success after the switch may take: what comes
// after it must be over before the dead man acts.
func within(d drill.Drill) probes.Duration {
	return min(d.Run.RecoverWithin, d.Failover.RestoreAfter-d.Failover.Hold-probes.Duration(margin))
}

// margin is how long putting things back may take before the dead man does it.
const margin = 5 * time.Second

// describe says how the members of a thing are.
func describe(g group.Group) string {
	var all []string
	for _, member := range g.Members {
		text := member.Name + " " + member.State
		if slices.Contains(strings.Fields(g.Current), member.Name) {
			text += " (in use)"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// active returns the names of the members that do their part, without some.
func active(g group.Group, without ...string) (names []string) {
	for _, member := range g.Members {
		if member.Active && !member.Spare && !slices.Contains(without, member.Name) {
			names = append(names, member.Name)
		}
	}
	return names
}
