package port

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/listeners"
	"hygiene_exporter/probes/internal/rootfs"
)

func TestWhoCanReachAListener(t *testing.T) {
	t.Parallel()
	in := &interfaces{
		devices: map[uint32]device{
			1: {name: "lo", loopback: true}, 2: {name: "eth0"}, 3: {name: "docker0", kind: "bridge"}, 4: {name: "veth0", kind: "veth", master: 3},
			5: {name: "vmbr0", kind: "bridge"}, 6: {name: "eth1", master: 5}, 7: {name: "virbr0", kind: "bridge"},
		},
		addresses: map[netip.Addr]uint32{
			netip.MustParseAddr("172.17.0.1"): 3, netip.MustParseAddr("10.0.0.2"): 5, netip.MustParseAddr("192.168.122.1"): 7,
			netip.MustParseAddr("203.0.113.7"): 2,
		},
	}
	in.findBridges()
	at := func(address string, change ...func(*listeners.Listener)) listeners.Listener {
		l := listeners.Listener{Protocol: listeners.TCP, Address: netip.MustParseAddr(address), Exact: true}
		for _, c := range change {
			c(&l)
		}
		return l
	}
	only6 := func(l *listeners.Listener) { l.V6Only = true }
	table := func(l *listeners.Listener) { l.Exact = false }
	on := func(index uint32) func(*listeners.Listener) { return func(l *listeners.Listener) { l.Device = index } }
	for _, test := range []struct {
		name string
		l    listeners.Listener
		want string
	}{
		{"the loopback", at("127.0.0.1"), loopback},
		{"any address of the loopback", at("127.3.4.5"), loopback},
		{"the loopback of IPv6", at("::1"), loopback},
		{"every address of IPv4", at("0.0.0.0"), wildcard4},
		{"every address of IPv6, and IPv4 with it", at("::"), wildcard},
		{"every address of IPv6 alone", at("::", only6), wildcard6},
		{"the tables do not tell IPv6 alone", at("::", table), wildcard},
		{"every address of the loopback device", at("0.0.0.0", on(1)), loopback},
		{"every address of one device", at("::", on(2)), bound},
		{"every address of a bridge for containers", at("0.0.0.0", on(3)), bridge},
		{"every address of a device that nobody knows", at("0.0.0.0", on(99)), bound},
		{"an address of the link", at("169.254.1.1"), linkLocal},
		{"an address of the link in IPv6", at("fe80::1"), linkLocal},
		{"a group of the link", at("224.0.0.251"), linkLocal},
		{"a group of the organisation", at("239.1.1.1"), private},
		{"a group of the site in IPv6", at("ff05::2"), private},
		{"a group of the world", at("224.2.2.2"), public},
		{"a group of the world in IPv6", at("ff0e::1"), public},
		{"a broadcast to the link", at("255.255.255.255"), linkLocal},
		{"a private address", at("192.168.1.1"), private},
		{"a unique local address", at("fd00::1"), private},
		{"shared address space of a provider", at("100.64.0.1"), private},
		{"a network for benchmarks", at("198.18.0.1"), private},
		{"a bridge with the ends of cables to containers", at("172.17.0.1"), bridge},
		{"a bridge that nobody is on", at("192.168.122.1"), bridge},
		{"a bridge that carries the address of the host", at("10.0.0.2"), private},
		{"a public address", at("203.0.113.7"), public},
		{"a public address of IPv6", at("2001:db8::1"), public},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := classify(test.l, in); got != test.want {
				t.Errorf("%+v is %s; want %s", test.l, got, test.want)
			}
		})
	}
	if !in.reachable() {
		t.Error("a public address does not count as one")
	}
	delete(in.addresses, netip.MustParseAddr("203.0.113.7"))
	if in.reachable() {
		t.Error("private addresses and bridges count as public")
	}
}

func TestTheKernelTellsItsDevices(t *testing.T) {
	t.Parallel()
	in := &interfaces{devices: map[uint32]device{}, addresses: map[netip.Addr]uint32{}}
	attribute := func(kind uint16, value []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		return append(b, make([]byte, (4-len(b)%4)%4)...)
	}
	link := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(link[4:], 3)
	kind := attribute(unix.IFLA_INFO_KIND, []byte("bridge\x00"))
	in.addDevice(append(append(link, attribute(unix.IFLA_IFNAME, []byte("br-1\x00"))...), attribute(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, kind)...))
	address := make([]byte, unix.SizeofIfAddrmsg)
	binary.NativeEndian.PutUint32(address[4:], 3)
	in.addAddress(append(append(address, attribute(unix.IFA_ADDRESS, []byte{10, 0, 0, 2})...), attribute(unix.IFA_LOCAL, []byte{10, 0, 0, 1})...))
	in.addDevice([]byte{1})
	in.addAddress(nil)
	in.findBridges()
	if d := in.devices[3]; !d.bridge || d.name != "br-1" || !in.onBridge(netip.MustParseAddr("10.0.0.1")) || in.onBridge(netip.MustParseAddr("10.0.0.2")) {
		t.Errorf("%+v", in)
	}
}

