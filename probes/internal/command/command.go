// Package command runs the programs that probes declare, and nothing else. A
// probe names an entry of its Spec and objects that match the declared patterns;
// no shell and no text of a probe's own choosing comes into it. A program gets a
// clean environment, no input, a bounded output, and is killed with everything
// it started when its time is over.
//
// A privileged entry of an agent that is not root goes to the root helper, which
// looks the entry up in the same list. See Serve.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"hygiene_exporter/probes"
)

// Options describe a Broker.
type Options struct {
	Specs    []probes.Spec       // whose commands may be run
	Wrappers map[string][]string // see Wrap
	Own      bool                // the inspected host is the agent's own root
	Root     bool                // the agent is root and needs no helper
	Socket   string              // of the root helper
	// Read reads the file of a secret on the inspected host; nil: there is none.
	Read func(path string, limit int64) ([]byte, error)
}

// A Broker runs commands. It may be used concurrently.
type Broker struct {
	entries  map[key]*entry
	wrappers atomic.Pointer[map[string][]string]
	own      bool
	root     bool
	socket   string
	read     func(path string, limit int64) ([]byte, error)

	mu     sync.Mutex
	probes map[string]*commands
}

// New returns a Broker, or what is wrong with the declarations of the specs and
// with the wrappers.
func New(o Options) (*Broker, error) {
	entries, err := compile(o.Specs)
	if err != nil {
		return nil, err
	}
	b := &Broker{entries: entries, own: o.Own, root: o.Root, socket: o.Socket, read: o.Read, probes: map[string]*commands{}}
	if b.read == nil {
		b.read = func(path string, _ int64) ([]byte, error) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
	}
	if err := b.Wrap(o.Wrappers); err != nil {
		return nil, probes.At("commands", err)
	}
	return b, nil
}

// Wrap replaces the wrappers: by the name of a program, what is run in its
// place, such as the place where it is installed, or nsenter with its arguments
// and then the program. The declared arguments follow. A wrapper runs with the
// agent's own rights, also for a privileged command and for a root that is not
// the agent's. When an error is returned, the wrappers are as before; each
// complaint is made with probes.At.
func (b *Broker) Wrap(wrappers map[string][]string) error {
	programs := map[string]bool{}
	for _, e := range b.entries {
		programs[e.program()] = true
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wrappers)) {
		switch argv := wrappers[name]; {
		case !programs[name]:
			errs = append(errs, probes.At(name, fmt.Errorf("no probe runs a program of this name; known are %v",
				slices.Sorted(maps.Keys(programs)))))
		case len(argv) == 0 || argv[0] == "":
			errs = append(errs, probes.At(name, errors.New("names no program")))
		}
	}
	if len(errs) == 0 {
		wrappers = maps.Clone(wrappers)
		b.wrappers.Store(&wrappers)
	}
	return errors.Join(errs...)
}

// Pipes returns what runs the commands of one probe that move much data.
func (b *Broker) Pipes(probe string) probes.Pipes { return b.of(probe) }

// For returns the commands of one probe. The same name gives the same Commands.
func (b *Broker) For(probe string) probes.Commands { return b.of(probe) }

func (b *Broker) of(probe string) *commands {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.probes[probe] == nil {
		b.probes[probe] = &commands{broker: b, probe: probe, runner: newRunner()}
	}
	return b.probes[probe]
}

// commands are those of one probe. Each probe has a runner of its own, so that
// the hung tools of one never keep another waiting.
type commands struct {
	broker *Broker
	probe  string
	runner *runner
}

// Run implements probes.Commands.
func (c *commands) Run(ctx context.Context, name string, objects ...string) (probes.Output, error) {
	argv, own, err := c.argv(name, objects)
	switch {
	case err != nil:
		return probes.Output{}, err
	case own:
		return c.own(ctx, name, objects, call{argv: argv})
	}
	// A host without the tool needs no helper.
	if _, err := lookup(argv[0]); probes.ReasonOf(err) == probes.NotFound {
		return probes.Output{}, err
	}
	return ask(ctx, c.broker.socket, request{Probe: c.probe, Entry: name, Objects: objects})
}

// Pipe implements probes.Pipes.
func (c *commands) Pipe(ctx context.Context, in io.Reader, out io.Writer, name string, objects ...string) (probes.Output, error) {
	argv, own, err := c.argv(name, objects)
	switch {
	case err != nil:
		return probes.Output{}, err
	case !own:
		return probes.Output{}, fmt.Errorf("%s needs root, and the root helper moves no data: %w", argv[0], fs.ErrPermission)
	}
	return c.own(ctx, name, objects, call{argv: argv, in: in, out: out})
}

// own runs a declared entry with the agent's own rights.
func (c *commands) own(ctx context.Context, name string, objects []string, what call) (probes.Output, error) {
	e := c.broker.entries[key{c.probe, name}]
	// What is not installed needs no secret, and what starts it would not say so.
	if _, err := lookup(what.argv[len(e.command.Through)]); err != nil {
		return probes.Output{}, err
	}
	var err error
	if what.env, err = e.environment(objects, c.broker.read); err != nil {
		return probes.Output{}, err
	}
	return c.runner.pipe(ctx, what)
}

// argv returns the command line of a declared entry, and whether it is run with
// the agent's own rights.
func (c *commands) argv(name string, objects []string) (argv []string, own bool, err error) {
	b := c.broker
	e := b.entries[key{c.probe, name}]
	if e == nil {
		return nil, false, fmt.Errorf("probe %s declares no command %.40q", c.probe, name)
	}
	if argv, err = e.argv(objects); err != nil {
		return nil, false, err
	}
	wrapper := (*b.wrappers.Load())[e.program()]
	switch {
	case len(wrapper) > 0:
		through := len(e.command.Through)
		return slices.Concat(argv[:through], wrapper, argv[through+1:]), true, nil
	case !b.own:
		return nil, false, probes.Because(probes.Unavailable, fmt.Errorf(
			"tool_outside_root: %s belongs to another root than the agent's; name a wrapper for it under commands", e.program()))
	}
	return argv, !e.command.Privileged || b.root, nil
}

// program is the name that the configuration knows the program of a command by.
func (e *entry) program() string { return filepath.Base(e.command.Argv[0]) }
