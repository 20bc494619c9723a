// Package content judges what the programs that make backups write: whether they
// wrote it to the end. A compressed stream can be perfectly valid although the
// program that fed it died; only the end of its content tells.
//
// Every check reads a stream once, with little memory, whatever its size.
package content

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A Type is what a backup holds once it is unpacked.
type Type string

// The types. Those that only programs can judge, or that need more than a
// stream, are judged in the package files.
const (
	Any        Type = "any"
	Tar        Type = "tar"
	Zip        Type = "zip"
	SevenZip   Type = "7z"
	PgDump     Type = "pg_dump" // in any of its formats
	BaseBackup Type = "base_backup"
	MySQLDump  Type = "mysql_dump"
	SQLite     Type = "sqlite"
	SQLiteDump Type = "sqlite_dump"
	Redis      Type = "redis"
	Etcd       Type = "etcd"
	MongoDump  Type = "mongodump"
)

// Types lists what the configuration may name.
func Types() []Type {
	return []Type{Any, Tar, Zip, SevenZip, PgDump, BaseBackup, MySQLDump, SQLite, SQLiteDump, Redis, Etcd, MongoDump}
}

// HeadSize is how much Detect wants to see: two pages of the largest size of
// etcd's database are not needed, one header of a tar archive is.
const HeadSize = 4096

// Detect returns the type of content that begins like this; Any if it is none
// of the known ones.
func Detect(head []byte) Type {
	has := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	switch {
	case has(0, "PGDMP"):
		return PgDump
	case has(0, "SQLite format 3\x00"):
		return SQLite
	case has(0, "REDIS0"):
		return Redis
	case has(0, "PK\x03\x04"), has(0, "PK\x05\x06"):
		return Zip
	case has(0, "7z\xbc\xaf\x27\x1c"):
		return SevenZip
	case has(0, "\x6d\xe2\x99\x81"):
		return MongoDump
	case has(16, "\xed\xda\x0c\xed"):
		return Etcd
	case has(257, "ustar"):
		return Tar
	}
	if t := detectSQL(head); t != Any {
		return t
	}
	if len(head) >= tarBlock && tarChecksum(head[:tarBlock]) {
		return Tar // of the time before POSIX
	}
	return Any
}

// An Info is what content says of itself.
type Info struct {
	Type  Type
	Size  int64 // bytes of content; of an archive, those of its members
	Files int64 // members; 1 for a stream that is no archive
	Notes []string
}

func (i *Info) note(format string, args ...any) {
	i.Notes = append(i.Notes, fmt.Sprintf(format, args...))
}

// bufferSize is that of the reader of a check. Large blocks keep the check from
// being slower than the program that unpacks.
const bufferSize = 256 << 10

// Check reads a stream to its end and judges it. Anything but Any is demanded.
// An error that is no flaw is one of the reader.
func Check(r io.Reader, want Type) (Info, error) {
	counted := &counter{r: r}
	in := bufio.NewReaderSize(counted, bufferSize)
	head, err := in.Peek(HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return Info{Type: Any}, err
	}
	if len(head) == 0 {
		return Info{Type: Any}, job.Flawed(job.Empty, "there is no content")
	}
	found := Detect(head)
	if want == Tar && allZero(head) {
		found = Tar // an archive without members has no header either
	}
	info := Info{Type: found, Files: 1}
	check := streams()[found]
	if check == nil {
		check = opaque
	}
	err = check(in, &info)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	if info.Size == 0 && found != Tar {
		info.Size = counted.n
	}
	if err == nil || job.IsFlaw(err) {
		err = errors.Join(demand(want, found, head), err)
	}
	return info, first(err)
}

// first returns the first of joined errors: what is not what it should be is
// not broken as what it is not.
func first(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // it was joined here
		return joined.Unwrap()[0]
	}
	return err
}

// statement matches what begins with SQL.
var statement = regexp.MustCompile(`(?is)^\s*(/\*|--|CREATE|DROP|INSERT|SET|LOCK|USE|BEGIN|SELECT|COPY|PRAGMA)\b?`)

func demand(want, found Type, head []byte) error {
	if want == Any || want == "" || want == found || want == PgDump && found == Tar {
		return nil
	}
	if allZero(head) {
		return job.Flawed(job.Damaged, "it begins with zeros instead of the content %s", want)
	}
	if found == Any && slices.Contains([]Type{PgDump, MySQLDump, SQLiteDump}, want) && statement.Match(head) {
		return probes.Because(probes.Unsupported, fmt.Errorf("it holds SQL without the marks of %s, by which alone a whole dump is told from a part of one", want))
	}
	return job.Flawed(job.Mismatch, "it does not hold %s; it begins with %.40q", want, head[:min(len(head), 40)])
}

// streams lists the checks that need nothing but a stream.
func streams() map[Type]func(*bufio.Reader, *Info) error {
	return map[Type]func(*bufio.Reader, *Info) error{
		Tar:        tarArchive,
		PgDump:     pgDump,
		MySQLDump:  mysqlDump,
		SQLiteDump: sqliteDump,
		SQLite:     sqliteStream,
		Redis:      redisDump,
		Etcd:       etcdSnapshot,
		MongoDump:  mongoArchive,
	}
}

// opaque judges content of which nothing is known: only that it is not all
// zeros, as what a lost disk or an aborted preallocation leaves behind.
func opaque(r *bufio.Reader, _ *Info) error {
	for {
		b, err := r.Peek(bufferSize)
		if !allZero(b) {
			_, copied := io.Copy(io.Discard, r)
			return copied
		}
		if _, discarded := r.Discard(len(b)); discarded != nil {
			return discarded
		}
		if errors.Is(err, io.EOF) {
			return job.Flawed(job.Damaged, "it holds nothing but zeros")
		}
		if err != nil {
			return err
		}
	}
}

var zeroBlock [4096]byte

func allZero(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), len(zeroBlock))
		if !bytes.Equal(b[:n], zeroBlock[:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
