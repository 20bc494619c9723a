package pgbackrest

import (
	"bytes"
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// locked reports whether somebody holds a lock of a file, by the list of the
// kernel. Taking the lock to find out would turn away a backup that begins just
// then.
func locked(list []byte, info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	want := fmt.Appendf(nil, "%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range bytes.Lines(list) {
		if fields := bytes.Fields(line); len(fields) > 5 && bytes.Equal(fields[5], want) {
			return true
		}
	}
	return false
}
