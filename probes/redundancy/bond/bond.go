// Package bond reads the bonds of the kernel from /sys/class/net/*/bonding, as
// described in Documentation/networking/bonding.rst and testing/sysfs-class-net.
// A member counts as active only if the bond would send through it now: of
// 802.3ad, if it is in the active aggregator and its partner agrees.
package bond

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/sysfs"
)

const (
	netDir = "/sys/class/net"
	lacp   = "802.3ad"
	nobody = "00:00:00:00:00:00"
)

// A Raw is what sysfs says of a bond: the attributes that exist.
type Raw struct {
	Attr    map[string]string
	Members []Member
}

// A Member is one interface of a bond.
type Member struct {
	Name    string
	Attr    map[string]string
	Carrier string // 0 or 1, empty while the interface is down
	Adapter string // the card that the interface is on
}

// Read returns all bonds of the host.
func Read(files *rootfs.FS) group.Reading {
	var reading group.Reading
	names, err := sysfs.Names(files, netDir)
	if err != nil {
		reading.Close(group.Bond, err)
		return reading
	}
	for _, name := range names {
		dir := sysfs.Open(files, path.Join(netDir, name))
		if !dir.Has("bonding") {
			continue
		}
		raw, err := attributes(dir)
		g := raw.Group(name)
		if err != nil {
			g = group.Group{Kind: group.Bond, Name: name}
			g.Unclear(err)
		}
		reading.Groups = append(reading.Groups, g)
	}
	return reading
}

// attributes reads what Group needs. A member that leaves meanwhile is none.
func attributes(dir *sysfs.Dir) (Raw, error) {
	raw := Raw{Attr: map[string]string{}}
	bonding := dir.Sub("bonding")
	for _, attr := range []string{
		"mode", "slaves", "active_slave", "miimon", "arp_interval", "min_links", "mii_status", "ad_aggregator", "ad_partner_mac",
	} {
		raw.Attr[attr] = bonding.Attr(attr)
	}
	errs := []error{bonding.Err()}
	for name := range strings.FieldsSeq(raw.Attr["slaves"]) {
		of := sysfs.Open(dir.Files(), path.Join(netDir, name))
		slave := of.Sub("bonding_slave")
		m := Member{Name: name, Attr: map[string]string{}, Carrier: of.Attr("carrier"), Adapter: sysfs.Card(dir.Files(), of.Path())}
		for _, attr := range []string{
			"mii_status", "state", "perm_hwaddr", "link_failure_count", "ad_aggregator_id", "ad_partner_oper_port_state",
		} {
			m.Attr[attr] = slave.Attr(attr)
		}
		errs = append(errs, of.Err(), slave.Err())
		raw.Members = append(raw.Members, m)
	}
	return raw, errors.Join(errs...)
}

// Group judges a bond.
func (r Raw) Group(name string) group.Group {
	g := group.Group{Kind: group.Bond, Name: name, Expected: len(r.Members), Needed: 1, Ordinary: len(r.Members) == 0}
	mode, _, _ := strings.Cut(r.Attr["mode"], " ")
	known := []string{"balance-rr", "active-backup", "balance-xor", "broadcast", lacp, "balance-tlb", "balance-alb"}
	if !slices.Contains(known, mode) {
		g.Unclear(group.Word("the mode of the bond", r.Attr["mode"]))
	}
	g.Note("The mode is %s.", mode)
	if n, err := strconv.Atoi(r.Attr["min_links"]); err == nil && n > 1 && mode == lacp {
		g.Needed = n
	}
	unwatched := r.Attr["miimon"] == "0" && (r.Attr["arp_interval"] == "0" || r.Attr["arp_interval"] == "")
	if unwatched && len(r.Members) > 0 {
		g.Doubted(probes.NotRun, "neither miimon nor arp_interval is set, so that the bond does not notice a dead member")
	}
	var failed []error
	for _, m := range r.Members {
		member, err := m.member()
		failed = append(failed, err)
		if unwatched && m.Carrier == "0" {
			member.Active = false
			member.State = "no carrier"
		}
		g.Members = append(g.Members, member)
	}
	if err := errors.Join(failed...); err != nil {
		g.Unclear(err)
	}
	if mode == lacp {
		r.partners(&g)
	}
	if mode == "active-backup" {
		g.Current = r.Attr["active_slave"]
	}
	if r.Attr["mii_status"] == "down" && len(r.Members) > 0 {
		g.Failed = "the bond is down"
	}
	identify(&g)
	return g
}

// member judges one interface by its link alone.
func (m Member) member() (group.Member, error) {
	out := group.Member{ID: m.Attr["perm_hwaddr"], Name: m.Name, State: m.Attr["mii_status"], Domains: group.In(group.Adapter, m.Adapter)}
	if n, err := strconv.ParseFloat(m.Attr["link_failure_count"], 64); err == nil && n >= 0 {
		out.Errors = &n
	}
	switch m.Attr["mii_status"] {
	case "up":
		out.Active = true
	case "down", "going down", "going back", "back":
	default:
		return out, fmt.Errorf("member %s: %w", m.Name, group.Word("mii_status", m.Attr["mii_status"]))
	}
	return out, nil
}

// The bits of the state of an LACP port, of IEEE 802.1AX, 6.4.2.3.
const (
	working = 0x3c // aggregation, synchronization, collecting, distributing
	trouble = 0xc0 // defaulted, expired
)

// partners takes out the members that the other side of 802.3ad does not use.
func (r Raw) partners(g *group.Group) {
	aggregator := r.Attr["ad_aggregator"]
	if r.Attr["ad_partner_mac"] == nobody {
		g.Note("There is no LACP partner.")
	}
	var silent []int
	for i, m := range r.Members {
		member := &g.Members[i]
		if id := m.Attr["ad_aggregator_id"]; member.Active && aggregator != "" && id != aggregator {
			member.Active = false
			member.State = fmt.Sprintf("up, in aggregator %s and not in the active one, %s", id, aggregator)
			continue
		}
		bits, err := strconv.Atoi(m.Attr["ad_partner_oper_port_state"])
		if member.Active && err == nil && (bits&working != working || bits&trouble != 0) {
			silent = append(silent, i)
			member.State = fmt.Sprintf("up, and the partner's state is %d", bits)
		}
	}
	// Without any partner the bond goes on over the one port that it chose.
	if len(silent) == g.Active() {
		if len(silent) == 0 {
			return
		}
		silent = silent[1:]
	}
	for _, i := range silent {
		g.Members[i].Active = false
	}
}

// identify uses the names of members whose addresses do not tell them apart.
func identify(g *group.Group) {
	times := map[string]int{}
	for _, m := range g.Members {
		times[m.ID]++
	}
	for i := range g.Members {
		if id := g.Members[i].ID; id == "" || id == nobody || times[id] > 1 {
			g.Members[i].ID = g.Members[i].Name
		}
	}
	g.Sort()
}
