//go:build live

package dumps_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/dumps"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restic"
	"hygiene_exporter/probes/backup/tree"
)

// shell makes a directory src in which the dumps of two databases lie, as they do on
// a host that is backed up as files.
var shell = backuptest.Shell{Library: `
B=/usr/lib/postgresql/15/bin; S=/tmp/hygiene-dumps-$$
as() { setpriv --reuid postgres --regid postgres --init-groups env HOME=/nonexistent "$@"; }
databases() {
	mkdir -p src/etc src/var/backups; echo conf > src/etc/conf; mkdir -p $S; chown postgres $S
	trap 'as $B/pg_ctl -D $S/pg -s -w -m immediate stop; rm -rf $S' EXIT
	as $B/initdb -D $S/pg -A trust -k --no-sync > initdb.log
	as $B/pg_ctl -D $S/pg -s -w -l $S/log -o "-k $S -c listen_addresses= -c fsync=off" start
	as createdb -h $S shop
	as psql -qAtX -h $S -d shop -c "create table orders as select g, now() as changed, md5(g::text) as note from generate_series(1, 5000) g"
	as pg_dump -h $S -Fc shop > src/var/backups/shop.dump
	as pg_dump -h $S shop | gzip > src/var/backups/shop.sql.gz
	as pg_dump -h $S -Fd -f $S/dir shop; mv $S/dir src/var/backups/shop-dir; chown -R root: src
	sqlite3 src/var/backups/notes.db 'create table notes(x); insert into notes values (1), (2)'
}
export BORG_PASSCOMMAND="cat $PWD/pw" BORG_BASE_DIR=$PWD/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes
R() { restic --repo repo --password-file pw --no-cache --quiet "$@"; }
`}

// A maker makes a backup of src.
type maker struct {
	name   string
	kind   job.Kind
	script string
	of     func(dir string) job.Options
}

