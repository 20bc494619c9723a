package path

import (
	"cmp"
	"context"
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

// A Map is what is known of a device-mapper multipath device.
type Map struct {
	Name, UUID string
	Suspended  bool
	Queues     bool // without a path, input and output wait for ever
	Paths      []Leg
}

// A Leg is a block device below a map.
type Leg struct {
	Name    string
	Number  string // major:minor
	Address string // host:channel:target:lun of SCSI
	State   string // device/state: of SCSI, such as running; of NVMe, such as live
	Adapter string
	Target  string
	Group   int // of paths that are used together, from 1

	Mapper  string // of device mapper: active or failed; empty if nobody knows
	Checker string // of multipathd, such as ready
	Outside string // why the path is not used although it works, such as marginal
}

// readMultipath lists the maps by sysfs, and asks for the health of their paths
// whoever knows it: multipathd, else the device mapper. What sysfs says of a
// path is the state of its SCSI device, which stays "running" when the checker
// has given the path up: nothing but an upper bound.
func readMultipath(ctx context.Context, host probes.Host) ([]group.Group, error) {
	names, err := sysfs.Names(host.Files, "/sys/block")
	var groups []group.Group
	ask := asker{host: host}
	for _, name := range names {
		if !strings.HasPrefix(name, "dm-") {
			continue
		}
		m, err := mapOf(host.Files, name)
		if m == nil {
			continue
		}
		doubt, unread := ask.refine(ctx, m)
		g := m.Group()
		if err := errors.Join(err, unread); err != nil {
			g.Unclear(err)
		}
		if doubt != nil && g.Doubt == nil {
			g.Doubt = doubt
		}
		groups = append(groups, g)
	}
	return groups, err
}

// mapOf reads one map and the names of its paths from sysfs; nil for a device of
// another kind.
func mapOf(files *rootfs.FS, name string) (*Map, error) {
	dir := sysfs.Open(files, path.Join("/sys/block", name))
	uuid := dir.Attr("dm/uuid")
	if !strings.HasPrefix(uuid, "mpath-") {
		return nil, nil
	}
	m := Map{Name: dir.Attr("dm/name"), UUID: uuid, Suspended: dir.Attr("dm/suspended") == "1"}
	if m.Name == "" {
		m.Name = name
	}
	legs, err := sysfs.Names(files, path.Join(dir.Path(), "slaves"))
	for _, leg := range legs {
		at := path.Join("/sys/block", leg)
		m.Paths = append(m.Paths, Leg{Name: leg, Address: sysfs.Open(files, at).Target("device"), Adapter: sysfs.Card(files, at)})
	}
	return &m, errors.Join(err, dir.Err())
}

// read reads the state of every path from sysfs, and its number, if the device
// mapper can be asked, which knows it by that.
func (m *Map) read(files *rootfs.FS, numbers bool) (err error) {
	for i := range m.Paths {
		device := sysfs.Open(files, path.Join("/sys/block", m.Paths[i].Name))
		m.Paths[i].State = device.Attr("device/state")
		if numbers {
			m.Paths[i].Number = device.Attr("dev")
		}
		if e := device.Err(); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// asker asks for the health of paths. What may not be asked is not asked again
// for the next map.
type asker struct {
	host   probes.Host
	asked  bool
	told   map[string]Map // by multipathd
	silent error          // why multipathd says nothing
	denied error          // why the device mapper does not
}

// refine takes in what multipathd says of a map, or else sysfs and the device
// mapper. It returns why what is known may be too good, and what could not be
// read.
func (a *asker) refine(ctx context.Context, m *Map) (doubt, unread error) {
	if !a.asked {
		a.told, a.silent = askDaemon(ctx, a.host)
		a.asked = true
	}
	if by, known := a.told[m.UUID]; known {
		m.take(by)
		return nil, nil
	}
	unread = m.read(a.host.Files, a.denied == nil)
	silent := a.silent
	if silent == nil {
		silent = probes.Because(probes.NotFound, errors.New("multipathd does not know the map"))
	}
	err := a.denied
	if err == nil {
		err = a.status(ctx, m)
	}
	if probes.ReasonOf(err) == probes.PermissionDenied {
		a.denied = err
	}
	if err != nil {
		return probes.Because(probes.ReasonOf(err), errors.Join(silent, err)), unread
	}
	// The health of the paths is known, and nobody brings them back.
	return probes.Because(probes.NotRun, silent), unread
}

// status asks the device mapper.
func (a *asker) status(ctx context.Context, m *Map) error {
	targets, err := a.host.Mapper.Status(ctx, m.Name)
	if err != nil {
		return err
	}
	for _, target := range targets {
		if target.Type == "multipath" {
			return m.status(target.Status)
		}
	}
	return probes.Because(probes.Malformed, errors.New("the table of the map has no target multipath"))
}

// take replaces the paths that sysfs names by those of multipathd. A path that
// sysfs alone knows is not used.
func (m *Map) take(by Map) {
	old := m.Paths
	m.Queues, m.Paths = by.Queues, by.Paths
	for i := range m.Paths {
		leg := &m.Paths[i]
		for _, known := range old {
			if known.Name == leg.Name {
				leg.Address = known.Address
				leg.Adapter = cmp.Or(known.Adapter, leg.Adapter)
			}
		}
	}
	for _, known := range old {
		if !slices.ContainsFunc(m.Paths, func(leg Leg) bool { return leg.Name == known.Name }) {
			known.Outside = "not known to multipathd"
			m.Paths = append(m.Paths, known)
		}
	}
}

// Group judges a map.
func (m Map) Group() group.Group {
	g := group.Group{Kind: group.Multipath, Name: m.Name, ID: m.UUID, Needed: 1, Expected: len(m.Paths)}
	var current []string
	groups := map[int]bool{}
	for _, leg := range m.Paths {
		member, err := leg.member()
		if err != nil {
			g.Unclear(err)
		}
		groups[leg.Group] = true
		if leg.Group == 1 && member.Active {
			current = append(current, member.Name)
		}
		g.Members = append(g.Members, member)
	}
	if len(groups) > 1 {
		slices.Sort(current)
		g.Current = strings.Join(current, " ")
	}
	if m.Suspended {
		g.Doubted(probes.Unavailable, "the map is suspended: input and output wait")
	}
	switch {
	case g.Active() > 0:
	case m.Queues:
		g.Failed = "the map has no usable path, and input and output wait for one without end"
	default:
		g.Failed = "the map has no usable path"
	}
	g.Sort()
	return g
}

// member judges one path.
func (l Leg) member() (group.Member, error) {
	m := group.Member{
		ID: l.Address, Name: l.Name, State: strings.Join(words(l.State, l.Mapper, l.Checker, l.Outside), ", "),
		Domains: map[group.Domain]string{group.Adapter: l.Adapter, group.Target: l.Target},
	}
	if m.ID == "" {
		m.ID = l.Name
	}
	if m.State == "" {
		m.State = "gone"
	}
	device, known := map[string]bool{
		"running": true, "live": true, "": l.Mapper != "",
		"created": false, "cancel": false, "deleted": false, "quiesce": false, "offline": false, "transport-offline": false,
		"blocked": false, "created-blocked": false, "new": false, "resetting": false, "connecting": false, "deleting": false,
		"deleting (no IO)": false, "dead": false,
	}[l.State]
	if !known {
		return m, group.Word("the state of path "+l.Name, l.State)
	}
	mapper, known := map[string]bool{"": true, "active": true, "failed": false, "undef": false}[l.Mapper]
	if !known {
		return m, group.Word("what the device mapper says of path "+l.Name, l.Mapper)
	}
	// A ghost is a path of a standby controller: it works after a failover.
	checker, known := map[string]bool{
		"": true, "ready": true, "ghost": true, "faulty": false, "shaky": false, "i/o pending": false, "i/o timeout": false,
		"delayed": false, "disconnected": false, "undef": false, "removed": false, "unchecked": false,
	}[l.Checker]
	if !known {
		return m, group.Word("what the checker says of path "+l.Name, l.Checker)
	}
	m.Active = device && mapper && checker && l.Outside == ""
	return m, nil
}

// words drops what is empty.
func words(all ...string) []string {
	return slices.DeleteFunc(all, func(word string) bool { return word == "" })
}
