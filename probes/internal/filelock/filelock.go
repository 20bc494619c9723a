// Package filelock tells whether some process holds a lock on a file, without
// taking one: a package manager that starts meanwhile notices nothing.
package filelock

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/rootfs"
)

// maxTable is the largest /proc/locks that is read.
const maxTable = 4 << 20

// Held reports whether another process holds a POSIX lock on a file. A file
// that does not exist is not locked. Known is false where it cannot be told.
func Held(files *rootfs.FS, name string) (held, known bool) {
	file, err := files.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, true
	case errors.Is(err, fs.ErrPermission):
		return listed(files, name)
	case err != nil:
		return false, false
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0, Start: 0, Len: 0}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return listed(files, name)
	}
	return lock.Type != unix.F_UNLCK, true
}

// listed looks the file up among the locks that the kernel lists (proc(5),
// /proc/locks), which needs no right to read the file.
func listed(files *rootfs.FS, name string) (held, known bool) {
	info, err := files.Stat(name)
	if err != nil {
		return false, false
	}
	sys, ok := info.Sys().(*syscall.Stat_t)
	table, err := files.ReadFile("/proc/locks", maxTable)
	if !ok || err != nil {
		return false, false
	}
	return inTable(string(table), uint64(sys.Dev), sys.Ino), true //nolint:unconvert // its type depends on the architecture
}

// inTable looks for the inode of a device. What a file system of several
// devices says to stat is not what the kernel lists, so that there the inode
// must do.
func inTable(table string, device, inode uint64) bool {
	place := fmt.Sprintf("%02x:%02x:%d", unix.Major(device), unix.Minor(device), inode)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != "POSIX" && fields[1] != "OFDLCK" {
			continue
		}
		_, listed, _ := strings.Cut(fields[5], ":")
		_, listed, _ = strings.Cut(listed, ":")
		if fields[5] == place || unix.Major(device) == 0 && listed == fmt.Sprint(inode) {
			return true
		}
	}
	return false
}
