package path

import (
	"cmp"
	"errors"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Bay is a place for a disk in a SAS enclosure.
type Bay struct{ Name, Status string }

// readEnclosures reads the bays of enclosures. Of power supplies and fans the
// kernel tells nothing; a tool does.
func readEnclosures(files *rootfs.FS) ([]group.Group, error) {
	const class = "/sys/class/enclosure"
	names, err := sysfs.Names(files, class)
	var groups []group.Group
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(class, name))
		entries, err := sysfs.Names(files, dir.Path())
		errs := []error{err}
		var bays []Bay
		for _, entry := range entries {
			of := dir.Sub(entry)
			if !of.Has("status") {
				continue // of the enclosure itself
			}
			if kind := of.Attr("type"); kind == "device" || kind == "array device" {
				bays = append(bays, Bay{Name: strings.TrimSpace(entry), Status: of.Attr("status")})
			}
			errs = append(errs, of.Err())
		}
		g := Bays(cmp.Or(dir.Attr("id"), name), bays)
		if err := errors.Join(errs...); err != nil {
			g.Unclear(err)
		}
		// The same enclosure is seen by each adapter that leads to it.
		same := func(have group.Group) bool { return have.Name == g.Name }
		if g.Expected > 0 && !slices.ContainsFunc(groups, same) {
			groups = append(groups, g)
		}
	}
	return groups, err
}

// Bays makes a group of the bays that hold a disk. They are not redundant by
// themselves: that is the affair of what the disks belong to. But none may vanish.
func Bays(enclosure string, bays []Bay) group.Group {
	g := group.Group{Kind: group.Enclosure, Name: enclosure + "/bays", Known: true}
	for _, b := range bays {
		active, known := map[string]bool{
			"OK": true, "critical": false, "non-critical": true, "unrecoverable": false,
			"not installed": false, "unknown": false, "not available": false, "unsupported": false,
		}[b.Status]
		if !known {
			g.Unclear(group.Word("the status of "+b.Name, b.Status))
		}
		empty := slices.Contains([]string{"not installed", "unsupported", "not available", "unknown"}, b.Status)
		if !empty {
			g.Members = append(g.Members, group.Member{ID: b.Name, Name: b.Name, Active: active, State: b.Status})
		}
	}
	g.Expected = len(g.Members)
	g.Sort()
	return g
}

// readInfiniBand makes a group of the ports of this host.
func readInfiniBand(files *rootfs.FS) ([]group.Group, error) {
	const class = "/sys/class/infiniband"
	names, err := sysfs.Names(files, class)
	g := group.Group{Kind: group.IB, Name: "ports", Needed: 1, Ordinary: true}
	for _, name := range names {
		ports, err := sysfs.Names(files, path.Join(class, name, "ports"))
		if err != nil {
			g.Unclear(err)
		}
		for _, port := range ports {
			dir := sysfs.Open(files, path.Join(class, name, "ports", port))
			p := IBPort{Name: name + "/" + port, State: dir.Attr("state"), Physical: dir.Attr("phys_state"), Layer: dir.Attr("link_layer")}
			if p.Layer == "Ethernet" {
				continue // RoCE: the network interface tells
			}
			m, err := p.member()
			m.Domains = group.In(group.Adapter, sysfs.Card(files, path.Join(class, name)))
			if err := errors.Join(err, dir.Err()); err != nil {
				g.Unclear(err)
			}
			g.Members = append(g.Members, m)
		}
	}
	g.Expected = g.Active()
	g.Sort()
	if len(g.Members) == 0 && g.Err == nil {
		return nil, err
	}
	return []group.Group{g}, err
}

// An IBPort is a port of InfiniBand. Its states have a number and a word, such
// as "4: ACTIVE" and "5: LinkUp".
type IBPort struct {
	Name, State, Physical, Layer string
}

// member judges a port. One that is down is often not connected: only what once
// worked is missed.
func (p IBPort) member() (group.Member, error) {
	_, word, _ := strings.Cut(p.State, ": ")
	up, known := map[string]bool{"ACTIVE": true, "NOP": false, "DOWN": false, "INIT": false, "ARMED": false, "ACTIVE_DEFER": false}[word]
	m := group.Member{ID: p.Name, Name: p.Name, Active: up, Spare: !up, State: strings.Join(words(p.State, p.Physical), ", ")}
	if !known {
		return m, group.Word("the state of port "+p.Name, p.State)
	}
	return m, nil
}
