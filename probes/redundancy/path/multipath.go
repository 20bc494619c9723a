package path

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Map is what sysfs says of a device-mapper multipath device.
type Map struct {
	Name, UUID string
	Suspended  bool
	Paths      []Leg
}

// A Leg is a block device below a map.
type Leg struct {
	Name    string
	State   string // device/state: of SCSI, such as running; of NVMe, such as live
	Address string // host:channel:target:lun of SCSI
}

func readMultipath(files *rootfs.FS) ([]group.Group, error) {
	names, err := sysfs.Names(files, "/sys/block")
	var groups []group.Group
	for _, name := range names {
		if !strings.HasPrefix(name, "dm-") {
			continue
		}
		dir := sysfs.Open(files, path.Join("/sys/block", name))
		m := Map{Name: dir.Attr("dm/name"), UUID: dir.Attr("dm/uuid"), Suspended: dir.Attr("dm/suspended") == "1"}
		if !strings.HasPrefix(m.UUID, "mpath-") {
			continue
		}
		if m.Name == "" {
			m.Name = name
		}
		legs, err := sysfs.Names(files, path.Join(dir.Path(), "slaves"))
		for _, leg := range legs {
			device := sysfs.Open(files, path.Join("/sys/block", leg))
			l := Leg{Name: leg, State: device.Attr("device/state"), Address: device.Target("device")}
			if e := device.Err(); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
			m.Paths = append(m.Paths, l)
		}
		g := m.Group()
		if err = errors.Join(err, dir.Err()); err != nil {
			g.Unclear(err)
		}
		groups = append(groups, g)
	}
	return groups, err
}

// Group judges a map by what the SCSI layer says of its paths. What the path
// checker of multipathd thinks is not in sysfs: a path that it has failed may
// still be running here, so that all paths in order is the upper bound.
func (m Map) Group() group.Group {
	g := group.Group{Kind: group.Multipath, Name: m.Name, ID: m.UUID, Needed: 1, Expected: len(m.Paths)}
	for _, leg := range m.Paths {
		member := group.Member{ID: leg.Address, Name: leg.Name, State: leg.State}
		switch leg.State {
		case "running", "live":
			member.Active = true
		case "":
			member.State = "gone"
		default:
			down := []string{
				"created", "cancel", "deleted", "quiesce", "offline", "transport-offline", "blocked", "created-blocked",
				"new", "resetting", "connecting", "deleting", "deleting (no IO)", "dead",
			}
			if !slices.Contains(down, leg.State) {
				g.Unclear(group.Word("the state of path "+leg.Name, leg.State))
			}
		}
		if member.ID == "" {
			member.ID = leg.Name
		}
		g.Members = append(g.Members, member)
	}
	if m.Suspended {
		g.Doubted(probes.Unavailable, "the map is suspended: input and output wait")
	}
	if len(m.Paths) == 0 {
		g.Failed = "the map has no paths"
	}
	g.Sort()
	return g
}
