package port

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/workload"
)

// refresh is how long the list of namespaces and the addresses in them are
// believed.
const refresh = 30 * time.Second

// A space is a network namespace that is looked at in every run.
type space struct {
	listeners.Namespace
	name string // empty for that of the host
	in   *interfaces
	read time.Time // when the addresses were
}

// spaces returns the namespaces of the host, by the last look that is not too
// old. The one of the host is that of its first process; where that cannot be
// seen, it is the agent's own.
func (p *probe) spaces(ctx context.Context, now time.Time) ([]*space, error) {
	fresh := now.Sub(p.looked) < refresh && len(p.known) > 0
	for _, s := range p.known {
		fresh = fresh && p.source.Present(s.Namespace)
	}
	if fresh {
		return p.known, nil
	}
	found, err := p.source.Namespaces(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if len(found) == 0 {
		// Without a list of processes there is one's own to look at.
		found = []listeners.Namespace{{Own: true, Init: true}}
	}
	before := map[uint64]*space{}
	for _, s := range p.known {
		before[s.ID] = s
	}
	p.known, p.looked = nil, now
	host := hostOf(found)
	for i, n := range found {
		s := &space{Namespace: n}
		if i != host {
			s.name = p.nameOf(n, now)
		}
		if old := before[n.ID]; old != nil {
			s.in, s.read = old.in, old.read
		}
		p.known = append(p.known, s)
	}
	return p.known, err
}

// hostOf returns which namespace is that of the host.
func hostOf(found []listeners.Namespace) int {
	for i, n := range found {
		if n.Init {
			return i
		}
	}
	return 0 // the agent's own stands first
}

// nameOf returns a name that a namespace has again after a restart. Namespaces
// of the same workload share one.
func (p *probe) nameOf(n listeners.Namespace, now time.Time) string {
	if n.Name != "" {
		return n.Name
	}
	if path, ok := p.cgroups.OfProcess(n.PID); ok {
		w := p.names.Fill(workload.Of(path), now)
		if w.Pod != "" {
			return w.Pod
		}
		if w.Container != "" {
			return w.Container
		}
		if w.Unit != "" {
			return w.Unit
		}
	}
	comm, err := p.host.Files.ReadFile(fmt.Sprintf("/proc/%d/comm", n.PID), 4096)
	if err != nil {
		return "unnamed"
	}
	return "netns-of-" + strings.TrimSpace(string(comm))
}

// A scan is what one run saw.
type scan struct {
	sockets   []*socket
	failed    map[place]error // nil: not seen, and counted instead of told
	addresses error           // why addresses are not known
	inspected int             // namespaces
	skipped   int
	protocols map[listeners.Protocol]bool // in the namespace of the host: listed or not
}

// A place is a protocol in a namespace.
type place struct {
	namespace string
	protocol  listeners.Protocol
}

// String returns the object of a place that could not be looked at.
func (p place) String() string {
	if p.namespace == "" {
		return string(p.protocol)
	}
	return p.namespace + "/" + string(p.protocol)
}

// scan lists the sockets of all namespaces.
func (p *probe) scan(ctx context.Context, spaces []*space, now time.Time) (*scan, error) {
	s := &scan{failed: map[place]error{}, protocols: map[listeners.Protocol]bool{}}
	for _, space := range spaces {
		if err := p.scanSpace(ctx, s, space, now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (p *probe) scanSpace(ctx context.Context, s *scan, space *space, now time.Time) error {
	view := p.source.In(space.Namespace)
	defer view.Close()
	first := len(s.sockets)
	for _, protocol := range listeners.Protocols() {
		if protocol == listeners.Vsock && space.name != "" {
			continue // there is one for the whole host
		}
		list, err := view.List(ctx, protocol)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, listeners.ErrAbsent) {
			continue
		}
		blind := errors.Is(err, listeners.ErrBlind)
		if err != nil && !blind {
			s.failed[place{space.name, protocol}] = err
		}
		if space.name == "" {
			s.protocols[protocol] = err == nil
		}
		for _, l := range list {
			s.sockets = append(s.sockets, &socket{Listener: l, namespace: space.name})
		}
	}
	_, failed := s.failed[place{space.name, listeners.TCP}]
	switch {
	case space.name != "" && !p.source.Present(space.Namespace):
		// Its last process, or the one by which it was seen, has just ended: the
		// next run knows which.
		s.hold(space)
	case space.name != "" && failed:
		s.skip(space)
	default:
		s.inspected++
	}
	return p.place(ctx, s, s.sockets[first:], space, view, now)
}

// hold says that nothing is known of a namespace in this run, and that this is
// no fault.
func (s *scan) hold(space *space) {
	for _, protocol := range listeners.Protocols() {
		s.failed[place{space.name, protocol}] = errPending
	}
}

// skip turns the failures of a namespace into a count: that somebody must be
// root to see it is no fault of anything in it.
func (s *scan) skip(space *space) {
	s.skipped++
	for at, err := range s.failed {
		if at.namespace == space.name && errors.Is(err, fs.ErrPermission) {
			s.failed[at] = nil
		}
	}
}

// place finds out who can reach the sockets of a namespace.
func (p *probe) place(ctx context.Context, s *scan, sockets []*socket, space *space, view *listeners.View, now time.Time) error {
	if p.needAddresses(sockets, space) && (now.Sub(space.read) >= refresh || space.in == nil) && view.Entered() == nil {
		in, err := readInterfaces(ctx, p.host.Netlink, view.Namespace())
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			space.in, space.read = in, now
		} else {
			s.addresses = fmt.Errorf("addresses and devices of the network are not known: %w", err)
		}
	}
	in := space.in
	if in == nil {
		in = &interfaces{}
	}
	// In a container, a wildcard reaches as far as its addresses.
	outside := space.name == "" || in.reachable()
	for _, socket := range sockets {
		socket.outside = outside
		socket.device = in.devices[socket.Device].name
		socket.exposure = p.exposure(socket.Listener, in, now)
	}
	return nil
}

func (p *probe) exposure(l listeners.Listener, in *interfaces, now time.Time) string {
	switch l.Protocol {
	case listeners.Unix:
		return p.paths.exposure(l, now)
	case listeners.Vsock:
		const anyone, local = 1<<32 - 1, 1
		switch l.CID {
		case anyone:
			return wildcard
		case local:
			return loopback
		}
		return private
	case listeners.Packet:
		if l.Device == 0 {
			return wildcard
		}
	}
	return classify(l, in)
}

// needAddresses reports whether addresses or devices decide anything.
func (p *probe) needAddresses(sockets []*socket, space *space) bool {
	if p.config.Firewall && space.name != "" {
		return true // does a published port lead here?
	}
	for _, s := range sockets {
		if s.Device > 0 || s.Address.IsValid() && !s.Address.IsUnspecified() && !s.Address.IsLoopback() {
			return true
		}
		if space.name != "" && s.Address.IsUnspecified() {
			return true // does the world reach the container?
		}
	}
	return false
}
