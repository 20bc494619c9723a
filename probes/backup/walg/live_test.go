//go:build live

package walg_test

import (
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/walg"
)

// shell makes a cluster, and of a base backup of it a storage in the form that
// WAL-G documents: WAL-G itself cannot be had here. Data, log and programs are real.
var shell = backuptest.Shell{Library: `
B=/usr/lib/postgresql/15/bin; D=$PWD; chmod a+x .. ../..
S=/tmp/hygiene-pg-$$
as() { setpriv --reuid postgres --regid postgres --init-groups env HOME=$D "$@"; }
up() { as mkdir -p $S; as $B/pg_ctl -D pg -s -w -l pg.log -o "-k $S -c listen_addresses= -c archive_mode=on -c fsync=off -c archive_command='lz4 -q %p $D/store/wal_005/%f.lz4'" start; }
down() { [ ! -e pg/postmaster.pid ] || as $B/pg_ctl -D pg -s -w -m fast stop; rm -rf $S; }
trap down EXIT
q() { as psql -qAtX -h $S -d postgres -c "$1" > /dev/null; }
name() { ls store/basebackups_005 | sed -n 's/_backup_stop_sentinel.json//p' | sort | tail -1; }
base() { echo store/basebackups_005/$(name); }
needed() { ls store/wal_005/$(name | cut -c6-29).lz4; }
last() { ls store/wal_005/*.lz4 | grep -v backup | tail -$1 | sed -n 1p; }
old() { find store/wal_005 -type f -exec touch -d '1 hour ago' {} +; }
`}

const pack = `import json, os, re, subprocess, sys, tarfile, io, time
top = 'store/basebackups_005'
label = open('base/backup_label').read()
start, first = re.search(r'START WAL LOCATION: (\S+) \(file (\w+)\)', label).groups()
history = [n for n in os.listdir('store/wal_005') if n.startswith(first) and '.backup' in n][0]
text = subprocess.run(['lz4', '-dcq', 'store/wal_005/' + history], capture_output=True, check=True).stdout.decode()
stop = re.search(r'STOP WAL LOCATION: (\S+)', text).group(1)
def lsn(t):
    high, low = t.split('/')
    return int(high, 16) << 32 | int(low, 16)
name = 'base_' + first
os.makedirs(f'{top}/{name}/tar_partitions')
files, sets, total = {}, {}, 0
def archive(part, paths):
    global total
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for path in paths:
            inside = path[len('base'):]
            tar.add(path, arcname='x', recursive=False, filter=lambda m: (setattr(m, 'name', inside), m)[1])
            if os.path.isfile(path):
                total += os.path.getsize(path)
                files[inside] = {'IsIncremented': False, 'IsSkipped': False, 'MTime': time.strftime('%Y-%m-%dT%H:%M:%SZ'), 'CorruptBlocks': None}
    sets[part + '.lz4'] = [p[len('base'):] for p in paths]
    with open(f'{top}/{name}/tar_partitions/{part}.lz4', 'wb') as out:
        subprocess.run(['lz4', '-cq'], input=buffer.getvalue(), stdout=out, check=True)
paths = sorted(os.path.join(d, n) for d, ds, ns in os.walk('base') for n in ds + ns)
special = ['base/global/pg_control', 'base/backup_label', 'base/backup_manifest']
paths = [p for p in paths if p not in special]
archive('part_001.tar', paths[:len(paths) // 2])
archive('part_002.tar', paths[len(paths) // 2:])
archive('backup_label.tar', ['base/backup_label'])
archive('pg_control.tar', ['base/global/pg_control'])
packed = sum(os.path.getsize(f'{top}/{name}/tar_partitions/{n}') for n in sets)
json.dump({'Files': files, 'TarFileSets': sets}, open(f'{top}/{name}/files_metadata.json', 'w'))
now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
json.dump({'LSN': lsn(start), 'FinishLSN': lsn(stop), 'PgVersion': 150000, 'SystemIdentifier': 1, 'UncompressedSize': total, 'CompressedSize': packed,
  'Spec': None, 'Version': 2, 'StartTime': now, 'FinishTime': now}, open(f'{top}/{name}_backup_stop_sentinel.json', 'w'))
`

