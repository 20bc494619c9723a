package store

import (
	"errors"
	"fmt"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/ber"
)

// The marks of Java's serialisation, chapter 6.4.2 of its specification.
const (
	streamMagic    = 0xaced0005
	markNull       = 0x70
	markReference  = 0x71
	markClass      = 0x72
	markObject     = 0x73
	markString     = 0x74
	markArray      = 0x75
	markBlock      = 0x77
	markBlockEnd   = 0x78
	markLongBlock  = 0x7a
	firstHandle    = 0x7e0000
	hasWriteMethod = 0x01
)

// A class is what must be known of one to skip its objects.
type class struct {
	name   string
	flags  byte
	fields []byte // their types
	above  *class
}

// A serial skips serialised objects: JCEKS stores secret keys as such, without a
// length, in front of other entries.
type serial struct {
	*java
	handles []*class // nil for what is no class
	depth   int
}

// skipObject skips a stream with one object.
func (k *java) skipObject() {
	if magic := k.uint32(); k.err == nil && magic != streamMagic {
		k.err = errors.New("a secret key that is no serialised object")
	}
	s := serial{java: k}
	s.skip(k.byte())
	if k.err != nil {
		k.err = fmt.Errorf("a secret key: %w", k.err)
	}
}

// skip skips what begins with a mark.
func (s *serial) skip(mark byte) {
	s.depth++
	defer func() { s.depth-- }()
	if s.depth > ber.MaxDepth && s.err == nil {
		s.err = errors.New("nested too deeply")
	}
	if s.err != nil {
		return
	}
	switch mark {
	case markNull:
	case markReference:
		s.bytes(4)
	case markString:
		s.handles = append(s.handles, nil)
		s.bytes(s.uint16())
	case markBlock:
		s.bytes(int(s.byte()))
	case markLongBlock:
		s.bytes(int(s.uint32()))
	case markArray:
		s.array()
	case markObject:
		c := s.class(s.byte())
		s.handles = append(s.handles, nil)
		s.values(c)
	default:
		s.err = probes.Because(probes.Unsupported, fmt.Errorf("a serialised object of an unknown kind: %#x", mark))
	}
}

// class reads the description of a class, and of those above it.
func (s *serial) class(mark byte) *class {
	s.depth++
	defer func() { s.depth-- }()
	switch {
	case s.err != nil || mark == markNull:
		return nil
	case mark == markReference:
		handle := int64(s.uint32()) - firstHandle
		if handle >= 0 && handle < int64(len(s.handles)) {
			return s.handles[handle]
		}
		s.err = errors.Join(s.err, errors.New("a reference to nothing"))
		return nil
	case mark != markClass || s.depth > ber.MaxDepth:
		s.err = fmt.Errorf("there is no class where it should be: %#x", mark)
		return nil
	}
	c := &class{name: s.text()}
	s.bytes(8) // the version
	s.handles = append(s.handles, c)
	c.flags = s.byte()
	for n := s.uint16(); n > 0 && s.err == nil; n-- {
		kind := s.byte()
		s.text()
		if kind == '[' || kind == 'L' {
			s.skip(s.byte()) // the name of its class
		}
		c.fields = append(c.fields, kind)
	}
	s.annotations()
	c.above = s.class(s.byte())
	return c
}

// annotations skips what classes and objects add to their fields.
func (s *serial) annotations() {
	for s.err == nil {
		mark := s.byte()
		if mark == markBlockEnd {
			return
		}
		s.skip(mark)
	}
}

// values skips the fields of an object, those of the highest class first.
func (s *serial) values(c *class) {
	var line []*class
	for ; c != nil && len(line) <= ber.MaxDepth; c = c.above {
		line = append(line, c)
	}
	for i := len(line) - 1; i >= 0 && s.err == nil; i-- {
		for _, kind := range line[i].fields {
			s.value(kind)
		}
		if line[i].flags&hasWriteMethod != 0 {
			s.annotations()
		}
	}
}

func (s *serial) value(kind byte) {
	switch kind {
	case 'B', 'Z':
		s.bytes(1)
	case 'C', 'S':
		s.bytes(2)
	case 'I', 'F':
		s.bytes(4)
	case 'J', 'D':
		s.bytes(8)
	default:
		s.skip(s.byte())
	}
}

func (s *serial) array() {
	c := s.class(s.byte())
	s.handles = append(s.handles, nil)
	size := int(s.uint32())
	if s.err == nil && (c == nil || len(c.name) < 2) {
		s.err = errors.New("an array of nothing")
	}
	// Every value takes a byte at least, so that no more are possible.
	if s.err == nil && size > len(s.rest) {
		s.err = ber.ErrShort
	}
	for ; size > 0 && s.err == nil; size-- {
		s.value(c.name[1])
	}
}
