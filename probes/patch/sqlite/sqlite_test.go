package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

func TestColumnsOfATable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, sql string
		want      columns
	}{
		{"rpm's packages", "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)", columns{[]string{"hnum", "blob"}, 0}},
		{"the key is not the first column", "CREATE TABLE t (name TEXT, id integer primary key)", columns{[]string{"name", "id"}, 1}},
		{"constraints are no columns", "CREATE TABLE t (a INT, b DECIMAL(10, 2), PRIMARY KEY (a, b), CHECK (a > 0), FOREIGN KEY (a) REFERENCES x(y))", columns{[]string{"a", "b"}, -1}},
		{"comments, as dnf writes them", "CREATE TABLE trans (\n id INTEGER PRIMARY KEY AUTOINCREMENT,\n dt_end INTEGER, /* (unix timestamp) date, time */\n cmdline TEXT, -- program, options\n state INTEGER NOT NULL /* (enum) */\n, comment TEXT DEFAULT '')", columns{[]string{"id", "dt_end", "cmdline", "state", "comment"}, 0}},
		{"quoted names", "CREATE TABLE t (\"a\" INT, `b` INT, [c] INT)", columns{[]string{"a", "b", "c"}, -1}},
		{"no statement", "", columns{nil, -1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, columnsOf(test.sql), cmp.AllowUnexported(columns{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoDatabaseIsMalformed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	files := rootfs.New(rootfs.Paths{Root: root})
	for name, content := range map[string][]byte{
		"empty":     nil,
		"text":      []byte("this is not a database, although it is long enough to have the header of one, is it not? No, it is not."),
		"page size": header(func(h []byte) { binary.BigEndian.PutUint16(h[16:], 1000) }),
		"utf-16":    header(func(h []byte) { binary.BigEndian.PutUint32(h[56:], 2) }),
		"one page":  header(func([]byte) {}),
	} {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		err := Once(files, "/"+name, "t", func(Row) error { return nil })
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if name != "empty" && name != "one page" && probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("%s: %v is %s", name, err, probes.ReasonOf(err))
		}
	}
	if err := Once(files, "/missing", "t", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func header(change func([]byte)) []byte {
	page := make([]byte, 512)
	copy(page, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(page[16:], 512)
	binary.BigEndian.PutUint32(page[28:], 1)
	binary.BigEndian.PutUint32(page[56:], 1)
	change(page)
	return page
}

// Whatever a file and its log hold, reading ends, and does not panic.
func FuzzRows(f *testing.F) {
	f.Add(header(func([]byte) {}), []byte{})
	f.Add(header(func(h []byte) { h[100] = leafPage; h[104] = 1; h[108] = 1; h[109] = 0xf0 }), []byte{0x37, 0x7f, 6, 0x82})
	f.Fuzz(func(_ *testing.T, data, written []byte) {
		db := &database{file: bytes.NewReader(data), close: func() {}}
		db.log, _ = readLog(bytes.NewReader(written), int64(len(written)))
		if db.readHeader() == nil {
			_ = db.rows("t", func(Row) error { return nil })
		}
	})
}
