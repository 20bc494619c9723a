package wal_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"hygiene_exporter/probes/backup/wal"
)

const (
	segmentSize = 1 << 20
	pageSize    = 8 << 10
)

// A writer writes a segment as PostgreSQL does.
type writer struct {
	b      bytes.Buffer
	number uint64
	rest   int // of a record that goes on
}

func (w *writer) head() {
	flags, size := uint16(0), 24
	if w.rest > 0 {
		flags |= 1
	}
	if w.b.Len() == 0 {
		flags, size = flags|2, 40
	}
	head := make([]byte, size)
	binary.LittleEndian.PutUint16(head[0:], 0xd110)
	binary.LittleEndian.PutUint16(head[2:], flags)
	binary.LittleEndian.PutUint32(head[4:], 1)
	binary.LittleEndian.PutUint64(head[8:], w.number*segmentSize+uint64(w.b.Len()))
	binary.LittleEndian.PutUint32(head[16:], uint32(w.rest))
	if size == 40 {
		binary.LittleEndian.PutUint64(head[24:], 4711)
		binary.LittleEndian.PutUint32(head[32:], segmentSize)
		binary.LittleEndian.PutUint32(head[36:], pageSize)
	}
	w.b.Write(head)
}

// write writes bytes over the ends of pages, until the segment is full.
func (w *writer) write(b []byte) {
	for len(b) > 0 && w.b.Len() < segmentSize {
		if w.b.Len()%pageSize == 0 {
			w.rest = len(b)
			w.head()
		}
		n := min(len(b), pageSize-w.b.Len()%pageSize)
		w.b.Write(b[:n])
		b = b[n:]
	}
}

func (w *writer) record(data []byte) {
	for w.b.Len()%8 != 0 {
		w.b.WriteByte(0)
	}
	if w.b.Len()%pageSize == 0 && w.b.Len() < segmentSize {
		w.rest = 0
		w.head()
	}
	record := make([]byte, 24, 24+len(data))
	binary.LittleEndian.PutUint32(record, uint32(24+len(data)))
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	sum.Write(data)
	sum.Write(record[:20])
	binary.LittleEndian.PutUint32(record[20:], sum.Sum32())
	w.write(append(record, data...))
}

// written returns a segment that begins with the rest of a record. It is full,
// or was switched after a few records.
func written(full bool) []byte {
	w := &writer{number: 5, rest: 100}
	w.head()
	w.write(make([]byte, 100))
	for i := 0; w.b.Len() < segmentSize && (full || i < 20); i++ {
		w.record(bytes.Repeat([]byte{byte(i)}, 100+i*777%9000))
	}
	return append(w.b.Bytes(), make([]byte, segmentSize-w.b.Len())...)
}

const fifth = "000000010000000000000005"

func TestCheck(t *testing.T) {
	change := func(at int, to byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= to; return b }
	}
	for _, c := range []struct {
		name string
		full bool
		harm func([]byte) []byte
		as   string
		want string
	}{
		{"full", true, nil, fifth, "good"},
		{"switched", false, nil, fifth, "good"},
		{"without a name", true, nil, "", "good"},
		{"a changed byte in a record", true, change(5000, 1), fifth, "bad damaged"},
		{"a changed byte near its end", true, change(900_000, 1), fifth, "bad damaged"},
		{"a changed size of a record", false, change(40+104, 0xff), fifth, "bad damaged"},
		{"a page of another segment", true, change(pageSize+9, 1), fifth, "bad damaged"},
		{"something behind the switch", false, change(segmentSize-100, 1), fifth, "bad damaged"},
		{"cut", true, func(b []byte) []byte { return b[:len(b)/2] }, fifth, "bad truncated"},
		{"cut at a page", true, func(b []byte) []byte { return b[:pageSize*3] }, fifth, "bad truncated"},
		{"its end became zeros", true, func(b []byte) []byte { clear(b[len(b)/2:]); return b }, fifth, "bad damaged"},
		{"nothing", true, func([]byte) []byte { return nil }, fifth, "bad truncated"},
		{"zeros", true, func(b []byte) []byte { clear(b); return b }, fifth, "bad damaged"},
		{"too long", true, func(b []byte) []byte { return append(b, 0) }, fifth, "bad damaged"},
		{"under another name", true, nil, "000000010000000000000006", "bad mismatch"},
		{"of another size", true, change(34, 0x30), fifth, "bad mismatch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := written(c.full)
			if c.harm != nil {
				data = c.harm(data)
			}
			system, err := wal.Check(bytes.NewReader(data), c.as, segmentSize)
			if got := answer(err); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
			if err == nil && system != 4711 {
				t.Errorf("it is of the system %d", system)
			}
		})
	}
}

// FuzzCheck: a segment with one other byte in a record is never good, and nothing
// panics.
func FuzzCheck(f *testing.F) {
	f.Add(uint32(5000), byte(1), []byte("x"))
	f.Fuzz(func(t *testing.T, at uint32, to byte, other []byte) {
		_, _ = wal.Check(bytes.NewReader(other), strings.Repeat("0", len(other)%30), segmentSize)
		data := written(true)
		place := int(at) % len(data)
		data[place] ^= to
		_, err := wal.Check(bytes.NewReader(data), fifth, segmentSize)
		inHead := place%pageSize < 24 || place < 40+104
		lastOne := place > len(data)-16<<10 // its end is in the next segment
		if err == nil && to != 0 && !inHead && !lastOne && !padding(data, place) {
			t.Errorf("a changed byte %d is not noticed", place)
		}
	})
}

// padding reports whether a byte may be one that fills up to the next record.
func padding(data []byte, at int) bool {
	return at%8 >= 4 || bytes.Count(data[max(at-8, 0):min(at+8, len(data))], []byte{0}) > 0
}
