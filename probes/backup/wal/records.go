package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Parts of a segment, as PostgreSQL has them since version 9.3.
const (
	pageSize    = 8 << 10
	shortHead   = 24 // of a page
	longHead    = 40 // of the first page of a segment
	recordHead  = 24
	recordCRC   = 20 // where the checksum stands in the head of a record
	alignment   = 8
	continued   = 0x1 // the page begins with the rest of a record
	long        = 0x2
	overwritten = 0x8 // the record before was never finished
	maxRecord   = 1 << 30
)

// Check reads a segment to its end and compares each record with its checksum;
// of one that goes on in the next segment, only what is here is read. The name,
// if there is one, must be that of the segment. It returns the number of the
// database system that has written it.
func Check(r io.Reader, name string, size int64) (system uint64, err error) {
	s := &pages{r: bufio.NewReaderSize(r, 64<<10), name: name, size: size}
	if err := s.turn(); err != nil {
		return 0, err
	}
	rest := int64(s.rest)
	if s.flags&continued == 0 {
		rest = 0
	}
	if err := s.skip(rest); err != nil {
		return s.system, ended(err)
	}
	for err == nil {
		err = s.record()
	}
	return s.system, ended(err)
}

// errEnd says that the segment has ended where it may.
var errEnd = errors.New("the segment has ended")

func ended(err error) error {
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// pages reads what is in the pages of a segment, without their heads.
type pages struct {
	r      *bufio.Reader
	name   string
	size   int64
	at     int64 // in the segment
	system uint64
	flags  uint16
	rest   uint32 // of a record that goes on in the page
	begun  bool   // a record is being read, so that pages must go on with it
}

// turn reads the head of a page.
func (p *pages) turn() error {
	if p.at == p.size {
		if _, err := p.r.Peek(1); !errors.Is(err, io.EOF) {
			if err != nil {
				return err
			}
			return job.Flawed(job.Damaged, "it goes on behind its end")
		}
		return errEnd
	}
	head, begin := make([]byte, shortHead, longHead), p.at == 0
	if begin {
		head = head[:longHead]
	}
	if err := p.full(head); err != nil {
		return err
	}
	p.flags, p.rest = binary.LittleEndian.Uint16(head[2:]), binary.LittleEndian.Uint32(head[16:])
	address := binary.LittleEndian.Uint64(head[8:])
	if begin {
		return p.first(head, address)
	}
	if address%uint64(p.size) != uint64(p.at-shortHead) {
		return job.Flawed(job.Damaged, "its page at the byte %d is another one", p.at-shortHead)
	}
	return nil
}

// first checks the head of the first page, which says what the segment is.
func (p *pages) first(head []byte, address uint64) error {
	p.system = binary.LittleEndian.Uint64(head[24:])
	size, page := binary.LittleEndian.Uint32(head[32:]), binary.LittleEndian.Uint32(head[36:])
	switch {
	case p.flags&long == 0 || head[1] != 0xd0 && head[1] != 0xd1:
		return job.Flawed(job.Damaged, "it does not begin as a segment does")
	case page != pageSize:
		return probes.Because(probes.Unsupported, errors.New("its pages are not of 8 KiB"))
	case int64(size) != p.size:
		return job.Flawed(job.Mismatch, "its segments are of %d bytes and not of %d", size, p.size)
	}
	s := Segment{Timeline: 1, Number: address / uint64(p.size)}
	if p.name != "" && s.Name(p.size)[8:] != p.name[min(8, len(p.name)):] {
		return job.Flawed(job.Mismatch, "it is the segment %s of another place in the log", s.Name(p.size)[8:])
	}
	return nil
}

// full reads bytes as they lie there.
func (p *pages) full(b []byte) error {
	n, err := io.ReadFull(p.r, b)
	p.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return job.Flawed(job.Truncated, "it ends at the byte %d of %d", p.at, p.size)
	}
	return err
}

// errOverwritten says that the record was given up, and another one begins here.
var errOverwritten = errors.New("the record was never finished")

// read reads on over the ends of pages.
func (p *pages) read(b []byte) error {
	for len(b) > 0 {
		if p.at%pageSize == 0 {
			if err := p.turn(); err != nil {
				return err
			}
			switch {
			case p.begun && p.flags&overwritten != 0:
				return errOverwritten
			case p.begun && p.flags&continued == 0:
				return job.Flawed(job.Damaged, "a record breaks off at the byte %d", p.at-shortHead)
			}
		}
		n := min(int64(len(b)), pageSize-p.at%pageSize)
		if err := p.full(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// skip reads over what began in the segment before.
func (p *pages) skip(n int64) error {
	p.begun = true
	defer func() { p.begun = false }()
	buffer := make([]byte, pageSize)
	for n > 0 {
		part := min(n, pageSize)
		err := p.read(buffer[:part])
		if errors.Is(err, errOverwritten) {
			return nil
		}
		if err != nil {
			return err
		}
		n -= part
	}
	return nil
}

// record reads a record and compares it with its checksum.
func (p *pages) record() error {
	p.begun = false
	if gap := (alignment - p.at%alignment) % alignment; gap > 0 && p.at%pageSize != 0 {
		if err := p.read(make([]byte, gap)); err != nil {
			return err
		}
	}
	start := p.at
	var head [recordHead]byte
	if err := p.read(head[:4]); err != nil {
		return err
	}
	p.begun = true
	total := binary.LittleEndian.Uint32(head[:])
	if total == 0 {
		return p.zeros()
	}
	if total < recordHead || total > maxRecord {
		return job.Flawed(job.Damaged, "its record at the byte %d cannot be", start)
	}
	err := p.read(head[4:])
	digest := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	buffer := make([]byte, pageSize)
	for left := int64(total) - recordHead; err == nil && left > 0; {
		part := min(left, pageSize)
		err = p.read(buffer[:part])
		_, _ = digest.Write(buffer[:part])
		left -= part
	}
	switch {
	case errors.Is(err, errOverwritten):
		return nil
	case err != nil:
		return err
	}
	_, _ = digest.Write(head[:recordCRC])
	if digest.Sum32() != binary.LittleEndian.Uint32(head[recordCRC:]) {
		return job.Flawed(job.Damaged, "its record at the byte %d does not have its checksum", start)
	}
	return nil
}

// zeros reads to the end what was filled up when the log was switched.
func (p *pages) zeros() error {
	buffer := make([]byte, pageSize)
	for p.at < p.size {
		part := buffer[:min(pageSize-p.at%pageSize, p.size-p.at)]
		whole := p.at%pageSize == 0
		if err := p.full(part); err != nil {
			return err
		}
		if whole && len(part) > shortHead {
			part = part[shortHead:] // a page may have its head, though nothing else
		}
		for _, b := range part {
			if b != 0 {
				return job.Flawed(job.Damaged, "there is something behind its end, before the byte %d", p.at)
			}
		}
	}
	return p.turn()
}
