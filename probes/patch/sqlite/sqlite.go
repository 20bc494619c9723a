// Package sqlite reads the rows of tables of an SQLite database that others may
// be writing: rpm's packages, dnf's history. It only ever opens files for
// reading, takes no lock and creates no -shm file, so that it cannot disturb the
// owner in any way; committed transactions that are still in the write-ahead
// log are seen. What it reads is one state of the database, or an error.
//
// The format is that of https://www.sqlite.org/fileformat2.html. Tables with
// rowids are read and nothing else: no indexes, no WITHOUT ROWID, no UTF-16.
package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// ErrChanging means that the database was written while it was read; the next
// time may go well.
var ErrChanging = probes.Because(probes.Locked, errors.New("the database is being written"))

// maxDepth is more than any b-tree of this format can have.
const maxDepth = 20

// A Row is one row of a table. The values are nil, int64, float64, string or
// []byte; a blob is valid during the call only.
type Row struct {
	ID      int64
	columns []string
	values  []any
}

// Value returns a column by its name; nil if the table or the row lacks it. The
// column that is the primary key of integers is the ID.
func (r Row) Value(column string) any {
	for i, name := range r.columns {
		if strings.EqualFold(name, column) && i < len(r.values) {
			return r.values[i]
		}
	}
	return nil
}

// Int returns a column as an integer, 0 if it is none.
func (r Row) Int(column string) int64 {
	n, _ := r.Value(column).(int64)
	return n
}

// Once calls each for every row of a table. A database that is written meanwhile
// is ErrChanging, and what each was called with must be forgotten. A database
// without the table is an error that is fs.ErrNotExist.
func Once(files *rootfs.FS, path, table string, each func(Row) error) error {
	before, err := State(files, path)
	if err != nil {
		return err
	}
	db, err := open(files, path)
	if err != nil {
		return err
	}
	defer db.close()
	err = db.rows(table, each)
	if after, stateErr := State(files, path); stateErr == nil && after != before {
		return ErrChanging // and whatever err says may come from that
	}
	return err
}

// State tells whether the files of a database have changed: as long as nobody
// writes, it stays the same.
func State(files *rootfs.FS, path string) (string, error) {
	var text strings.Builder
	for _, suffix := range []string{"", "-wal", "-journal"} {
		info, err := files.Stat(path + suffix)
		switch {
		case suffix != "" && errors.Is(err, fs.ErrNotExist):
			text.WriteString(" -")
		case err != nil:
			return "", err
		default:
			fmt.Fprintf(&text, " %d@%d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return text.String(), nil
}

// A database is an open database file with the log that goes with it.
type database struct {
	file     io.ReaderAt
	close    func()
	pageSize int64
	usable   int64 // of each page
	pages    uint32
	log      *log // nil if there is none
}

func open(files *rootfs.FS, path string) (*database, error) {
	if info, err := files.Stat(path + "-journal"); err == nil && info.Size() > 0 {
		return nil, fmt.Errorf("a transaction is under way, or waits to be rolled back: %w", ErrChanging)
	}
	file, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	db := &database{file: file, close: func() { file.Close() }}
	if err = db.openLog(files, path+"-wal"); err == nil {
		err = db.readHeader()
	}
	if err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

func (db *database) openLog(files *rootfs.FS, path string) error {
	info, err := files.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	file, err := files.Open(path)
	if err != nil {
		return err
	}
	closeFile := db.close
	db.close = func() { file.Close(); closeFile() }
	db.log, err = readLog(file, info.Size())
	return err
}

func (db *database) readHeader() error {
	header := make([]byte, 100)
	if _, err := db.file.ReadAt(header, 0); err != nil && (db.log == nil || !errors.Is(err, io.EOF)) {
		return fmt.Errorf("header: %w", err)
	}
	if db.log != nil {
		db.pageSize = db.log.pageSize
		if page, err := db.page(1); err == nil {
			copy(header, page)
		}
	}
	if string(header[:16]) != "SQLite format 3\x00" {
		return malformed("not an SQLite database")
	}
	db.pageSize = int64(binary.BigEndian.Uint16(header[16:]))
	if db.pageSize == 1 {
		db.pageSize = 65536
	}
	if db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 || db.log != nil && db.log.pageSize != db.pageSize {
		return malformed("page size %d", db.pageSize)
	}
	db.usable = db.pageSize - int64(header[20])
	if encoding := binary.BigEndian.Uint32(header[56:]); encoding > 1 {
		return malformed("text encoding %d", encoding)
	}
	db.pages = binary.BigEndian.Uint32(header[28:])
	return nil
}

// page returns one page as the last committed transaction left it.
func (db *database) page(number uint32) ([]byte, error) {
	page := make([]byte, db.pageSize)
	if db.log != nil {
		if found, err := db.log.page(number, page); found || err != nil {
			return page, err
		}
	}
	if number == 0 {
		return nil, malformed("page 0")
	}
	if _, err := db.file.ReadAt(page, int64(number-1)*db.pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", number, err)
	}
	return page, nil
}

// rows finds the table in the schema, which is itself a table on page 1.
func (db *database) rows(table string, each func(Row) error) error {
	var root uint32
	var found columns
	schema := columns{names: []string{"type", "name", "tbl_name", "rootpage", "sql"}, key: -1}
	err := db.walk(1, schema, func(row Row) error {
		if name, _ := row.Value("name").(string); row.Value("type") == "table" && strings.EqualFold(name, table) {
			page := row.Int("rootpage")
			if page <= 1 || page > math.MaxUint32 {
				return malformed("table %s begins on page %d", table, page)
			}
			sql, _ := row.Value("sql").(string)
			root, found = uint32(page), columnsOf(sql)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if root == 0 {
		return fmt.Errorf("table %s: %w", table, fs.ErrNotExist)
	}
	return db.walk(root, found, each)
}

func (db *database) walk(root uint32, declared columns, each func(Row) error) error {
	budget := int64(db.pages) + 1 // no page of a tree is visited twice
	if db.log != nil {
		budget += int64(len(db.log.pages))
	}
	budget = max(budget, 64)
	w := &walker{db: db, columns: declared, each: each, budget: budget}
	return w.tree(root, 0)
}

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}
