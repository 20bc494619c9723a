// Package volume reads file systems that keep copies themselves: btrfs and
// bcachefs from /sys/fs, and the state of ZFS pools from /proc/spl/kstat/zfs.
package volume

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Btrfs is what sysfs says of a mounted btrfs.
type Btrfs struct {
	UUID, Label string
	Devices     []BtrfsDevice
	Disks       []string            // of the devices that are there
	Profiles    map[string][]string // by class of chunk: data, metadata, system
}

// A BtrfsDevice is one directory of devinfo.
type BtrfsDevice struct {
	ID     string
	Attr   map[string]string // missing, in_fs_metadata, replace_target, writeable
	Errors string            // error_stats
}

// Read returns the btrfs file systems and ZFS pools of the host.
func Read(files *rootfs.FS) group.Reading {
	var reading group.Reading
	groups, err := readBtrfs(files)
	if err != nil {
		reading.Close(group.Btrfs, err)
	}
	pools, err := readZFS(files)
	if err != nil {
		reading.Close(group.ZFS, err)
	}
	reading.Groups = append(groups, pools...)
	more, err := readBcachefs(files)
	if err != nil {
		reading.Close(group.Bcachefs, err)
	}
	reading.Groups = append(reading.Groups, more...)
	return reading
}

func readBtrfs(files *rootfs.FS) ([]group.Group, error) {
	const dir = "/sys/fs/btrfs"
	names, err := sysfs.Names(files, dir)
	var groups []group.Group
	for _, name := range names {
		at := sysfs.Open(files, path.Join(dir, name))
		if !strings.Contains(name, "-") || !at.Has("allocation") {
			continue // features, debug
		}
		raw, err := btrfs(at, name)
		g := raw.Group()
		if err != nil {
			g.Unclear(err)
		}
		scrubbed(files, &g)
		groups = append(groups, g)
	}
	return groups, err
}

func btrfs(at *sysfs.Dir, name string) (Btrfs, error) {
	raw := Btrfs{UUID: name, Label: at.Attr("label"), Profiles: map[string][]string{}}
	errs := []error{at.Err()}
	for _, class := range []string{"data", "metadata", "system"} {
		entries, err := sysfs.Names(at.Files(), path.Join(at.Path(), "allocation", class))
		errs = append(errs, err)
		for _, entry := range entries {
			of := at.Sub(path.Join("allocation", class, entry))
			size, is := of.Int("total_bytes")
			if is && size > 0 {
				raw.Profiles[class] = append(raw.Profiles[class], entry)
			}
		}
	}
	links, err := sysfs.Names(at.Files(), path.Join(at.Path(), "devices"))
	errs = append(errs, err)
	for _, link := range links {
		raw.Disks = append(raw.Disks, sysfs.Disk(at.Files(), path.Join(at.Path(), "devices", link)))
	}
	devices, err := sysfs.Names(at.Files(), path.Join(at.Path(), "devinfo"))
	errs = append(errs, err)
	for _, id := range devices {
		of := at.Sub(path.Join("devinfo", id))
		d := BtrfsDevice{ID: id, Attr: map[string]string{}, Errors: of.Attr("error_stats")}
		for _, attr := range []string{"missing", "in_fs_metadata", "replace_target", "writeable"} {
			d.Attr[attr] = of.Attr(attr)
		}
		errs = append(errs, of.Err())
		raw.Devices = append(raw.Devices, d)
	}
	return raw, errors.Join(errs...)
}

// survives returns how many devices a profile can lose. It depends on the
// profile alone: raid1 on five devices still has two copies of each block.
func survives() map[string]int {
	return map[string]int{
		"single": 0, "dup": 0, "raid0": 0, "raid1": 1, "raid10": 1, "raid5": 1, "raid1c3": 2, "raid6": 2, "raid1c4": 3,
	}
}

// Group judges a file system by its least redundant class of chunks. Chunks
// without copies beside ones with copies, as a mount with a missing device
// leaves them, make all of it as weak as they are.
func (b Btrfs) Group() group.Group {
	g := group.Group{Kind: group.Btrfs, Name: b.UUID, ID: b.UUID, Known: true, Ordinary: len(b.Devices) < 2}
	if b.Label != "" {
		g.Note("The label is %s.", b.Label)
	}
	missing := 0
	for _, d := range b.Devices {
		m := group.Member{ID: d.ID, Name: "devid " + d.ID, Active: true, State: "present", Spare: d.Attr["replace_target"] == "1"}
		if d.Attr["missing"] == "1" {
			m.Active, m.State = false, "missing"
			missing++
		} else if i := len(g.Members) - missing; i < len(b.Disks) {
			// Which device is which is not said; for what they share it is all one.
			m.Domains = group.In(group.Disk, b.Disks[i])
		}
		m.Errors = faults(d.Errors)
		g.Members = append(g.Members, m)
	}
	g.Expected = g.Present()
	least, most := -1, 0
	for _, class := range []string{"data", "metadata", "system"} {
		for _, profile := range b.Profiles[class] {
			n, known := survives()[profile]
			if !known {
				g.Unclear(group.Word("the profile of "+class, profile))
				continue
			}
			g.Note("The profile of %s is %s.", class, profile)
			if least < 0 || n < least {
				least = n
			}
			most = max(most, n)
		}
		if len(b.Profiles[class]) > 1 {
			g.Note("There are several profiles of %s: a conversion, or chunks written while a device was missing.", class)
		}
	}
	switch {
	case len(b.Devices) == 0:
		g.Known = false
		g.Doubted(probes.Unsupported, "this kernel does not list the devices of btrfs")
	case least < 0:
		g.Known = false
		if g.Err == nil {
			g.Doubted(probes.Unsupported, "this kernel does not list the profiles of btrfs")
		}
	default:
		g.Tolerated, g.Design = max(least-missing, -1), b.intended(least, most)
	}
	if missing > 0 && g.Known {
		// It is mounted, so that it works; less than nothing is not left.
		g.Tolerated = max(g.Tolerated, 0)
	}
	g.Sort()
	return g
}

// intended returns what the file system is meant to survive. Several profiles
// of one class are no intention: the better one is.
func (b Btrfs) intended(least, most int) int {
	for _, class := range []string{"data", "metadata", "system"} {
		if len(b.Profiles[class]) > 1 && len(b.Devices) > 1 {
			return most
		}
	}
	return least
}

// faults adds up error_stats.
func faults(text string) *float64 {
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 2 || !slices.Contains([]string{"write_errs", "read_errs", "flush_errs", "corruption_errs", "generation_errs"}, words[0]) {
			continue
		}
		if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			sum, found = sum+float64(n), true
		}
	}
	if !found {
		return nil
	}
	return &sum
}
