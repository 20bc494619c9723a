package listeners

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
)

const (
	netlinkSockDiag  = unix.NETLINK_SOCK_DIAG
	sockDiagByFamily = unix.SOCK_DIAG_BY_FAMILY

	// States of linux/net/tcp_states.h, which all families use.
	stateClose  = 7
	stateListen = 10
)

var native = binary.NativeEndian

// A diag is how one protocol is asked for.
type diag struct {
	module   string // that must be there already
	requests [][]byte
	parse    func([]byte) (Listener, bool, error)
}

// diags describes the requests of linux/inet_diag.h, unix_diag.h,
// packet_diag.h and vm_sockets_diag.h.
func diags() map[Protocol]diag {
	inet := func(module string, protocol uint8, state int) diag {
		return diag{module, [][]byte{inetRequest(unix.AF_INET, protocol, state), inetRequest(unix.AF_INET6, protocol, state)}, parseInet}
	}
	return map[Protocol]diag{
		TCP:     inet("tcp_diag", unix.IPPROTO_TCP, stateListen),
		UDP:     inet("udp_diag", unix.IPPROTO_UDP, stateClose),
		UDPLite: inet("udp_diag", unix.IPPROTO_UDPLITE, stateClose),
		SCTP:    inet("sctp_diag", unix.IPPROTO_SCTP, stateListen),
		Raw:     inet("raw_diag", unix.IPPROTO_RAW, stateClose),
		Packet:  {"af_packet_diag", [][]byte{packetRequest()}, parsePacket},
		Unix:    {"unix_diag", [][]byte{unixRequest()}, parseUnix},
		Vsock:   {"vsock_diag", [][]byte{vsockRequest()}, parseVsock},
	}
}

// inetRequest is a struct inet_diag_req_v2.
func inetRequest(family, protocol uint8, state int) []byte {
	b := make([]byte, 56)
	b[0], b[1] = family, protocol
	native.PutUint32(b[4:], 1<<state)
	return b
}

// unixRequest is a struct unix_diag_req that asks for names, inodes of files,
// and owners.
func unixRequest() []byte {
	const showName, showVFS, showUID = 0x01, 0x02, 0x40
	b := make([]byte, 24)
	b[0] = unix.AF_UNIX
	native.PutUint32(b[4:], 1<<stateListen)
	native.PutUint32(b[12:], showName|showVFS|showUID)
	return b
}

// packetRequest is a struct packet_diag_req that asks for devices, owners and
// memberships.
func packetRequest() []byte {
	const showInfo, showMemberships = 0x01, 0x02
	b := make([]byte, 20)
	b[0] = unix.AF_PACKET
	native.PutUint32(b[8:], showInfo|showMemberships)
	return b
}

// vsockRequest is a struct vsock_diag_req.
func vsockRequest() []byte {
	b := make([]byte, 24)
	b[0] = unix.AF_VSOCK
	native.PutUint32(b[4:], 1<<stateListen)
	return b
}

func short(what string, b []byte) error {
	return probes.Because(probes.Malformed, fmt.Errorf("%d bytes are no %s", len(b), what))
}

// parseInet reads a struct inet_diag_msg with its attributes.
func parseInet(b []byte) (l Listener, ok bool, err error) {
	const size = 72
	if len(b) < size {
		return l, false, short("inet_diag_msg", b)
	}
	switch b[0] {
	case unix.AF_INET:
		l.Address = netip.AddrFrom4([4]byte(b[8:12]))
	case unix.AF_INET6:
		l.Address = netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	default:
		return l, false, probes.Because(probes.Malformed, fmt.Errorf("an internet socket of the family %d", b[0]))
	}
	l.Port = uint32(binary.BigEndian.Uint16(b[4:]))
	l.Device = native.Uint32(b[40:])
	l.UID, l.HasUID = native.Uint32(b[64:]), true
	l.Inode = uint64(native.Uint32(b[68:]))
	const v6Only, cgroupID = 11, 21
	err = attributes(b[size:], func(kind uint16, value []byte) {
		switch {
		case kind == v6Only && len(value) >= 1:
			l.V6Only = value[0] != 0
		case kind == cgroupID && len(value) >= 8:
			l.Cgroup = native.Uint64(value)
		}
	})
	return l, true, err
}

// parseUnix reads a struct unix_diag_msg with its attributes.
func parseUnix(b []byte) (l Listener, ok bool, err error) {
	const size = 16
	if len(b) < size {
		return l, false, short("unix_diag_msg", b)
	}
	l.Inode = uint64(native.Uint32(b[4:]))
	const name, vfs, uid = 0, 1, 7
	err = attributes(b[size:], func(kind uint16, value []byte) {
		switch {
		case kind == name:
			l.Path = unixName(value)
		case kind == vfs && len(value) >= 8:
			l.VFS = native.Uint32(value)
		case kind == uid && len(value) >= 4:
			l.UID, l.HasUID = native.Uint32(value), true
		}
	})
	// Old kernels ignore the state in the request.
	return l, b[2] == stateListen, err
}

// unixName writes the name of a socket as /proc/net/unix does: zero bytes of an
// abstract one are @, and a path ends at the first zero byte.
func unixName(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if name[0] != 0 {
		path, _, _ := bytes.Cut(name, []byte{0})
		return string(path)
	}
	return string(bytes.ReplaceAll(name, []byte{0}, []byte{'@'}))
}

// parsePacket reads a struct packet_diag_msg with its attributes.
func parsePacket(b []byte) (l Listener, ok bool, err error) {
	const size = 16
	if len(b) < size {
		return l, false, short("packet_diag_msg", b)
	}
	l.Port = uint32(native.Uint16(b[2:])) // the kernel has turned it already
	l.Inode = uint64(native.Uint32(b[4:]))
	const info, memberships, uid = 0, 1, 5
	err = attributes(b[size:], func(kind uint16, value []byte) {
		switch {
		case kind == info && len(value) >= 4:
			l.Device = native.Uint32(value)
		case kind == memberships:
			l.Promiscuous = promiscuous(value)
		case kind == uid && len(value) >= 4:
			l.UID, l.HasUID = native.Uint32(value), true
		}
	})
	return l, true, err
}

// promiscuous looks through an array of struct packet_diag_mclist.
func promiscuous(memberships []byte) bool {
	const size = 44
	for len(memberships) >= size {
		if native.Uint16(memberships[8:]) == unix.PACKET_MR_PROMISC {
			return true
		}
		memberships = memberships[size:]
	}
	return false
}

// parseVsock reads a struct vsock_diag_msg.
func parseVsock(b []byte) (l Listener, ok bool, err error) {
	if len(b) < 32 {
		return l, false, short("vsock_diag_msg", b)
	}
	l.CID, l.Port = native.Uint32(b[4:]), native.Uint32(b[8:])
	l.Inode = uint64(native.Uint32(b[20:]))
	return l, b[2] == stateListen, nil
}

// attributes calls each for every attribute of a message: struct nlattr of
// linux/netlink.h.
func attributes(b []byte, each func(kind uint16, value []byte)) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlAttr {
			return short("attribute", b)
		}
		size := int(native.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return probes.Because(probes.Malformed, fmt.Errorf("an attribute of %d bytes in %d", size, len(b)))
		}
		each(native.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:size])
		b = b[min((size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1), len(b)):]
	}
	return nil
}
