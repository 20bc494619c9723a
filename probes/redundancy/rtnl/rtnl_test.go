package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/redundancy/group"
)

// attr encodes one attribute.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(len(value)+4))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func addr(text string) []byte { return netip.MustParseAddr(text).AsSlice() }

// route encodes a message RTM_NEWROUTE of IPv4 with these attributes.
func route(length byte, flags uint32, attributes ...[]byte) []byte {
	m := append([]byte{unix.AF_INET, length, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, 0, unix.RTN_UNICAST}, u32(flags)...)
	for _, a := range attributes {
		m = append(m, a...)
	}
	return m
}

// hop encodes struct rtnexthop.
func hop(flags byte, device uint32, gateway string) []byte {
	of := attr(unix.RTA_GATEWAY, addr(gateway))
	b := binary.NativeEndian.AppendUint16(nil, uint16(8+len(of)))
	return append(append(append(b, flags, 0), u32(device)...), of...)
}

func brief(groups []group.Group) (lines []string) {
	for _, g := range groups {
		line := g.Name
		for _, m := range g.Members {
			line += " " + m.Name
			if !m.Active {
				line += "!"
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestRoutes(t *testing.T) {
	links := map[uint32]Link{2: {Name: "eth0"}, 3: {Name: "eth1"}}
	for name, c := range map[string]struct {
		messages [][]byte
		want     []string
	}{
		"one default route": {
			[][]byte{route(0, 0, attr(unix.RTA_GATEWAY, addr("192.0.2.1")), attr(unix.RTA_OIF, u32(2)))},
			[]string{"default-ipv4 192.0.2.1%eth0"},
		},
		"two of different metrics take over from each other": {
			[][]byte{
				route(0, 0, attr(unix.RTA_GATEWAY, addr("192.0.2.1")), attr(unix.RTA_OIF, u32(2)), attr(unix.RTA_PRIORITY, u32(100))),
				route(0, unix.RTNH_F_LINKDOWN, attr(unix.RTA_GATEWAY, addr("198.51.100.1")), attr(unix.RTA_OIF, u32(3)), attr(unix.RTA_PRIORITY, u32(200))),
			},
			[]string{"default-ipv4 192.0.2.1%eth0 198.51.100.1%eth1!"},
		},
		"next hops of one route, of which one is dead": {
			[][]byte{route(8, 0, attr(unix.RTA_DST, addr("10.0.0.0")),
				attr(unix.RTA_MULTIPATH, append(hop(0, 2, "192.0.2.1"), hop(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN, 3, "198.51.100.1")...)))},
			[]string{"10.0.0.0/8 192.0.2.1%eth0 198.51.100.1%eth1!"},
		},
		"a gateway of the other family": {
			[][]byte{route(0, 0, attr(unix.RTA_VIA, append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), addr("fe80::1")...)), attr(unix.RTA_OIF, u32(2)))},
			[]string{"default-ipv4 fe80::1%eth0"},
		},
		"a route into an interface is no way that takes over": {
			[][]byte{route(0, 0, attr(unix.RTA_OIF, u32(2)))}, nil,
		},
		"other tables and clones are others' affair": {
			[][]byte{
				route(0, 0, attr(unix.RTA_TABLE, u32(100)), attr(unix.RTA_GATEWAY, addr("192.0.2.1"))),
				route(0, unix.RTM_F_CLONED, attr(unix.RTA_GATEWAY, addr("192.0.2.1"))),
			}, nil,
		},
	} {
		hops, err := ParseRoutes(c.messages, unix.AF_INET)
		if diff := cmp.Diff(c.want, brief(Routes(hops, links))); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestNextHopObjectsStandForRoutes(t *testing.T) {
	object := func(flags uint32, attributes ...[]byte) []byte {
		m := append([]byte{unix.AF_INET, 0, 0, 0}, u32(flags)...)
		for _, a := range attributes {
			m = append(m, a...)
		}
		return m
	}
	objects, err := ParseNextHops([][]byte{
		object(0, attr(unix.NHA_ID, u32(1)), attr(unix.NHA_OIF, u32(2)), attr(unix.NHA_GATEWAY, addr("192.0.2.1"))),
		object(unix.RTNH_F_LINKDOWN, attr(unix.NHA_ID, u32(2)), attr(unix.NHA_OIF, u32(3)), attr(unix.NHA_GATEWAY, addr("198.51.100.1"))),
		object(0, attr(unix.NHA_ID, u32(10)), attr(unix.NHA_GROUP, append(append(u32(1), 0, 0, 0, 0), append(u32(2), 0, 0, 0, 0)...))),
	})
	if err != nil {
		t.Fatal(err)
	}
	hops, err := ParseRoutes([][]byte{
		route(0, 0, attr(rtaNextHop, u32(10))),
		route(8, 0, attr(unix.RTA_DST, addr("10.0.0.0")), attr(rtaNextHop, u32(1))),
	}, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	links := map[uint32]Link{2: {Name: "eth0"}, 3: {Name: "eth1"}}
	want := []string{"10.0.0.0/8 192.0.2.1%eth0", "default-ipv4 192.0.2.1%eth0 198.51.100.1%eth1!"}
	if diff := cmp.Diff(want, brief(Routes(resolved(hops, objects), links))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARouterIsNotLookedAtRouteByRoute(t *testing.T) {
	var hops []Hop
	for i := range maxPrefixes + 1 {
		hops = append(hops, Hop{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)), Gateway: netip.MustParseAddr("192.0.2.1")})
	}
	hops = append(hops, Hop{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("192.0.2.1")})
	if got := brief(Routes(hops, nil)); len(got) != 1 || !strings.HasPrefix(got[0], "default-ipv4") {
		t.Errorf("%d groups", len(got))
	}
}

// Whatever is said, parsing ends, and each way is there once.
func FuzzParse(f *testing.F) {
	f.Add(route(0, 0, attr(unix.RTA_MULTIPATH, append(hop(0, 2, "192.0.2.1"), hop(1, 3, "198.51.100.1")...))))
	f.Add(append(make([]byte, 16), attr(unix.IFLA_LINKINFO, attr(unix.IFLA_INFO_KIND, []byte("team\x00")))...))
	f.Fuzz(func(t *testing.T, message []byte) {
		hops, _ := ParseRoutes([][]byte{message}, unix.AF_INET)
		links, _ := ParseLinks([][]byte{message})
		_, _ = ParseNextHops([][]byte{message})
		_ = Teams(links)
		for _, g := range Routes(hops, links) {
			seen := map[string]bool{}
			for _, m := range g.Members {
				if seen[m.Name] {
					t.Errorf("%s is there twice", m.Name)
				}
				seen[m.Name] = true
			}
		}
	})
}
