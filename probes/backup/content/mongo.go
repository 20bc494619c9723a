package content

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"
	"io"

	"hygiene_exporter/probes/backup/job"
)

const (
	mongoTerminator = 0xffffffff
	mongoLargest    = 17 << 20 // of a document; servers allow 16 MiB and some overhead
)

// mongoArchive judges what "mongodump --archive" writes: a prelude that lists
// the collections, then blocks of documents, each opened by the name of its
// collection and closed by a terminator; and at the end of each collection a
// header with a CRC-64 over all of its documents.
func mongoArchive(r *bufio.Reader, info *Info) error {
	a := &mongoReader{r: r, table: crc64.MakeTable(crc64.ECMA), open: map[string]uint64{}, done: map[string]bool{}}
	if _, err := r.Discard(4); err != nil {
		return err
	}
	err := a.prelude()
	for err == nil {
		err = a.block()
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	for name := range a.open {
		if !a.done[name] {
			return job.Flawed(job.Truncated, "the archive ends before the end of the collection %.80q", name)
		}
	}
	if len(a.done) == 0 {
		return job.Flawed(job.Empty, "the archive holds no collection")
	}
	info.Files = int64(len(a.done))
	info.note("%d documents in %d collections", a.documents, len(a.done))
	return nil
}

type mongoReader struct {
	r         *bufio.Reader
	table     *crc64.Table
	open      map[string]uint64 // checksum so far, by collection
	done      map[string]bool
	documents int64
	buffer    []byte
}

// maxCollections bounds the memory for a damaged prelude.
const maxCollections = 1_000_000

// prelude reads the header of the archive and what it says of collections.
func (a *mongoReader) prelude() error {
	if _, err := a.document(false); err != nil {
		return short(err)
	}
	for {
		document, err := a.document(true)
		if err != nil {
			return short(err)
		}
		if document == nil {
			return nil
		}
		fields := bsonFields(document)
		if fields["collection"] != "" && fields["type"] != "timeseries" && len(a.open) < maxCollections {
			a.open[name(fields)] = 0
		}
	}
}

func name(fields map[string]string) string { return fields["db"] + "." + fields["collection"] }

// block reads one block. At the very end of the archive it is io.EOF.
func (a *mongoReader) block() error {
	header, err := a.document(false)
	if err != nil {
		return err
	}
	fields := bsonFields(header)
	collection := name(fields)
	if fields["collection"] == "" {
		return job.Flawed(job.Damaged, "a block of the archive names no collection")
	}
	if a.done[collection] {
		return job.Flawed(job.Damaged, "the collection %.80q goes on behind its end", collection)
	}
	for {
		document, err := a.document(true)
		if err != nil {
			return short(err)
		}
		if document == nil {
			break
		}
		a.documents++
		a.open[collection] = crc64.Update(a.open[collection], a.table, document)
	}
	if fields["EOF"] != "true" {
		return nil
	}
	if want := fmt.Sprint(int64(a.open[collection])); fields["CRC"] != want {
		return job.Flawed(job.Damaged, "the checksum of the collection %.80q is wrong", collection)
	}
	a.open[collection] = 0
	a.done[collection] = true
	return nil
}

func short(err error) error {
	if errors.Is(err, io.EOF) {
		return job.Flawed(job.Truncated, "the archive ends within a block")
	}
	return err
}

// document reads a document; nil stands for a terminator, where there may be
// one. A stream that ends before it is io.EOF.
func (a *mongoReader) document(terminator bool) ([]byte, error) {
	head, err := a.r.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			return nil, job.Flawed(job.Truncated, "the archive ends within a document")
		}
		return nil, err
	}
	length := binary.LittleEndian.Uint32(head)
	switch {
	case length == mongoTerminator && terminator:
		_, err := a.r.Discard(4)
		return nil, err
	case length < 5 || length > mongoLargest:
		return nil, job.Flawed(job.Damaged, "a document of the archive has an impossible length")
	}
	if int(length) > cap(a.buffer) {
		a.buffer = make([]byte, length)
	}
	document := a.buffer[:length]
	if _, err := io.ReadFull(a.r, document); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, job.Flawed(job.Truncated, "the archive ends within a document")
		}
		return nil, err
	}
	if document[length-1] != 0 {
		return nil, job.Flawed(job.Damaged, "a document of the archive does not end where it should")
	}
	return document, nil
}

// bsonFields returns the strings, booleans and integers at the top of a
// document, as text. It stops at what it does not know, which the headers of an
// archive do not hold.
func bsonFields(document []byte) map[string]string {
	fields := map[string]string{}
	b := document[4:]
	for len(b) > 1 && b[0] != 0 {
		kind := b[0]
		end := bytes.IndexByte(b[1:], 0)
		if end < 0 {
			return fields
		}
		key := string(b[1 : 1+end])
		b = b[end+2:]
		switch {
		case kind == 0x02 && len(b) >= 4:
			n := int64(binary.LittleEndian.Uint32(b))
			if n < 1 || 4+n > int64(len(b)) {
				return fields
			}
			fields[key] = string(b[4 : 4+n-1])
			b = b[4+n:]
		case kind == 0x08 && len(b) >= 1:
			fields[key] = fmt.Sprint(b[0] != 0)
			b = b[1:]
		case kind == 0x10 && len(b) >= 4:
			fields[key] = fmt.Sprint(int32(binary.LittleEndian.Uint32(b)))
			b = b[4:]
		case kind == 0x12 && len(b) >= 8:
			fields[key] = fmt.Sprint(int64(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		default:
			return fields
		}
	}
	return fields
}
