package firewall

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// A Published port is one of the host that leads to a container or a virtual
// machine before a socket could see it.
type Published struct {
	Protocol    uint8
	Port        uint16     // 0 stands for all
	Destination netip.Addr // of the packet
	Target      netip.AddrPort
}

const (
	maxRange = 1024    // ports of one range that are looked at one by one
	maxSteps = 300_000 // rules that are followed for all ports together
)

// Published returns the ports that rules of network address translation lead
// elsewhere, for packets from outside to these addresses of the host. A rule
// that may apply counts: it does for somebody. With a huge ruleset the list is
// not complete.
func (r *Ruleset) Published(addresses []netip.Addr) (list []Published, complete bool) {
	steps := 0
	ports := append(r.mentioned(), 0)
	for _, address := range addresses {
		for _, protocol := range []uint8{6, 17} {
			all := r.lead(Packet{Protocol: protocol, IPv6: address.Is6(), Destination: address, Port: unmentioned(ports)}, &steps)
			for _, port := range ports {
				if steps > maxSteps {
					return list, false
				}
				p := Packet{Protocol: protocol, IPv6: address.Is6(), Destination: address, Port: port}
				target := all
				if port > 0 {
					target = r.lead(p, &steps)
				}
				if target.Addr().IsValid() && (port == 0 || target.Addr() != all.Addr()) {
					if target.Port() == 0 {
						target = netip.AddrPortFrom(target.Addr(), port)
					}
					list = append(list, Published{protocol, port, address, target})
				}
			}
		}
	}
	return list, true
}

// lead returns where a packet is led to, the invalid address if nowhere, and
// counts the rules that it followed.
func (r *Ruleset) lead(p Packet, steps *int) (target netip.AddrPort) {
	for _, c := range r.bases(p, hookPrerouting, "nat") {
		e := evaluation{ruleset: r, packet: p, nat: func(x expression, regs registers) {
			if to := destination(x, regs); to.Addr().IsValid() && !target.Addr().IsValid() {
				target = to
			}
		}}
		e.chain(c, 0)
		*steps += e.rules
	}
	return target
}

// destination reads where a rule leads.
func destination(x expression, regs registers) netip.AddrPort {
	if x.name == "target" {
		return natRange(x.data[3])
	}
	const toDestination = 1
	if x.data.number(1) != toDestination {
		return netip.AddrPort{}
	}
	size := 4
	if x.data.number(2) == familyIPv6 {
		size = 16
	}
	b := regs.at(x.data.number(3)).bytes
	address, _ := netip.AddrFromSlice(b[:min(size, len(b))])
	port := uint16(0)
	if b := regs.at(x.data.number(5)).bytes; len(b) >= 2 {
		port = binary.BigEndian.Uint16(b)
	}
	return netip.AddrPortFrom(address, port)
}

// natRange reads the data of the target DNAT: struct nf_nat_range2, or for old
// revisions struct nf_nat_ipv4_multi_range_compat.
func natRange(info []byte) netip.AddrPort {
	const byAddress, newSize, oldSize = 1, 40, 20
	switch {
	case len(info) >= newSize && binary.NativeEndian.Uint32(info)&byAddress != 0:
		address := netip.AddrFrom16([16]byte(info[4:20]))
		if slices.Equal(info[8:20], make([]byte, 12)) {
			address = netip.AddrFrom4([4]byte(info[4:8]))
		}
		return netip.AddrPortFrom(address, binary.BigEndian.Uint16(info[36:]))
	case len(info) >= oldSize && len(info) < newSize:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(info[8:12])), binary.BigEndian.Uint16(info[16:]))
	}
	return netip.AddrPort{}
}

// mentioned returns every port that could be one in the tables that translate
// addresses: each number of two bytes in a comparison, a range or a set.
func (r *Ruleset) mentioned() []uint16 {
	found := map[uint16]bool{}
	add := func(first, last []byte) {
		if len(first) != 2 || len(last) != 2 {
			return
		}
		from, to := int(binary.BigEndian.Uint16(first)), int(binary.BigEndian.Uint16(last))
		for port := from; port <= to && port < from+maxRange; port++ {
			found[uint16(port)] = true
		}
	}
	tables := map[setKey]bool{}
	for key, c := range r.chains {
		if c.base && c.kind == "nat" && c.hook == hookPrerouting {
			tables[setKey{key.family, key.table, ""}] = true
		}
	}
	for key, c := range r.chains {
		if tables[setKey{key.family, key.table, ""}] {
			for _, rule := range c.rules {
				mentions(rule, add)
			}
		}
	}
	for key, s := range r.sets {
		if tables[setKey{key.family, key.table, ""}] {
			s.mentions(add)
		}
	}
	delete(found, 0)
	return slices.Sorted(maps.Keys(found))
}

func mentions(rule []expression, add func(first, last []byte)) {
	var from []byte // of a range that is written as two comparisons
	for _, x := range rule {
		switch x.name {
		case "cmp":
			constant := x.constant(3)
			switch x.data.number(2) {
			case opMoreEq:
				from = constant
			case opLessEq:
				add(from, constant)
			default:
				add(constant, constant)
			}
		case "range":
			add(x.constant(3), x.constant(4))
		case "match":
			if info := x.data[3]; (x.data.text(1) == "tcp" || x.data.text(1) == "udp") && len(info) >= 8 {
				add(swapped(info[4:6]), swapped(info[6:8]))
			} else if x.data.text(1) == "multiport" && len(info) >= 48 {
				for i := 0; i < min(int(info[1]), 15); i++ {
					add(swapped(info[2+2*i:4+2*i]), swapped(info[2+2*i:4+2*i]))
				}
			}
		}
	}
}

// mentions adds the ports of a set. Of a range in two elements, the second is
// the first port behind it.
func (s *set) mentions(add func(first, last []byte)) {
	sorted := slices.SortedFunc(slices.Values(s.elements), func(a, b element) int { return slices.Compare(a.key, b.key) })
	for i, e := range sorted {
		switch {
		case e.isEnd:
		case e.end != nil:
			add(e.key, e.end)
		case s.interval && i+1 < len(sorted) && sorted[i+1].isEnd && len(e.key) == 2 && len(sorted[i+1].key) == 2:
			add(e.key, binary.BigEndian.AppendUint16(nil, binary.BigEndian.Uint16(sorted[i+1].key)-1))
		default:
			add(e.key, e.key)
		}
	}
}

// swapped turns a port in the order of the host into that of the network.
func swapped(b []byte) []byte {
	return binary.BigEndian.AppendUint16(nil, binary.NativeEndian.Uint16(b))
}

// unmentioned returns a port that no rule speaks of.
func unmentioned(ports []uint16) uint16 {
	for port := uint16(65535); port > 0; port-- {
		if !slices.Contains(ports, port) {
			return port
		}
	}
	return 0
}
