package patch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/reboot"
	"hygiene_exporter/probes/patch/support"
	"hygiene_exporter/probes/patch/updates"
)

// A system is what is known of the host beside its package managers: whether
// what is installed also runs, and until when it is supported.
type system struct {
	reboot    reboot.State
	processes reboot.Processes
	support   support.State
	notes     []string
}

// addSystem looks at the host as a whole and adds the facts.
func (p *probe) addSystem(ctx context.Context, result *probes.Result) {
	var changes []updates.Change
	for _, m := range p.managers {
		changes = append(changes, m.Reboots...)
	}
	p.system = system{reboot: reboot.Read(p.host.Files, changes)}
	p.addReboot(result, p.system.reboot)
	var err error
	if p.system.processes, err = reboot.Outdated(ctx, p.host.Files); err != nil {
		p.system.notes = append(p.system.notes, fmt.Sprintf("Processes are not inspected: %v.", err))
		p.history.keepServices()
	} else {
		p.addProcesses(result, p.system.processes)
	}
	if p.system.support, err = support.Read(p.host.Files); err != nil {
		p.system.notes = append(p.system.notes, fmt.Sprintf("Which distribution this is, is not known: %v.", err))
	}
	p.addSupport(result, p.system.support)
}

// addReboot adds whether a reboot is required, and by when it is due. A kernel
// that is patched in memory may wait for longer.
func (p *probe) addReboot(result *probes.Result, s reboot.State) {
	owner := p.config.Owner
	addTruth(result, rebootRequired, s.Required, probes.HostObject, owner)
	result.Add(livepatched, number(s.Livepatched), probes.HostObject, owner)
	if s.Required != updates.Yes {
		return
	}
	for _, r := range s.Reasons {
		result.Add(rebootReason, 1, probes.HostObject, string(r.Kind), r.Package, owner)
	}
	since := s.Since
	first := p.history.saw(thing{Kind: "reboot", Object: probes.HostObject, Version: s.Booted.UTC().Format(time.RFC3339)})
	if since.IsZero() || first.Before(since) {
		since = first
	}
	limit := p.config.Deadlines.Reboot
	if s.Livepatched && onlyKernel(s.Reasons) {
		limit = p.config.Deadlines.RebootLivepatched
	}
	result.AddTime(rebootSince, since, probes.HostObject, owner)
	result.AddTime(rebootDeadline, since.Add(time.Duration(limit)), probes.HostObject, owner)
}

func onlyKernel(reasons []reboot.Reason) bool {
	for _, r := range reasons {
		if r.Kind != reboot.Kernel && !strings.HasPrefix(r.Package, "linux-") && !strings.HasPrefix(r.Package, "kernel") {
			return false
		}
	}
	return true
}

// addProcesses adds the services that run code that is not on disk any more.
// What was seen of a service stays as long as its processes cannot be read.
func (p *probe) addProcesses(result *probes.Result, seen reboot.Processes) {
	owner := p.config.Owner
	for _, s := range seen.Services {
		p.history.saw(thing{Kind: "object", Object: s.Unit, Package: "service"})
		result.Add(outdatedProcesses, float64(s.Processes), s.Unit, owner)
		result.AddTime(outdatedSince, s.Since, s.Unit, owner)
		result.AddTime(restartDeadline, s.Since.Add(time.Duration(p.config.Deadlines.Restart)), s.Unit, owner)
	}
	if seen.Unreadable > 0 {
		p.history.keepServices()
	}
	for state, n := range map[string]int{"inspected": seen.Inspected, "unreadable": seen.Unreadable, "container": seen.Containers} {
		result.Add(processes, float64(n), probes.HostObject, state, owner)
	}
}

// addSupport adds until when there are security updates, by phase and for this
// host.
func (p *probe) addSupport(result *probes.Result, s support.State) {
	owner := p.config.Owner
	for _, phase := range support.Phases() {
		result.AddTime(supportEnd, s.Ends[phase], probes.HostObject, phase, owner)
	}
	result.AddTime(supportCovered, s.Covered, probes.HostObject, owner)
	if !s.Covered.IsZero() {
		result.AddTime(supportDeadline, s.Covered.Add(-time.Duration(p.config.Deadlines.Support)), probes.HostObject, owner)
	}
	result.Add(supportKnown, number(!s.Covered.IsZero() || s.Rolling), probes.HostObject, owner)
	if s.Table {
		result.AddTime(supportTable, support.TableDate, probes.HostObject, owner)
	}
}

// explain describes the host as a whole.
func (s system) explain(b *strings.Builder) {
	switch s.reboot.Required {
	case updates.Yes:
		fmt.Fprintf(b, "A reboot is required, since %s.\n", when(s.reboot.Since, time.Now()))
	case updates.No:
		fmt.Fprintf(b, "No reboot is required.\n")
	default:
		fmt.Fprintf(b, "Whether a reboot is required is not known.\n")
	}
	lines(b, "  ", s.reboot.Notes)
	fmt.Fprintf(b, "%d processes inspected, %d not readable for the agent, %d of containers.\n", s.processes.Inspected, s.processes.Unreadable, s.processes.Containers)
	for _, one := range s.processes.Services {
		explainService(b, one)
	}
	fmt.Fprintf(b, "Support of %s\n", s.support.Name)
	lines(b, "  ", s.support.Notes)
	if !s.support.Covered.IsZero() {
		fmt.Fprintf(b, "  This host gets security updates until %s.\n", when(s.support.Covered, time.Now()))
	}
	lines(b, "", s.notes)
}

// explainService describes one service.
func explainService(b *strings.Builder, s reboot.Service) {
	fmt.Fprintf(b, "%s runs code that has been replaced on disk since %s, in %d processes.\n", s.Unit, when(s.Since, time.Now()), s.Processes)
	for _, file := range s.Files {
		fmt.Fprintf(b, "  %s\n", file)
	}
}
