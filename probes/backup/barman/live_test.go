//go:build live

package barman_test

import (
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/barman"
	"hygiene_exporter/probes/backup/job"
)

// shell makes a cluster and its backups, and harms them. A script that starts
// the cluster need not stop it.
var shell = backuptest.Shell{Library: `
B=/usr/lib/postgresql/15/bin; D=$PWD; chmod a+x .. ../..
S=/tmp/hygiene-pg-$$
as() { setpriv --reuid postgres --regid postgres --init-groups env HOME=$D "$@"; }
# Files come into their place as a whole: checks run meanwhile.
conf() { cat > conf.new << END
[barman]
barman_user = postgres
barman_home = $D/home
barman_lock_directory = $D/lock
log_file = $D/barman.log
configuration_files_directory = $D/barman.d
END
mv conf.new barman.conf; mkdir -p barman.d; cat > conf.new << END
[main]
description = main
conninfo = host=$S user=postgres dbname=postgres
streaming_conninfo = host=$S user=postgres dbname=postgres
backup_method = postgres
archiver = on
immediate_checkpoint = true
path_prefix = $B
$(cat options 2> /dev/null || true)
END
mv conf.new barman.d/main.conf
}
M() { as barman -q -c $D/barman.conf "$@"; }
up() { as mkdir -p $S; conf; as $B/pg_ctl -D pg -s -w -l pg.log -o "-k $S -c listen_addresses= -c archive_mode=on -c fsync=off -c archive_command='cp %p $D/home/%f && mv $D/home/%f $D/home/main/incoming/'" start; }
down() { [ ! -e pg/postmaster.pid ] || as $B/pg_ctl -D pg -s -w -m fast stop; rm -rf $S; }
trap down EXIT
q() { as psql -qAtX -h $S -d postgres -c "$1" > /dev/null; }
cluster() { rm -rf pg; as $B/initdb -D pg -A trust -k --no-sync > initdb.log; }
# Barman wants a segment to arrive before it begins, and another before it ends.
start() { as mkdir -p home/main/incoming lock; up; q 'create table if not exists t(g int); insert into t select generate_series(1, 20000)'; q 'select pg_switch_wal()'; archived; M backup main > backup.log 2>&1 || true; M archive-wal main; }
there() { n=0; until ls $1 > /dev/null 2>&1; do n=$((n+1)); [ $n -lt 300 ]; sleep 0.1; $2; done; }
# Its cron begins another archive-wal, which keeps ours from working.
archived() { there 'home/main/incoming/*' true; M cron || true; M archive-wal main; there 'home/main/wals/*/0*' 'M archive-wal main'; }
again() { rm -rf home/main; echo "$1" > options; start; down; }
later() { for i in 1 2 3; do q "create table v$i as select 1"; q "select pg_switch_wal()"; done; M archive-wal main; }
newest() { ls -d home/main/base/* | sort | tail -1; }
info() { sed -n "s/^$1=//p" $(newest)/backup.info; }
needed() { ls home/main/wals/*/$(info begin_wal); }
big() { find $(newest)/data/base -type f | xargs ls -S | sed -n 1p; }
last() { ls home/main/wals/*/* | grep -v backup | tail -$1 | sed -n 1p; }
old() { find home/main/wals -type f -exec touch -d '1 hour ago' {} +; }
conf
`}

// original makes a cluster with a backup and some log behind it.
func original(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, `chown postgres . ; echo 'compression = gzip' > options; cluster; start; later; [ "$(info status)" = DONE ] || { cat backup.log; exit 1; }`)
	return dir
}

// TestLive tries all on copies of one cluster with its backups. Some cases make
// backups of their own each time: most of them only with HYGIENE_FULL.
func TestLive(t *testing.T) {
	t.Parallel()
	b := backuptest.Bench{
		Kind: barman.Kind(), Host: backuptest.Host(t, barman.Kind(), nil), Shell: shell, Original: original(t), Bytes: 20_000_000,
		Options: func(dir string, o job.Options) job.Options {
			o.ConfigFile = filepath.Join(dir, "barman.conf")
			if o.Server == "" {
				o.Server = "main"
			}
			return o
		},
	}
	lean := b
	lean.Original = filepath.Join(t.TempDir(), "lean")
	backuptest.Duplicate(t, b.Original, lean.Original)
	shell.Run(t, lean.Original, "rm -rf pg")
	lean.Run(t, kept())
	b.Run(t, restores())
	b.Run(t, backuptest.First(more(), 3))
	t.Run("neighbours", func(t *testing.T) {
		t.Parallel()
		b.Neighbours(t, "up; M backup main; M archive-wal main; M backup main; M archive-wal main; M check main; M delete main oldest", "lock/.main-backup.lock")
	})
}

