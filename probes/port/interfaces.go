package port

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

// A device is a network interface.
type device struct {
	name     string
	loopback bool
	kind     string // of a virtual one, such as bridge or veth
	master   uint32 // the bridge or bond that it belongs to
	bridge   bool   // a bridge for containers or virtual machines
}

// interfaces are the devices and addresses of one network namespace. The zero
// value knows none.
type interfaces struct {
	devices   map[uint32]device
	addresses map[netip.Addr]uint32 // by address, the index of the device
}

// readInterfaces asks the kernel for the devices and addresses of a namespace,
// nil for the agent's own: rtnetlink(7).
func readInterfaces(ctx context.Context, netlink probes.Netlink, namespace *os.File) (*interfaces, error) {
	in := &interfaces{devices: map[uint32]device{}, addresses: map[netip.Addr]uint32{}}
	ask := func(kind uint16, size int, each func([]byte)) error {
		request := probes.NetlinkRequest{Protocol: unix.NETLINK_ROUTE, Type: kind, Payload: make([]byte, size), Namespace: namespace}
		return netlink.Dump(ctx, request, func(m probes.NetlinkMessage) error { each(m.Payload); return nil })
	}
	if err := ask(unix.RTM_GETLINK, unix.SizeofIfInfomsg, in.addDevice); err != nil {
		return nil, err
	}
	if err := ask(unix.RTM_GETADDR, unix.SizeofIfAddrmsg, in.addAddress); err != nil {
		return nil, err
	}
	in.findBridges()
	return in, nil
}

// addDevice reads a struct ifinfomsg with its attributes.
func (in *interfaces) addDevice(b []byte) {
	if len(b) < unix.SizeofIfInfomsg {
		return
	}
	d := device{loopback: binary.NativeEndian.Uint32(b[8:])&unix.IFF_LOOPBACK != 0}
	each(b[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.IFLA_IFNAME:
			d.name = strings.TrimRight(string(value), "\x00")
		case kind == unix.IFLA_MASTER && len(value) >= 4:
			d.master = binary.NativeEndian.Uint32(value)
		case kind == unix.IFLA_LINKINFO:
			each(value, func(kind uint16, value []byte) {
				if kind == unix.IFLA_INFO_KIND {
					d.kind = strings.TrimRight(string(value), "\x00")
				}
			})
		}
	})
	in.devices[binary.NativeEndian.Uint32(b[4:])] = d
}

// addAddress reads a struct ifaddrmsg with its attributes. On a link with two
// ends the local address counts.
func (in *interfaces) addAddress(b []byte) {
	if len(b) < unix.SizeofIfAddrmsg {
		return
	}
	var local, address netip.Addr
	each(b[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		}
	})
	if local.IsValid() {
		address = local
	}
	if address.IsValid() {
		in.addresses[address] = binary.NativeEndian.Uint32(b[4:])
	}
}

// findBridges tells the bridges of containers and virtual machines from those
// that carry the host's own address, as on hypervisors: nothing is attached to
// them but the ends of virtual cables.
func (in *interfaces) findBridges() {
	attached := map[uint32]bool{} // bridges with something real on them
	for _, d := range in.devices {
		if d.master > 0 && d.kind != "veth" && d.kind != "tun" {
			attached[d.master] = true
		}
	}
	for index, d := range in.devices {
		if d.kind == "bridge" && !attached[index] {
			d.bridge = true
			in.devices[index] = d
		}
	}
}

func (in *interfaces) onBridge(address netip.Addr) bool {
	index, known := in.addresses[address]
	return known && in.devices[index].bridge
}

// reachable reports whether the namespace has an address that everybody can
// reach.
func (in *interfaces) reachable() bool {
	for address := range in.addresses {
		if address.IsGlobalUnicast() && !address.IsPrivate() && !in.onBridge(address) {
			return true
		}
	}
	return false
}

// each calls f for every attribute of a message, as far as it is well formed:
// struct rtattr of linux/rtnetlink.h.
func each(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}
