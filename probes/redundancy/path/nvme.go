package path

import (
	"cmp"
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// A Subsystem is what sysfs says of an NVMe subsystem, as in nvme-core of the
// kernel.
type Subsystem struct {
	Name        string // subsysnqn
	Native      string // the parameter multipath of nvme_core: Y, N or nothing
	Controllers []Controller
}

// A Controller is one connection to a subsystem.
type Controller struct {
	Name      string
	State     string
	Transport string
	Address   string
	ANA       map[string]string // state by namespace, such as optimized; empty without ANA
}

var (
	controllerName = regexp.MustCompile(`^nvme[0-9]+$`)
	pathName       = regexp.MustCompile(`^nvme[0-9]+c[0-9]+(n[0-9]+)$`)
)

func readNVMe(files *rootfs.FS) ([]group.Group, error) {
	const class = "/sys/class/nvme-subsystem"
	names, err := sysfs.Names(files, class)
	native := sysfs.Open(files, "/sys/module/nvme_core/parameters").Attr("multipath")
	var groups []group.Group
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(class, name))
		s := Subsystem{Name: dir.Attr("subsysnqn"), Native: native}
		entries, err := sysfs.Names(files, dir.Path())
		errs := []error{err, dir.Err()}
		for _, entry := range entries {
			if controllerName.MatchString(entry) {
				c, err := controller(dir.Sub(entry), entry)
				s.Controllers = append(s.Controllers, c)
				errs = append(errs, err)
			}
		}
		if s.Name == "" {
			s.Name = name
		}
		g := s.Group()
		if err := errors.Join(errs...); err != nil {
			g.Unclear(err)
		}
		groups = append(groups, g)
	}
	return groups, err
}

func controller(dir *sysfs.Dir, name string) (Controller, error) {
	c := Controller{
		Name: name, State: dir.Attr("state"), Transport: dir.Attr("transport"), Address: dir.Attr("address"),
		ANA: map[string]string{},
	}
	entries, err := sysfs.Names(dir.Files(), dir.Path())
	for _, entry := range entries {
		if m := pathName.FindStringSubmatch(entry); m != nil {
			c.ANA[m[1]] = dir.Sub(entry).Attr("ana_state")
		}
	}
	return c, errors.Join(err, dir.Err())
}

// Group judges a subsystem: by the namespace that has the fewest usable paths.
func (s Subsystem) Group() group.Group {
	g := group.Group{Kind: group.NVMe, Name: s.Name, ID: s.Name, Needed: 1, Ordinary: len(s.Controllers) < 2}
	worst := s.worst()
	for _, c := range s.Controllers {
		m := group.Member{ID: c.identity(), Name: c.Name, State: c.State, Domains: c.domains()}
		live, known := map[string]bool{
			"live": true, "new": false, "resetting": false, "connecting": false,
			"deleting": false, "deleting (no IO)": false, "dead": false,
		}[c.State]
		if !known {
			g.Unclear(group.Word("the state of controller "+c.Name, c.State))
		}
		m.Active = live && c.serves(worst)
		if state := c.ANA[worst]; state != "" {
			m.State += ", " + worst + " " + state
		}
		for _, state := range c.ANA {
			if !slices.Contains([]string{"", "optimized", "non-optimized", "inaccessible", "persistent-loss", "change"}, state) {
				g.Unclear(group.Word("the ANA state of controller "+c.Name, state))
			}
		}
		g.Members = append(g.Members, m)
	}
	g.Expected = len(g.Members)
	if s.Native == "N" && len(s.Controllers) > 1 {
		g.Doubted(probes.NotRun, "native multipath is switched off, so that the kernel does not change over between these controllers")
	}
	g.Sort()
	return g
}

// parameters splits the address of a fabric, such as "traddr=192.0.2.1,trsvcid=4420".
func (c Controller) parameters() map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(c.Address, ",") {
		if key, value, is := strings.Cut(part, "="); is {
			all[key] = value
		}
	}
	return all
}

// identity returns what stays when the connection is made anew. The address
// that the kernel chose on this side (src_addr) does not.
func (c Controller) identity() string {
	p := c.parameters()
	if p["traddr"] == "" {
		return c.Transport + " " + c.Address
	}
	return strings.Join(words(c.Transport, p["traddr"], p["trsvcid"], p["host_traddr"], p["host_iface"]), " ")
}

func (c Controller) domains() map[group.Domain]string {
	p := c.parameters()
	return map[group.Domain]string{group.Target: p["traddr"], group.Adapter: cmp.Or(p["host_iface"], p["host_traddr"])}
}

// worst returns the namespace with the fewest usable paths.
func (s Subsystem) worst() string {
	var names []string
	for _, c := range s.Controllers {
		for name := range c.ANA {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return ""
	}
	return slices.MinFunc(names, func(a, b string) int {
		if d := s.usable(a) - s.usable(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
}

func (s Subsystem) usable(namespace string) (n int) {
	for _, c := range s.Controllers {
		if c.State == "live" && c.serves(namespace) {
			n++
		}
	}
	return n
}

// serves reports whether a namespace can be reached over the controller.
// Without ANA, all can.
func (c Controller) serves(namespace string) bool {
	state, listed := c.ANA[namespace]
	switch {
	case namespace == "":
		return true
	case !listed:
		return len(c.ANA) == 0
	}
	return state == "" || state == "optimized" || state == "non-optimized"
}
