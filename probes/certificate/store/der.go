package store

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The tags of ASN.1 that stores are made of, X.690 §8.
const (
	tagInteger         = 0x02
	tagOctets          = 0x04
	tagOID             = 0x06
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
	tagContext0        = 0x80 // implicit, primitive
	tagNested0         = 0xa0 // explicit, or implicit and constructed
	tagNested1         = 0xa1

	bitConstructed = 0x20
	openEnded      = 0x80 // a length that is not known before the end
)

// maxDepth bounds how deep elements may lie in each other.
const maxDepth = 32

var errShort = errors.New("the data end too early")

// An element is one element of ASN.1 in BER, of which DER is a part: writers of
// PKCS#7 and PKCS#12 use lengths without end and strings in pieces.
type element struct {
	tag            byte
	whole, content []byte
}

// readHead reads tag and length. The length is -1 when it is open-ended.
func readHead(data []byte) (tag byte, length, head int, err error) {
	if len(data) < 2 {
		return 0, 0, 0, errShort
	}
	tag, length, head = data[0], int(data[1]), 2
	switch {
	case tag&0x1f == 0x1f:
		return 0, 0, 0, fmt.Errorf("a tag of several bytes: %#x", tag)
	case length == openEnded && tag&bitConstructed != 0:
		return tag, -1, head, nil
	case length >= 0x80:
		size := length & 0x7f
		if size == 0 || size > 4 {
			return 0, 0, 0, fmt.Errorf("a length that cannot be read: %#x", data[1])
		}
		if len(data) < head+size {
			return 0, 0, 0, errShort
		}
		length = 0
		for _, digit := range data[head : head+size] {
			length = length<<8 | int(digit)
		}
		head += size
	}
	return tag, length, head, nil
}

// readElement reads one element and returns what follows.
func readElement(data []byte, depth int) (e element, rest []byte, err error) {
	tag, length, head, err := readHead(data)
	switch {
	case err != nil:
		return element{}, nil, err
	case length >= 0 && length > len(data)-head, length < -1:
		return element{}, nil, errShort
	case length >= 0:
		end := head + length
		return element{tag, data[:end], data[head:end]}, data[end:], nil
	case depth >= maxDepth:
		return element{}, nil, errors.New("nested too deeply")
	}
	rest = data[head:]
	for {
		if len(rest) < 2 {
			return element{}, nil, errShort
		}
		if rest[0] == 0 && rest[1] == 0 {
			break
		}
		if _, rest, err = readElement(rest, depth+1); err != nil {
			return element{}, nil, err
		}
	}
	end := len(data) - len(rest)
	return element{tag, data[:end+2], data[head:end]}, rest[2:], nil
}

// octets returns the bytes of a string, which may be in pieces.
func (e element) octets() ([]byte, error) { return e.pieces(0) }

func (e element) pieces(depth int) ([]byte, error) {
	if e.tag&bitConstructed == 0 {
		return e.content, nil
	}
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	var joined []byte
	for c := e.inside(); !c.done(); {
		piece, err := c.any("piece of a string").pieces(depth + 1)
		if err = errors.Join(c.err, err); err != nil {
			return nil, err
		}
		joined = append(joined, piece...)
	}
	return joined, nil
}

// oid returns the dotted form of an object identifier, empty for anything else.
func (e element) oid() string {
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(e.whole, &oid); err != nil {
		return ""
	}
	return oid.String()
}

// number returns a small number that is not negative, such as a count.
func (e element) number() (int, error) {
	if e.tag != tagInteger || len(e.content) == 0 || len(e.content) > 4 || e.content[0] >= 0x80 {
		return 0, fmt.Errorf("a number that cannot be read: %.10x", e.content)
	}
	n := 0
	for _, digit := range e.content {
		n = n<<8 | int(digit)
	}
	return n, nil
}

// time reads a date. RFC 5280 §5.1.2.4 allows one form of each kind; others are
// met in the wild: without seconds, with a zone.
func (e element) time() (time.Time, error) {
	text := string(e.content)
	if e.tag == tagUTCTime {
		// Two digits of a year below 50 are of this century.
		century := "19"
		if text < "50" {
			century = "20"
		}
		text = century + text
	}
	for _, layout := range []string{"20060102150405Z0700", "200601021504Z0700", "20060102150405"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a date", e.content)
}

func (e element) inside() *cursor { return &cursor{rest: e.content} }

// A cursor reads the elements of a sequence one by one. After an error it
// returns empty elements.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) done() bool { return c.err != nil || len(c.rest) == 0 }

// at reports whether an element of one of these tags comes next.
func (c *cursor) at(tags ...byte) bool {
	return !c.done() && slices.Contains(tags, c.rest[0])
}

// any reads whatever comes next.
func (c *cursor) any(what string) element {
	if c.err != nil {
		return element{}
	}
	e, rest, err := readElement(c.rest, 0)
	if err != nil {
		c.err = fmt.Errorf("%s: %w", what, err)
		return element{}
	}
	c.rest = rest
	return e
}

// take reads an element of one of these tags.
func (c *cursor) take(what string, tags ...byte) element {
	if c.err == nil && !c.at(tags...) {
		c.err = fmt.Errorf("there is no %s where it should be", what)
	}
	return c.any(what)
}

// enter reads an element of one of these tags and goes on inside it.
func (c *cursor) enter(what string, tags ...byte) *cursor {
	e := c.take(what, tags...)
	return &cursor{rest: e.content, err: c.err}
}
