// Package listeners lists the sockets of a host on which somebody can be
// reached: TCP, UDP, UDP-Lite, SCTP, raw, packet, unix and vsock, in the network
// namespace of the agent and in others.
//
// The kernel is asked by netlink (sock_diag(7)) for exactly those sockets, so
// that the cost does not depend on the number of connections. Where that is not
// possible, the tables in /proc/net are read, which know less. Asking never
// causes a kernel module to be loaded: an agent that looks at the surface of a
// host must not make it larger.
package listeners

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// A Protocol is what a socket speaks.
type Protocol string

// The protocols that can be listed.
const (
	TCP     Protocol = "tcp"
	UDP     Protocol = "udp"
	UDPLite Protocol = "udplite"
	SCTP    Protocol = "sctp"
	Raw     Protocol = "raw"
	Packet  Protocol = "packet"
	Unix    Protocol = "unix"
	Vsock   Protocol = "vsock"
)

// Protocols lists all of them.
func Protocols() []Protocol {
	return []Protocol{TCP, UDP, UDPLite, SCTP, Raw, Packet, Unix, Vsock}
}

// ErrAbsent says that the kernel does not have the protocol, or that nobody has
// used it since boot, so that there are no such sockets.
var ErrAbsent = errors.New("the kernel does not have this protocol")

// ErrBlind says that the kernel has the protocol and no means to list its
// sockets, or none that would not load a module.
var ErrBlind = probes.Because(probes.Unsupported, errors.New("the kernel cannot list these sockets"))

// A Listener is a socket that waits for somebody: a listening one of TCP, SCTP,
// unix and vsock, an unconnected one of UDP, UDP-Lite and raw, any one of packet.
type Listener struct {
	Protocol Protocol

	// Address is the bound address, without a zone and never an IPv4 address in
	// IPv6 form. It is the zero Addr for packet, unix and vsock.
	Address netip.Addr
	// Port is the port; the protocol number of raw sockets (255: sends only);
	// the ethertype of packet sockets (3: all).
	Port uint32
	// V6Only is meaningful for IPv6 addresses, if Exact. A wildcard without it
	// is open to IPv4 too.
	V6Only bool
	// Device is the index of the interface to which the socket is bound, 0 for
	// none; of a packet socket, DeviceName may be known instead.
	Device     uint32
	DeviceName string
	// Path is the name of a unix socket, which begins with @ if it is abstract.
	Path string
	// VFS is the inode of the path, 0 if unknown.
	VFS uint32
	// CID is the context of a vsock address: 4294967295 means any.
	CID uint32
	// Promiscuous packet sockets have asked for everything that passes.
	Promiscuous bool

	Inode  uint64 // 0 if the socket has no file any more
	UID    uint32 // owner; meaningless if !HasUID
	HasUID bool
	Cgroup uint64 // inode of the cgroup in which the socket was made; 0 if unknown

	// Exact says that sock_diag gave the answer. Otherwise V6Only, Device,
	// Cgroup and Promiscuous are not known.
	Exact bool
}

// A Source lists listeners. It may be used concurrently.
type Source struct {
	files   *rootfs.FS
	netlink probes.Netlink

	once    sync.Once
	builtin map[string]bool // diag modules that are a part of the kernel
}

// New returns a source. It touches nothing.
func New(files *rootfs.FS, netlink probes.Netlink) *Source {
	return &Source{files: files, netlink: netlink}
}

// A View looks into one network namespace. It must be closed.
type View struct {
	source *Source
	proc   string         // directory of the tables, such as /proc/net
	file   *os.File       // the namespace, nil for the agent's own
	closed error          // why the namespace cannot be entered
	counts map[string]int // sockets by protocol, nil as long as nobody asked
}

// Own returns the view of the network namespace that the agent lives in.
func (s *Source) Own() *View { return &View{source: s, proc: "/proc/net"} }

// In returns the view of another namespace. That it cannot be entered is no
// error: what the tables of one of its processes say is known all the same.
func (s *Source) In(n Namespace) *View {
	if n.Own {
		return s.Own()
	}
	v := &View{source: s}
	if n.PID > 0 {
		v.proc = fmt.Sprintf("/proc/%d/net", n.PID)
	}
	v.file, v.closed = s.files.Open(n.path())
	return v
}

// Close lets go of the namespace.
func (v *View) Close() {
	if v.file != nil {
		v.file.Close()
	}
}

// Namespace returns the namespace for other questions to the kernel; nil if it
// is the agent's own. It is open as long as the view is.
func (v *View) Namespace() *os.File { return v.file }

// Entered returns nil as long as the kernel answers for this namespace, and
// otherwise why it does not.
func (v *View) Entered() error { return v.closed }

// List returns the listeners of one protocol. It returns ErrAbsent if there can
// be none. With any other error, the listeners are those that could be read.
func (v *View) List(ctx context.Context, protocol Protocol) ([]Listener, error) {
	if known, some := v.used(protocol); known && !some {
		return nil, nil
	}
	asked, err := v.ask(ctx, protocol)
	if err == nil && (len(asked) > 0 || certain(protocol)) {
		return asked, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// An empty answer may come from a kernel without this kind of diag.
	read, failed := v.read(protocol)
	switch {
	case failed == nil:
		return read, nil
	case errors.Is(failed, ErrBlind) && err != nil:
		return read, err // which says more
	}
	return read, failed
}

// certain reports whether an empty answer of sock_diag is to be believed.
// Kernels answer for a protocol without a diag of its own as if it had no
// sockets.
func certain(protocol Protocol) bool {
	return protocol != UDPLite && protocol != SCTP && protocol != Raw
}

// ask lists by netlink.
func (v *View) ask(ctx context.Context, protocol Protocol) ([]Listener, error) {
	if v.closed != nil {
		return nil, v.closed
	}
	d := diags()[protocol]
	if !v.source.mayAsk(d.module) {
		return nil, ErrBlind
	}
	var list []Listener
	for _, payload := range d.requests {
		request := probes.NetlinkRequest{Protocol: netlinkSockDiag, Type: sockDiagByFamily, Payload: payload, Namespace: v.file}
		err := v.source.netlink.Dump(ctx, request, func(m probes.NetlinkMessage) error {
			l, ok, err := d.parse(m.Payload)
			if l.Protocol, l.Exact = protocol, true; ok {
				list = append(list, l)
			}
			return err
		})
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, ErrBlind // the kernel was built without this diag
		case v.file != nil && errors.Is(err, fs.ErrPermission):
			v.closed = err
			fallthrough
		case err != nil:
			return nil, err
		}
	}
	return list, nil
}
