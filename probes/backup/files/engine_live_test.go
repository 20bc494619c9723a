//go:build live

package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// asked demands an answer.
func asked(query, answer string) job.Restore {
	return job.Restore{Assert: job.Assert{Queries: []job.Query{{Query: query, Equals: answer}}}}
}

// run restores the newest backup of a case and loads it.
func (c restoreCase) run(t *testing.T, h probes.Host) job.Outcome {
	t.Helper()
	dir := t.TempDir()
	shell(t).Run(t, dir, "mkdir b; "+c.script)
	if c.depth == "" {
		c.depth = job.Loaded
	}
	if c.restore.Scratch == "" {
		c.restore.Scratch = backuptest.Scratch(t)
	}
	copied := files.Kind().Open(h, job.Options{Paths: []string{filepath.Join(dir, "b/*")}, Settle: 1, Set: c.set})
	got, _, out := look(t.Context(), copied, c.depth, c.restore)
	if got != c.want || c.says != "" && !strings.Contains(fmt.Sprint(out.Err), c.says) {
		t.Errorf("got %q, want %q with %q: %v", got, c.want, c.says, out.Err)
	}
	if got == "good" && !slices.Contains(out.Reached, job.Loaded) {
		t.Errorf("nothing was loaded: %v", out.Reached)
	}
	t.Logf("%v %v %v %q", out.Err, out.Reached, out.Tools, out.Notes)
	return out
}

