// Package rtnl reads what the kernel tells over rtnetlink(7) and sysfs does not
// show: routes with the health of their next hops, and teams.
package rtnl

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// errShort says that a message ends too early.
var errShort = probes.Because(probes.Malformed, fmt.Errorf("a message of the kernel is cut off"))

// typeMask is NLA_TYPE_MASK of linux/netlink.h: above it are flags.
const typeMask = 0x3fff

// attributes calls each for every attribute in b: struct rtattr of
// linux/rtnetlink.h.
func attributes(b []byte, each func(kind uint16, value []byte)) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofRtAttr {
			return errShort
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return errShort
		}
		each(binary.NativeEndian.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
	return nil
}

func number(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// text returns a string without its closing zero.
func text(value []byte) string {
	for i, c := range value {
		if c == 0 {
			return string(value[:i])
		}
	}
	return string(value)
}

// ask collects the payloads of a dump of one type of message.
func ask(ctx context.Context, socket probes.Netlink, request, answer uint16, header []byte) ([][]byte, error) {
	var all [][]byte
	err := socket.Dump(ctx, probes.NetlinkRequest{Protocol: unix.NETLINK_ROUTE, Type: request, Payload: header},
		func(m probes.NetlinkMessage) error {
			if m.Type == answer {
				all = append(all, append([]byte(nil), m.Payload...))
			}
			return nil
		})
	return all, err
}

// Read returns the teams and the default routes of the host.
func Read(ctx context.Context, socket probes.Netlink) group.Reading {
	var reading group.Reading
	messages, err := ask(ctx, socket, unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
	links, parsed := ParseLinks(messages)
	if err == nil {
		err = parsed
	}
	if err != nil {
		reading.Close(group.Team, err)
		reading.Close(group.Route, err)
		return reading
	}
	reading.Groups = Teams(links)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		hops, err := routes(ctx, socket, family)
		if err != nil {
			reading.Close(group.Route, err)
			continue
		}
		reading.Groups = append(reading.Groups, Routes(hops, links)...)
	}
	return reading
}

// routes returns the next hops of one family.
func routes(ctx context.Context, socket probes.Netlink, family byte) ([]Hop, error) {
	header := make([]byte, unix.SizeofRtMsg)
	header[0] = family
	messages, err := ask(ctx, socket, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header)
	if err != nil {
		return nil, err
	}
	hops, err := ParseRoutes(messages, family)
	if err != nil || !slices.ContainsFunc(hops, func(h Hop) bool { return h.Object != 0 && !h.Gateway.IsValid() }) {
		return hops, err
	}
	messages, err = ask(ctx, socket, unix.RTM_GETNEXTHOP, unix.RTM_NEWNEXTHOP, make([]byte, 8))
	if err != nil {
		return nil, err
	}
	objects, err := ParseNextHops(messages)
	return resolved(hops, objects), err
}
