//go:build live

package tree_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/tree"
)

// shell makes and harms trees. The configuration is written anew for the copy that
// a case works on, and comes into its place as a whole: checks run meanwhile.
var shell = backuptest.Shell{Library: `
tab()  { printf '%s' "$1"; shift; printf '\t%s' "$@"; echo; }
conf() { { tab config_version 1.2; tab snapshot_root $PWD/root/; tab cmd_cp /bin/cp; tab cmd_rm /bin/rm; tab cmd_rsync ${RSYNC:-/usr/bin/rsync}
           tab retain alpha 6; tab retain beta 3; tab logfile $PWD/log; tab lockfile $PWD/lock; tab verbose 1; tab loglevel 3
           tab rsync_long_args --delete --numeric-ids; tab backup $PWD/src/ local/; } > conf.new; mv conf.new conf; }
[ -e noconf ] || conf
R() { rsnapshot -c $PWD/conf "$@" > out 2>&1 || { code=$?; cat out; return $code; }; }
`}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	dir := t.TempDir()
	shell.Run(t, dir, `mkdir -p src/sub; for i in 1 2 3; do head -c 100000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
R alpha; sleep 1.1; echo more > src/more; R alpha`)
	return backuptest.Bench{
		Kind: tree.Rsnapshot(), Host: backuptest.Host(t, tree.Rsnapshot(), nil), Shell: shell, Original: dir,
		Options: func(dir string, o job.Options) job.Options {
			o.ConfigFile = filepath.Join(dir, "conf")
			return o
		},
	}
}

// failing makes rsync end as it does in trouble, once it has copied.
const failing = `printf '#!/bin/sh\n/usr/bin/rsync "$@"\nexit %s\n' $CODE > rsync; chmod +x rsync; RSYNC=$PWD/rsync conf; touch noconf; sleep 1.1
`