// FuzzInterfaces: whatever the kernel answers, nothing panics.
func FuzzInterfaces(f *testing.F) {
	f.Add(make([]byte, 40))
	f.Fuzz(func(_ *testing.T, b []byte) {
		in := &interfaces{devices: map[uint32]device{}, addresses: map[netip.Addr]uint32{}}
		in.addDevice(b)
		in.addAddress(b)
		in.findBridges()
	})
}

func TestWhoCanConnectToAUnixSocket(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	bind := func(name string, mode os.FileMode) listeners.Listener {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		// A path of a socket is short; that of a test is not.
		dir, err := os.Open(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { dir.Close() })
		short := fmt.Sprintf("/proc/self/fd/%d/", dir.Fd()) + filepath.Base(path)
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: short}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return listeners.Listener{Protocol: listeners.Unix, Path: "/" + name, VFS: uint32(st.Ino), Inode: st.Ino}
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	open, group, secret := bind("run/open.sock", 0o666), bind("run/group.sock", 0o660), bind("run/closed/s.sock", 0o777)
	if err := os.Chmod(filepath.Join(root, "run/closed"), 0o750); err != nil {
		t.Fatal(err)
	}
	other := open
	other.VFS, other.Inode = open.VFS+1, 999
	for _, test := range []struct {
		name string
		l    listeners.Listener
		want string
	}{
		{"everybody may write", open, everyone},
		{"a group may", group, restricted},
		{"the directory is closed", secret, restricted},
		{"the path leads to another socket, as in a container", other, hidden},
		{"the path is gone", listeners.Listener{Path: "/run/none", Inode: 1}, hidden},
		{"the path is relative", listeners.Listener{Path: "x.sock", Inode: 2}, hidden},
		{"there is no name", listeners.Listener{Inode: 3}, hidden},
		{"there is no path", listeners.Listener{Path: "@x", Inode: 4}, abstract},
	} {
		p := &paths{files: rootfs.New(rootfs.Paths{Root: root}), known: map[uint64]reach{}}
		if got := p.exposure(test.l, time.Unix(1, 0)); got != test.want {
			t.Errorf("%s: %s; want %s", test.name, got, test.want)
		}
	}
}

func TestConfigurationsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, policy, want string }{
		{"an unknown protocol", `{protocol: http, expect: allowed}`, `policy[0].protocol: "http" is none of tcp, udp`},
		{"a port that is none", `{protocol: tcp, ports: [70000], expect: allowed}`, `policy[0].ports[0]: 70000 is above 65535`},
		{"an unknown exposure", `{exposure: internet, expect: allowed}`, `policy[0].exposure: "internet" is none of any, loopback`},
		{"nothing expected", `{protocol: tcp}`, "policy[0].expect: is missing; write required, allowed or forbidden"},
		{"something else expected", `{expect: maybe}`, `policy[0].expect: "maybe" is none of required, allowed, forbidden`},
		{"a requirement without a port", `{protocol: tcp, expect: required}`, "policy[0].ports: must be one port or one range"},
		{"a requirement without a protocol", `{ports: [1], expect: required}`, "policy[0].protocol: is missing"},
		{"an exception without a reason", `{expect: allowed, until: 2027-01-01}`, "policy[0].reason: is missing"},
		{"a date that is none", `{expect: allowed, until: tomorrow, reason: x}`, `policy[0].until: "tomorrow" is not a date`},
		{"a ban that ends", `{expect: forbidden, until: 2027-01-01, reason: x}`, "policy[0].until: a ban has no end"},
		{"a pattern that is none", `{unit: "[", expect: allowed}`, `policy[0].unit: "[" is not a valid pattern`},
		{"a path of TCP", `{protocol: tcp, path: /x, expect: allowed}`, "policy[0].path: belongs to the protocol unix alone"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := defaultConfig()
			if err := yamlDecode("["+test.policy+"]", &c.Policy); err != nil {
				t.Fatal(err)
			}
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v; want %s", err, test.want)
			}
		})
	}
	for _, ports := range []string{"x", "[1]", "9-1", "1-", "-5", "{a: b}"} {
		var rules []Rule
		if err := yamlDecode("[{ports: ["+ports+"], expect: allowed}]", &rules); err == nil {
			t.Errorf("the ports %s are accepted: %+v", ports, rules)
		}
	}
	c := defaultConfig()
	c.ProcessBudget = c.Timeout
	if err := c.Validate(); err == nil || probes.ReasonOf(err) != probes.Other || !strings.Contains(err.Error(), "process_budget") {
		t.Errorf("a budget like the timeout: %v", err)
	}
}
