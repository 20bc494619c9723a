//go:build live

package files_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
)

// makeDatabases starts each server on a socket of its own, fills it, makes every
// kind of backup with its own programs, and stops it.
const makeDatabases = `
set -eo pipefail
PG=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
mkdir pg; chown postgres pg
runuser -u postgres -- $PG/initdb -D $PWD/pg/data -A trust -N > /dev/null
runuser -u postgres -- $PG/pg_ctl -D $PWD/pg/data -w -t 30 -l $PWD/pg/log -o "-k $PWD/pg -c listen_addresses='' -c fsync=off" start > /dev/null
trap 'runuser -u postgres -- $PG/pg_ctl -D $PWD/pg/data -m immediate stop > /dev/null || true; kill $(jobs -p) 2> /dev/null || true' EXIT
psql -q -h $PWD/pg -U postgres -c "create table t as select g, md5(g::text) from generate_series(1,50000) g" -c "create table u as select g, repeat('x', g%50) from generate_series(1,20000) g"
D="pg_dump -h $PWD/pg -U postgres postgres"
$D > plain.sql; $D -Fc > c.dump; $D -Fc -Z0 > c0.dump; $D -Fd -f d; $D -Ft > t.dump; pg_dumpall -h $PWD/pg -U postgres > all.sql
for o in "base" "baset -Ft -z" "bases --manifest-checksums=SHA256" "nomanifest --no-manifest"; do $PG/pg_basebackup -h $PWD/pg -U postgres -X stream -c fast -D $o; done
mkdir ts; chown postgres ts; psql -q -h $PWD/pg -U postgres -c "create tablespace fast location '$PWD/ts'" -c "create role app" -c "create table v tablespace fast as select g from generate_series(1,1000) g" -c "alter table v owner to app" -c "create materialized view m as select count(*) n from t"
$D > ts.sql; $D -Fc > ts.dump; $D -C > create.sql; pg_dumpall -h $PWD/pg -U postgres --clean > allts.sql
$PG/pg_basebackup -h $PWD/pg -U postgres -X stream -c fast -D basets -T $PWD/ts=$PWD/tscopy; $PG/pg_basebackup -h $PWD/pg -U postgres -X fetch -c fast -Ft -D basetst
chown -R root basets tscopy basetst
mkdir my; mariadb-install-db --no-defaults --datadir=$PWD/my --auth-root-authentication-method=normal --user=root --skip-test-db > /dev/null 2>&1
mariadbd --no-defaults --datadir=$PWD/my --user=root --skip-networking --socket=$PWD/my.sock > my.log 2>&1 &
M="--no-defaults -S $PWD/my.sock -u root"
for i in $(seq 100); do mariadb $M -e 'select 1' > /dev/null 2>&1 && break; sleep 0.1; done
mariadb $M -e "create database d; use d; create table a(i int primary key auto_increment, s varchar(100)); insert into a(s) select md5(seq) from seq_1_to_30000; create table b as select * from a"
mariadb-dump $M d > my.sql; mariadb-dump $M --skip-comments d > nc.sql; mariadb-dump $M --compact d > co.sql; mariadb-dump $M --skip-dump-date d > nd.sql; mariadb-dump $M --all-databases > myall.sql
redis-server --port 0 --unixsocket $PWD/r.sock --dir $PWD --save '' > r.log &
for i in $(seq 100); do redis-cli -s r.sock ping > /dev/null 2>&1 && break; sleep 0.1; done
redis-cli -s r.sock eval "for i=1,20000 do redis.call('set','k'..i, i) end" 0 > /dev/null; redis-cli -s r.sock save > /dev/null; mv dump.rdb whole.rdb
redis-cli -s r.sock eval "for i=1,700000 do redis.call('set','large'..i, i) end" 0 > /dev/null; redis-cli -s r.sock save > /dev/null; mv dump.rdb large.rdb
redis-cli -s r.sock config set rdbchecksum no > /dev/null || true; redis-cli -s r.sock save > /dev/null; mv dump.rdb nocrc.rdb
etcd --data-dir $PWD/etcd --listen-client-urls http://127.0.0.1:$P1 --advertise-client-urls http://127.0.0.1:$P1 --listen-peer-urls http://127.0.0.1:$P2 --initial-advertise-peer-urls http://127.0.0.1:$P2 --initial-cluster default=http://127.0.0.1:$P2 > etcd.log 2>&1 &
E="timeout 10 etcdctl --endpoints 127.0.0.1:$P1"
for i in $(seq 100); do $E endpoint health > /dev/null 2>&1 && break; sleep 0.1; done
for i in $(seq 20); do $E put k$i $(seq $i 500 | tr '\n' ,) > /dev/null; done
$E snapshot save snap.db > /dev/null 2>&1; cp etcd/member/snap/db copy.db
sqlite3 s.db "create table t(a integer primary key, b text); create index i on t(b); with recursive c(x) as (select 1 union all select x+1 from c where x < 20000) insert into t select x, hex(randomblob(20)) from c;"
sqlite3 s.db .dump > s.sql
sqlite3 x.db < s.sql; sqlite3 x.db "pragma writable_schema=on; update sqlite_master set sql='CREATE INDEX i ON t(b) WHERE a > 100' where name='i';"
kill $(jobs -p); wait || true
`

