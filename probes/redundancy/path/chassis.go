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

// A Component is one part of a SAS enclosure, as SES tells it: a power supply, a
// fan, a bay.
type Component struct {
	Name, Type, Status string
}

func readEnclosures(files *rootfs.FS) ([]group.Group, error) {
	const class = "/sys/class/enclosure"
	names, err := sysfs.Names(files, class)
	var groups []group.Group
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(class, name))
		entries, err := sysfs.Names(files, dir.Path())
		errs := []error{err}
		var components []Component
		for _, entry := range entries {
			of := dir.Sub(entry)
			if c := (Component{Name: entry, Type: of.Attr("type"), Status: of.Attr("status")}); c.Type != "" {
				components = append(components, c)
			}
			errs = append(errs, of.Err())
		}
		id := cmp.Or(dir.Attr("id"), name)
		for _, g := range Enclosures(name, id, components) {
			if err := errors.Join(errs...); err != nil {
				g.Unclear(err)
			}
			groups = append(groups, g)
		}
	}
	return groups, err
}

// Enclosures makes a group of the power supplies and one of the fans of an
// enclosure. How many are needed the enclosure does not say; it is taken to be
// built so that one of each may fail. Bays are the affair of what the disks in
// them belong to.
func Enclosures(name, id string, components []Component) []group.Group {
	var groups []group.Group
	for _, kind := range []struct{ kind, name string }{{"power supply", "power"}, {"cooling", "cooling"}} {
		g := group.Group{
			Kind: group.Enclosure, Name: name + "/" + kind.name, ID: id + "/" + kind.name, Known: true, Ordinary: true,
		}
		for _, c := range components {
			if c.Type != kind.kind {
				continue
			}
			active, known := map[string]bool{
				"OK": true, "critical": false, "non-critical": true, "unrecoverable": false,
				"not installed": false, "unknown": false, "not available": false, "unsupported": false,
			}[c.Status]
			if !known {
				g.Unclear(group.Word("the status of "+c.Name, c.Status))
			}
			// An empty place is none; what was in it before is remembered elsewhere.
			empty := slices.Contains([]string{"not installed", "unsupported", "not available", "unknown"}, c.Status)
			g.Members = append(g.Members, group.Member{ID: c.Name, Name: strings.TrimSpace(c.Name), Active: active, Spare: empty, State: c.Status})
		}
		g.Expected = g.Present()
		g.Design = min(1, max(0, g.Expected-1))
		g.Tolerated = g.Design - (g.Expected - g.Active())
		if g.Active() > 0 {
			g.Tolerated = max(0, g.Tolerated)
		}
		if g.Expected > 0 {
			g.Sort()
			groups = append(groups, g)
		}
	}
	return groups
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
