package sysfs

import (
	"path"
	"regexp"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
)

var pci = regexp.MustCompile(`^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// Card returns the card that the way to a device goes through: the last PCI
// device above it, without the function; empty if there is none. The device is
// named by its link in /sys/class or /sys/block, whose text is the way.
func Card(files *rootfs.FS, link string) (card string) {
	target, err := files.Readlink(link)
	if err != nil {
		return ""
	}
	for part := range strings.SplitSeq(target, "/") {
		if pci.MatchString(part) {
			card, _, _ = strings.Cut(part, ".")
		}
	}
	return card
}

// depth bounds how many devices stand on each other.
const depth = 8

// Disk returns the whole disk that a link to a block device leads to; empty if
// there is no such link. What is made of one device alone, such as an encrypted
// one, lies on the disk of that.
func Disk(files *rootfs.FS, link string) string {
	disk := whole(files, link)
	for range depth {
		slaves := path.Join("/sys/block", disk, "slaves")
		below, err := Names(files, slaves)
		if disk == "" || err != nil || len(below) != 1 {
			break
		}
		next := whole(files, path.Join(slaves, below[0]))
		if next == "" {
			break
		}
		disk = next
	}
	return disk
}

// whole returns the device that a link leads to, or the one that it is a partition
// of.
func whole(files *rootfs.FS, link string) string {
	target, err := files.Readlink(link)
	if err != nil {
		return ""
	}
	if above := path.Base(path.Dir(target)); above != "block" && above != ".." {
		return above // .../block/sda/sda1, or ../../../loop0/loop0p1 among devices of the same kind
	}
	return path.Base(target)
}