// databaseDir is where the backups of databases are, once they are made.
var databaseDir = filepath.Join(os.TempDir(), fmt.Sprintf("backup-databases-%d", os.Getpid()))

var databasesOnce = sync.OnceValues(func() (string, error) {
	if err := os.Mkdir(databaseDir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", makeDatabases)
	command.Dir = databaseDir
	command.Env = append(os.Environ(), "LC_ALL=C", "P1="+freePort(), "P2="+freePort())
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return databaseDir, err
})

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestLiveDatabases(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	demand := func(content string) job.Options { return job.Options{Content: content} }
	runAll(t, []liveCase{
		{name: "pg_dump plain", script: "cp $DB/plain.sql .", want: "good"},
		{name: "pg_dump plain, demanded", script: "cp $DB/plain.sql .", options: demand("pg_dump"), want: "good"},
		{name: "pg_dumpall", script: "cp $DB/all.sql .", want: "good"},
		{name: "pg_dump plain, packed", script: "gzip -c $DB/plain.sql > a.sql.gz", want: "good"},
		{name: "pg_dump plain cut in half", script: "cp $DB/plain.sql .; keep plain.sql 50", want: "bad truncated"},
		{name: "pg_dump plain without its last lines", script: "cp $DB/plain.sql .; cut plain.sql 200", want: "bad truncated"},
		{name: "pg_dump plain without its middle and end", script: "head -c 3000 $DB/plain.sql > a.sql", want: "bad truncated"},
		{name: "a producer that died before gzip", script: "head -c 400000 $DB/plain.sql | gzip > a.sql.gz", want: "bad truncated"},
		{name: "a producer that said nothing", script: "gzip < /dev/null > a.sql.gz", want: "bad empty"},
		{name: "pg_dump custom", script: "cp $DB/c.dump .", want: "good"},
		{name: "pg_dump custom, packed", script: "zstd -qc $DB/c0.dump > c.dump.zst", want: "good"},
		{name: "pg_dump custom cut to 10 %", script: "cp $DB/c.dump .; keep c.dump 10", want: "bad truncated"},
		{name: "pg_dump custom cut to 50 %", script: "cp $DB/c.dump .; keep c.dump 50", want: "bad truncated"},
		{name: "pg_dump custom cut to 90 %", script: "cp $DB/c.dump .; keep c.dump 90", want: "bad truncated"},
		{name: "pg_dump custom cut to 99 %", script: "cp $DB/c.dump .; keep c.dump 99", want: "bad truncated"},
		{name: "pg_dump custom without its last byte", script: "cp $DB/c.dump .; cut c.dump 1", want: "bad truncated"},
		{name: "pg_dump custom with a changed byte", script: "cp $DB/c.dump .; flip c.dump 50", want: "bad damaged"},
		{name: "pg_dump custom, cut and packed", script: "cp $DB/c0.dump c.dump; keep c.dump 60; gzip c.dump", want: "bad truncated"},
		{name: "pg_dump directory", script: "cp -r $DB/d .", want: "good"},
		{name: "pg_dump directory without a member", script: "cp -r $DB/d .; rm $(ls d/*.gz | head -1)", want: "bad incomplete"},
		{name: "pg_dump directory with a cut member", script: "cp -r $DB/d .; cut $(ls d/*.gz | head -1) 100", want: "bad truncated"},
		{name: "pg_dump directory with a changed member", script: "cp -r $DB/d .; flip $(ls -S d/*.gz | head -1) 50", want: "bad damaged"},
		{name: "pg_dump directory without its contents", script: "cp -r $DB/d .; rm d/toc.dat", options: demand("pg_dump"), want: "bad incomplete"},
		{name: "pg_dump tar", script: "cp $DB/t.dump .", want: "good"},
		{name: "pg_dump tar cut in half", script: "cp $DB/t.dump .; keep t.dump 50", want: "bad truncated"},
		{name: "pg_basebackup", script: "cp -a $DB/base .", want: "good"},
		{name: "pg_basebackup, demanded", script: "cp -a $DB/base .", options: demand("base_backup"), want: "good"},
		{name: "pg_basebackup with SHA-256", script: "cp -a $DB/bases .", want: "good"},
		{name: "pg_basebackup with a changed file", script: "cp -a $DB/base .; flip $(ls -S base/base/5/* | head -1) 50", want: "bad damaged"},
		{name: "pg_basebackup with a changed file, at the depth of its structure", script: "cp -a $DB/base .; flip $(ls -S base/base/5/* | head -1) 50", depth: job.Structure, want: "good"},
		{name: "pg_basebackup with a cut file", script: "cp -a $DB/bases .; cut $(ls -S bases/base/5/* | head -1) 8192", depth: job.Structure, want: "bad truncated"},
		{name: "pg_basebackup without a file", script: "cp -a $DB/base .; rm $(ls base/base/5/* | head -1)", want: "bad incomplete"},
		{name: "pg_basebackup with a file too many", script: "cp -a $DB/base .; echo x > base/base/5/99999", want: "bad mismatch"},
		{name: "pg_basebackup with a changed manifest", script: "cp -a $DB/base .; sed -i '0,/8192/s//8193/' base/backup_manifest", want: "bad damaged"},
		{name: "pg_basebackup without a manifest, where one is demanded", script: "cp -a $DB/nomanifest base", options: demand("base_backup"), want: "bad incomplete"},
		{name: "pg_basebackup in tar.gz", script: "cp -a $DB/baset .", want: "good"},
		{name: "pg_basebackup in tar.gz with a changed byte", script: "cp -a $DB/baset .; flip baset/base.tar.gz 50", want: "bad damaged"},
		{name: "pg_basebackup in tar.gz, repacked without a file", script: "cp -a $DB/baset .; mkdir x; tar -C x -xzf baset/base.tar.gz; rm x/base/5/1247 baset/base.tar.gz; tar -C x -cf baset/base.tar .; rm -r x", want: "bad incomplete"},
		{name: "pg_basebackup in tar.gz without its archive", script: "cp -a $DB/baset .; rm baset/base.tar.gz", want: "bad incomplete"},
		{name: "mariadb-dump", script: "cp $DB/my.sql .", want: "good"},
		{name: "mariadb-dump of all databases", script: "cp $DB/myall.sql .", options: demand("mysql_dump"), want: "good"},
		{name: "mariadb-dump without a date", script: "cp $DB/nd.sql .", want: "good"},
		{name: "mariadb-dump without comments", script: "cp $DB/nc.sql .", want: "good"},
		{name: "mariadb-dump that is compact", script: "cp $DB/co.sql .", want: "unknown unsupported"},
		{name: "mariadb-dump cut at a statement", script: "sed '/^INSERT/q' $DB/my.sql > a.sql", want: "bad truncated"},
		{name: "mariadb-dump without its last line", script: "head -n -1 $DB/my.sql > a.sql", want: "bad truncated"},
		{name: "mariadb-dump without comments, cut", script: "sed '/^INSERT/q' $DB/nc.sql > a.sql", want: "bad truncated"},
		{name: "mariadb-dump cut and packed", script: "head -c 100000 $DB/my.sql | xz > a.sql.xz", want: "bad truncated"},
		{name: "a dump of the other database", script: "cp $DB/my.sql .", options: demand("pg_dump"), want: "bad mismatch"},
		{name: "sqlite", script: "cp $DB/s.db .", want: "good"},
		{name: "sqlite with a strange name", script: "cp $DB/s.db 'a b%20#?ü.db'", want: "good"},
		{name: "sqlite at the depth of its structure", script: "cp $DB/s.db .", depth: job.Structure, want: "good"},
		{name: "sqlite cut", script: "cp $DB/s.db .; keep s.db 70", depth: job.Structure, want: "bad truncated"},
		{name: "sqlite with a blank page", script: "cp $DB/s.db .; head -c 4096 /dev/zero | dd of=s.db bs=4096 seek=20 conv=notrunc status=none", want: "bad damaged"},
		{name: "sqlite whose index does not fit", script: "cp $DB/x.db .", want: "bad damaged"},
		{name: "sqlite, packed", script: "gzip -c $DB/s.db > s.db.gz", want: "good"},
		{name: "sqlite, cut and packed", script: "cp $DB/s.db .; keep s.db 70; gzip s.db", want: "bad truncated"},
		{name: "sqlite dump", script: "cp $DB/s.sql .", want: "good"},
		{name: "sqlite dump cut", script: "cp $DB/s.sql .; keep s.sql 50", want: "bad truncated"},
		{name: "redis", script: "cp $DB/whole.rdb .", want: "good"},
		{name: "redis, packed", script: "lz4 -qc $DB/whole.rdb > a.rdb.lz4", want: "good"},
		{name: "redis cut", script: "cp $DB/whole.rdb .; keep whole.rdb 60", want: "bad truncated"},
		{name: "redis with a changed byte", script: "cp $DB/whole.rdb .; flip whole.rdb 60", want: "bad damaged"},
		{name: "redis with a changed byte, packed", script: "cp $DB/whole.rdb .; flip whole.rdb 60; gzip whole.rdb", want: "bad damaged"},
		{name: "etcd", script: "cp $DB/snap.db .", want: "good"},
		{name: "etcd, packed", script: "gzip -c $DB/snap.db > snap.db.gz", want: "good"},
		{name: "etcd with a changed byte", script: "cp $DB/snap.db .; flip snap.db 60", want: "bad damaged"},
		{name: "etcd without its checksum", script: "cp $DB/snap.db .; cut snap.db 32", want: "bad incomplete"},
		{name: "etcd cut within a page", script: "cp $DB/snap.db .; cut snap.db 100", want: "bad truncated"},
		{name: "etcd, a copy of the database file", script: "cp $DB/copy.db .", options: demand("etcd"), want: "bad incomplete"},
	})
}

// mongoDocument writes a document of strings, booleans and integers as BSON.
func mongoDocument(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		name := append([]byte(fields[i].(string)), 0)
		switch value := fields[i+1].(type) {
		case string:
			b = append(append(b, 2), name...)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(value)+1))
			b = append(append(b, value...), 0)
		case bool:
			b = append(append(b, 8), name...)
			b = append(b, map[bool]byte{true: 1}[value])
		case int64:
			b = append(append(b, 18), name...)
			b = binary.LittleEndian.AppendUint64(b, uint64(value))
		}
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b)+5)), b...), 0)
}

