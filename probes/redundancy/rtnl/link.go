package rtnl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/redundancy/group"
)

// A Link is a network interface.
type Link struct {
	Name    string
	Kind    string // such as team; empty for hardware
	Master  uint32
	Address string // the hardware's own, as bytes
	Up      bool   // has a carrier and may be used
}

// permAddress is IFLA_PERM_ADDRESS of linux/if_link.h.
const permAddress = 54

// ParseLinks reads messages RTM_NEWLINK, by the index of the interface.
func ParseLinks(messages [][]byte) (map[uint32]Link, error) {
	links := map[uint32]Link{}
	for _, m := range messages {
		if len(m) < unix.SizeofIfInfomsg {
			return nil, errShort
		}
		index, flags := binary.NativeEndian.Uint32(m[4:]), binary.NativeEndian.Uint32(m[8:])
		link := Link{Up: flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0}
		var nested error
		err := attributes(m[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
			switch kind {
			case unix.IFLA_IFNAME:
				link.Name = text(value)
			case unix.IFLA_MASTER:
				link.Master = number(value)
			case permAddress:
				link.Address = string(value)
			case unix.IFLA_LINKINFO:
				nested = attributes(value, func(kind uint16, value []byte) {
					if kind == unix.IFLA_INFO_KIND {
						link.Kind = text(value)
					}
				})
			}
		})
		if err != nil {
			return nil, err
		}
		if nested != nil {
			return nil, nested
		}
		links[index] = link
	}
	return links, nil
}

// Teams returns the teams among links. What teamd's runner makes of a member
// with a carrier, such as LACP, only teamd knows.
func Teams(links map[uint32]Link) []group.Group {
	var teams []group.Group
	for index, link := range links {
		if link.Kind != "team" {
			continue
		}
		g := group.Group{Kind: group.Team, Name: link.Name, Needed: 1, Partial: true}
		for _, port := range links {
			if port.Master == index {
				g.Members = append(g.Members, group.Member{ID: port.Name, Name: port.Name, Active: port.Up})
			}
		}
		g.Expected, g.Ordinary = len(g.Members), len(g.Members) == 0
		g.Sort()
		teams = append(teams, g)
	}
	return teams
}
