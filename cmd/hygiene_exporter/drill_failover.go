package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/drill/failover"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/redundancy"
	"hygiene_exporter/probes/redundancy/group"
)

// machine is this host, for a failover.
func (e *environment) machine(run drill.Runner) (*failover.Machine, error) {
	c, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	hosts, err := e.dryHost(c, probes.Never)
	if err != nil {
		return nil, err
	}
	of := hosts.For(redundancy.Spec().Name)
	if !of.Files.Own() {
		return nil, errors.New("refused: --path.rootfs, --path.procfs or --path.sysfs names another host, and a failover is for the host that this program runs on")
	}
	return &failover.Machine{Host: of, Sys: "/sys", Dev: "/dev", Run: run, Pause: time.Sleep}, nil
}

// prepare looks whether an object may be failed over, and how.
func (c *drillRunCommand) prepare(ctx context.Context, e *environment, d drill.Drill) (*failover.Machine, failover.Plan, error) {
	none := failover.Plan{}
	m, err := e.machine(host.RunDirect)
	if err != nil {
		return nil, none, err
	}
	facts, err := e.redundancyOf(ctx, d.Object)
	if err != nil {
		return nil, none, err
	}
	if err := facts.Refuse(d.Object); err != nil {
		return nil, none, fmt.Errorf("refused: %w", err)
	}
	plan, err := failover.Prepare(ctx, m, d.Object, d.Failover.Member)
	if err == nil && !c.session {
		err = notUnderfoot(d.Object)
	}
	if err != nil {
		return nil, none, fmt.Errorf("refused: %w", err)
	}
	return m, plan, nil
}

// lookTimeout is how long the look before a failover may take.
const lookTimeout = 30 * time.Second

// redundancyOf asks the probe of redundancy how an object is now, measured by what
// the running agent remembers.
func (e *environment) redundancyOf(ctx context.Context, object string) (failover.Facts, error) {
	none, name := failover.Facts{}, redundancy.Spec().Name
	memory, err := e.copyState(name)
	if err != nil {
		return none, err
	}
	defer func() { _ = os.RemoveAll(memory) }() // a copy, in the directory for such things
	c, err := e.loadConfig()
	if err != nil {
		return none, err
	}
	hosts, err := e.hosts(c, memory, probes.Never, slog.New(slog.DiscardHandler))
	if err != nil {
		return none, err
	}
	probe, err := c.Probes[name].New(hosts.For(name))
	if err != nil {
		return none, c.Locate(probes.At("probes."+name, err))
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	result, fault := probe.Run(ctx)
	for _, f := range result.Faults {
		if f.Object == object {
			fault = f.Err
		}
	}
	return failover.FactsOf(object, result.Samples, fault), nil
}

// notUnderfoot refuses to fail over the interface that carries the SSH session of
// whoever asks.
func notUnderfoot(object string) error {
	kind, name, _ := strings.Cut(object, "/")
	session, remote := failover.SessionOf("/proc", os.Getpid())
	if kind == group.Multipath || !remote {
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	var interfaces []failover.Interface
	for _, i := range all {
		of := failover.Interface{Name: i.Name}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, address := range addresses {
			if prefix, err := netip.ParsePrefix(address.String()); err == nil {
				of.Addresses = append(of.Addresses, prefix.Addr())
			}
		}
		interfaces = append(interfaces, of)
	}
	if err := session.Over("/sys", name, interfaces); err != nil {
		return fmt.Errorf("%w (--despite-session goes on)", err)
	}
	return nil
}

// printPlan says what a drill would do.
func (c *drillRunCommand) printPlan(ctx context.Context, e *environment, d drill.Drill, client control.Client) error {
	var refusals []error
	if _, err := c.clear(ctx, client); err != nil {
		refusals = append(refusals, err)
	}
	if d.FailsOver() {
		_, plan, err := c.prepare(ctx, e, d)
		if err != nil {
			refusals = append(refusals, err)
		} else {
			for i, step := range plan.Steps(d) {
				e.say("%d. %s", i+1, step)
			}
		}
	} else {
		if len(d.Run.Check) > 0 {
			e.say("%s must pass", d.Run.Check[0])
		}
		e.say("%s is run, for %s at most", strings.Join(d.Run.Command, " "), d.Run.Timeout)
		if len(d.Run.Check) > 0 {
			e.say("%s must pass within %s", d.Run.Check[0], d.Run.RecoverWithin)
		}
	}
	return errors.Join(refusals...)
}

// failOver carries out a failover.
func (c *drillRunCommand) failOver(ctx context.Context, e *environment, d drill.Drill, record func(drill.Record) error) (drill.Record, error) {
	m, plan, err := c.prepare(ctx, e, d)
	if err != nil {
		return drill.Record{}, err
	}
	exercise := failover.Exercise{
		Drill: d, Plan: plan, Machine: m, Begun: record, Say: e.say, Now: time.Now,
		Guard: deadMan{e, c.sign},
	}
	return exercise.Do(ctx)
}

// deadMan starts the dead man of a drill.
type deadMan struct {
	*environment
	sign func(*drill.Record)
}

// Arm implements failover.Guard.
func (d deadMan) Arm(order failover.Order) (failover.Armed, error) {
	socket, err := filepath.Abs(d.socket())
	if err != nil {
		return nil, err
	}
	d.sign(&order.Record)
	in, out, err := host.StartDetached([]string{"drill", "deadman", "--control.socket=" + socket}, os.Stderr)
	if err != nil {
		return nil, err
	}
	line := failover.NewLine(in, out)
	return line, line.Arm(order)
}

// drillDeadManCommand is what a failover starts beside itself before it changes
// anything; nobody else calls it.
type drillDeadManCommand struct{}

func (c *drillDeadManCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	return drillClause(app).Command("deadman", "Stand by to undo a failover. Started by \"drill run\".").Hidden()
}

func (c *drillDeadManCommand) run(ctx context.Context, e *environment) error {
	if os.Geteuid() != 0 {
		return errors.New("only root runs drills")
	}
	// The terminal and whoever sits there may be gone.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT, syscall.SIGTSTP, syscall.SIGTTOU)
	failover.Outlive()
	m, err := e.machine(host.RunDirect)
	if err != nil {
		return err
	}
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	man := failover.DeadMan{
		In: os.Stdin, Out: e.stdout, Machine: m, Now: time.Now,
		Say: func(format string, args ...any) { fmt.Fprintf(e.stderr, "dead man: "+format+"\n", args...) },
		Record: func(r drill.Record) error {
			_, err := client.RecordDrill(context.WithoutCancel(ctx), r)
			return err
		},
	}
	return man.Watch(ctx)
}
