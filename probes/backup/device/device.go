// Package device finds out on which disks a file lies, so that two copies on one
// disk are not taken for two.
package device

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Files is what of the host is read: /sys/dev/block and /proc/self/mountinfo.
type Files interface {
	Resolve(path string) (string, error)
	ReadDir(path string) ([]fs.DirEntry, error)
	ReadFile(path string, limit int64) ([]byte, error)
	Stat(path string) (fs.FileInfo, error)
}

// Of returns the names of the disks below a file, sorted: those that a volume
// or an array is made of, too. Where there is no block device, such as on a
// network or in memory, it is what is mounted.
func Of(files Files, info fs.FileInfo) []string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	number := fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev))
	if disks := below(files, "/sys/dev/block/"+number, 0); len(disks) > 0 {
		return disks
	}
	kind, source := mounted(files, number)
	switch {
	case kind == "zfs":
		pool, _, _ := strings.Cut(source, "/")
		return []string{"zfs/" + pool}
	case strings.HasPrefix(source, "/dev/"): // btrfs, whose numbers are its own
		if node, err := files.Stat(source); err == nil {
			if stat, ok := node.Sys().(*syscall.Stat_t); ok {
				return below(files, fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(stat.Rdev), unix.Minor(stat.Rdev)), 0)
			}
		}
	case source != "" && source != "none" && source != kind:
		return []string{kind + "/" + source} // a server, a share
	}
	return []string{"device/" + number}
}

// maxDepth bounds the layers of volumes.
const maxDepth = 10

// below returns the disks under a block device.
func below(files Files, link string, depth int) []string {
	place, err := files.Resolve(link)
	if err != nil || depth > maxDepth {
		return nil
	}
	if _, err := files.Stat(place); err != nil {
		return nil
	}
	slaves, err := files.ReadDir(path.Join(place, "slaves"))
	if err != nil || len(slaves) == 0 {
		if _, err := files.Stat(path.Join(place, "partition")); err == nil {
			return []string{"disk/" + path.Base(path.Dir(place))}
		}
		return []string{"disk/" + path.Base(place)}
	}
	var disks []string
	for _, slave := range slaves {
		disks = append(disks, below(files, path.Join(place, "slaves", slave.Name()), depth+1)...)
	}
	slices.Sort(disks)
	return slices.Compact(disks)
}

// mounted returns the type and the source of the mount with a device number, as
// proc_pid_mountinfo(5) tells them.
func mounted(files Files, number string) (kind, source string) {
	data, err := files.ReadFile("/proc/self/mountinfo", 8<<20)
	if err != nil {
		return "", ""
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) > 2 && fields[2] == number && len(rest) > 1 {
			return rest[0], rest[1]
		}
	}
	return "", ""
}