func TestLiveRsnapshot(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "good trees have their structure", Depth: job.Structure, Want: "good"},
		{Name: "good trees are read", Depth: job.Read, Want: "good"},
		{Name: "a level that takes trees over", Script: "for i in 1 2 3 4 5; do R alpha; done; R beta; R alpha", Depth: job.Structure, Want: "good"},
		{Name: "with link_dest", Script: "rm -r root log; tab link_dest 1 >> conf; touch noconf; R alpha; sleep 1.1; R alpha", Depth: job.Read, Want: "good"},
		{Name: "in paths of their own", Script: relative, Depth: job.Structure, Want: "good"},
		{Name: "a configuration that includes another", Script: "mv conf other; tab include_conf $PWD/other > conf; touch noconf; R alpha", Depth: job.Structure, Want: "good"},
		{Name: "the log of an earlier rsnapshot", Script: `sed -i -E 's#^\[([0-9]{4})-11-([0-9]{2})T#[\2/Nov/\1:#' log`, Depth: job.Structure, Want: "good"},
		{Name: "no log", Script: "sed -i /logfile/d conf; touch noconf; R alpha", Depth: job.Structure, Want: "good"},
		{Name: "a log that was turned", Script: ": > log", Depth: job.Structure, Want: "good"},
		{Name: "a lock of a process that is gone", Script: "echo 4194303 > lock", Depth: job.Structure, Want: "good"},
		{Name: "a file that vanished while it was copied", Script: "CODE=24\n" + failing + "R alpha || [ $? = 2 ]", Depth: job.Structure, Want: "good"},
		{Name: "files that could not be read, although the tree was turned", Script: "CODE=23\n" + failing + "R alpha || [ $? = 2 ]", Depth: job.Structure, Want: "bad reported"},
		{Name: "a host that was away, although the tree was turned", Script: "CODE=255\n" + failing + "R alpha || true", Depth: job.Structure, Want: "bad reported"},
		{Name: "a run that succeeds again", Script: "CODE=255\n" + failing + "R alpha || true; rm noconf; conf; sleep 1.1; R alpha", Depth: job.Structure, Want: "good"},
		{Name: "a run that was killed while it copied", Script: interrupted, Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a newest tree without what should be copied", Script: "mv root/alpha.0/local root/alpha.0/other", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "a backup point that was never copied", Script: "tab backup /etc/ssl/ etc/ >> conf; touch noconf", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "an empty newest tree", Script: "rm -r root/alpha.0/*", Depth: job.Structure, Want: "bad empty"},
		{Name: "a source that lost everything", Script: "rm -r src/*; R alpha", Depth: job.Structure, Want: "bad empty"},
		{Name: "nothing yet", Script: "rm -r root/*", Depth: job.Structure, Want: "nothing"},
		{Name: "trees of levels that are not retained", Script: "mkdir x; mv root/* x; mv x/alpha.0 root/hourly.0; mv x/alpha.1 root/alpha.6", Depth: job.Structure, Want: "nothing"},
		{Name: "a disk that is not mounted", Script: "rm -r root", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "no configuration", Script: "rm conf", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "blanks in place of tabs", Script: "sed -i 's/^retain.alpha.6/retain alpha 6/' conf", Depth: job.Structure, Want: "unknown malformed"},
		{Name: "a running rsnapshot", Script: "echo $PPID > lock", Depth: job.Structure, Want: "busy"},
		{Name: "a list of checksums that holds", Script: sums, Options: job.Options{Manifest: "SHA256SUMS"}, Depth: job.Read, Want: "good"},
		{Name: "a changed byte, which is in all trees that share the file", Script: sums + "flip root/alpha.1/local/text; cmp root/alpha.0/local/text root/alpha.1/local/text", Options: job.Options{Manifest: "SHA256SUMS"}, Depth: job.Read, Want: "bad mismatch"},
		{Name: "a tree is restored", Source: "src", Script: relative, Depth: job.Restored, Want: "good"},
		{Name: "a byte that was changed without a trace is seen beside the source", Script: relative + "touch -r src/text t; f=$(find root/alpha.0 -name text); flip $f; touch -r t $f", Depth: job.Restored, Source: "src", Want: "bad mismatch"},
	})
}

// relative makes the trees anew, with whole paths below the name of a host.
const relative = "rm -r root log; sed -i /rsync_long_args/d conf; touch noconf; R alpha\n"

// interrupted kills a run while rsync copies.
const interrupted = `printf '#!/bin/sh\n/usr/bin/rsync "$@"\ntouch %s/copied\nexec sleep 60\n' $PWD > rsync; chmod +x rsync; RSYNC=$PWD/rsync conf; touch noconf; sleep 2.5
setsid rsnapshot -c $PWD/conf alpha > /dev/null 2>&1 & for i in $(seq 200); do [ -e copied ] && break; sleep 0.05; done
kill -9 -- -$(cat lock); wait $! || true; test -e copied`

// sums lists the checksums of each tree beside its files.
const sums = "for tree in root/*; do (cd $tree && find . -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS); done\n"

// TestLiveNeighbours: rsnapshot turns the trees during checks, and no check calls
// them bad.
func TestLiveNeighbours(t *testing.T) {
	t.Parallel()
	b := bench(t)
	c := b.Kind.Open(b.Host, b.Options(b.Original, job.Options{}))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	task := job.Task{Depth: job.Read, Point: sight.Points[0], Units: sight.Units}
	backuptest.Beside(t, c, task, 6, func(ctx context.Context) *exec.Cmd {
		return shell.Command(ctx, b.Original, "date > src/new; R alpha")
	})
}

// TestLiveLinkDest: trees that scripts make with rsync have the age that their
// names tell, whatever time the source has.
func TestLiveLinkDest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shell.Run(t, dir, `touch noconf; mkdir -p src trees; echo a > src/a; touch -d 2001-02-03 src
rsync -a src/ trees/2026-03-04T05:06:07/; rsync -a --link-dest=../2026-03-04T05:06:07 src/ trees/2026-03-05_050607/
rsync -a src/ trees/2026-03-06.incomplete/; ln -s 2026-03-05_050607 trees/latest
today=$(date +%Y-%m-%d); rsync -a src/ trees/$today/`)
	c := tree.Kind().Open(backuptest.Host(t, tree.Kind(), nil), job.Options{Dataset: filepath.Join(dir, "trees")})
	got, sight, out := backuptest.Check(t.Context(), c, job.Task{Depth: job.Read})
	if got != "good" || len(sight.Points) != 3 {
		t.Fatalf("got %s of %+v: %v", got, sight.Points, out.Err)
	}
	if out := shell.Run(t, dir, "stat -c %Y trees/$(date +%Y-%m-%d)"); sight.Points[0].At.Year() == 2001 {
		t.Errorf("the newest tree is as old as its source: %s %s", sight.Points[0].At, out)
	}
	for i, want := range []string{"2026-03-05T05:06:07", "2026-03-04T05:06:07"} {
		if got := sight.Points[i+1].At.Format("2006-01-02T15:04:05"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
