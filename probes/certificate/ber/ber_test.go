package ber

import (
	"bytes"
	"testing"
)

// An element lies within its data, and what DER allows is read alike with and
// without a length.
func FuzzElement(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x02, 0x01, 0x01, 0x00, 0x00, 0xff})
	f.Add([]byte{0x24, 0x80, 0x04, 0x01, 'a', 0x24, 0x03, 0x04, 0x01, 'b', 0x00, 0x00})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, rest, err := Read(data)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(e.Whole), rest...), data) || !bytes.Contains(e.Whole, e.Content) {
			t.Errorf("% x became % x and % x", data, e.Whole, rest)
		}
		if joined, err := e.Octets(); err == nil && len(joined) > len(data) {
			t.Errorf("%d bytes of %d", len(joined), len(data))
		}
		open := append([]byte{0x30, 0x80}, e.Whole...)
		open = append(open, 0, 0)
		if wrapped, left, err := Read(open); err == nil && (len(left) > 0 || !bytes.Equal(wrapped.Content, e.Whole)) && e.Tag != 0 {
			t.Errorf("% x inside of an open one became % x", e.Whole, wrapped.Content)
		}
	})
}
