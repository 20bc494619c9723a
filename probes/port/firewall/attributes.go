package firewall

import (
	"encoding/binary"
	"strings"
)

// attributes are those of a message by their number: struct nlattr.
type attributes map[uint16][]byte

func parse(b []byte) attributes {
	a := attributes{}
	walk(b, func(kind uint16, value []byte) { a[kind] = value })
	return a
}

// list returns the values of a list, whose elements have all the same number.
func list(b []byte) (values [][]byte) {
	walk(b, func(_ uint16, value []byte) { values = append(values, value) })
	return values
}

// walk calls each for every attribute, as far as they are well formed.
func walk(b []byte, each func(uint16, []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[4:size:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

func (a attributes) text(kind uint16) string { return strings.TrimRight(string(a[kind]), "\x00") }

// number reads a number of nftables, which all have the order of the network.
func (a attributes) number(kind uint16) uint32 {
	if value := a[kind]; len(value) >= 4 {
		return binary.BigEndian.Uint32(value)
	}
	return 0
}

// nested reads attributes within an attribute; nil if there is none.
func (a attributes) nested(kind uint16) attributes {
	value, has := a[kind]
	if !has {
		return nil
	}
	return parse(value)
}

// text encodes a string as an attribute.
func text(kind uint16, value string) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)+1))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, value...), 0)
	return append(b, make([]byte, (4-len(b)%4)%4)...)
}
