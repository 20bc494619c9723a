//go:build live

package pgbackrest_test

import (
	"cmp"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/pgbackrest"
)

// shell makes a cluster and its backups, and harms them. A script that starts
// the cluster need not stop it. The configuration comes into its place as a whole:
// checks run meanwhile.
var shell = backuptest.Shell{Library: `
B=/usr/lib/postgresql/15/bin; D=$PWD; chmod a+x .. ../..
as() { setpriv --reuid postgres --regid postgres --init-groups env HOME=/nonexistent "$@"; }
conf() { cat > conf.new << END
[global]
repo1-path=$D/repo
repo1-retention-full=2
log-path=$D/log
lock-path=$D/lock
spool-path=$D/spool
start-fast=y
log-level-console=warn
$(cat options 2> /dev/null || true)
[demo]
pg1-path=$D/pg
pg1-socket-path=$S
END
mv conf.new pgbackrest.conf; }
P() { as pgbackrest --config=$D/pgbackrest.conf --stanza=demo "$@"; }
S=/tmp/hygiene-pg-$$
up() { as mkdir -p $S; conf; as $B/pg_ctl -D pg -s -w -l pg.log -o "-k $S -c listen_addresses= -c archive_mode=on -c fsync=off -c archive_command='pgbackrest --config=$D/pgbackrest.conf --stanza=demo archive-push %p'" start; }
down() { [ ! -e pg/postmaster.pid ] || as $B/pg_ctl -D pg -s -w -m fast stop; rm -rf $S; }
trap down EXIT
q() { as psql -qAtX -h $S -d postgres -c "$1"; }
again() { rm -rf repo; echo "$1" > options; as mkdir repo; up; P stanza-create; P backup --type=full; q 'insert into t values (0)'; P backup --type=incr; q 'select pg_switch_wal()'; down; }
cluster() { rm -rf pg; as $B/initdb -D pg -A trust -k --no-sync > log/initdb; }
newest() { ls -d repo/backup/demo/*F* | sort | tail -1; }
full() { ls -d repo/backup/demo/*F | sort | tail -1; }
largest() { find $1/pg_data -type f -size +1k | xargs ls -S | sed -n 1p; }
kept() { find $(full)/pg_data/base/1 -type f -size +1k | xargs ls -S | sed -n 1p; }
segment() { ls repo/archive/demo/15-1/0000000100000000/*-* | sed -n "$1p"; }
needed() { ls repo/archive/demo/15-1/*/$(sed -n 's/^backup-archive-start="\(.*\)"/\1/p' $(newest)/backup.manifest)-*; }
last() { ls repo/archive/demo/15-1/0000000100000000/*-* | tail -1; }
conf
`}

// original makes a cluster with a full, a differential and an incremental backup
// and some log behind them. options are of pgBackRest.
func original(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, `chown postgres . ; as mkdir repo log lock spool; printf '`+options+`' > options
cluster; up; P stanza-create; q 'create table t as select g, md5(g::text) from generate_series(1, 20000) g'
P backup --type=full; q 'insert into t select g from generate_series(1, 2000) g'
P backup --type=diff; q 'create table u as select 1'
P backup --type=incr; for i in 1 2 3; do q "create table v$i as select 1; select pg_switch_wal()"; done`)
	return dir
}

// sealed are options with which a repository shows nothing of what it holds.
const sealed = `repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=secret\nrepo1-bundle=y\ncompress-type=zst\n`

func bench(t *testing.T, options string) backuptest.Bench {
	t.Helper()
	return backuptest.Bench{
		Kind: pgbackrest.Kind(), Host: backuptest.Host(t, pgbackrest.Kind(), nil), Shell: shell, Original: original(t, options), Bytes: 1_000_000,
		Options: func(dir string, o job.Options) job.Options {
			o.Stanza, o.ConfigFile = "demo", filepath.Join(dir, cmp.Or(o.ConfigFile, "pgbackrest.conf"))
			return o
		},
	}
}

// elsewhere names a configuration that finds the repository on another host, to
// which a program leads that only pretends to.
const elsewhere = `printf '#!/bin/sh\nfor last; do :; done; exec sh -c "$last"\n' > ssh; chmod 755 ssh
cat > elsewhere.conf << END
[global]
repo1-host=backup
repo1-host-user=postgres
repo1-host-config=$D/pgbackrest.conf
cmd-ssh=$D/ssh
log-path=$D/log
lock-path=$D/lock
[demo]
pg1-path=$D/pg
END
chmod 644 elsewhere.conf pgbackrest.conf
`