// mongoArchive writes an archive as the documentation of the format says:
// mongodump cannot be installed here.
func mongoArchive() []byte {
	end := []byte{255, 255, 255, 255}
	out := []byte{0x6d, 0xe2, 0x99, 0x81}
	out = append(out, mongoDocument("server_version", "6.0", "tool_version", "100.9", "version", "0.1")...)
	for _, name := range []string{"a", "b"} {
		out = append(out, mongoDocument("db", "d", "collection", name, "metadata", "{}", "size", int64(1), "type", "collection")...)
	}
	out = append(out, end...)
	sum := map[string]uint64{}
	for round := range 3 {
		for _, name := range []string{"a", "b"} {
			out = append(out, mongoDocument("db", "d", "collection", name, "EOF", false, "CRC", int64(0))...)
			for i := range 50 {
				document := mongoDocument("k", fmt.Sprint(name, round, i), "n", int64(i))
				sum[name] = crc64.Update(sum[name], crc64.MakeTable(crc64.ECMA), document)
				out = append(out, document...)
			}
			out = append(out, end...)
		}
	}
	for _, name := range []string{"a", "b"} {
		out = append(out, mongoDocument("db", "d", "collection", name, "EOF", true, "CRC", int64(sum[name]))...)
		out = append(out, end...)
	}
	return out
}

func TestLiveMongoArchives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "whole")
	if err := os.WriteFile(path, mongoArchive(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := "cp " + path + " a; "
	runAll(t, []liveCase{
		{name: "mongodump", script: copied, options: job.Options{Content: "mongodump"}, want: "good"},
		{name: "mongodump, packed", script: copied + "gzip a", want: "good"},
		{name: "mongodump cut", script: copied + "keep a 50", want: "bad truncated"},
		{name: "mongodump without its last bytes", script: copied + "cut a 4", want: "bad truncated"},
		{name: "mongodump with a changed document", script: copied + "flip a 52", want: "bad damaged"},
	})
}
