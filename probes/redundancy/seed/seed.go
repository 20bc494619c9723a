// Package seed reads from the configuration of a host what there should be, so
// that something that was already gone or degraded when the agent first looked
// is missed all the same. It only says what is written; nothing is resolved
// over the network, and files that may not be read are passed over, because
// what is there is looked at anyhow.
package seed

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// A Seed is one object that is configured.
type Seed struct {
	Kind, Name string
	ID         string   // that of the group, where the name may be another
	Members    []string // names, where the configuration has them
	Count      int      // members; 0 if it does not say how many
	Spares     int
	From       string // the file
}

// Object returns the name under which the group would be reported.
func (s Seed) Object() string { return s.Kind + "/" + s.Name }

const limit = 4 << 20

// Read returns everything that is configured, one seed for an object.
func Read(files *rootfs.FS) []Seed {
	r := reader{files: files, seeds: map[string]*Seed{}}
	for _, name := range []string{"/etc/mdadm/mdadm.conf", "/etc/mdadm.conf"} {
		r.file(name, ParseMdadm)
	}
	r.file("/etc/fstab", ParseFstab)
	r.file("/etc/zfs/zpool.cache", ParsePoolCache)
	r.file("/etc/network/interfaces", ParseInterfaces)
	r.dir("/etc/network/interfaces.d", "", ParseInterfaces)
	for _, dir := range []string{"/etc/netplan", "/run/netplan", "/lib/netplan"} {
		r.dir(dir, ".yaml", ParseNetplan)
	}
	for _, dir := range []string{"/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network"} {
		r.dir(dir, ".network", ParseNetworkd)
	}
	r.dir("/etc/sysconfig/network-scripts", "", ParseIfcfg)
	r.connections("/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections")
	for _, dir := range []string{"/etc/iscsi/nodes", "/var/lib/iscsi/nodes"} {
		r.nodes(dir)
	}
	return r.sorted()
}

// reader collects seeds: several files may speak of one object.
type reader struct {
	files *rootfs.FS
	seeds map[string]*Seed
}

// add takes in a seed. Members of one object in several files add up.
func (r *reader) add(s Seed) {
	have := r.seeds[s.Object()]
	if have == nil {
		s.Members = slices.Clone(s.Members)
		have = &s
		r.seeds[s.Object()] = have
	}
	have.ID = cmp.Or(have.ID, s.ID)
	have.Spares = max(have.Spares, s.Spares)
	for _, member := range s.Members {
		if !slices.Contains(have.Members, member) {
			have.Members = append(have.Members, member)
		}
	}
	have.Count = max(have.Count, s.Count, len(have.Members))
}

func (r *reader) sorted() []Seed {
	var all []Seed
	for _, s := range r.seeds {
		slices.Sort(s.Members)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Seed) int { return cmp.Compare(a.Object(), b.Object()) })
	return all
}

func (r *reader) file(name string, parse func([]byte) []Seed) {
	data, err := r.files.ReadFile(name, limit)
	if err != nil {
		return
	}
	for _, s := range parse(data) {
		s.From = name
		r.add(s)
	}
}

func (r *reader) dir(dir, ending string, parse func([]byte) []Seed) {
	entries, _ := r.files.ReadDir(dir) // what was read before an error counts
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ending) {
			r.file(path.Join(dir, entry.Name()), parse)
		}
	}
}

// nodes reads the records of open-iscsi: a directory for each target, in it one
// for each portal, as "address,port,group", and in that a file for each
// interface. The record says whether the host logs in by itself.
func (r *reader) nodes(dir string) {
	targets, _ := r.files.ReadDir(dir)
	for _, target := range targets {
		portals, _ := r.files.ReadDir(path.Join(dir, target.Name()))
		for _, portal := range portals {
			at := path.Join(dir, target.Name(), portal.Name())
			records := []string{at} // old ones are the file itself
			entries, err := r.files.ReadDir(at)
			if err == nil {
				records = nil
			}
			for _, entry := range entries {
				records = append(records, path.Join(at, entry.Name()))
			}
			for _, record := range records {
				data, err := r.files.ReadFile(record, limit)
				if errors.Is(err, fs.ErrNotExist) || err != nil || !automatic(data) {
					continue
				}
				address, _, _ := strings.Cut(portal.Name(), ",")
				r.add(Seed{Kind: group.ISCSI, Name: target.Name(), ID: target.Name(), Members: []string{address + " " + path.Base(record)}, From: dir})
			}
		}
	}
}

// automatic reports whether a record of open-iscsi is of a session that is
// opened at boot.
func automatic(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(key) == "node.startup" {
			return strings.TrimSpace(value) == "automatic"
		}
	}
	return false
}
