package volume

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Bcachefs is what sysfs says of a mounted bcachefs.
type Bcachefs struct {
	UUID           string
	Data, Metadata string // how many copies are wanted
	Devices        []BcachefsDevice
}

// A BcachefsDevice is one directory dev-*.
type BcachefsDevice struct {
	Name, Label string
	State       string // words, of which the one in brackets is in force
	Online      bool   // there is a block device
	Disk        string
}

func readBcachefs(files *rootfs.FS) ([]group.Group, error) {
	const dir = "/sys/fs/bcachefs"
	names, err := sysfs.Names(files, dir)
	var groups []group.Group
	for _, name := range names {
		at := sysfs.Open(files, path.Join(dir, name))
		if !at.Has("options") {
			continue
		}
		raw := Bcachefs{UUID: name, Data: at.Attr("options/data_replicas"), Metadata: at.Attr("options/metadata_replicas")}
		entries, err := sysfs.Names(files, at.Path())
		errs := []error{err, at.Err()}
		for _, entry := range entries {
			if !strings.HasPrefix(entry, "dev-") {
				continue
			}
			of := at.Sub(entry)
			raw.Devices = append(raw.Devices, BcachefsDevice{
				Name: entry, Label: of.Attr("label"), State: of.Attr("state"), Online: of.Has("block"),
				Disk: sysfs.Disk(files, path.Join(of.Path(), "block")),
			})
			errs = append(errs, of.Err())
		}
		g := raw.Group()
		if err := errors.Join(errs...); err != nil {
			g.Unclear(err)
		}
		groups = append(groups, g)
	}
	return groups, err
}

// Group judges a file system by the fewer of the copies of data and metadata.
// What was written with another option before is not seen.
func (b Bcachefs) Group() group.Group {
	g := group.Group{Kind: group.Bcachefs, Name: b.UUID, ID: b.UUID, Known: true, Ordinary: len(b.Devices) < 2}
	gone := 0
	for _, d := range b.Devices {
		word, _, _ := strings.Cut(d.State, "]")
		_, word, bracketed := strings.Cut(word, "[")
		if !bracketed {
			word = d.State
		}
		active, known := map[string]bool{"rw": true, "ro": true, "evacuating": false, "failed": false, "spare": false}[word]
		if !known {
			g.Unclear(group.Word("the state of "+d.Name, d.State))
		}
		m := group.Member{
			ID: d.Name, Name: d.Name, Active: active && d.Online, Spare: word == "spare", State: strings.TrimSpace(word + " " + d.Label),
			Domains: group.In(group.Disk, d.Disk),
		}
		if !d.Online {
			m.State += ", offline"
		}
		if !m.Active && !m.Spare {
			gone++
		}
		g.Members = append(g.Members, m)
	}
	copies := -1
	for _, text := range []string{b.Data, b.Metadata} {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			g.Unclear(group.Word("the number of copies", text))
			continue
		}
		if copies < 0 || n < copies {
			copies = n
		}
	}
	if len(b.Devices) == 0 {
		g.Known = false
		g.Doubted(probes.Unsupported, "this kernel does not list the devices of bcachefs")
	}
	g.Expected = g.Present()
	g.Design = min(max(0, copies-1), max(0, g.Expected-1))
	g.Tolerated = max(0, g.Design-gone) // it is mounted, so that it works
	g.Sort()
	return g
}
