package cluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"syscall"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

// Held returns the name of a file in a directory of locks that somebody holds, by
// the list of the kernel; empty: nobody holds one, or it is not for us to see.
// Taking a lock to find out would turn away a backup that begins just then. The
// pattern is one of path.Match.
func Held(host probes.Host, dir, pattern string) (string, error) {
	entries, err := host.Files.ReadDir(dir)
	if err != nil {
		return "", nil //nolint:nilerr // no lock was ever taken, or it is not for us to see
	}
	held, err := host.Files.ReadFile("/proc/locks", 1<<20)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if match, err := path.Match(pattern, entry.Name()); err != nil || !match {
			continue
		}
		if info, err := entry.Info(); err == nil && locked(held, info) {
			return entry.Name(), nil
		}
	}
	return "", nil
}

// locked reports whether the list of the kernel has a lock of a file.
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
