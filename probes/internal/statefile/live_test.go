//go:build live

package statefile_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// On a full disk a save is an error, the value saved before stays, and the next
// save after somebody made room succeeds.
func TestLiveFullDisk(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, unix.Unmount(dir, 0)) })
	store := open(t, dir)
	must(t, store.File("o").Save(1, value{Count: 1}))
	must(t, store.File("o").Save(1, value{Count: 2}))
	filling, err := os.Create(dir + "/filling")
	must(t, err)
	for err == nil {
		_, err = filling.Write(make([]byte, 4096))
	}
	must(t, filling.Close())
	if err := store.File("o").Save(1, value{Count: 3}); !errors.Is(err, unix.ENOSPC) || store.WriteFailures() != 1 {
		t.Errorf("Save = %v, %d failures; want %v", err, store.WriteFailures(), unix.ENOSPC)
	}
	expect(t, dir, 1, 2)
	if want := []string{"filling", "o.json", "o.previous.json"}; !slices.Equal(names(t, dir), want) {
		t.Errorf("files are %v; want %v", names(t, dir), want)
	}
	must(t, os.Remove(dir+"/filling"))
	must(t, store.File("o").Save(1, value{Count: 3}))
	expect(t, dir, 1, 3)
}