// old makes a log that is complete: nothing of it is still on its way.
const old = "find repo/archive -type f -exec touch -d '1 hour ago' {} +\n"

// TestLive tries all on copies of one cluster with its backups. Some cases make
// a cluster or a backup of their own each time: most of them only with
// HYGIENE_FULL.
func TestLive(t *testing.T) {
	t.Parallel()
	b := bench(t, "")
	lean := b
	lean.Original = filepath.Join(t.TempDir(), "lean")
	backuptest.Duplicate(t, b.Original, lean.Original)
	shell.Run(t, lean.Original, "rm -rf pg")
	lean.Run(t, repositories())
	b.Run(t, backuptest.First(more(), 2))
	b.Run(t, backuptest.First(restores(), 8))
	t.Run("neighbours", func(t *testing.T) {
		t.Parallel()
		b.Neighbours(t, "up; P backup --type=incr; P backup --type=full; P expire", "lock/demo-backup.lock")
	})
}

func repositories() []backuptest.Case {
	return []backuptest.Case{
		{Name: "a full, a differential and an incremental backup have their structure", Depth: job.Structure, Want: "good"},
		{Name: "they are read", Depth: job.Read, Want: "good"},
		{Name: "a manifest whose copy is whole", Script: "keep $(newest)/backup.manifest 60", Depth: job.Structure, Want: "good"},
		{Name: "a list of backups whose copy is whole", Script: ": > repo/backup/demo/backup.info", Depth: job.Structure, Want: "good"},
		{Name: "a gap of the log that may yet be filled", Script: "ls repo/archive/demo/15-1/*/*-* | tail -2 | sed -n 1p | xargs rm", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte, which the structure does not show", Script: "flip $(largest $(newest))", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte", Script: "flip $(largest $(newest))", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte in the full backup", Script: "flip $(kept)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated file", Script: "keep $(kept) 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a truncated file, read", Script: "keep $(kept) 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "a missing file", Script: "rm $(kept)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a missing file, read", Script: "rm $(kept)", Depth: job.Read, Want: "bad incomplete"},
		{Name: "a truncated manifest", Script: "keep $(newest)/backup.manifest 60; keep $(newest)/backup.manifest.copy 60", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a changed byte in a manifest", Script: "for f in $(newest)/backup.manifest*; do flip $f; done", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a missing manifest", Script: "rm $(newest)/backup.manifest*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "the full backup below it is gone", Script: "rm -r $(full)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a damaged list of backups", Script: "for f in repo/backup/demo/backup.info*; do flip $f; done", Depth: job.Structure, Want: "bad damaged"},
		{Name: "no list of backups", Script: "rm repo/backup/demo/backup.info*", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no list of the log", Script: "rm -r repo/archive/demo", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "the log of the backup is missing", Script: "rm $(needed)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a gap in the log behind the backup", Script: old + "ls repo/archive/demo/15-1/*/*-* | tail -2 | sed -n 1p | xargs rm", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a truncated segment", Script: "keep $(needed) 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "two segments of one name", Script: "f=$(needed); cp -a $f ${f%-*}-0000000000000000000000000000000000000000.gz", Depth: job.Structure, Want: "bad mismatch"},
		{Name: "no stanza", Script: "rm -r repo/backup/demo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "no configuration", Script: "rm pgbackrest.conf", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a repository that is not configured", Options: job.Options{Repository: "2"}, Depth: job.Structure, Want: "unknown not_found"},
		{Name: "on another host", Script: elsewhere, Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Structure, Want: "good"},
		{Name: "on another host, with a missing file", Script: elsewhere + "rm $(kept)", Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Structure, Want: "bad incomplete"},
		{Name: "on another host, without the stanza", Script: elsewhere + "rm -r repo/backup/demo repo/archive/demo", Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Structure, Want: "unknown not_found"},
		{Name: "on another host that is not reached", Script: elsewhere + "printf '#!/bin/sh\nexit 255\n' > ssh", Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Structure, Want: "unknown network"},
	}
}

// TestLiveSealed: of what is encrypted, only the passphrase tells more than that.
func TestLiveSealed(t *testing.T) {
	t.Parallel()
	bench(t, sealed).Run(t, []backuptest.Case{
		{Name: "encrypted, bundled and packed by zstd", Depth: job.Read, Want: "good"},
		{Name: "a changed byte of what is encrypted", Script: "flip $(full)/bundle/1", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte of an encrypted segment", Script: "flip $(segment 2)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a wrong passphrase", Script: "sed -i s/=secret/=other/ options; conf", Depth: job.Structure, Want: "unknown auth"},
		{Name: "bundled and encrypted, with its structure", Depth: job.Structure, Want: "good"},
		{Name: "on another host, read", Script: elsewhere, Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Read, Want: "good"},
		{Name: "on another host, with a changed byte", Script: elsewhere + "flip $(segment 2)", Options: job.Options{ConfigFile: "elsewhere.conf"}, Depth: job.Read, Want: "bad damaged"},
	})
}

func more() []backuptest.Case {
	return []backuptest.Case{
		{Name: "a full backup alone", Script: "up; P backup --type=full; down", Depth: job.Structure, Want: "good"},
		{Name: "bundled", Script: "again repo1-bundle=y", Depth: job.Read, Want: "good"},
		{Name: "not packed", Script: "again compress-type=none", Depth: job.Read, Want: "good"},
		{Name: "packed by lz4", Script: "again compress-type=lz4", Depth: job.Read, Want: "good"},
		{Name: "after an expiry", Script: "up; P backup --type=full; P expire --repo1-retention-full=1; down; [ $(ls -d repo/backup/demo/*F | wc -l) = 1 ]", Depth: job.Read, Want: "good"},
		{Name: "an interrupted backup beside it", Script: `up; as timeout -s KILL 1 pgbackrest --config=$D/pgbackrest.conf --stanza=demo backup --type=full || true; down; cp -a $(full) repo/backup/demo/20300101-000000F; rm repo/backup/demo/20300101-000000F/backup.manifest`, Depth: job.Structure, Want: "good"},
		{Name: "a cluster that was promoted", Script: "as rm -rf pg; P restore; up; for i in $(seq 100); do [ \"$(q 'select pg_is_in_recovery()')\" = f ] && break; sleep 0.2; done; q 'select pg_switch_wal()'; down; ls repo/archive/demo/15-1/00000002.history; " + old, Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a bundle", Script: "again repo1-bundle=y; flip $(full)/bundle/1", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated bundle", Script: "again repo1-bundle=y; keep $(full)/bundle/1 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a missing bundle", Script: "again repo1-bundle=y; rm $(full)/bundle/1", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in the log", Script: "again compress-type=none; flip $(needed)", Depth: job.Read, Want: "bad damaged"},
		{Name: "pages that were damaged before the backup", Script: "f=$(ls -S pg/base/5/[0-9]* | sed -n 1p); flip $f; up; P backup --type=full || true; down", Depth: job.Structure, Want: "bad reported"},
		{Name: "the log of another database", Script: "mv repo first; cluster; up; q 'create table t(i int)'; down; again ''; cp -a repo/archive/demo/archive.info* first/archive/demo/; rm -r repo; mv first repo", Depth: job.Structure, Want: "bad mismatch"},
		{Name: "a stanza without a backup", Script: "rm -r repo; as mkdir repo; up; P stanza-create; down", Depth: job.Structure, Want: "nothing"},
	}
}

func restores() []backuptest.Case {
	return []backuptest.Case{
		{Name: "an incremental backup", Depth: job.Restored, Want: "good"},
		{Name: "recovered and asked", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{
			{Database: "postgres", Query: "select count(*) from t", Equals: "22000"},
			{Database: "postgres", Query: "select count(*) from pg_class where relname like 'v_'", Equals: "3"},
		}}}, Depth: job.Loaded, Want: "good"},
		{Name: "an answer that is wrong", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{
			{Database: "postgres", Query: "select count(*) from t", Min: 30000},
		}}}, Depth: job.Asserted, Want: "bad unasserted"},
		{Name: "what is required", Restore: job.Restore{Assert: job.Assert{Required: []string{"data/PG_VERSION"}, MinFiles: 900}}, Depth: job.Restored, Want: "good"},
		{Name: "what is required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"data/custom.conf"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "a changed byte", Script: "flip $(kept)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a missing file", Script: "rm $(kept)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "the log that it needs is missing", Script: "rm $(needed)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "an encrypted one", Script: "again $'repo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=secret'", Depth: job.Loaded, Want: "good"},
		{Name: "a bundled one", Script: "again repo1-bundle=y", Depth: job.Restored, Want: "good"},
		{Name: "with a table space", Script: "as mkdir space; up; q \"create tablespace s location '$D/space'\"; q 'create table w tablespace s as select * from t'; P backup --type=full; down", Depth: job.Loaded, Want: "good"},
		{Name: "a changed byte in what is not packed", Script: "again compress-type=none; flip $(kept)", Depth: job.Restored, Want: "bad damaged"},
	}
}