func TestLiveEngines(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	h := backuptest.Host(t, files.Kind(), nil)
	counted := asked("select count(*) from t", "50000")
	demand := func(queries ...job.Query) job.Restore {
		return job.Restore{RPO: time.Hour, Assert: job.Assert{Queries: queries}}
	}
	// A sed script for the plain dump, whose row of the number 777 it may change.
	edited := func(script string) string { return "sed '" + script + "' $DB/plain.sql > b/plain.sql" }
	full := os.Getenv("HYGIENE_FULL") != ""
	for i, c := range []restoreCase{
		// What is good, in each of its forms.
		{name: "pg_dump plain", script: "cp $DB/plain.sql b", restore: counted, want: "good"},
		{name: "pg_dump plain, packed", script: "gzip -c $DB/plain.sql > b/plain.sql.gz", restore: counted, want: "good"},
		{name: "pg_dump custom", script: "cp $DB/c.dump b", restore: counted, want: "good"},
		{name: "pg_dump custom, packed", script: "zstd -qc $DB/c0.dump > b/c.dump.zst", restore: counted, want: "good"},
		{name: "pg_dump directory", script: "cp -r $DB/d b", restore: counted, want: "good"},
		{name: "pg_dump tar", script: "cp $DB/t.dump b", restore: counted, want: "good"},
		{name: "pg_dump tar, packed", script: "gzip -c $DB/t.dump > b/t.dump.gz", restore: counted, want: "good"},
		{name: "pg_dumpall", script: "cp $DB/all.sql b", restore: counted, want: "good"},
		{name: "pg_basebackup", script: "cp -a $DB/base b", restore: counted, want: "good"},
		{name: "pg_basebackup in tar.gz", script: "cp -a $DB/baset b", restore: counted, want: "good"},
		{name: "pg_basebackup without a manifest", script: "cp -a $DB/nomanifest b", restore: counted, want: "good"},
		{name: "pg_basebackup with a table space elsewhere", script: "cp -a $DB/basets b", restore: asked("select count(*) from v", "1000"), want: "good"},
		{name: "pg_basebackup with a table space, in tar", script: "cp -a $DB/basetst b", restore: asked("select count(*) from v", "1000"), want: "good"},
		{name: "pg_dump with a table space and an owner that are not here", script: "cp $DB/ts.sql b", restore: asked("select count(*), (select n from m) from v", "1000|50000"), want: "good"},
		{name: "pg_dump custom with a table space and an owner that are not here", script: "cp $DB/ts.dump b", restore: asked("select count(*) from v", "1000"), want: "good"},
		{name: "pg_dump that makes its database", script: "cp $DB/create.sql b", restore: asked("select count(*) from v", "1000"), want: "good"},
		{name: "pg_dumpall that removes first what is there", script: "cp $DB/allts.sql b", restore: asked("select count(*) from v", "1000"), want: "good"},
		{name: "mariadb-dump", script: "cp $DB/my.sql b", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "mariadb-dump, packed", script: "xz -c $DB/my.sql > b/my.sql.xz", restore: asked("select count(*), max(i) from a", "30000|30000"), want: "good"},
		{name: "mariadb-dump without comments", script: "cp $DB/nc.sql b", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "mariadb-dump of all databases, with the passwords of the server", script: "cp $DB/myall.sql b", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "sqlite", script: "gzip -c $DB/s.db > b/s.db.gz", restore: asked("select count(*), max(a) from t", "20000|20000"), want: "good"},
		{name: "redis", script: "cp $DB/whole.rdb b", restore: asked("DBSIZE", "20000"), want: "good"},
		{name: "two dumps that are one backup", script: "cp $DB/plain.sql b/shop.sql; cp $DB/c.dump b/users.dump; touch b/*", set: "all", restore: demand(job.Query{Database: "shop", Query: "select count(*) from t", Min: 50000}, job.Query{Database: "users", Query: "select count(*) from u", Equals: "20000"}), want: "good"},
		// What a dump needs of its server.
		{name: "a dump with owners and rights that it does not hold", script: edited("/^COPY public.t/i ALTER TABLE public.t OWNER TO app;\\nGRANT ALL ON TABLE public.t TO \"Read Only\";\\n"), restore: counted, want: "good"},
		{name: "a dump that removes first what is there", script: edited("0,/^CREATE TABLE/s//DROP TABLE public.t;\\nDROP SCHEMA app;\\nCREATE TABLE/"), restore: counted, want: "good"},
		{name: "a dump with an extension that is not installed here", script: edited("0,/^CREATE TABLE/s//CREATE EXTENSION IF NOT EXISTS postgis WITH SCHEMA public;\\nCREATE TABLE public.g (p public.geometry);\\nCREATE TABLE/"), want: "unknown unsupported", says: "postgis"},
		{name: "a dump with a library that is not installed here", script: edited("0,/^CREATE TABLE/s//CREATE FUNCTION public.f() RETURNS void LANGUAGE c AS $$nolib$$, $$f$$;\\nCREATE TABLE/"), want: "unknown unsupported", says: "nolib"},
		{name: "a dump with a collation that is not known here", script: edited("0,/^CREATE TABLE/s//CREATE COLLATION public.xx (locale = $$xx_XX.utf8$$);\\nCREATE TABLE/"), want: "unknown unsupported", says: "xx_XX"},
		{name: "a dump with a database in a locale that is not known here", script: "sed \"0,/^.connect/s//CREATE DATABASE shop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'xx_XX.UTF-8';\\n&/\" $DB/all.sql > b/all.sql", want: "unknown unsupported", says: "xx_XX"},
		{name: "a dump of a newer PostgreSQL", script: edited("s/^-- Dumped from database version 15/-- Dumped from database version 99/"), want: "unknown unsupported", says: "PostgreSQL 99"},
		{name: "a dump of an older PostgreSQL", script: edited("s/^-- Dumped from database version 15/-- Dumped from database version 10/"), restore: counted, want: "good"},
		{name: "a base backup of another PostgreSQL", script: "cp -a $DB/nomanifest b; echo 14 > b/nomanifest/PG_VERSION", want: "unknown unsupported", says: "PostgreSQL 14"},
		{name: "a dump in LATIN1", script: "sed \"s/^SET client_encoding = .*/SET client_encoding = 'LATIN1';/; s/^777\\t.*/777\\t\\xe9/\" $DB/plain.sql > b/plain.sql", restore: asked("select ascii(md5) from t where g = 777", "233"), want: "good"},
		{name: "a dump of a newer MariaDB", script: "sed 's/^-- Server version.*/-- Server version\\t99.1.2-MariaDB/' $DB/my.sql > b/my.sql", want: "unknown unsupported", says: "99.1.2"},
		{name: "a dump of MySQL that MariaDB can load", script: "sed 's/MariaDB dump/MySQL dump/; s/^-- Server version.*/-- Server version\\t8.0.36/' $DB/my.sql > b/my.sql", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "a dump of MySQL with a collation of its own", script: "sed 's/MariaDB dump/MySQL dump/; s/^-- Server version.*/-- Server version\\t8.0.36/; s/ENGINE=InnoDB.*/ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_xx;/' $DB/my.sql > b/my.sql", want: "unknown unsupported", says: "utf8mb4_0900_ai_xx"},
		{name: "a dump with a storage engine that MariaDB replaces", script: "sed 's/ENGINE=InnoDB/ENGINE=RocksDB/' $DB/my.sql > b/my.sql", restore: asked("select count(*) from b", "30000"), want: "good"},
		{name: "a dump of Redis in a newer form", script: "sed '1s/^REDIS00../REDIS0099/' $DB/whole.rdb > b/a.rdb; cut b/a.rdb 8; zero b/a.rdb 8", want: "unknown unsupported"},
		// What cannot be loaded.
		{name: "a cut dump", script: "head -c 400000 $DB/plain.sql > b/plain.sql", want: "bad truncated"},
		{name: "a dump whose middle is missing", script: edited("10000,20000d"), restore: counted, want: "bad unasserted"},
		{name: "a dump with a changed byte in a row", script: edited("s/^777\\t/7x7\\t/"), want: "bad damaged", says: "7x7"},
		{name: "a dump with a changed byte in a command", script: edited("s/^CREATE TABLE public.u/CREATE TABLX public.u/"), want: "bad damaged", says: "TABLX"},
		{name: "a dump with a row too many columns", script: edited("s/^777\\t/777\\t777\\t/"), want: "bad damaged"},
		{name: "a dump without a table that it fills", script: edited("s/^CREATE TABLE public.u /CREATE TABLE public.v /"), want: "bad damaged"},
		{name: "a custom dump with a changed byte", script: "cp $DB/c.dump b; flip b/c.dump 50", want: "bad damaged"},
		{name: "a base backup without its log", script: "cp -a $DB/nomanifest b; rm b/nomanifest/pg_wal/0*", want: "bad incomplete"},
		{name: "a base backup without its control file", script: "cp -a $DB/nomanifest b; rm b/nomanifest/global/pg_control", want: "bad incomplete"},
		{name: "a base backup with a changed control file", script: "cp -a $DB/nomanifest b; flip b/nomanifest/global/pg_control 1", want: "bad damaged"},
		{name: "a base backup with a damaged catalogue", script: "cp -a $DB/nomanifest b; for f in b/nomanifest/base/*/1259; do head -c $(size $f) /dev/zero > $f; done", want: "bad damaged"},
		{name: "mariadb-dump with a changed byte in a command", script: "sed 's/^CREATE TABLE `b`/CREATE TABLX `b`/' $DB/my.sql > b/my.sql", want: "bad damaged", says: "TABLX"},
		{name: "mariadb-dump with a row that is there twice", script: "sed 's/(777,/(776,/' $DB/my.sql > b/my.sql", want: "bad damaged", says: "Duplicate"},
		{name: "mariadb-dump without its tables", script: "sed '/^INSERT/,/;$/d' $DB/my.sql > b/my.sql", restore: asked("select count(*) from b", "30000"), want: "bad unasserted"},
		{name: "sqlite whose index does not fit", script: "cp $DB/x.db b", want: "bad damaged"},
		{name: "sqlite dump with a changed byte", script: "sed 's/^CREATE TABLE t/CREATE TABLX t/' $DB/s.sql > b/s.sql", want: "bad damaged"},
		{name: "redis with a changed byte", script: "cp $DB/whole.rdb b; flip b/whole.rdb 60", want: "bad damaged"},
		// What must hold, and does not.
		{name: "another answer", script: "cp $DB/plain.sql b", restore: asked("select count(*) from t", "50001"), want: "bad unasserted", says: `is "50000" and must be "50001"`},
		{name: "too few rows", script: "cp $DB/c.dump b", restore: demand(job.Query{Query: "select count(*) from u", Min: 20001}), want: "bad unasserted", says: "20001 at least"},
		{name: "too many rows", script: "cp $DB/my.sql b", restore: demand(job.Query{Query: "select count(*) from a", Max: 10}), want: "bad unasserted", says: "10 at most"},
		{name: "a table that is not there", script: "cp $DB/plain.sql b", restore: demand(job.Query{Query: "select count(*) from nothing", Min: 1}), want: "bad unasserted", says: "nothing"},
		{name: "a database that is not there", script: "cp $DB/all.sql b", restore: demand(job.Query{Database: "shop", Query: "select 1", Min: 1}), want: "bad unasserted", says: "shop"},
		{name: "a query that is not SQL", script: "cp $DB/plain.sql b", restore: demand(job.Query{Query: "selec 1", Min: 1}), want: "unknown malformed", says: "selec"},
		{name: "a query that is not SQL, to MariaDB", script: "cp $DB/my.sql b", restore: demand(job.Query{Query: "selec 1", Min: 1}), want: "unknown malformed", says: "selec"},
		{name: "a young canary", script: edited("0,/^CREATE TABLE/s//CREATE TABLE public.canary (at timestamp with time zone DEFAULT now() - interval $$10 min$$);\\nINSERT INTO public.canary DEFAULT VALUES;\\nCREATE TABLE/"), restore: demand(job.Query{Query: "select max(at) from canary", Fresh: true}), want: "good"},
		{name: "an old canary", script: edited("0,/^CREATE TABLE/s//CREATE TABLE public.canary (at timestamp with time zone DEFAULT now() - interval $$70 min$$);\\nINSERT INTO public.canary DEFAULT VALUES;\\nCREATE TABLE/"), restore: demand(job.Query{Query: "select max(at) from canary", Fresh: true}), want: "bad unasserted", says: "longer before the backup"},
		{name: "an old canary of Redis", script: "cp $DB/whole.rdb b", restore: demand(job.Query{Query: "GET k1700", Fresh: true}), want: "bad unasserted", says: "longer before the backup"},
		{name: "no canary", script: "cp $DB/plain.sql b", restore: demand(job.Query{Query: "select max(g) from t where g < 0", Fresh: true}), want: "bad unasserted", says: "no instant"},
		{name: "a key that Redis does not have", script: "cp $DB/whole.rdb b", restore: asked("EXISTS nothing", "1"), want: "bad unasserted"},
		{name: "a count of SQLite", script: "cp $DB/s.sql b", restore: demand(job.Query{Query: "select count(*) from t", Min: 20001}), want: "bad unasserted"},
	} {
		if full || i%4 == 0 {
			t.Run(c.name, func(t *testing.T) { c.run(t, h) })
		}
	}
}
