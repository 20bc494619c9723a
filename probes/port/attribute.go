package port

import (
	"context"
	"time"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/process"
	"hygiene_exporter/probes/port/workload"
)

// firstBudget is how much longer the first run may look for processes: nothing
// is known yet, and a single look should say what there is.
const firstBudget = 5

// attribute finds out to whom the sockets belong.
func (p *probe) attribute(ctx context.Context, sockets []*socket, now time.Time) {
	p.users.refresh()
	wanted := make([]process.Socket, 0, len(sockets))
	for _, s := range sockets {
		if s.HasUID {
			s.user = p.userName(s)
		}
		path, placed := p.cgroups.Path(ctx, s.Cgroup, now)
		if placed {
			s.workload, s.placed = p.names.Fill(workload.Of(path), now), true
			p.activated(s, now)
		}
		w := process.Socket{Inode: s.Inode}
		if placed && path != "" {
			w.Near = func() []int { return p.cgroups.Processes(path) }
		}
		wanted = append(wanted, w)
	}
	if p.config.Processes {
		p.find(ctx, wanted)
		for _, s := range sockets {
			p.process(s, now)
		}
		p.learnOrigins(ctx, sockets, now)
	}
	for _, s := range sockets {
		if s.state != process.Found && s.placed {
			s.process.Name = p.soleName(s, now)
		}
	}
}

// activated gives a socket that systemd opened for a service the name of its
// socket unit: it carries the cgroup of the first process.
func (p *probe) activated(s *socket, now time.Time) {
	const first = "init.scope"
	if s.workload.Unit != first || s.namespace != "" {
		return
	}
	at := workload.Endpoint{Address: s.Address, Port: uint16(s.Port), Path: s.Path, Datagram: s.Protocol == listeners.UDP}
	if name := p.units.Socket(at, now); name != "" {
		s.workload.Unit = name
	}
}

// userName returns the name of the owner of a socket. The users of a container
// are not those of the host.
func (p *probe) userName(s *socket) string {
	if s.namespace != "" {
		return (&users{}).name(s.UID)
	}
	return p.users.name(s.UID)
}

func (p *probe) find(ctx context.Context, wanted []process.Socket) {
	p.finder.Find(ctx, wanted, p.budget())
}

// budget returns how long one run may look for something.
func (p *probe) budget() time.Duration {
	budget := time.Duration(p.config.ProcessBudget)
	if p.runs == 1 {
		return min(firstBudget*budget, time.Duration(p.config.Timeout)/3)
	}
	return budget
}

// process takes over what is known of the process that holds a socket. Where
// the socket does not know its cgroup, that of the process stands for it.
func (p *probe) process(s *socket, now time.Time) {
	s.process, s.state = p.finder.Process(s.Inode)
	if s.state != process.Found || s.placed {
		return
	}
	if path, ok := p.cgroups.OfProcess(s.process.PID); ok {
		s.workload, s.placed = p.names.Fill(workload.Of(path), now), true
	}
}

// learnOrigins looks up which packages the programs are from. It begins at most
// once a minute, and takes no longer in one run than the search for processes.
func (p *probe) learnOrigins(ctx context.Context, sockets []*socket, now time.Time) {
	var programs []string
	for _, s := range sockets {
		if s.process.Executable != "" && s.workload.Container == "" {
			programs = append(programs, s.process.Executable)
		}
	}
	if now.Sub(p.learned) >= time.Minute || p.learned.IsZero() {
		ctx, cancel := context.WithTimeout(ctx, p.budget())
		defer cancel()
		// What cannot be read is not known; that is no finding.
		if done, _ := p.packages.Learn(ctx, programs); done {
			p.learned = now
		}
	}
	for _, s := range sockets {
		s.origin = p.packages.Of(s.process.Executable)
	}
}

// soleName returns the name of the processes of a socket's cgroup, if they have
// the same one. Every user may read it, so that the program is known without any
// right.
func (p *probe) soleName(s *socket, now time.Time) string {
	if (s.workload == workload.Workload{}) || s.Protocol == listeners.Unix {
		return ""
	}
	if known, ok := p.soles[s.Cgroup]; ok && now.Sub(known.at) < time.Minute {
		return known.name
	}
	if len(p.soles) > 10_000 {
		clear(p.soles)
	}
	path, _ := p.cgroups.Path(context.Background(), s.Cgroup, now)
	name := ""
	for i, pid := range p.cgroups.Processes(path) {
		one, err := process.Look(p.host.Files, pid)
		if err != nil || i > 0 && one.Name != name || i > 100 {
			name = ""
			break
		}
		name = one.Name
	}
	p.soles[s.Cgroup] = sole{name, now}
	return name
}

type sole struct {
	name string
	at   time.Time
}
