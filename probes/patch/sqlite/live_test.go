//go:build live

package sqlite

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
)

// writer is SQLite itself, told what to do line by line. It answers each line
// with what it sees of the table.
const writer = `
import hashlib, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    for statement in json.loads(line):
        db.execute(statement)
    rows = db.execute("select rowid, * from t order by rowid").fetchall() if not db.in_transaction else []
    print(json.dumps([[hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else "<nil>" if v is None else str(v) for v in r] for r in rows]), flush=True)
`

type sqlite3 struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func start(t *testing.T, path string) *sqlite3 {
	t.Helper()
	command := exec.CommandContext(t.Context(), "python3", "-c", writer, path)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.(io.Closer).Close(); command.Wait() })
	return &sqlite3{t, in, bufio.NewReaderSize(out, 1<<20)}
}

func (s *sqlite3) do(statements ...string) string {
	s.t.Helper()
	line, _ := json.Marshal(statements)
	fmt.Fprintf(s.in, "%s\n", line)
	answer, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("%s: %v", statements, err)
	}
	var rows [][]string
	if err := json.Unmarshal([]byte(answer), &rows); err != nil {
		s.t.Fatal(err)
	}
	return show(rows)
}

func show(rows [][]string) string {
	var text strings.Builder
	for _, row := range rows {
		fmt.Fprintln(&text, strings.Join(row, " "))
	}
	return text.String()
}

func ours(t *testing.T, dir string) (string, error) {
	t.Helper()
	var rows [][]string
	err := Once(rootfs.New(rootfs.Paths{Root: dir}), "/db", "t", func(r Row) error {
		row := []string{fmt.Sprint(r.ID)}
		for _, v := range r.values {
			switch value := v.(type) {
			case []byte:
				v = fmt.Sprintf("%x", sha256.Sum256(value))
			case float64:
				if v = fmt.Sprint(value); value == float64(int64(value)) {
					v = fmt.Sprintf("%.1f", value) // as Python writes it
				}
			}
			row = append(row, fmt.Sprint(v))
		}
		rows = append(rows, row)
		return nil
	})
	return show(rows), err
}

func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = fmt.Sprintf("%x %s %s", sha256.Sum256(data), info.ModTime(), info.Mode())
	}
	return found
}

// Databases of every page size, with and without a log, are read as SQLite reads
// them, while SQLite has them open; no file changes by it.
func TestLiveRowsAreThoseOfSQLite(t *testing.T) {
	const fill = "insert into t with recursive n(i) as (select 1 union all select i+1 from n where i < %d) select i*3, 'name ' || i, case when i %% 7 = 0 then null else randomblob(i %% 11 * 997) end, i + 0.5, -i * i * i * i * i from n"
	for _, size := range []int{512, 1024, 4096, 65536} {
		for _, journal := range []string{"wal", "delete"} {
			t.Run(fmt.Sprintf("%s with pages of %d bytes", journal, size), func(t *testing.T) {
				dir := t.TempDir()
				s := start(t, filepath.Join(dir, "db"))
				steps := [][]string{
					{fmt.Sprintf("pragma page_size=%d", size), "pragma journal_mode=" + journal, "pragma wal_autocheckpoint=0", "create table before (x)", "create table t (id integer primary key, name text, data blob, half real, power integer)", "create index i on t(name)"},
					{fmt.Sprintf(fill, 300)},
					{"delete from t where id % 5 = 0", "update t set data = randomblob(70000) where id = 9"},
					{"pragma wal_checkpoint(passive)"},
					{"insert into t values (100000, 'after the checkpoint', zeroblob(5000), 0.25, 9223372036854775807)"},
					{"pragma wal_checkpoint(truncate)", "delete from t where id < 30"},
				}
				for _, statements := range steps {
					want := s.do(statements...)
					before := sums(t, dir)
					got, err := ours(t, dir)
					if err != nil {
						t.Fatalf("%s: %v", statements, err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s (-sqlite +ours)\n%.2000s", statements, diff)
					}
					if diff := cmp.Diff(before, sums(t, dir)); diff != "" {
						t.Fatalf("reading changed files\n%s", diff)
					}
				}
				committed := s.do("select 1")
				s.do("begin immediate", "delete from t", "pragma cache_size=1", fmt.Sprintf(fill, 200))
				got, err := ours(t, dir)
				switch {
				case journal == "wal" && (err != nil || got != committed):
					t.Errorf("beside an open transaction: %v\n%s", err, cmp.Diff(committed, got))
				case journal == "delete" && !errors.Is(err, ErrChanging):
					t.Errorf("beside a transaction that has written to the file: %v, want %v", err, ErrChanging)
				}
				want := s.do("rollback")
				if got, err := ours(t, dir); err != nil || got != want {
					t.Errorf("after the rollback: %v\n%s", err, cmp.Diff(want, got))
				}
			})
		}
	}
}

func TestLiveTablesThatAreNotThere(t *testing.T) {
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "db"))
	s.do("create table t (x)")
	err := Once(rootfs.New(rootfs.Paths{Root: dir}), "/db", "other", func(Row) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a table that is not there: %v", err)
	}
}
