package port

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/port/firewall"
	"hygiene_exporter/probes/port/process"
	"hygiene_exporter/probes/port/workload"
)

// A socket is a listener and what is known of it.
type socket struct {
	listeners.Listener
	namespace string // name of its network namespace; empty for that of the host
	outside   bool   // the namespace has addresses that the world can reach, or may have
	exposure  string
	device    string

	workload workload.Workload
	placed   bool // the workload is known, even if it is nobody's
	process  process.Process
	state    process.State
	user     string
	origin   process.Origin
}

// An object is what the facts speak of: everything that one workload opens under
// one port for one class of peers. It stays the same over restarts and changes
// of addresses.
type object struct {
	name      string
	namespace string
	protocol  listeners.Protocol
	exposure  string
	port      string // as it is written in the name
	number    uint32
	ephemeral bool
	outside   bool
	device    string
	workload  workload.Workload
	sockets   []*socket

	verdict verdict
	leads   *firewall.Published // where a published port leads; nil for listeners
}

// group makes objects of sockets. The same port for every address of IPv4 and,
// in another socket, of IPv6 is one wildcard.
func group(sockets []*socket, ephemeralPort func(*socket) bool) []*object {
	single := make([]*object, 0, len(sockets))
	merged := map[string]string{} // exposure of what is a wildcard but for the family
	for _, s := range sockets {
		o := objectOf(s, ephemeralPort(s))
		o.sockets = []*socket{s}
		single = append(single, o)
		if wild(s.exposure) {
			o.name = o.in(wildcard)
			if had, seen := merged[o.name]; seen && had != s.exposure {
				merged[o.name] = wildcard
			} else {
				merged[o.name] = s.exposure
			}
		}
	}
	byName := make(map[string]*object, len(single))
	for _, o := range single {
		if wild(o.exposure) {
			o.exposure = merged[o.name]
		}
		if o.exposure != wildcard {
			o.name = o.in(o.exposure)
		}
		if known := byName[o.name]; known != nil {
			known.sockets = append(known.sockets, o.sockets...)
		} else {
			byName[o.name] = o
		}
	}
	list := make([]*object, 0, len(byName))
	for _, o := range byName {
		slices.SortFunc(o.sockets, func(a, b *socket) int {
			return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Inode, b.Inode))
		})
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *object) int { return strings.Compare(a.name, b.name) })
	return list
}

func wild(exposure string) bool {
	return exposure == wildcard || exposure == wildcard4 || exposure == wildcard6
}

func objectOf(s *socket, isEphemeral bool) *object {
	o := &object{
		namespace: s.namespace, protocol: s.Protocol, exposure: s.exposure, port: portName(s.Listener),
		number: s.Port, outside: s.outside, device: s.device, workload: s.workload,
	}
	if isEphemeral {
		o.port, o.number, o.ephemeral = ephemeral, 0, true
	}
	return o
}

// in returns the name of the object in a class of exposure.
func (o *object) in(exposure string) string {
	name := string(o.protocol) + "/" + exposure + ":" + o.port
	if o.namespace != "" {
		name = o.namespace + "/" + name
	}
	if o.device != "" {
		name += "%" + o.device
	}
	if unit := o.workload.String(); unit != "" && unit != o.namespace {
		name += "@" + strings.TrimPrefix(unit, o.namespace+"/")
	}
	return name
}

// portName returns what stands for the port in the name of an object.
func portName(l listeners.Listener) string {
	const everything = 3 // ETH_P_ALL
	switch {
	case l.Protocol == listeners.Unix:
		return l.Path
	case l.Protocol == listeners.Packet && l.Port == everything:
		return "all"
	case l.Protocol == listeners.Packet:
		return fmt.Sprintf("0x%04x", l.Port)
	}
	return strconv.Itoa(int(l.Port))
}

// source returns what has to be looked at to know that the object is there.
func (o *object) source() listeners.Protocol {
	if o.leads != nil {
		return firewallSource
	}
	return o.protocol
}

// values lists what the sockets of an object have, each once, at most five.
func (o *object) values(of func(*socket) string) string {
	const shown = 5
	if len(o.sockets) == 1 {
		return of(o.sockets[0])
	}
	var list []string
	for _, s := range o.sockets {
		if text := of(s); text != "" && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	if len(list) > shown {
		return fmt.Sprintf("%s (+%d)", strings.Join(list[:shown], ","), len(list)-shown)
	}
	return strings.Join(list, ",")
}

// address returns the bound address of a socket as people write it.
func (s *socket) address() string {
	switch s.Protocol {
	case listeners.Unix:
		return s.Path
	case listeners.Packet:
		return ""
	case listeners.Vsock:
		return "cid:" + strconv.FormatUint(uint64(s.CID), 10)
	case listeners.Raw:
		return s.Address.String()
	}
	return netip.AddrPortFrom(s.Address, uint16(s.Port)).String()
}

// how returns how a socket was attributed.
func (s *socket) how() string {
	switch {
	case s.state == process.Found:
		return "process"
	case s.workload != workload.Workload{}:
		return "cgroup"
	}
	return "none"
}
