package firewall

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// A truth is what a condition is for a packet of which not everything is known.
type truth int

const (
	isFalse truth = iota
	isTrue
	either
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

func (t truth) not() truth {
	switch t {
	case isTrue:
		return isFalse
	case isFalse:
		return isTrue
	}
	return either
}

func (t truth) and(other truth) truth {
	switch {
	case t == isFalse || other == isFalse:
		return isFalse
	case t == either || other == either:
		return either
	}
	return isTrue
}

// A value is what a register holds: bytes, nothing that is known, or the name of
// an interface that is not the loopback.
type value struct {
	bytes   []byte
	outside bool
}

// registers are those of one rule, by their number in units of four bytes. The
// kernel knows them by another name too, in units of sixteen.
type registers map[uint32]value

func cell(number uint32) uint32 {
	const first, small = 1, 8
	if number >= first && number < small {
		return small + 4*(number-first)
	}
	return number
}

// set puts a value into a register, and what it is too long for into the next
// ones.
func (r registers) set(number uint32, v value) {
	r[cell(number)] = v
	for i := 4; i < len(v.bytes); i += 4 {
		r[cell(number)+uint32(i/4)] = value{bytes: v.bytes[i:]}
	}
}

func (r registers) at(number uint32) value { return r[cell(number)] }

// Keys of meta and of ct, bits of the state of a connection, and operators, all
// of linux/netfilter/nf_tables.h.
const (
	metaProtocol = 1
	metaIIF      = 4
	metaIIFName  = 6
	metaNFProto  = 15
	metaL4Proto  = 16

	ctState    = 0
	stateIsNew = 0x8

	opEqual    = 0
	opNotEqual = 1
	opLess     = 2
	opLessEq   = 3
	opMore     = 4
	opMoreEq   = 5
)

// load returns what meta, payload and ct put into a register.
func (p Packet) load(e expression) value {
	switch e.name {
	case "meta":
		return p.meta(e.data.number(2))
	case "payload":
		return p.payload(e.data.number(2), e.data.number(3), e.data.number(4))
	case "ct":
		if e.data.number(2) == ctState {
			return value{bytes: binary.NativeEndian.AppendUint32(nil, stateIsNew)}
		}
	}
	return value{}
}

func (p Packet) meta(key uint32) value {
	family, ethertype := byte(familyIPv4), uint16(0x0800)
	if p.IPv6 {
		family, ethertype = familyIPv6, 0x86dd
	}
	switch key {
	case metaProtocol:
		return value{bytes: binary.BigEndian.AppendUint16(nil, ethertype)}
	case metaIIF, metaIIFName:
		return value{outside: true}
	case metaNFProto:
		return value{bytes: []byte{family}}
	case metaL4Proto:
		return value{bytes: []byte{p.Protocol}}
	}
	return value{}
}

// payload returns a field of the packet, as far as it is known.
func (p Packet) payload(base, offset, size uint32) value {
	const network, transport = 1, 2
	field := func(at, length uint32) bool { return offset == at && size == length }
	switch {
	case base == transport && field(2, 2):
		return value{bytes: binary.BigEndian.AppendUint16(nil, p.Port)}
	case base == transport && field(13, 1) && p.Protocol == 6:
		const syn = 0x02
		return value{bytes: []byte{syn}}
	case base == network && !p.IPv6 && field(9, 1), base == network && p.IPv6 && field(6, 1):
		return value{bytes: []byte{p.Protocol}}
	case base == network && p.Destination.IsValid() && !p.IPv6 && field(16, 4), base == network && p.Destination.IsValid() && p.IPv6 && field(24, 16):
		return value{bytes: p.Destination.AsSlice()}
	}
	return value{}
}

// bitwise applies a mask and an exclusive or.
func (v value) bitwise(x expression) value {
	mask, xor := x.constant(4), x.constant(5)
	if len(v.bytes) == 0 || x.data.number(6) != 0 || len(mask) != len(v.bytes) || len(xor) != len(v.bytes) {
		return value{}
	}
	out := slices.Clone(v.bytes)
	for i := range out {
		out[i] = out[i]&mask[i] ^ xor[i]
	}
	return value{bytes: out}
}

// compare compares a register with a constant, bytewise as the kernel does.
func (v value) compare(op uint32, with []byte) truth {
	if v.outside {
		if !loopbackName(with) || op != opEqual && op != opNotEqual {
			return either
		}
		return truthOf(op == opNotEqual)
	}
	if len(v.bytes) == 0 || len(v.bytes) < len(with) {
		return either
	}
	order := bytes.Compare(v.bytes[:len(with)], with)
	switch op {
	case opEqual:
		return truthOf(order == 0)
	case opNotEqual:
		return truthOf(order != 0)
	case opLess:
		return truthOf(order < 0)
	case opLessEq:
		return truthOf(order <= 0)
	case opMore:
		return truthOf(order > 0)
	case opMoreEq:
		return truthOf(order >= 0)
	}
	return either
}

// loopbackName reports whether an interface is the loopback: by its name, or by
// its index, which is 1 everywhere.
func loopbackName(with []byte) bool {
	if len(with) == 4 && binary.NativeEndian.Uint32(with) == 1 {
		return true
	}
	return string(bytes.TrimRight(with, "\x00")) == "lo" && len(with) > 2
}

// find looks for a value in a set, and returns the element that has it.
func (s *set) find(v value) (truth, *element) {
	if s == nil || len(v.bytes) == 0 {
		return either, nil
	}
	otherwise := isFalse
	if s.partial {
		otherwise = either
	}
	var below *element
	for i := range s.elements {
		e := &s.elements[i]
		if len(e.key) != len(v.bytes) {
			return either, nil // a concatenation, of which this is one part
		}
		order := bytes.Compare(e.key, v.bytes)
		switch {
		case e.end != nil: // a range in one element
			if order <= 0 && len(e.end) == len(v.bytes) && bytes.Compare(v.bytes, e.end) <= 0 {
				return isTrue, e
			}
		case !s.interval:
			if order == 0 {
				return isTrue, e
			}
		case order <= 0 && (below == nil || above(e, below)):
			below = e
		}
	}
	if below != nil && !below.isEnd {
		return isTrue, below
	}
	return otherwise, nil
}

// above reports whether an element is nearer to a value above both. A range
// begins with an element and ends before one that is marked; where one ends and
// the next begins, the beginning counts.
func above(e, other *element) bool {
	order := bytes.Compare(e.key, other.key)
	return order > 0 || order == 0 && other.isEnd
}
