package statefile_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/statefile"
)

type value struct {
	Count int               `json:"count"`
	Text  string            `json:"text,omitempty"`
	Since map[string]string `json:"since,omitempty"`
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *statefile.Store {
	t.Helper()
	store, err := statefile.Open(statefile.Options{Dir: dir, MachineID: "machine-1", Now: func() time.Time {
		return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	}})
	must(t, err)
	return store
}

// saved makes a state directory that holds these generations of the owner "o".
func saved(t *testing.T, version int, counts ...int) string {
	t.Helper()
	dir := t.TempDir()
	for _, count := range counts {
		must(t, open(t, dir).File("o").Save(version, value{Count: count}))
	}
	return dir
}

// expect checks what a newly started agent loads, and what it has to say.
func expect(t *testing.T, dir string, version, count int, notices ...string) {
	t.Helper()
	store := open(t, dir)
	var got value
	found, err := store.File("o").Load(version, &got)
	must(t, err)
	if found != (count != 0) || got.Count != count {
		t.Errorf("Load = %v, count %d; want count %d", found, got.Count, count)
	}
	if diff := cmp.Diff(notices, store.Notices()); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestAValueSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "when", "missing")
	want := value{Count: 3, Text: "a < b & \u2028 \"ü\"", Since: map[string]string{"x": "y"}}
	first := open(t, dir)
	var got value
	if found, err := first.File("o").Load(1, &got); found || err != nil {
		t.Fatalf("Load from nothing = %v, %v", found, err)
	}
	must(t, first.File("o").Save(1, want))
	must(t, first.File("p").Save(1, value{Count: 99}))
	got = value{Since: map[string]string{"of": "before"}}
	found, err := open(t, dir).File("o").Load(1, &got)
	if diff := cmp.Diff(want, got); !found || err != nil || diff != "" {
		t.Errorf("Load = %v, %v (-want +got):\n%s", found, err, diff)
	}
	if diff := cmp.Diff([]string{"o.json", "p.json"}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	info, err := os.Stat(filepath.Join(dir, "o.json"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("permissions are %v; only the agent may read its state", info.Mode())
	}
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	const standIn = "state of o: the newest generation is missing or damaged, the one of 2026-07-01T12:00:00Z is used"
	damaged := func(dir, why string) string {
		return "state of o is damaged: " + why + "; it was set aside as " + dir + "/o.damaged-1"
	}
	t.Run("the newest of several generations is used", func(t *testing.T) {
		t.Parallel()
		expect(t, saved(t, 1, 1, 2, 3), 1, 3)
	})
	t.Run("an empty file is damaged, and the generation before stands in", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 1, 2)
		must(t, os.Truncate(dir+"/o.json", 0))
		expect(t, dir, 1, 1, damaged(dir, "unexpected end of JSON input"), standIn)
	})
	t.Run("the generation that stood in survives the next save", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 1, 2)
		must(t, os.Truncate(dir+"/o.json", 10))
		must(t, open(t, dir).File("o").Save(1, value{Count: 5}))
		expect(t, dir, 1, 5)
		must(t, os.Truncate(dir+"/o.json", 0))
		store := open(t, dir)
		var got value
		if found, err := store.File("o").Load(1, &got); !found || err != nil || got.Count != 1 {
			t.Errorf("Load = %v, %v, %+v; want count 1", found, err, got)
		}
		if want := []string{"o.damaged-1", "o.damaged-2", "o.previous.json"}; !slices.Equal(names(t, dir), want) {
			t.Errorf("files are %v; want %v", names(t, dir), want)
		}
	})
	t.Run("a missing file is replaced by the generation before", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 1, 2)
		must(t, os.Remove(dir+"/o.json"))
		expect(t, dir, 1, 1, standIn)
	})
	t.Run("two damaged generations are both kept, and there is no value", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 1, 2)
		must(t, os.WriteFile(dir+"/o.json", []byte("{}"), 0o600))
		must(t, os.WriteFile(dir+"/o.previous.json", []byte("null"), 0o600))
		expect(t, dir, 1, 0, damaged(dir, "the checksum does not match"),
			strings.ReplaceAll(damaged(dir, "the checksum does not match"), "damaged-1", "damaged-2"))
	})
	t.Run("a directory in the place of the file is set aside", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 1, 2)
		must(t, os.Remove(dir+"/o.json"))
		must(t, os.Mkdir(dir+"/o.json", 0o700))
		expect(t, dir, 1, 1, damaged(dir, "open "+dir+"/o.json: not a regular file"), standIn)
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	t.Run("an older version is not decoded, and is the previous generation after a save", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 7)
		expect(t, dir, 2, 0)
		must(t, open(t, dir).File("o").Save(2, value{Count: 8}))
		expect(t, dir, 2, 8)
		must(t, os.Rename(dir+"/o.previous.json", dir+"/o.json"))
		expect(t, dir, 1, 7)
	})
	t.Run("an owner can migrate", func(t *testing.T) {
		t.Parallel()
		file := open(t, saved(t, 1, 7)).File("o")
		var got value
		if found, err := file.Load(2, &got); found || err != nil {
			t.Fatalf("Load(2) = %v, %v", found, err)
		}
		if found, err := file.Load(1, &got); !found || err != nil || got.Count != 7 {
			t.Fatalf("Load(1) = %v, %v, %+v", found, err, got)
		}
	})
	t.Run("a newer version is set aside and outlives every save", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 3, 7)
		notice := "state of o is newer: saved in version 3 of its format, and this agent reads 2; it was set aside as " + dir + "/o.newer-1"
		expect(t, dir, 2, 0, notice)
		for count := range 3 {
			must(t, open(t, dir).File("o").Save(2, value{Count: count + 1}))
		}
		must(t, os.Rename(dir+"/o.newer-1", dir+"/o.json"))
		expect(t, dir, 3, 7)
	})
	t.Run("a newer version is set aside by an owner that only saves", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 3, 7)
		must(t, open(t, dir).File("o").Save(2, value{Count: 1}))
		if want := []string{"o.json", "o.newer-1"}; !slices.Equal(names(t, dir), want) {
			t.Errorf("files are %v; want %v", names(t, dir), want)
		}
	})
	t.Run("the state of another machine is set aside", func(t *testing.T) {
		t.Parallel()
		dir := saved(t, 1, 7)
		store, err := statefile.Open(statefile.Options{Dir: dir, MachineID: "clone"})
		must(t, err)
		var got value
		if found, err := store.File("o").Load(1, &got); found || err != nil {
			t.Errorf("Load = %v, %v", found, err)
		}
		want := []string{`state of o is foreign: saved by the machine "machine-1"; it was set aside as ` + dir + "/o.foreign-1"}
		if diff := cmp.Diff(want, store.Notices()); diff != "" {
			t.Errorf("notices (-want +got):\n%s", diff)
		}
	})
	t.Run("a machine that has no id takes what is there", func(t *testing.T) {
		t.Parallel()
		store, err := statefile.Open(statefile.Options{Dir: saved(t, 1, 7)})
		must(t, err)
		var got value
		if found, err := store.File("o").Load(1, &got); !found || err != nil {
			t.Errorf("Load = %v, %v", found, err)
		}
	})
	t.Run("a value of another shape is an error and leaves the owner's alone", func(t *testing.T) {
		t.Parallel()
		got := map[string]bool{"mine": true}
		found, err := open(t, saved(t, 1, 7)).File("o").Load(1, &got)
		if found || err == nil || len(got) != 1 {
			t.Errorf("Load = %v, %v, %v", found, err, got)
		}
	})
}

