package statefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/statefile"
)

func TestADirectoryThatCannotBeIsAnErrorAndMemory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	store, err := statefile.Open(statefile.Options{Dir: file + "/below"})
	if err == nil || len(store.Notices()) != 1 {
		t.Errorf("Open = %v, notices %v", err, store.Notices())
	}
	must(t, store.File("o").Save(1, value{Count: 4}))
	var got value
	if found, err := store.File("o").Load(1, &got); !found || err != nil || got.Count != 4 {
		t.Errorf("Load = %v, %v, %+v", found, err, got)
	}
}

// unprivileged runs f without the right to write everywhere, which tests that
// run as root otherwise have.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Errorf("setfsuid: %v", err)
			return
		}
		f()
	}()
	<-done
}

// closed makes a state directory that this process can read and not write.
func closed(t *testing.T, dir string) {
	t.Helper()
	for _, name := range names(t, dir) {
		must(t, os.Chmod(filepath.Join(dir, name), 0o644))
	}
	must(t, os.Chmod(filepath.Dir(dir), 0o755)) // made by testing for its own user alone
	must(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { must(t, os.Chmod(dir, 0o755)) })
}

func TestAFailedSaveLosesNothing(t *testing.T) {
	t.Parallel()
	dir := saved(t, 1, 1, 2)
	closed(t, dir)
	store := open(t, dir)
	unprivileged(t, func() {
		for count := 3; count < 5; count++ {
			if err := store.File("o").Save(1, value{Count: count}); err == nil {
				t.Error("saving into a closed directory is no error")
			}
		}
		var got value
		if found, err := store.File("o").Load(1, &got); !found || err != nil || got.Count != 4 {
			t.Errorf("Load in the same process = %v, %v, %+v; want what was saved last", found, err, got)
		}
	})
	if got := store.WriteFailures(); got != 2 {
		t.Errorf("WriteFailures = %d; want 2", got)
	}
	expect(t, dir, 1, 2)
	must(t, os.Chmod(dir, 0o755))
	must(t, store.File("o").Save(1, value{Count: 4}))
	expect(t, dir, 1, 4)
}

func TestWhatCannotBeSetAsideIsNotOverwritten(t *testing.T) {
	t.Parallel()
	dir := saved(t, 3, 1)
	closed(t, dir)
	store := open(t, dir)
	unprivileged(t, func() {
		var got value
		if found, err := store.File("o").Load(2, &got); found || err != nil {
			t.Errorf("Load = %v, %v", found, err)
		}
		if err := store.File("o").Save(2, value{Count: 2}); err == nil {
			t.Error("saving over a newer version is no error")
		}
	})
	want := []string{"state of o is newer: saved in version 3 of its format, and this agent reads 2, and cannot be set aside"}
	if diff := cmp.Diff(want, store.Notices()); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
	expect(t, dir, 3, 1)
}

func TestAnUnreadableFileIsAnErrorUntilItIsReplaced(t *testing.T) {
	t.Parallel()
	dir := saved(t, 1, 1)
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Chmod(dir, 0o777)) // so that it can be renamed by another user
	must(t, os.Chmod(dir+"/o.json", 0))
	store := open(t, dir)
	unprivileged(t, func() {
		var got value
		if found, err := store.File("o").Load(1, &got); found || err == nil {
			t.Errorf("Load = %v, %v; want an error", found, err)
		}
		must(t, store.File("o").Save(1, value{Count: 2}))
	})
	if want := []string{"o.json", "o.unreadable-1"}; !slices.Equal(names(t, dir), want) {
		t.Errorf("files are %v; want %v", names(t, dir), want)
	}
}
