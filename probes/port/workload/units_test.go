package workload

import (
	"net/netip"
	"testing"
	"time"
)

func TestSocketUnitsTellForWhomSystemdListens(t *testing.T) {
	t.Parallel()
	u := NewUnits(tree(t, map[string]string{
		"usr/lib/systemd/system/ssh.socket":                "[Unit]\nDescription=x\n[Socket]\nListenStream=22\nAccept=no\n",
		"run/systemd/generator/ssh.socket.d/addr.conf":     "[Socket]\nListenStream=\nListenStream=0.0.0.0:2222\nListenStream=[::]:2222\n",
		"usr/lib/systemd/system/cups.socket":               "[Socket]\nListenStream=%t/cups/cups.sock\nListenStream=127.0.0.1:631\n",
		"etc/systemd/system/dns.socket":                    "[Socket]\nListenDatagram = 53\nListenStream=53\n",
		"lib/systemd/system/dns.socket":                    "[Socket]\nListenStream=5353\n",
		"usr/lib/systemd/system/a.socket":                  "[Socket]\nListenStream=9090\n",
		"usr/lib/systemd/system/b.socket":                  "[Socket]\nListenStream=9090\n",
		"usr/lib/systemd/system/odd.socket":                "[Socket]\nListenStream=vsock:2:1\nListenFIFO=/run/x\n# ListenStream=99\nListenStream=70000\n",
		"usr/lib/systemd/system/abstract.socket":           "[Socket]\nListenSequentialPacket=@udev\n",
		"usr/lib/systemd/system/ssh.service":               "ListenStream=1\n",
		"usr/lib/systemd/system/ssh.socket.d/notes.backup": "ListenStream=2\n",
	}))
	local := netip.MustParseAddr("127.0.0.1")
	for _, test := range []struct {
		name string
		at   Endpoint
		want string
	}{
		{"every address", Endpoint{Address: netip.IPv4Unspecified(), Port: 2222}, "ssh.socket"},
		{"every address of IPv6", Endpoint{Address: netip.IPv6Unspecified(), Port: 2222}, "ssh.socket"},
		{"what was replaced is gone", Endpoint{Port: 22}, ""},
		{"one address", Endpoint{Address: local, Port: 631}, "cups.socket"},
		{"another address", Endpoint{Port: 631}, ""},
		{"a path", Endpoint{Path: "/run/cups/cups.sock"}, "cups.socket"},
		{"a name without a path", Endpoint{Path: "@udev"}, "abstract.socket"},
		{"datagrams", Endpoint{Datagram: true, Port: 53}, "dns.socket"},
		{"the unit of the administrator hides that of the package", Endpoint{Port: 5353}, ""},
		{"two units for one port tell nothing", Endpoint{Port: 9090}, ""},
		{"a comment is none", Endpoint{Port: 99}, ""},
		{"another kind of unit is none", Endpoint{Port: 1}, ""},
		{"another kind of file is none", Endpoint{Port: 2}, ""},
	} {
		if got := u.Socket(test.at, time.Unix(1000, 0)); got != test.want {
			t.Errorf("%s: %q; want %q", test.name, got, test.want)
		}
	}
}

// FuzzUnit: whatever a unit says, nothing panics, and an endpoint is one.
func FuzzUnit(f *testing.F) {
	f.Add("[Socket]\nListenStream=0.0.0.0:22\nListenDatagram=/run/x\nListenStream=\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range parseUnit(text, nil) {
			if e.Path != "" && e.Port != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
