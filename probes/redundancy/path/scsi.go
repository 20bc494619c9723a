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

// A Port is a port of Fibre Channel: of this host, or of a storage system.
type Port struct {
	Name  string
	State string
	WWPN  string
	Node  string // WWNN
	Roles string

	Adapter string // the card of the port of this host that it is, or that sees it
	Local   string // of a remote port, the port of this host that sees it
}

// portStates are those of scsi_transport_fc of the kernel; true where the port
// can be used.
func portStates() map[string]bool {
	return map[string]bool{
		"Online": true, "Marginal": false, "Unknown": false, "Not Present": false, "Offline": false, "Blocked": false,
		"Bypassed": false, "Diagnostics": false, "Linkdown": false, "Error": false, "Loopback": false, "Deleted": false,
	}
}

func readPorts(files *rootfs.FS, class string) (ports []Port, err error) {
	names, err := sysfs.Names(files, class)
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(class, name))
		ports = append(ports, Port{
			Name: name, State: dir.Attr("port_state"), WWPN: dir.Attr("port_name"),
			Node: dir.Attr("node_name"), Roles: dir.Attr("roles"), Adapter: sysfs.Card(files, dir.Path()),
		})
		err = errors.Join(err, dir.Err())
	}
	return ports, err
}

func readFC(files *rootfs.FS) ([]group.Group, error) {
	ports, err := readPorts(files, "/sys/class/fc_host")
	if err != nil || len(ports) == 0 {
		return nil, err
	}
	return []group.Group{HostPorts(ports)}, nil
}

// HostPorts judges the ports of this host together. One that is not connected
// is often meant to be so: only ports that work count, and what once worked is
// remembered elsewhere.
func HostPorts(ports []Port) group.Group {
	g := group.Group{Kind: group.FC, Name: "ports", Needed: 1, Ordinary: true}
	for _, p := range ports {
		up, known := portStates()[p.State]
		if !known {
			g.Unclear(group.Word("port_state of "+p.Name, p.State))
		}
		g.Members = append(g.Members, group.Member{
			ID: cmp.Or(p.WWPN, p.Name), Name: cmp.Or(p.WWPN, p.Name), Active: up, Spare: !up, State: p.State,
			Domains: group.In(group.Adapter, p.Adapter),
		})
	}
	g.Expected = g.Active()
	g.Sort()
	return g
}

func readTargets(files *rootfs.FS) ([]group.Group, error) {
	const hosts = "/sys/class/fc_host"
	ports, err := readPorts(files, "/sys/class/fc_remote_ports")
	for i := range ports {
		number, _, _ := strings.Cut(strings.TrimPrefix(ports[i].Name, "rport-"), ":")
		host := sysfs.Open(files, path.Join(hosts, "host"+number))
		ports[i].Local = cmp.Or(host.Attr("port_name"), "host"+number)
		ports[i].Adapter = cmp.Or(sysfs.Card(files, host.Path()), "host"+number)
	}
	return Targets(ports), err
}

// Targets makes a group of the ports of each storage system.
func Targets(ports []Port) []group.Group {
	systems := map[string]*group.Group{}
	for _, p := range ports {
		if !strings.Contains(p.Roles, "FCP Target") || p.Node == "" {
			continue
		}
		g := systems[p.Node]
		if g == nil {
			g = &group.Group{Kind: group.FCTarget, Name: p.Node, ID: p.Node, Needed: 1}
			systems[p.Node] = g
		}
		up, known := portStates()[p.State]
		if !known {
			g.Unclear(group.Word("port_state of "+p.Name, p.State))
		}
		// The same port is seen by each port of this host: each is a way, and keeps
		// its name when it gets another number.
		way := p.Local + " " + p.WWPN
		g.Members = append(g.Members, group.Member{
			ID: way, Name: way, Active: up, State: p.State,
			Domains: map[group.Domain]string{group.Target: p.WWPN, group.Adapter: p.Adapter},
		})
	}
	return listed(systems)
}

// A Session is one session of the iSCSI initiator.
type Session struct {
	Name   string
	State  string
	Target string
	Portal string // address, port and interface

	Address string
}

func readISCSI(files *rootfs.FS) ([]group.Group, error) {
	const class = "/sys/class/iscsi_session"
	names, err := sysfs.Names(files, class)
	var sessions []Session
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(class, name))
		s := Session{Name: name, State: dir.Attr("state"), Target: dir.Attr("targetname")}
		of := sysfs.Open(files, path.Join("/sys/class/iscsi_connection", "connection"+strings.TrimPrefix(name, "session")+":0"))
		if address := cmp.Or(of.Attr("persistent_address"), of.Attr("address")); address != "" {
			s.Address = address
			s.Portal = address + " " + cmp.Or(of.Attr("persistent_port"), of.Attr("port")) + " " + dir.Attr("ifacename")
		}
		sessions = append(sessions, s)
		err = errors.Join(err, dir.Err(), of.Err())
	}
	return Sessions(sessions), err
}

// Sessions makes a group of the sessions with each target.
func Sessions(sessions []Session) []group.Group {
	targets := map[string]*group.Group{}
	for _, s := range sessions {
		if s.Target == "" {
			continue // not logged in yet
		}
		g := targets[s.Target]
		if g == nil {
			g = &group.Group{Kind: group.ISCSI, Name: s.Target, ID: s.Target, Needed: 1}
			targets[s.Target] = g
		}
		if !slices.Contains([]string{"LOGGED_IN", "FAILED", "FREE"}, s.State) {
			g.Unclear(group.Word("the state of "+s.Name, s.State))
		}
		g.Members = append(g.Members, group.Member{
			ID: cmp.Or(strings.TrimSpace(s.Portal), s.Name), Name: s.Name, Active: s.State == "LOGGED_IN", State: s.State,
			Domains: group.In(group.Target, s.Address),
		})
	}
	return listed(targets)
}

// listed returns the groups by name, with what they expect.
func listed(groups map[string]*group.Group) []group.Group {
	var list []group.Group
	for _, g := range groups {
		g.Expected = len(g.Members)
		g.Sort()
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b group.Group) int { return strings.Compare(a.Name, b.Name) })
	return list
}
