//go:build live

package files_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// foreign is where another suite of Debian is unpacked, which has a MySQL.
const foreign = "/usr/local/share/hygiene-test/mysql"

// TestLiveMySQL loads dumps into MySQL's own server, which cannot be installed beside
// MariaDB: this test program runs again in a root of its own.
func TestLiveMySQL(t *testing.T) {
	t.Parallel()
	unpack := exec.CommandContext(t.Context(), "../../../test/foreign.sh", foreign, "sid",
		"mysql-server-core", "mysql-client-core", "coreutils", "util-linux", "bash", "gzip", "sed", "grep", "findutils")
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Skipf("MySQL cannot be had: %v: %s", err, out)
	}
	program := filepath.Join(foreign, "files.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-tags", "live", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc="+foreign+"/proc",
		"sh", "-c", `mount -t tmpfs tmpfs "$0/tmp" && exec chroot "$0" /files.test -test.v -test.run '^TestInMySQL$'`, foreign)
	run.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "HYGIENE_INSIDE=1"}
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// TestInMySQL is what TestLiveMySQL runs.
func TestInMySQL(t *testing.T) {
	if os.Getenv("HYGIENE_INSIDE") == "" {
		t.Skip("TestLiveMySQL runs this")
	}
	mysqlDumps(t)
	h := backuptest.Host(t, files.Kind(), nil)
	counted := asked("select count(*) from b", "3000")
	for _, c := range []restoreCase{
		{name: "mysqldump", script: "cp $DB/my.sql b", restore: counted, want: "good"},
		{name: "mysqldump, packed", script: "gzip -c $DB/my.sql > b/my.sql.gz", restore: asked("select count(*), max(i) from b", "3000|3000"), want: "good"},
		{name: "a collation that MariaDB has not", script: "cp $DB/my.sql b", restore: asked("select collation(n) from b limit 1", "utf8mb4_0900_ai_ci"), want: "good"},
		{name: "mysqldump of all databases, with the passwords of the server", script: "cp $DB/all.sql b", restore: job.Restore{Assert: job.Assert{Queries: []job.Query{{Query: "select count(*) from b", Equals: "3000", Database: "shop"}}}}, want: "good"},
		{name: "a view, a trigger and a procedure", script: "cp $DB/my.sql b", restore: asked("call p()", "3000"), want: "good"},
		{name: "a wrong answer", script: "cp $DB/my.sql b", restore: asked("select count(*) from b", "1"), want: "bad unasserted"},
		{name: "a table that is not there", script: "cp $DB/my.sql b", restore: asked("select count(*) from c", "1"), want: "bad unasserted"},
		{name: "a query that is none", script: "cp $DB/my.sql b", restore: asked("selectx", "1"), want: "unknown malformed"},
		{name: "a row that is there twice", script: "sed 's/(777,/(776,/' $DB/my.sql > b/my.sql", want: "bad damaged", says: "Duplicate"},
		{name: "a changed byte in a command", script: "sed 's/^CREATE TABLE `b`/CREATE TABLX `b`/' $DB/my.sql > b/my.sql", want: "bad damaged", says: "TABLX"},
		{name: "a dump that is cut off", script: "cp $DB/my.sql b; keep b/my.sql 60", want: "bad truncated"},
		{name: "a newer MySQL", script: "sed 's/^-- Server version.*/-- Server version\\t99.1.2/' $DB/my.sql > b/my.sql", want: "unknown unsupported", says: "99.1.2"},
		{name: "a dump of MariaDB that MySQL can load", script: "sed 's/MySQL dump/MariaDB dump/; s/^-- Server version.*/-- Server version\\t10.11.6-MariaDB/' $DB/my.sql > b/my.sql", restore: counted, want: "good"},
		{name: "a dump of MariaDB that MySQL cannot load", script: "sed 's/MySQL dump/MariaDB dump/; s/^-- Server version.*/-- Server version\\t10.11.6-MariaDB/; s/^CREATE TABLE `b`/CREATE SEQUENCE s;\\n&/' $DB/my.sql > b/my.sql", want: "unknown unsupported", says: "another system"},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// mysqlDumps makes dumps of a real server.
func mysqlDumps(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(databaseDir, 0o755); err != nil {
		t.Fatal(err)
	}
	shell(t).Run(t, databaseDir, `db=$DB; S=$db/s.sock; chown nobody $db
mysqld --no-defaults --initialize-insecure --user=nobody --datadir=$db/data > $db/init.log 2>&1 || { cat $db/init.log; exit 1; }
mysqld --no-defaults --user=nobody --datadir=$db/data --socket=$S --skip-networking --mysqlx=OFF --skip-log-bin --secure-file-priv=NULL > $db/log 2>&1 & server=$!
for i in $(seq 300); do mysql --no-defaults -S $S -u root -e 'select 1' > /dev/null 2>&1 && break; sleep 0.1; done
mysql --no-defaults -S $S -u root << END
create database shop; use shop;
set cte_max_recursion_depth = 10000;
create table b (i int primary key, n varchar(64)) collate utf8mb4_0900_ai_ci;
insert into b with recursive g as (select 1 i union all select i + 1 from g where i < 3000) select i, sha2(i, 256) from g;
create view v as select * from b where i < 10;
create trigger g before insert on b for each row set new.n = upper(new.n);
create procedure p() select count(*) from b;
create user kim identified by 'secret'; grant all on shop.* to kim; alter user root@localhost identified by 'other';
END
dump() { mysqldump --no-defaults -S $S -u root -pother --routines --no-tablespaces "$@" 2> $db/err || { cat $db/err; exit 1; }; }
dump shop > $db/my.sql; dump --all-databases > $db/all.sql
kill $server; wait $server || true`)
}
