//go:build live

package files_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// resident returns how many pages of a file the kernel has in memory.
func resident(t *testing.T, path string) int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	pages := make([]byte, (len(mapped)+os.Getpagesize()-1)/os.Getpagesize())
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(addr(mapped)), uintptr(len(mapped)), uintptr(addr(pages))); errno != 0 {
		t.Fatal(errno)
	}
	n := 0
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// locked reports whether somebody holds a lock of any kind on a file.
func locked(t *testing.T, path string) bool {
	t.Helper()
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return false // it is not there yet, or was moved
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && strings.Contains(string(locks), fmt.Sprintf(":%d ", stat.Ino))
}

// settled is how long a file must be left alone here.
const settled = 2 * time.Second

// A backup runs while we look and check, over and over: it ends well, what is
// half written is never judged, nothing is locked, and what is read does not
// stay in the memory of the host.
func TestLiveBackupsWhileWeCheck(t *testing.T) {
	if _, err := databasesOnce(); err != nil {
		t.Fatal(err)
	}
	// Each writes for some seconds, at least five times a second.
	const slowly = `slowly() { while IFS= read -r -d '' -n 60000 part || [ -n "$part" ]; do printf %s "$part"; sleep 0.1; done; }
`
	for _, c := range []struct {
		name, before, script, path, old string
		changes                         bool // what is being checked
		full                            bool // not in CI
	}{
		{
			name: "tar that writes beside older ones", before: "tar -C $SRC -cf b/1.tar tree; touch -d '1 day ago' b/1.tar",
			script: "tar -C $SRC --checkpoint=4 --checkpoint-action=exec='sleep 0.02' -cf b/2.tar tree text", path: "b/*.tar", old: "b/1.tar", full: true,
		},
		{
			name: "tar that writes over the older one", before: "head -c 100000000 /dev/urandom > big; tar -C $SRC -cf b/a.tar tree -C $PWD big; touch -d '1 day ago' b/a.tar",
			script: "sleep 0.5; tar -C $SRC --checkpoint=4 --checkpoint-action=exec='sleep 0.02' -cf b/a.tar tree text", path: "b/*.tar", changes: true,
		},
		{
			name: "pg_dump into a compressed file", before: "gzip -c $DB/plain.sql > b/1.sql.gz; touch -d '1 day ago' b/1.sql.gz",
			script: slowly + "slowly < $DB/plain.sql | gzip > b/2.sql.gz", path: "b/*.sql.gz", old: "b/1.sql.gz",
		},
		{
			name: "a dump that is moved to its place when it is done, and removes the older one", before: "cp $DB/plain.sql b/d.sql; touch -d '1 day ago' b/d.sql",
			script: slowly + "slowly < $DB/plain.sql > b/d.sql.part; mv b/d.sql.part b/d.sql", path: "b/*.sql", full: true,
		},
		{
			name: "rsync into a directory", before: "mkdir b/tree; cp -a $SRC/tree/sub b/tree",
			script: "for i in $(seq 60); do rsync -a --include=f$i --exclude='*' $SRC/tree/ b/tree/; sleep 0.05; done; rsync -a $SRC/tree/ b/tree/", path: "b/tree",
		},
		{
			name: "a rotation that takes away what is being checked", before: "for i in $(seq 100 140); do cp $DB/c.dump b/$i.dump; done; touch -d '1 day ago' b/*",
			script: "for i in $(seq 100 139); do rm b/$i.dump; sleep 0.1; done", path: "b/*.dump", old: "b/140.dump", full: true,
		},
	} {
		if c.full && os.Getenv("HYGIENE_FULL") == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			shell(t).Run(t, dir, "mkdir b; "+c.before)
			command := shell(t).Command(t.Context(), dir, c.script)
			var said strings.Builder
			command.Stdout, command.Stderr = &said, &said
			copied := files.Kind().Open(backuptest.Host(t, files.Kind(), nil), job.Options{Paths: []string{filepath.Join(dir, c.path)}, Settle: probes.Duration(settled)})
			time.Sleep(settled) // until what there is has been left alone
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- command.Wait() }()
			rounds, notes := 0, map[string]bool{}
			for running := true; running; rounds++ {
				time.Sleep(time.Millisecond) // it is the backup that is to get on
				select {
				case err := <-ended:
					if err != nil {
						t.Errorf("the backup failed: %v: %s", err, said.String())
					}
					running = false
				default:
				}
				for _, answer := range everything(t.Context(), copied, func() {
					if matches, _ := filepath.Glob(filepath.Join(dir, c.path)); slices.ContainsFunc(matches, func(name string) bool { return locked(t, name) }) {
						t.Error("something is locked")
					}
				}) {
					notes[answer] = true
				}
			}
			for answer := range notes {
				if strings.HasPrefix(answer, "bad") {
					t.Errorf("while the backup was running, it was called %s", answer)
				}
			}
			if c.changes && !notes["unknown locked"] {
				t.Error("what was being checked was not changed meanwhile: the test proves nothing")
			}
			if rounds < 2 {
				t.Errorf("only %d checks were made while the backup ran", rounds)
			}
			t.Logf("%d rounds: %v", rounds, notes)
			if c.old != "" {
				if n := resident(t, filepath.Join(dir, c.old)); n > 0 {
					t.Errorf("%d pages of what was read are still in memory", n)
				}
			}
			time.Sleep(settled + 100*time.Millisecond) // until it has been left alone
			if got, _, out := look(t.Context(), copied, job.Read, job.Restore{}); got != "good" {
				t.Errorf("when it is done it is %q: %v", got, out.Err)
			}
		})
	}
}

// everything looks, and checks each backup and each unit on its own, as the
// rolling check does; during is called between.
func everything(ctx context.Context, c job.Copy, during func()) []string {
	sight, err := c.Look(ctx)
	if err != nil {
		return []string{answer(err)}
	}
	answers := []string{"seen"}
	for _, depth := range []job.Depth{job.Structure, job.Read} {
		for _, unit := range sight.Units {
			out := c.Check(ctx, job.Task{Depth: depth, Units: []job.Unit{unit}})
			during()
			answers = append(answers, answer(out.Err))
			for _, err := range out.Units {
				answers = append(answers, answer(err))
			}
		}
	}
	return answers
}
