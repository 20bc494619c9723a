package firewall

import "encoding/binary"

// match reads the matches of iptables that iptables-nft leaves as they are.
func (p Packet) match(a attributes) truth {
	info := a[3]
	number := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	switch name := a.text(1); {
	case (name == "tcp" || name == "udp") && len(info) >= 9:
		return p.matchPorts(info)
	case name == "multiport" && len(info) >= 48:
		return p.matchMultiport(info)
	case name == "conntrack" && len(info) >= 152:
		// A struct xt_conntrack_mtinfo2 or 3.
		const state, newState = 1, 8
		if number(146) != state {
			return either // it asks for more than the state
		}
		is := truthOf(number(150)&newState != 0)
		if number(148)&state != 0 {
			is = is.not()
		}
		return is
	case name == "comment":
		return isTrue
	}
	return either
}

// matchPorts reads a struct xt_tcp or xt_udp.
func (p Packet) matchPorts(info []byte) truth {
	number := func(at int) uint16 { return binary.NativeEndian.Uint16(info[at:]) }
	if number(0) != 0 || number(2) != 0xffff {
		return either // it asks for the port of the client
	}
	inverted := info[8] // of struct xt_udp
	if p.Protocol == 6 && len(info) >= 12 {
		inverted = info[11]
		if info[8] != 0 || info[9] != 0 && info[9]&0x17 != info[9] {
			return either // it asks for options or other flags
		}
		const syn = 0x02
		if flags := truthOf(syn&info[9] == info[10]); flags == isFalse && info[9] != 0 {
			return isFalse
		}
	}
	is := truthOf(number(4) <= p.Port && p.Port <= number(6))
	if inverted&0x02 != 0 {
		return is.not()
	}
	return is
}

// matchMultiport reads a struct xt_multiport_v1.
func (p Packet) matchMultiport(info []byte) truth {
	const destination = 1
	count := int(info[1])
	if info[0] != destination || count > 15 {
		return either
	}
	port := func(i int) uint16 { return binary.NativeEndian.Uint16(info[2+2*i:]) }
	is := isFalse
	for i := 0; i < count; i++ {
		first, last := port(i), port(i)
		if info[32+i] != 0 && i+1 < count { // the beginning of a range
			i++
			last = port(i)
		}
		if first <= p.Port && p.Port <= last {
			is = isTrue
		}
	}
	if info[47] != 0 {
		return is.not()
	}
	return is
}

// target reads the targets of iptables that iptables-nft leaves as they are.
func (e *evaluation) target(x expression, regs registers, applies truth) (result outcomes, ends bool) {
	switch x.data.text(1) {
	case "REJECT":
		return drop, true
	case "DNAT":
		if e.nat != nil && applies != isFalse {
			e.nat(x, regs)
		}
		return accept, true
	case "MASQUERADE", "SNAT", "REDIRECT", "NETMAP":
		return accept, true
	case "LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "AUDIT", "TRACE", "CLASSIFY", "CT", "SET", "DSCP", "TOS":
		return goOn, false
	}
	return accept | drop | goOn, true
}