func makers() []maker {
	repository := func(dir string) job.Options {
		return job.Options{Repository: filepath.Join(dir, "repo"), PasswordFile: filepath.Join(dir, "pw")}
	}
	return []maker{
		{"restic", restic.Kind(), "echo secret > pw; R init; R backup src", repository},
		{"borg", borg.Kind(), "echo secret > pw; borg init -e repokey repo 2> /dev/null; borg create repo::one src", repository},
		{"tar", files.Kind(), "mkdir b; tar czf b/all.tar.gz src", func(dir string) job.Options {
			return job.Options{Paths: []string{filepath.Join(dir, "b/*")}, Settle: 1}
		}},
		{"tree", tree.Kind(), "mkdir -p trees/2026-03-04T05:06:07; rsync -a src trees/2026-03-04T05:06:07/", func(dir string) job.Options {
			return job.Options{Dataset: filepath.Join(dir, "trees")}
		}},
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	original := t.TempDir()
	shell.Run(t, original, "databases")
	orders := job.Query{Query: "select count(*) from orders", Equals: "5000"}
	notes := job.Query{Query: "select count(*) from notes", Equals: "2", Database: "notes"}
	for _, c := range []struct {
		name    string
		script  string // what is done to src before it is backed up
		load    []string
		depth   job.Depth
		restore job.Restore
		want    string
		says    string
		every   bool // with every maker; otherwise with the first
	}{
		{name: "a dump in the custom format", load: []string{"**/var/backups/shop.dump"}, depth: job.Asserted, restore: asked(orders), want: "good", every: true},
		{name: "a packed script, by its name", load: []string{"*.sql.gz"}, depth: job.Loaded, restore: asked(orders), want: "good"},
		{name: "a dump in the directory format", load: []string{"**/shop-dir"}, depth: job.Loaded, restore: asked(orders), want: "good", every: true},
		{name: "dumps of two engines, of which one is asked", load: []string{"shop.dump", "notes.db"}, depth: job.Asserted, restore: asked(notes), want: "good"},
		{name: "nothing is asked", load: []string{"shop.dump"}, depth: job.Loaded, want: "good"},
		{name: "a sample is no dump", load: []string{"shop.dump"}, depth: job.Loaded, restore: job.Restore{Sample: 1}, want: "good"},
		{name: "what is demanded of the files holds", load: []string{"shop.dump"}, depth: job.Asserted, restore: demanded(orders, "conf"), want: "good"},
		{name: "what is demanded of the files does not hold", load: []string{"shop.dump"}, depth: job.Asserted, restore: demanded(orders, "passwd"), want: "bad unasserted", says: "passwd"},
		{name: "a wrong answer", script: "rm src/var/backups/shop.dump; sqlite3 src/var/backups/notes.db 'delete from notes where x = 1'", load: []string{"notes.db"}, depth: job.Asserted, restore: asked(notes), want: "bad unasserted", says: "notes", every: true},
		{name: "a dump that is cut off, in a repository that is whole", script: "keep src/var/backups/shop.sql.gz 50", load: []string{"shop.sql.gz"}, depth: job.Loaded, want: "bad truncated", says: "shop.sql.gz", every: true},
		{name: "a script that stops before its end", script: "gzip -dc src/var/backups/shop.sql.gz > all; head -100 all | gzip > x; mv x src/var/backups/shop.sql.gz", load: []string{"shop.sql.gz"}, depth: job.Loaded, want: "bad truncated"},
		{name: "an empty dump", script: ": > src/var/backups/shop.dump", load: []string{"shop.dump"}, depth: job.Loaded, want: "bad empty", says: "shop.dump"},
		{name: "no such dump", script: "rm src/var/backups/shop.dump", load: []string{"notes.db", "shop.dump"}, depth: job.Loaded, want: "bad unasserted", says: `"shop.dump"`, every: true},
		{name: "a link to a dump, which was not backed up", script: "mv src/var/backups/notes.db .; ln -s $PWD/notes.db src/var/backups/notes.db", load: []string{"notes.db"}, depth: job.Loaded, want: "bad unasserted", says: `"notes.db"`, every: true},
		{name: "what is no dump", load: []string{"conf"}, depth: job.Loaded, want: "unknown unsupported", says: "no engine"},
		{name: "a base backup whose table space is a link to this host", script: "mkdir -p src/pg/pg_tblspc; echo 15 > src/pg/PG_VERSION; ln -s /etc src/pg/pg_tblspc/16384", load: []string{"**/src/pg"}, depth: job.Loaded, want: "unknown unsupported", says: "links are not followed"},
		{name: "a directory that is no dump does not count", load: []string{"**/var/**"}, depth: job.Restored, want: "good"},
	} {
		list := makers()
		if !c.every {
			list = list[:1]
		}
		for _, m := range list {
			t.Run(m.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "w")
				backuptest.Duplicate(t, original, dir)
				shell.Run(t, dir, c.script+"\n"+m.script)
				task := job.Task{Depth: c.depth, Restore: c.restore}
				task.Restore.Scratch = backuptest.Scratch(t)
				host := backuptest.Host(t, together(m.kind), nil)
				restored := dumps.Within(m.kind.Open(host, m.of(dir)), host, c.load)
				got, _, out := backuptest.Check(t.Context(), restored, task)
				if got != c.want || out.Err != nil && !strings.Contains(out.Err.Error(), c.says) {
					t.Fatalf("got %q, want %q that says %q: %v %v", got, c.want, c.says, out.Err, out.Notes)
				}
				if reached := slices.Contains(out.Reached, job.Loaded); reached != (got == "good" && c.depth != job.Restored) {
					t.Errorf("%s: reached %v", got, out.Reached)
				}
				if left, _ := filepath.Glob(filepath.Join(filepath.Dir(task.Restore.Scratch), "*")); len(left) != 1 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

func asked(q job.Query) job.Restore {
	return job.Restore{RPO: time.Hour, Assert: job.Assert{Queries: []job.Query{q}}}
}

func demanded(q job.Query, required string) job.Restore {
	restore := asked(q)
	restore.Assert.Required = []string{required}
	return restore
}

// together is a kind that may run what files may run, too, as in the probe.
func together(kind job.Kind) job.Kind {
	for _, c := range files.Kind().Commands {
		if !slices.ContainsFunc(kind.Commands, func(have probes.Command) bool { return have.Entry == c.Entry }) {
			kind.Commands = append(slices.Clone(kind.Commands), c)
		}
	}
	return kind
}