func TestLive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shell.Run(t, dir, `chown postgres .; as mkdir -p store/wal_005 store/basebackups_005; as $B/initdb -D pg -A trust -k --no-sync > initdb.log
up; q 'create table t as select generate_series(1, 20000) g'; as $B/pg_basebackup -h $S -D base -X none -c fast 2> /dev/null
for i in 1 2 3; do q "create table v$i as select 1"; q "select pg_switch_wal()"; done; down; rm -rf pg
cat > pack.py << 'END'
`+pack+`END
python3 pack.py; rm -rf base`)
	b := backuptest.Bench{
		Kind: walg.Kind(), Host: backuptest.Host(t, walg.Kind(), nil), Shell: shell, Original: dir, Bytes: 2_000_000,
		Options: func(dir string, o job.Options) job.Options {
			o.Repository = filepath.Join(dir, "store")
			return o
		},
	}
	b.Run(t, []backuptest.Case{
		{Name: "a backup has its structure", Depth: job.Structure, Want: "good"},
		{Name: "it is read", Depth: job.Read, Want: "good"},
		{Name: "restored", Depth: job.Restored, Want: "good"},
		{Name: "recovered and asked", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{
			{Database: "postgres", Query: "select count(*) from t", Equals: "20000"},
			{Database: "postgres", Query: "select count(*) from pg_class where relname like 'v_'", Equals: "3"},
		}}}, Depth: job.Loaded, Want: "good"},
		{Name: "a gap of the log that may yet be filled", Script: "rm $(last 2)", Depth: job.Structure, Want: "good"},
		{Name: "a backup that has not ended beside it", Script: "mkdir -p store/basebackups_005/base_0000000100000000000000FF/tar_partitions", Depth: job.Structure, Want: "good"},

		{Name: "an answer that is wrong", Restore: job.Restore{Assert: job.Assert{Queries: []job.Query{{Database: "postgres", Query: "select count(*) from t", Min: 30000}}}}, Depth: job.Asserted, Want: "bad unasserted"},
		{Name: "a changed byte", Script: "flip $(base)/tar_partitions/part_001.tar.lz4", Depth: job.Read, Want: "bad damaged"},
		{Name: "a changed byte, restored", Script: "flip $(base)/tar_partitions/part_001.tar.lz4", Depth: job.Restored, Want: "bad damaged"},
		{Name: "a truncated archive", Script: "keep $(base)/tar_partitions/part_002.tar.lz4 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "an empty archive", Script: ": > $(base)/tar_partitions/part_002.tar.lz4", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a missing archive", Script: "rm $(base)/tar_partitions/part_002.tar.lz4", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "an archive that is another one", Script: "cp $(base)/tar_partitions/part_001.tar.lz4 $(base)/tar_partitions/part_002.tar.lz4", Depth: job.Read, Want: "bad incomplete"},
		{Name: "no control file", Script: "rm $(base)/tar_partitions/pg_control.tar.lz4", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no files", Script: "rm -r $(base)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no list of files", Script: "rm $(base)/files_metadata.json", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a truncated list of files", Script: "keep $(base)/files_metadata.json 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "a truncated description", Script: "keep $(base)_backup_stop_sentinel.json 50", Depth: job.Structure, Want: "bad truncated"},
		{Name: "an increment of nothing", Script: `sed -i 's/"LSN"/"DeltaFrom": "base_000000010000000000000001", "LSN"/' $(base)_backup_stop_sentinel.json`, Depth: job.Structure, Want: "bad incomplete"},
		{Name: "pages that were damaged", Script: `sed -i 's/"CorruptBlocks": null/"CorruptBlocks": {"CorruptBlocksCount": 1}/' $(base)/files_metadata.json`, Depth: job.Structure, Want: "bad reported"},
		{Name: "the log of the backup is missing", Script: "rm $(needed)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a gap in the log behind the backup", Script: "old; rm $(last 2)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a changed byte in the log", Script: "flip $(needed)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a truncated segment", Script: "keep $(needed) 50", Depth: job.Read, Want: "bad truncated"},
		{Name: "a segment under the name of another", Script: "cp $(last 1) $(needed)", Depth: job.Read, Want: "bad mismatch"},

		{Name: "packed by brotli", Script: "mv $(base)/tar_partitions/part_002.tar.lz4 $(base)/tar_partitions/part_002.tar.br; sed -i s/part_002.tar.lz4/part_002.tar.br/ $(base)/files_metadata.json; head -c 1000 /dev/zero > $(base)/tar_partitions/part_002.tar.br", Depth: job.Read, Want: "unknown unsupported"},
		{Name: "no storage", Script: "rm -r store", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "none yet", Script: "rm -r store/basebackups_005/*", Depth: job.Structure, Want: "nothing"},
	})
}
