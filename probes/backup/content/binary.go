package content

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc64"
	"io"
	"strconv"

	"hygiene_exporter/probes/backup/job"
)

// held passes on all of a stream but its last n bytes, which it returns.
func held(r io.Reader, n int, each func([]byte)) ([]byte, error) {
	buffer := make([]byte, 0, 2*bufferSize)
	for {
		got, err := r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+got]
		if pass := len(buffer) - n; pass > 0 {
			each(buffer[:pass])
			buffer = buffer[:copy(buffer, buffer[pass:])]
		}
		if errors.Is(err, io.EOF) {
			return buffer, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// redisPolynomial is that of CRC-64/REDIS, known as Jones, in the reversed form
// that hash/crc64 takes. It starts at 0 and is not inverted.
const redisPolynomial = 0x95ac9329ac4bc9b5

// rdbChecksum computes CRC-64/REDIS. The package of the standard library inverts
// before and after, which is undone here.
type rdbChecksum struct {
	table *crc64.Table
	sum   uint64
}

func (c *rdbChecksum) add(b []byte) { c.sum = ^crc64.Update(^c.sum, c.table, b) }

// redisDump judges an RDB file: the opcode that ends it, and the checksum over
// all that is before the checksum, which versions from 5 on have.
func redisDump(r *bufio.Reader, info *Info) error {
	head, err := r.Peek(9)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return job.Flawed(job.Truncated, "the RDB file ends within its header")
		}
		return err
	}
	version, err := strconv.Atoi(string(head[5:9]))
	if err != nil {
		return job.Flawed(job.Damaged, "the version of the RDB file is %.8q", head[5:9])
	}
	if version < 5 {
		info.note("an RDB file of version %d has no checksum: a changed byte cannot be noticed", version)
		return nil
	}
	checksum := &rdbChecksum{table: crc64.MakeTable(redisPolynomial)}
	var last byte
	end, err := held(r, 8, func(b []byte) {
		checksum.add(b)
		last = b[len(b)-1]
	})
	switch {
	case err != nil:
		return err
	case len(end) < 8 || last != 0xff && binary.LittleEndian.Uint64(end) != checksum.sum:
		return job.Flawed(job.Truncated, "the RDB file lacks the opcode that ends it")
	case binary.LittleEndian.Uint64(end) == 0:
		info.note("the RDB file was written without a checksum: a changed byte cannot be noticed")
	case binary.LittleEndian.Uint64(end) != checksum.sum:
		return job.Flawed(job.Damaged, "the checksum of the RDB file is wrong")
	}
	return nil
}

// etcdSnapshot judges the output of "snapshot save": a database of whole pages,
// and behind it the SHA-256 of it.
func etcdSnapshot(r *bufio.Reader, info *Info) error {
	digest := sha256.New()
	var size int64
	end, err := held(r, sha256.Size, func(b []byte) {
		digest.Write(b)
		size += int64(len(b))
	})
	switch {
	case err != nil:
		return err
	case (size+int64(len(end)))%512 == 0:
		// A copy of the database file itself, or a snapshot that lost its end.
		return job.Flawed(job.Incomplete, "the etcd snapshot lacks its SHA-256: it is a copy of a database file, or was cut")
	case size%512 != 0:
		return job.Flawed(job.Truncated, "the etcd snapshot ends within a page")
	case !bytes.Equal(digest.Sum(nil), end):
		return job.Flawed(job.Damaged, "the etcd snapshot does not have the SHA-256 that stands at its end")
	}
	info.Size = size
	return nil
}

// sqliteStream judges a database that cannot be given to SQLite because it is
// packed: by the number of pages that its header tells.
func sqliteStream(r *bufio.Reader, info *Info) error {
	head, err := r.Peek(100)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return job.Flawed(job.Truncated, "the SQLite database ends within its header")
		}
		return err
	}
	want := sqliteSize(head)
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return err
	}
	info.Size = n
	return sqlitePages(want, n)
}

// sqliteSize returns how long a database is by its header: 0 when it does not
// say, which versions before 3.7.0 do not.
func sqliteSize(head []byte) int64 {
	page := int64(binary.BigEndian.Uint16(head[16:]))
	if page == 1 {
		page = 65536
	}
	pages := int64(binary.BigEndian.Uint32(head[28:]))
	if !bytes.Equal(head[24:28], head[92:96]) { // the count of pages is not current
		return 0
	}
	return page * pages
}

func sqlitePages(want, size int64) error {
	switch {
	case want > size:
		return job.Flawed(job.Truncated, "the SQLite database has %d bytes and should have %d", size, want)
	case want > 0 && want < size:
		return job.Flawed(job.Damaged, "the SQLite database has %d bytes and should have %d", size, want)
	}
	return nil
}

// SQLiteHeader judges a database by the 100 bytes it begins with and its size.
func SQLiteHeader(head []byte, size int64) error {
	if len(head) < 100 {
		return job.Flawed(job.Truncated, "the SQLite database ends within its header")
	}
	return sqlitePages(sqliteSize(head), size)
}
