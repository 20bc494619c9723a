package rtnl

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/redundancy/group"
)

// A Hop is one next hop of a route.
type Hop struct {
	Prefix  netip.Prefix
	Gateway netip.Addr // invalid for a route into an interface
	Device  uint32
	Metric  uint32
	Dead    bool   // the interface is gone or has no carrier
	Object  uint32 // the next hop object that says the rest; 0 for none
}

const dead = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN

// rtaNextHop is RTA_NH_ID of linux/rtnetlink.h.
const rtaNextHop = 30

// ParseRoutes reads messages RTM_NEWROUTE and returns the next hops of the
// unicast routes of the main table.
func ParseRoutes(messages [][]byte, family byte) ([]Hop, error) {
	var hops []Hop
	for _, m := range messages {
		if len(m) < unix.SizeofRtMsg {
			return nil, errShort
		}
		if m[0] != family || m[7] != unix.RTN_UNICAST {
			continue
		}
		flags := binary.NativeEndian.Uint32(m[8:])
		route := Hop{Dead: flags&dead != 0, Prefix: prefix(nil, family, m[1])}
		table := uint32(m[4])
		var several []byte
		err := attributes(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
			switch kind {
			case unix.RTA_TABLE:
				table = number(value)
			case unix.RTA_PRIORITY:
				route.Metric = number(value)
			case unix.RTA_DST:
				route.Prefix = prefix(value, family, m[1])
			case unix.RTA_MULTIPATH:
				several = value
			case rtaNextHop:
				route.Object = number(value)
			default:
				route.to(kind, value)
			}
		})
		if err != nil {
			return nil, err
		}
		if table != unix.RT_TABLE_MAIN || flags&unix.RTM_F_CLONED != 0 || !route.Prefix.IsValid() {
			continue
		}
		if several == nil {
			hops = append(hops, route)
			continue
		}
		more, err := nexthops(several, route)
		if err != nil {
			return nil, err
		}
		hops = append(hops, more...)
	}
	return hops, nil
}

// prefix makes a prefix of an address, or of that of all zeros.
func prefix(address []byte, family, length byte) netip.Prefix {
	if address == nil {
		address = make([]byte, 4)
		if family == unix.AF_INET6 {
			address = make([]byte, 16)
		}
	}
	a, _ := netip.AddrFromSlice(address)
	return netip.PrefixFrom(a, int(length))
}

// to takes in an attribute that a route and a next hop may have.
func (h *Hop) to(kind uint16, value []byte) {
	switch kind {
	case unix.RTA_OIF:
		h.Device = number(value)
	case unix.RTA_GATEWAY:
		h.Gateway, _ = netip.AddrFromSlice(value)
	case unix.RTA_VIA: // a gateway of another family: struct rtvia
		if len(value) > 2 {
			h.Gateway, _ = netip.AddrFromSlice(value[2:])
		}
	}
}

// nexthops reads RTA_MULTIPATH: struct rtnexthop, each with attributes.
func nexthops(b []byte, route Hop) ([]Hop, error) {
	var hops []Hop
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return nil, errShort
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, errShort
		}
		hop := Hop{
			Prefix: route.Prefix, Metric: route.Metric, Dead: uint(b[2])&dead != 0, Device: binary.NativeEndian.Uint32(b[4:]),
		}
		if err := attributes(b[unix.SizeofRtNexthop:size], hop.to); err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		b = b[min((size+3)&^3, len(b)):]
	}
	return hops, nil
}

// A NextHop is an object of its own, which routes share: one way, or a group of
// others.
type NextHop struct {
	Hop
	Group []uint32
}

// ParseNextHops reads messages RTM_NEWNEXTHOP, by the number of the object.
func ParseNextHops(messages [][]byte) (map[uint32]NextHop, error) {
	const size = 8 // of struct nhmsg and of struct nexthop_grp, of linux/nexthop.h
	all := map[uint32]NextHop{}
	for _, m := range messages {
		if len(m) < size {
			return nil, errShort
		}
		next := NextHop{Hop: Hop{Dead: binary.NativeEndian.Uint32(m[4:])&dead != 0}}
		id := uint32(0)
		err := attributes(m[size:], func(kind uint16, value []byte) {
			switch kind {
			case unix.NHA_ID:
				id = number(value)
			case unix.NHA_OIF:
				next.Device = number(value)
			case unix.NHA_GATEWAY:
				next.Gateway, _ = netip.AddrFromSlice(value)
			case unix.NHA_GROUP:
				for ; len(value) >= size; value = value[size:] {
					next.Group = append(next.Group, binary.NativeEndian.Uint32(value))
				}
			}
		})
		if err != nil {
			return nil, err
		}
		all[id] = next
	}
	return all, nil
}

// resolved replaces next hop objects by what they stand for. The kernel usually
// does that itself; see nexthop_compat_mode in its ip-sysctl.rst.
func resolved(hops []Hop, objects map[uint32]NextHop) []Hop {
	var all []Hop
	for _, hop := range hops {
		object := objects[hop.Object]
		if hop.Object == 0 || hop.Gateway.IsValid() {
			all = append(all, hop)
			continue
		}
		members := object.Group
		if members == nil {
			members = []uint32{hop.Object}
		}
		for _, id := range members {
			of := objects[id].Hop
			of.Prefix, of.Metric = hop.Prefix, hop.Metric
			all = append(all, of)
		}
	}
	return all
}

// maxPrefixes is how many destinations are looked at one by one. A host that
// has more is a router, whose routing daemon is to be asked.
const maxPrefixes = 256

// Routes makes a group of all ways to each destination: next hops of one route,
// and routes of different metrics that take over from each other. A route
// without a gateway, as tunnels have, is no way that takes over.
func Routes(hops []Hop, links map[uint32]Link) []group.Group {
	ways := map[netip.Prefix]*group.Group{}
	for _, hop := range hops {
		if !hop.Gateway.IsValid() || hop.Gateway.IsUnspecified() {
			continue
		}
		g := ways[hop.Prefix]
		if g == nil {
			g = &group.Group{Kind: group.Route, Name: destination(hop.Prefix), Needed: 1, Ordinary: true}
			ways[hop.Prefix] = g
		}
		name := hop.Gateway.String()
		if device := links[hop.Device].Name; device != "" {
			name = fmt.Sprintf("%s%%%s", hop.Gateway.WithZone(""), device)
		}
		if !slices.ContainsFunc(g.Members, func(m group.Member) bool { return m.Name == name }) {
			m := group.Member{ID: name, Name: name, Active: !hop.Dead, State: fmt.Sprintf("metric %d", hop.Metric)}
			if hop.Dead {
				m.State += ", dead"
			}
			g.Members = append(g.Members, m)
		}
	}
	var all []group.Group
	for prefix, g := range ways {
		if len(ways) > maxPrefixes && prefix.Bits() > 0 {
			continue
		}
		g.Expected = len(g.Members)
		g.Sort()
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b group.Group) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// destination names a prefix.
func destination(prefix netip.Prefix) string {
	switch {
	case prefix.Bits() > 0:
		return prefix.String()
	case prefix.Addr().Is4():
		return "default-ipv4"
	}
	return "default-ipv6"
}