func TestInMemory(t *testing.T) {
	t.Parallel()
	store := open(t, "")
	must(t, store.File("o").Save(1, value{Count: 4}))
	var got value
	if found, err := store.File("o").Load(1, &got); !found || err != nil || got.Count != 4 {
		t.Errorf("Load = %v, %v, %+v", found, err, got)
	}
	if found, err := store.File("o").Load(2, &got); found || err != nil {
		t.Errorf("Load of another version = %v, %v", found, err)
	}
	if found, err := store.File("p").Load(1, &got); found || err != nil {
		t.Errorf("Load of another owner = %v, %v", found, err)
	}
	want := []string{"no state directory: what the agent remembers is lost when it stops"}
	if diff := cmp.Diff(want, store.Notices()); diff != "" || store.WriteFailures() != 0 {
		t.Errorf("%d failures, notices (-want +got):\n%s", store.WriteFailures(), diff)
	}
}

func TestUnchangedValuesAreNotWrittenAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := open(t, dir).File("o")
	inode := func() uint64 {
		var stat unix.Stat_t
		must(t, unix.Stat(dir+"/o.json", &stat))
		return stat.Ino
	}
	must(t, file.Save(1, value{Count: 1}))
	before := inode()
	must(t, file.Save(1, value{Count: 1}))
	if inode() != before {
		t.Error("an unchanged value was written again")
	}
	must(t, file.Save(2, value{Count: 1}))
	if inode() == before {
		t.Error("a new version of the same value was not written")
	}
	must(t, os.Remove(dir+"/o.json"))
	must(t, file.Save(2, value{Count: 1}))
	expect(t, dir, 2, 1)
}

func TestLeftoversAreRemovedOnceTheyAreOld(t *testing.T) {
	t.Parallel()
	dir := saved(t, 1, 1)
	old := time.Date(2026, 7, 1, 11, 58, 59, 0, time.UTC)
	for _, name := range []string{".o.json123", ".o.link", ".keep", "note.json9"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
		must(t, os.Chtimes(filepath.Join(dir, name), old, old))
	}
	must(t, os.WriteFile(filepath.Join(dir, ".o.json456"), nil, 0o600))
	expect(t, dir, 1, 1)
	if want := []string{".keep", ".o.json456", "note.json9", "o.json"}; !slices.Equal(names(t, dir), want) {
		t.Errorf("files are %v; want %v", names(t, dir), want)
	}
}

func TestConcurrentOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := open(t, dir)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			file := store.File([]string{"o", "p"}[worker%2])
			for count := range 20 {
				if err := file.Save(1, value{Count: count + 1}); err != nil {
					t.Error(err)
				}
				var got value
				if found, err := file.Load(1, &got); !found || err != nil || got.Count == 0 {
					t.Errorf("Load = %v, %v, %+v", found, err, got)
				}
			}
		})
	}
	group.Wait()
	if want := []string{"o.json", "o.previous.json", "p.json", "p.previous.json"}; !slices.Equal(names(t, dir), want) {
		t.Errorf("files are %v; want %v", names(t, dir), want)
	}
}
