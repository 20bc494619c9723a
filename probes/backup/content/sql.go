package content

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// detectSQL recognises dumps by how they begin.
func detectSQL(head []byte) Type {
	text := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	begins := func(prefixes ...string) bool {
		for _, prefix := range prefixes {
			if bytes.HasPrefix(text, []byte(prefix)) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("-- PostgreSQL database", "--\n-- PostgreSQL database", "--\r\n-- PostgreSQL database"):
		return PgDump
	case begins("-- MySQL dump", "-- MariaDB dump", "/*!999999", "/*M!999999", "/*!40101 SET @OLD_CHARACTER_SET_CLIENT", "/*!40103 SET @OLD_TIME_ZONE", "/*!40014 SET @OLD_UNIQUE_CHECKS"):
		return MySQLDump
	case begins("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;", "BEGIN TRANSACTION;\n"):
		return SQLiteDump
	}
	return Any
}

// tailSize is how much of the end of a dump is looked at. What marks the end
// stands within the last few hundred bytes.
const tailSize = 4096

// Scan reads a dump to its end, calls line with the beginning of each of its
// lines, and returns the end. A line is cut at what the buffer holds.
func Scan(r *bufio.Reader, line func([]byte)) ([]byte, error) {
	tail := make([]byte, 0, 2*tailSize)
	begin := true
	for {
		text, err := r.ReadSlice('\n')
		if begin && len(text) > 0 {
			line(text)
		}
		begin = !errors.Is(err, bufio.ErrBufferFull)
		tail = keep(tail, text)
		switch {
		case errors.Is(err, io.EOF):
			return tail[max(0, len(tail)-tailSize):], nil
		case err != nil && begin:
			return tail, err
		}
	}
}

// keep appends to a tail that never grows beyond twice its size.
func keep(tail, text []byte) []byte {
	if len(text) >= tailSize {
		return append(tail[:0], text[len(text)-tailSize:]...)
	}
	if len(tail)+len(text) > cap(tail) {
		tail = tail[:copy(tail, tail[len(tail)-tailSize:])]
	}
	return append(tail, text...)
}

// The last lines of a plain dump of pg_dump and pg_dumpall. Newer minor versions
// write a \unrestrict command behind them.
var (
	pgEnd     = regexp.MustCompile(`(?m)^-- PostgreSQL database (cluster )?dump complete\s*$`)
	copyBegin = regexp.MustCompile(`^COPY .* FROM stdin;\s*$`)
)

// pgDump judges a plain dump. That of the custom format cannot be judged without
// pg_restore, and is counted only.
func pgDump(r *bufio.Reader, info *Info) error {
	if head, err := r.Peek(5); err == nil && string(head) == "PGDMP" {
		return nil
	}
	var (
		rows, tables int64
		copying      bool
		table        []byte
	)
	tail, err := Scan(r, func(line []byte) {
		switch {
		case copying && bytes.HasPrefix(line, []byte(`\.`)):
			copying = false
		case copying:
			rows++
		case bytes.HasPrefix(line, []byte("COPY ")) && copyBegin.Match(line):
			copying, tables = true, tables+1
			table = append(table[:0], line[:min(len(line), 80)]...)
		}
	})
	switch {
	case err != nil:
		return err
	case pgEnd.Match(tail):
		info.note("%d rows in %d tables", rows, tables)
		return nil
	case copying:
		return job.Flawed(job.Truncated, "the dump ends within the data of a table: %.60q", table)
	}
	return job.Flawed(job.Truncated, "the dump lacks the line that pg_dump writes when it is complete")
}

var (
	mysqlEnd    = regexp.MustCompile(`(?m)^-- Dump completed( on .*)?\s*$`)
	mysqlBegin  = regexp.MustCompile(`(?m)^-- (MySQL|MariaDB) dump `)
	mysqlSaves  = regexp.MustCompile(`SET @OLD_`)
	mysqlNoNote = regexp.MustCompile(`SET SQL_NOTES=@OLD_SQL_NOTES|SET NOTE_VERBOSITY=@OLD_NOTE_VERBOSITY`)
)

// mysqlDump judges a dump of mysqldump or mariadb-dump. One that was written
// without comments has no footer, but puts the session back as it was.
func mysqlDump(r *bufio.Reader, info *Info) error {
	head, err := r.Peek(HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	commented, saves := mysqlBegin.Match(head), mysqlSaves.Match(head)
	var inserts, tables int64
	tail, err := Scan(r, func(line []byte) {
		switch {
		case bytes.HasPrefix(line, []byte("INSERT INTO ")):
			inserts++
		case bytes.HasPrefix(line, []byte("CREATE TABLE ")):
			tables++
		}
	})
	switch {
	case err != nil:
		return err
	case mysqlEnd.Match(tail):
	case commented:
		return job.Flawed(job.Truncated, "the dump lacks the line that is written when it is complete")
	case !saves:
		return probes.Because(probes.Unsupported, errors.New("the dump was written with --compact, and has nothing by which a whole one is told from a part"))
	case !mysqlNoNote.Match(tail):
		return job.Flawed(job.Truncated, "the dump does not put the session back as it was, which is the last thing in it when it is complete")
	}
	info.note("%d insert statements for %d tables", inserts, tables)
	return nil
}

var sqliteEnd = regexp.MustCompile(`(?m)^COMMIT;\s*\z`)

// sqliteDump judges the output of .dump.
func sqliteDump(r *bufio.Reader, _ *Info) error {
	tail, err := Scan(r, func([]byte) {})
	switch {
	case err != nil:
		return err
	case bytes.Contains(tail, []byte("ROLLBACK; -- due to errors")):
		return job.Flawed(job.Damaged, "the dump says that the database could not be read without errors")
	case !sqliteEnd.Match(tail):
		return job.Flawed(job.Truncated, "the dump does not end with the COMMIT that completes it")
	}
	return nil
}