func kept() []backuptest.Case {
	return []backuptest.Case{
		{Name: "a backup has its structure", Depth: job.Structure, Want: "good"},
		{Name: "it is read", Depth: job.Read, Want: "good"},
		{Name: "a gap of the log that may yet be filled", Script: "rm $(last 2)", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte, which the structure does not show", Script: "flip $(big)", Depth: job.Structure, Want: "good"},
		{Name: "a backup that has failed beside it", Script: "cp -a $(newest) home/main/base/20300101T000000; sed -i s/status=DONE/status=FAILED/ home/main/base/20300101T000000/backup.info", Depth: job.Structure, Want: "good"},
		{Name: "a backup that was killed beside it", Script: "cp -a $(newest) home/main/base/20300101T000000; sed -i s/status=DONE/status=STARTED/ home/main/base/20300101T000000/backup.info", Depth: job.Structure, Want: "good"},
		{Name: "a segment that waits to be taken in", Script: "mv $(last 1) home/main/incoming/", Depth: job.Structure, Want: "good"},

		{Name: "a changed byte", Script: "flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated file", Script: "keep $(big) 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a missing file", Script: "rm $(big)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a truncated manifest", Script: "keep $(newest)/data/backup_manifest 60", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a missing manifest", Script: "rm $(newest)/data/backup_manifest", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no data", Script: "rm -r $(newest)/data", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "an empty backup.info", Script: ": > $(newest)/backup.info", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a truncated backup.info", Script: "keep $(newest)/backup.info 50", Depth: job.Structure, Want: "bad damaged"},
		{Name: "a missing backup.info", Script: "rm $(newest)/backup.info", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "the log of the backup is missing", Script: "rm $(needed)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "the log of a backup never arrived", Script: "rm $(needed); sed -i 's/status=DONE/status=WAITING_FOR_WALS/; s/end_time=.*/end_time=2020-01-01 00:00:00.0+00:00/' $(newest)/backup.info", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a gap in the log behind the backup", Script: "old; rm $(last 2)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed checksum of a packed segment", Script: "f=$(needed); n=$(( $(stat -c %s $f) - 6 )); b=$(od -An -tu1 -j $n -N 1 $f); printf \"\\\\x$(printf %02x $(( b ^ 255 )))\" | dd of=$f bs=1 seek=$n conv=notrunc status=none", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated segment", Script: "keep $(needed) 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "an empty segment", Script: ": > $(needed)", Depth: job.Read, Want: "bad truncated"},
		{Name: "a changed byte in a record of a segment", Script: "f=$(needed); zcat $f > x; flip x 0; n=300; printf '\\xff\\xfe' | dd of=x bs=1 seek=$n conv=notrunc status=none; dd if=<(zcat $f) of=x bs=1 count=40 conv=notrunc status=none; cat x > $f", Depth: job.Read, Want: "bad damaged"},
		{Name: "a segment under the name of another", Script: "cp $(last 1) $(needed)", Depth: job.Read, Want: "bad mismatch"},

		{Name: "the log of a backup is on its way", Script: "rm $(needed); sed -i s/status=DONE/status=WAITING_FOR_WALS/ $(newest)/backup.info", Depth: job.Structure, Want: "unknown locked"},
		{Name: "no backup of the server", Script: "rm -r home/main/base", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "no configuration", Script: "rm barman.conf", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a server that is not configured", Options: job.Options{Server: "other"}, Depth: job.Structure, Want: "unknown not_found"},
		{Name: "none yet", Script: "rm -r home/main/base/*", Depth: job.Structure, Want: "nothing"},
	}
}

func restores() []backuptest.Case {
	return []backuptest.Case{
		{Name: "restored", Depth: job.Restored, Want: "good"},
		{Name: "recovered and asked", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{
			{Database: "postgres", Query: "select count(*) from t", Equals: "20000"},
			{Database: "postgres", Query: "select count(*) from pg_class where relname like 'v_'", Equals: "3"},
		}}}, Depth: job.Loaded, Want: "good"},
		{Name: "an answer that is wrong", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{
			{Database: "postgres", Query: "select count(*) from t", Min: 30000},
		}}}, Depth: job.Asserted, Want: "bad unasserted"},
		{Name: "required and missing", Restore: job.Restore{Assert: job.Assert{Required: []string{"custom.conf"}}}, Depth: job.Restored, Want: "bad unasserted"},
		{Name: "a changed byte, restored", Script: "flip $(big)", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a missing file, restored", Script: "rm $(big)", Depth: job.Restored, Want: "bad incomplete"},
		{Name: "a cut segment recovered", Script: "keep $(needed) 50", Depth: job.Loaded, Want: "bad truncated"},
	}
}

// pretended is a way of SSH that stays on this host.
const pretended = `printf '%s\n' '#!/bin/sh' 'while :; do case $1 in -o) shift 2;; -*|host) shift;; *) break;; esac; done' 'exec sh -c "$*"' > ssh; chmod 755 ssh; cluster; again "backup_method = rsync
ssh_command = $D/ssh host"; [ "$(info status)" = DONE ]
`

func more() []backuptest.Case {
	return []backuptest.Case{
		{Name: "after one was deleted", Script: "up; M backup main; down; M delete main oldest; [ $(ls home/main/base | wc -l) = 1 ]", Depth: job.Structure, Want: "good"},
		{Name: "copied by rsync", Script: pretended, Depth: job.Structure, Want: "good"},
		{Name: "copied by rsync, with a manifest", Script: pretended + "M generate-manifest main latest", Depth: job.Read, Want: "good"},
		{Name: "copied by rsync, with a manifest and a changed byte", Script: pretended + "M generate-manifest main latest; flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "copied by rsync, read", Script: pretended, Depth: job.Read, Want: "good"},
		{Name: "rsync and recovered", Script: pretended, Depth: job.Loaded, Want: "good"},
		{Name: "copied by rsync, without its control file", Script: pretended + "rm $(newest)/data/global/pg_control", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "as packed archives", Script: "again 'backup_compression = gzip'; [ $(info status) = DONE ]", Depth: job.Read, Want: "good"},
		{Name: "archives recovered", Script: "again 'backup_compression = gzip'; [ $(info status) = DONE ]", Depth: job.Loaded, Want: "good"},
		{Name: "as packed archives that are cut", Script: "again 'backup_compression = gzip'; keep $(newest)/data/base.tar.gz 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "a log that is not packed", Script: "again ''", Depth: job.Read, Want: "good"},
		{Name: "a log packed by bzip2", Script: "again 'compression = pybzip2'", Depth: job.Read, Want: "good"},
	}
}
