package rpmdb

import (
	"encoding/binary"
	"fmt"
	"io"

	"hygiene_exporter/probes/internal/rootfs"
)

// Constants of the hash files of Berkeley DB 4 and 5 (dbinc/db_page.h).
const (
	bdbHashMagic = 0x061561

	bdbPageHeader  = 26
	bdbHashUnsort  = 2
	bdbHashPage    = 13
	bdbOverflow    = 7
	bdbHKeyData    = 1
	bdbHOffPage    = 3
	bdbMaxPageSize = 64 << 10
)

// readBDB calls each with every header of a Berkeley DB hash file, in the order
// of its pages: rpm's keys are numbers and say nothing. The record of the key 0
// holds a counter and is left out.
func readBDB(files *rootfs.FS, path string, each func([]byte) error) error {
	file, err := files.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	b, err := openBDB(file, info.Size())
	if err != nil {
		return err
	}
	return b.walk(each)
}

type bdb struct {
	file  io.ReaderAt
	order binary.ByteOrder
	size  int64 // of a page
	last  uint32
	blob  []byte // reused
}

func openBDB(file io.ReaderAt, size int64) (*bdb, error) {
	meta := make([]byte, 72)
	if _, err := file.ReadAt(meta, 0); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	b := &bdb{file: file, order: binary.LittleEndian}
	if binary.BigEndian.Uint32(meta[12:]) == bdbHashMagic {
		b.order = binary.BigEndian
	}
	if magic := b.order.Uint32(meta[12:]); magic != bdbHashMagic {
		return nil, malformed("magic %#x; not a hash file of Berkeley DB", magic)
	}
	b.size, b.last = int64(b.order.Uint32(meta[20:])), b.order.Uint32(meta[32:])
	if b.size < 512 || b.size > bdbMaxPageSize || b.size&(b.size-1) != 0 {
		return nil, malformed("page size %d", b.size)
	}
	if meta[24] != 0 {
		return nil, malformed("the database is encrypted")
	}
	b.last = min(b.last, uint32(min(size/b.size, 1<<32-1)))
	return b, nil
}

func (b *bdb) walk(each func([]byte) error) error {
	page := make([]byte, b.size)
	overflow := make([]byte, b.size)
	for number := range b.last + 1 {
		if err := b.read(number, page); err != nil {
			if number == b.last { // the file may end before it
				return nil
			}
			return err
		}
		if kind := page[25]; kind != bdbHashPage && kind != bdbHashUnsort {
			continue
		}
		if err := b.hashPage(number, page, overflow, each); err != nil {
			return err
		}
	}
	return nil
}

// hashPage visits the pairs of one page: indexes of keys and values take turns.
func (b *bdb) hashPage(number uint32, page, overflow []byte, each func([]byte) error) error {
	entries := int(b.order.Uint16(page[20:]))
	if bdbPageHeader+2*entries > len(page) {
		return malformed("page %d has %d entries", number, entries)
	}
	end := len(page)
	ends := make([]int, entries) // an item ends where the one before it begins
	for i := range entries {
		at := int(b.order.Uint16(page[bdbPageHeader+2*i:]))
		if at < bdbPageHeader+2*entries || at >= end {
			return malformed("page %d: entry %d lies outside", number, i)
		}
		ends[i], end = end, at
	}
	for i := 1; i < entries; i += 2 {
		key := page[b.order.Uint16(page[bdbPageHeader+2*(i-1):]):ends[i-1]]
		item := page[b.order.Uint16(page[bdbPageHeader+2*i:]):ends[i]]
		if len(key) == 5 && key[0] == bdbHKeyData && binary.LittleEndian.Uint32(key[1:]) == 0 {
			continue
		}
		blob, err := b.value(item, overflow)
		if err != nil {
			return err
		}
		if blob == nil {
			continue
		}
		if err := each(blob); err != nil {
			return err
		}
	}
	return nil
}

// value returns the value of an item: on the page itself, or in a chain of
// overflow pages. Other kinds of items, which rpm does not write, are nil.
func (b *bdb) value(item, overflow []byte) ([]byte, error) {
	switch {
	case item[0] == bdbHKeyData:
		return item[1:], nil
	case item[0] != bdbHOffPage:
		return nil, nil
	case len(item) < 12:
		return nil, malformed("a reference of %d bytes", len(item))
	}
	next, length := b.order.Uint32(item[4:]), b.order.Uint32(item[8:])
	if length > maxHeader || int64(length) > int64(b.last+1)*b.size {
		return nil, malformed("a header of %d bytes", length)
	}
	b.blob = b.blob[:0]
	for next != 0 && uint32(len(b.blob)) < length {
		if err := b.read(next, overflow); err != nil {
			return nil, err
		}
		if overflow[25] != bdbOverflow {
			return nil, malformed("page %d is of kind %d, and not a continuation", next, overflow[25])
		}
		used := int(b.order.Uint16(overflow[22:]))
		if used == 0 || bdbPageHeader+used > len(overflow) {
			return nil, malformed("page %d: %d bytes in use", next, used)
		}
		b.blob = append(b.blob, overflow[bdbPageHeader:bdbPageHeader+used]...)
		next = b.order.Uint32(overflow[16:])
	}
	if uint32(len(b.blob)) < length {
		return nil, malformed("a header of %d bytes ends after %d", length, len(b.blob))
	}
	return b.blob[:length], nil
}

func (b *bdb) read(number uint32, page []byte) error {
	if _, err := b.file.ReadAt(page, int64(number)*b.size); err != nil {
		return fmt.Errorf("page %d: %w", number, err)
	}
	return nil
}
