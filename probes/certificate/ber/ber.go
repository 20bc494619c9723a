// Package ber reads ASN.1 in the basic encoding rules, of which DER is a part, as
// certificates and their stores are written in it (X.690 §8). It believes what it
// can, checks every length against the data, and copies nothing.
package ber

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The tags of ASN.1 that certificates and stores are made of.
const (
	TagBoolean         = 0x01
	TagInteger         = 0x02
	TagOctets          = 0x04
	TagOID             = 0x06
	TagUTCTime         = 0x17
	TagGeneralizedTime = 0x18
	TagBMPString       = 0x1e
	TagSequence        = 0x30
	TagSet             = 0x31
	TagContext0        = 0x80 // implicit, primitive
	TagNested0         = 0xa0 // explicit, or implicit and constructed
	TagNested1         = 0xa1
	TagNested3         = 0xa3

	Constructed = 0x20
)

// openEnded is a length that is not known before the end.
const openEnded = 0x80

// MaxDepth bounds how deep elements may lie in each other.
const MaxDepth = 32

// ErrShort says that the data are cut.
var ErrShort = errors.New("the data end too early")

// An Element is one element. Writers of PKCS#7 and PKCS#12 use lengths without end
// and strings in pieces, which DER does not allow.
type Element struct {
	Tag            byte
	Whole, Content []byte
}

// Head reads tag and length. The length is -1 when it is open-ended.
func Head(data []byte) (tag byte, length, head int, err error) {
	if len(data) < 2 {
		return 0, 0, 0, ErrShort
	}
	tag, length, head = data[0], int(data[1]), 2
	switch {
	case tag&0x1f == 0x1f:
		return 0, 0, 0, fmt.Errorf("a tag of several bytes: %#x", tag)
	case length == openEnded && tag&Constructed != 0:
		return tag, -1, head, nil
	case length >= 0x80:
		size := length & 0x7f
		if size == 0 || size > 4 {
			return 0, 0, 0, fmt.Errorf("a length that cannot be read: %#x", data[1])
		}
		if len(data) < head+size {
			return 0, 0, 0, ErrShort
		}
		length = 0
		for _, digit := range data[head : head+size] {
			length = length<<8 | int(digit)
		}
		head += size
	}
	return tag, length, head, nil
}

// Read reads one element and returns what follows.
func Read(data []byte) (e Element, rest []byte, err error) { return read(data, 0) }

func read(data []byte, depth int) (e Element, rest []byte, err error) {
	tag, length, head, err := Head(data)
	switch {
	case err != nil:
		return Element{}, nil, err
	case length >= 0 && length > len(data)-head, length < -1:
		return Element{}, nil, ErrShort
	case length >= 0:
		end := head + length
		return Element{tag, data[:end], data[head:end]}, data[end:], nil
	case depth >= MaxDepth:
		return Element{}, nil, errors.New("nested too deeply")
	}
	rest = data[head:]
	for {
		if len(rest) < 2 {
			return Element{}, nil, ErrShort
		}
		if rest[0] == 0 && rest[1] == 0 {
			break
		}
		if _, rest, err = read(rest, depth+1); err != nil {
			return Element{}, nil, err
		}
	}
	end := len(data) - len(rest)
	return Element{tag, data[:end+2], data[head:end]}, rest[2:], nil
}

// Octets returns the bytes of a string, which may be in pieces.
func (e Element) Octets() ([]byte, error) { return e.pieces(0) }

func (e Element) pieces(depth int) ([]byte, error) {
	if e.Tag&Constructed == 0 {
		return e.Content, nil
	}
	if depth > MaxDepth {
		return nil, errors.New("nested too deeply")
	}
	var joined []byte
	for c := e.Inside(); !c.Done(); {
		piece, err := c.Any("piece of a string").pieces(depth + 1)
		if err = errors.Join(c.Err, err); err != nil {
			return nil, err
		}
		joined = append(joined, piece...)
	}
	return joined, nil
}

// OID returns the dotted form of an object identifier, empty for anything else.
func (e Element) OID() string {
	var oid asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(e.Whole, &oid); err != nil {
		return ""
	}
	return oid.String()
}

// Number returns a small number that is not negative, such as a count.
func (e Element) Number() (int, error) {
	if e.Tag != TagInteger || len(e.Content) == 0 || len(e.Content) > 4 || e.Content[0] >= 0x80 {
		return 0, fmt.Errorf("a number that cannot be read: %.10x", e.Content)
	}
	n := 0
	for _, digit := range e.Content {
		n = n<<8 | int(digit)
	}
	return n, nil
}

// Time reads a date. RFC 5280 §4.1.2.5 allows one form of each kind; others are
// met in the wild: without seconds, with fractions, with a zone.
func (e Element) Time() (time.Time, error) {
	text := string(e.Content)
	if e.Tag == TagUTCTime {
		// Two digits of a year below 50 are of this century.
		century := "19"
		if text < "50" {
			century = "20"
		}
		text = century + text
	}
	for _, layout := range []string{"20060102150405Z0700", "20060102150405", "200601021504Z0700", "20060102150405.999999999Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not a date", e.Content)
}

// Inside returns a cursor over the content.
func (e Element) Inside() *Cursor { return &Cursor{Rest: e.Content} }

// A Cursor reads the elements of a sequence one by one. After an error it
// returns empty elements.
type Cursor struct {
	Rest []byte
	Err  error
}

// Done reports whether there is nothing more to read, or an error.
func (c *Cursor) Done() bool { return c.Err != nil || len(c.Rest) == 0 }

// At reports whether an element of one of these tags comes next.
func (c *Cursor) At(tags ...byte) bool {
	return !c.Done() && slices.Contains(tags, c.Rest[0])
}

// Any reads whatever comes next.
func (c *Cursor) Any(what string) Element {
	if c.Err != nil {
		return Element{}
	}
	e, rest, err := read(c.Rest, 0)
	if err != nil {
		c.Err = fmt.Errorf("%s: %w", what, err)
		return Element{}
	}
	c.Rest = rest
	return e
}

// Take reads an element of one of these tags.
func (c *Cursor) Take(what string, tags ...byte) Element {
	if c.Err == nil && !c.At(tags...) {
		c.Err = fmt.Errorf("there is no %s where it should be", what)
	}
	return c.Any(what)
}

// Enter reads an element of one of these tags and goes on inside it.
func (c *Cursor) Enter(what string, tags ...byte) *Cursor {
	e := c.Take(what, tags...)
	return &Cursor{Rest: e.Content, Err: c.Err}
}
