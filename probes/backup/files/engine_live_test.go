//go:build live

package files_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/scratch"
)

// asked demands an answer.
func asked(query, answer string) job.Restore {
	return job.Restore{Assert: job.Assert{Queries: []job.Query{{Query: query, Equals: answer}}}}
}

// scratchDir makes a scratch directory as the probe does: with a short name.
func scratchDir(t *testing.T) string {
	t.Helper()
	base, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	dir, err := scratch.Make(base)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLiveEngines(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	counted := asked("select count(*) from t", "50000")
	for _, c := range []restoreCase{
		{name: "pg_dump plain", script: "cp $DB/plain.sql b", restore: counted, want: "good"},
		{name: "pg_dump plain, packed", script: "gzip -c $DB/plain.sql > b/plain.sql.gz", restore: counted, want: "good"},
		{name: "pg_dump custom", script: "cp $DB/c.dump b", restore: counted, want: "good"},
		{name: "pg_dump custom, packed", script: "zstd -qc $DB/c0.dump > b/c.dump.zst", restore: counted, want: "good"},
		{name: "pg_dump directory", script: "cp -r $DB/d b", restore: counted, want: "good"},
		{name: "pg_dump tar", script: "cp $DB/t.dump b", restore: counted, want: "good"},
		{name: "pg_dump tar, packed", script: "gzip -c $DB/t.dump > b/t.dump.gz", restore: counted, want: "good"},
		{name: "pg_dumpall", script: "cp $DB/all.sql b", restore: counted, want: "good"},
		{name: "pg_basebackup", script: "cp -a $DB/base b", restore: counted, want: "good"},
		{name: "mariadb-dump", script: "cp $DB/my.sql b", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "mariadb-dump of all databases", script: "cp $DB/myall.sql b", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "sqlite", script: "gzip -c $DB/s.db > b/s.db.gz", restore: asked("select count(*), max(a) from t", "20000|20000"), want: "good"},
		{name: "redis", script: "cp $DB/whole.rdb b", restore: asked("DBSIZE", "20000"), want: "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			dir, place := t.TempDir(), scratchDir(t)
			bash(t, dir, "mkdir b; "+c.script)
			if c.depth == "" {
				c.depth = job.Loaded
			}
			c.restore.Scratch = place
			copied := files.Kind().Open(realHost(t), job.Options{Paths: []string{filepath.Join(dir, "b/*")}, Settle: 1})
			got, _, out := look(t.Context(), copied, c.depth, c.restore)
			if got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, out.Err)
			}
			t.Logf("%s %v %v %q", time.Since(start).Round(time.Millisecond), out.Reached, out.Tools, out.Notes)
		})
	}
}
