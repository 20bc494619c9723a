package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/redundancy/group"
)

// A Hop is one next hop of a default route.
type Hop struct {
	Gateway netip.Addr // invalid for a route into an interface
	Device  uint32
	Metric  uint32
	Dead    bool // the interface is gone or has no carrier
}

const dead = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN

// ParseRoutes reads messages RTM_NEWROUTE and returns the next hops of the
// unicast default routes of the main table.
func ParseRoutes(messages [][]byte, family byte) ([]Hop, error) {
	var hops []Hop
	for _, m := range messages {
		if len(m) < unix.SizeofRtMsg {
			return nil, errShort
		}
		if m[0] != family || m[1] != 0 || m[7] != unix.RTN_UNICAST {
			continue
		}
		route := Hop{Dead: binary.NativeEndian.Uint32(m[8:])&dead != 0}
		table := uint32(m[4])
		var several []byte
		cloned := binary.NativeEndian.Uint32(m[8:])&unix.RTM_F_CLONED != 0
		err := attributes(m[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
			switch kind {
			case unix.RTA_TABLE:
				table = number(value)
			case unix.RTA_PRIORITY:
				route.Metric = number(value)
			case unix.RTA_MULTIPATH:
				several = value
			default:
				route.to(kind, value)
			}
		})
		if err != nil {
			return nil, err
		}
		if table != unix.RT_TABLE_MAIN || cloned {
			continue
		}
		if several == nil {
			hops = append(hops, route)
			continue
		}
		more, err := nexthops(several, route.Metric)
		if err != nil {
			return nil, err
		}
		hops = append(hops, more...)
	}
	return hops, nil
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
func nexthops(b []byte, metric uint32) ([]Hop, error) {
	var hops []Hop
	for len(b) > 0 {
		if len(b) < unix.SizeofRtNexthop {
			return nil, errShort
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, errShort
		}
		hop := Hop{Metric: metric, Dead: uint(b[2])&dead != 0, Device: binary.NativeEndian.Uint32(b[4:])}
		if err := attributes(b[unix.SizeofRtNexthop:size], hop.to); err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		b = b[min((size+3)&^3, len(b)):]
	}
	return hops, nil
}

// Defaults makes one group of all ways out of the host of one family: next hops
// of one route, and routes of different metrics that take over from each other.
// A route without a gateway, as tunnels have, is no way that takes over.
func Defaults(hops []Hop, family byte, links map[uint32]Link) (group.Group, bool) {
	g := group.Group{Kind: group.Route, Name: "default-ipv4", Needed: 1, Ordinary: true}
	if family == unix.AF_INET6 {
		g.Name = "default-ipv6"
	}
	seen := map[string]bool{}
	for _, hop := range hops {
		if !hop.Gateway.IsValid() || hop.Gateway.IsUnspecified() {
			continue
		}
		name := hop.Gateway.String()
		if device := links[hop.Device].Name; device != "" {
			name = fmt.Sprintf("%s%%%s", hop.Gateway.WithZone(""), device)
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		g.Members = append(g.Members, group.Member{ID: name, Name: name, Active: !hop.Dead})
	}
	g.Expected = len(g.Members)
	g.Sort()
	return g, len(g.Members) > 0
}
