// Package lock tells whether another process holds the lock of a package
// manager, without taking it.
package lock

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// Held tells whether a process holds a lock on a file, of whichever kind. A file
// that is not there is not locked.
func Held(files *rootfs.FS, path string) updates.Truth {
	info, err := files.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return updates.No
	}
	stat, ok := (*syscall.Stat_t)(nil), false
	if err == nil {
		stat, ok = info.Sys().(*syscall.Stat_t)
	}
	if !ok {
		return updates.Unknown
	}
	listed := inProc(files, stat)
	if listed == updates.Yes {
		return listed
	}
	// Asking for the holder of a lock of the POSIX kind works everywhere, for
	// those who may read the file.
	if asked := ask(files, path); asked != updates.Unknown {
		return asked
	}
	return listed
}

// ask asks the kernel who would be in the way of a lock, and takes none.
func ask(files *rootfs.FS, path string) updates.Truth {
	file, err := files.Open(path)
	if err != nil {
		return updates.Unknown
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return updates.Unknown
	}
	return updates.TruthOf(lock.Type != unix.F_UNLCK)
}

// inProc looks for the file in the kernel's list of locks, which names it by
// device and inode.
func inProc(files *rootfs.FS, stat *syscall.Stat_t) updates.Truth {
	data, err := files.ReadFile("/proc/locks", 4<<20)
	if err != nil {
		return updates.Unknown
	}
	return updates.TruthOf(listed(string(data), stat.Dev, stat.Ino))
}

// listed looks for an inode of a device in the list. A file system of several
// devices, such as btrfs or an overlay, has another device for stat than in the
// list, so that there the inode must do.
func listed(table string, device, inode uint64) bool {
	number := strconv.FormatUint(inode, 10)
	want := fmt.Sprintf("%02x:%02x:%s", unix.Major(device), unix.Minor(device), number)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] == "->" {
			continue // one who waits holds nothing
		}
		place := fields[5]
		if place == want || unix.Major(device) == 0 && strings.HasSuffix(place, ":"+number) {
			return true
		}
	}
	return false
}

// Alive tells whether the process that a file names by its number is there. A
// file that is not there, or names a process that is gone, means no.
func Alive(files *rootfs.FS, path string) updates.Truth {
	data, err := files.ReadFile(path, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return updates.No
	}
	if err != nil {
		return updates.Unknown
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return updates.No // left behind
	}
	_, err = files.Stat(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case err == nil:
		return updates.Yes
	case errors.Is(err, fs.ErrNotExist):
		return updates.No
	}
	return updates.Unknown
}

// Any returns Yes if one is Yes, and No only if all are.
func Any(truths ...updates.Truth) updates.Truth {
	all := updates.No
	for _, truth := range truths {
		switch truth {
		case updates.Yes:
			return updates.Yes
		case updates.Unknown:
			all = updates.Unknown
		}
	}
	return all
}
