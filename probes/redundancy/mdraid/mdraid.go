// Package mdraid reads Linux software RAID from /sys/block/md*/md, as described
// in Documentation/admin-guide/md.rst of the kernel, with /proc/mdstat as the
// second witness. It promises that no array hides another, and that what an
// array survives is said for the worst case.
package mdraid

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Raw is what sysfs says of an array: the attributes that exist.
type Raw struct {
	Attr    map[string]string
	Devices []Device
	UUID    string
}

// A Device is one directory dev-* of an array.
type Device struct {
	Name string
	Disk string // the whole disk that it lies on
	Attr map[string]string
}

const (
	mdstatPath  = "/proc/mdstat"
	mdstatLimit = 4 << 20
	attempts    = 3
)

var arrayName = regexp.MustCompile(`^md(_|[0-9]|$)`)

// Read returns all arrays of the host.
func Read(files *rootfs.FS) group.Reading {
	var reading group.Reading
	names, err := sysfs.Names(files, "/sys/block")
	if err != nil {
		reading.Close(group.MDRaid, err)
	}
	stat, statErr := witness(files)
	seen := map[string]bool{}
	for _, name := range names {
		if !arrayName.MatchString(name) {
			continue
		}
		seen[name] = true
		if g := read(files, name, stat); g != nil {
			reading.Groups = append(reading.Groups, *g)
		}
	}
	for _, line := range stat {
		if seen[line.Name] {
			continue
		}
		if g, ok := line.Group(); ok {
			reading.Groups = append(reading.Groups, g)
		}
	}
	if statErr != nil && len(names) == 0 {
		reading.Close(group.MDRaid, statErr)
	}
	return reading
}

// witness returns the arrays of /proc/mdstat; none where md is not loaded.
func witness(files *rootfs.FS) ([]Line, error) {
	data, err := files.ReadFile(mdstatPath, mdstatLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParseStat(data), nil
}

// read returns one array, nil if it is none. An array changes while it is read,
// so that what does not fit together is read again.
func read(files *rootfs.FS, name string, stat []Line) *group.Group {
	var (
		g     group.Group
		is    bool
		fault error
	)
	for attempt := range attempts {
		if attempt > 0 {
			if again, err := witness(files); err == nil {
				stat = again
			}
		}
		raw, err := attributes(files, name)
		if fault = err; err != nil {
			continue
		}
		g, is = raw.Group(name)
		if !is {
			return nil
		}
		i := slices.IndexFunc(stat, func(line Line) bool { return line.Name == name })
		if i < 0 || g.Err != nil {
			return &g
		}
		said, agrees := stat[i].agrees(&g)
		if agrees {
			return &g
		}
		if attempt == attempts-1 {
			g.Doubted(probes.Malformed, "%s says %s, and sysfs says otherwise", mdstatPath, said)
			return &g
		}
	}
	g = group.Group{Kind: group.MDRaid, Name: name}
	g.Unclear(fault)
	return &g
}

// attributes reads what Group needs.
func attributes(files *rootfs.FS, name string) (Raw, error) {
	dir := sysfs.Open(files, path.Join("/sys/block", name, "md"))
	raw := Raw{Attr: map[string]string{}}
	for _, attr := range []string{
		"array_state", "level", "metadata_version", "raid_disks", "degraded", "sync_action", "sync_completed",
		"last_sync_action", "mismatch_cnt", "sync_min", "layout", "consistency_policy", "uuid",
	} {
		if text := dir.Attr(attr); text != "" {
			raw.Attr[attr] = text
		}
	}
	entries, err := sysfs.Names(files, dir.Path())
	if err := errors.Join(err, dir.Err()); err != nil {
		return raw, err
	}
	for _, entry := range entries {
		member, is := strings.CutPrefix(entry, "dev-")
		if !is {
			continue
		}
		device := Device{Name: member, Disk: sysfs.Disk(files, path.Join(dir.Path(), entry, "block")), Attr: map[string]string{}}
		sub := dir.Sub(entry)
		for _, attr := range []string{"state", "slot", "errors", "bad_blocks"} {
			device.Attr[attr] = sub.Attr(attr)
		}
		if sub.Err() != nil {
			return raw, fmt.Errorf("member %s: %w", member, sub.Err())
		}
		if device.Attr["state"] == "" && !sub.Has("state") {
			return raw, probes.Because(probes.Unavailable, fmt.Errorf("member %s went away while it was read", member))
		}
		raw.Devices = append(raw.Devices, device)
	}
	raw.UUID = strings.NewReplacer("-", "", ":", "").Replace(uuid(files, name, raw.Attr["uuid"]))
	return raw, nil
}

// uuid returns the identity of an array: of the kernel, or else what udev found
// in the superblock.
func uuid(files *rootfs.FS, name, kernel string) string {
	if kernel != "" {
		return kernel
	}
	number, err := files.ReadFile(path.Join("/sys/block", name, "dev"), 100)
	if err != nil {
		return ""
	}
	data, err := files.ReadFile("/run/udev/data/b"+strings.TrimSpace(string(number)), 1<<20)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if id, is := strings.CutPrefix(line, "E:MD_UUID="); is {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
