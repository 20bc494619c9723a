package firewall

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/probetest"
)

// recorded are the rulesets whose dumps lie in testdata; the live tests load
// them and compare verdicts with connections.
func recorded() map[string]string {
	return map[string]string{
		"host": `table inet f {
 set s { type inet_service; flags interval; elements = { 8000-8010, 9090 } }
 chain web { tcp dport 81 return; accept; }
 chain i { type filter hook input priority 0; policy drop;
  ct state vmap { established : accept, related : accept, invalid : drop }
  iifname lo accept
  meta l4proto { icmp, ipv6-icmp } accept
  tcp dport 22 accept
  tcp dport @s accept
  tcp dport vmap { 80 : jump web, 81 : jump web, 82 : drop }
  ip saddr 198.51.100.0/24 tcp dport 5432 accept
  udp dport { 53, 123 } accept
 }
}
`,
		"docker": "iptables\niptables -t nat -N DOCKER\niptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" +
			"iptables -t nat -A DOCKER ! -i hyg-c -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80\n" +
			"iptables -t nat -A DOCKER ! -i hyg-c -p udp -m udp --dport 53 -j DNAT --to-destination 10.9.0.2:5353\n" +
			"iptables -t nat -A DOCKER -d 127.0.0.1/32 ! -i hyg-c -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.9.0.2:80\n" +
			"iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\niptables -A INPUT -p tcp -m multiport --dports 22,1000:1002 -j ACCEPT\n" +
			"iptables -A INPUT -j REJECT\niptables -P FORWARD DROP\niptables -A FORWARD -d 10.9.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT\n",
	}
}

func play(t testing.TB, name string) *Ruleset {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	tape, err := probetest.ParseTape(data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(t.Context(), tape, rootfs.New(rootfs.Paths{Root: t.TempDir()}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerdictsOfARecordedHost(t *testing.T) {
	t.Parallel()
	r := play(t, "host")
	const tcp, udp = 6, 17
	for _, test := range []struct {
		protocol uint8
		port     uint16
		want     Verdict
	}{
		{tcp, 22, Accepted},
		{tcp, 23, Dropped},
		{tcp, 80, Accepted},
		{tcp, 81, Dropped},
		{tcp, 82, Dropped},
		{tcp, 7999, Dropped},
		{tcp, 8000, Accepted},
		{tcp, 8010, Accepted},
		{tcp, 8011, Dropped},
		{tcp, 9090, Accepted},
		{tcp, 9091, Dropped},
		{udp, 53, Accepted},
		{udp, 22, Dropped},
		{udp, 123, Accepted},
	} {
		for _, six := range []bool{false, true} {
			if got := r.Input(Packet{Protocol: test.protocol, Port: test.port, IPv6: six}); got != test.want {
				t.Errorf("protocol %d, port %d, IPv6 %t: %s; want %s", test.protocol, test.port, six, got, test.want)
			}
		}
	}
	if got := r.Input(Packet{Protocol: tcp, Port: 5432}); got != Depends {
		t.Errorf("a port for some clients is %s", got)
	}
	if got := r.Input(Packet{Protocol: tcp, Port: 5432, IPv6: true}); got != Dropped && got != Depends {
		t.Errorf("over IPv6 it is %s", got)
	}
	if got, complete := r.Published([]netip.Addr{netip.MustParseAddr("203.0.113.2")}); len(got) > 0 || !complete {
		t.Errorf("published: %v", got)
	}
}

func TestPortsThatARecordedEnginePublishes(t *testing.T) {
	t.Parallel()
	r := play(t, "docker")
	var got []string
	list, complete := r.Published([]netip.Addr{netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("2001:db8::2")})
	if !complete {
		t.Error("the list is not complete")
	}
	for _, p := range list {
		got = append(got, fmt.Sprintf("%d/%d at %s leads to %s, %s on the way and %s without", p.Protocol, p.Port, p.Destination, p.Target,
			r.Forward(Packet{Protocol: p.Protocol, Destination: p.Target.Addr(), Port: p.Target.Port()}), r.Input(Packet{Protocol: p.Protocol, Port: p.Port})))
	}
	want := []string{
		"6/8080 at 203.0.113.2 leads to 10.9.0.2:80, accepted on the way and dropped without",
		"17/53 at 203.0.113.2 leads to 10.9.0.2:5353, dropped on the way and dropped without",
		"6/8080 at 10.9.0.1 leads to 10.9.0.2:80, accepted on the way and dropped without",
		"17/53 at 10.9.0.1 leads to 10.9.0.2:5353, dropped on the way and dropped without",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for port, want := range map[uint16]Verdict{22: Accepted, 1001: Accepted, 999: Dropped, 1003: Dropped} {
		if got := r.Input(Packet{Protocol: 6, Port: port}); got != want {
			t.Errorf("port %d is %s; want %s", port, got, want)
		}
	}
}

func TestAnotherFirewallIsNotGuessedAt(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, tables string }{{"it has tables", "filter\n"}, {"it has none", ""}} {
		root := t.TempDir()
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "proc/net"), 0o755), os.WriteFile(filepath.Join(root, "proc/net/ip_tables_names"), []byte(test.tables), 0o600)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile("testdata/host")
		if err != nil {
			t.Fatal(err)
		}
		tape, err := probetest.ParseTape(data)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Read(t.Context(), tape, rootfs.New(rootfs.Paths{Root: root}), nil)
		if got := errors.Is(err, ErrOther); got != (test.tables != "") || got && probes.ReasonOf(err) != probes.Unsupported {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestTrafficDoesNotMakeAnotherRuleset(t *testing.T) {
	t.Parallel()
	host, again, other := play(t, "host"), play(t, "host"), play(t, "docker")
	if !host.Same(again) || host.Same(other) || host.Same(nil) {
		t.Errorf("the same: %t, another: %t, none: %t", host.Same(again), host.Same(other), host.Same(nil))
	}
	counter := attributes{1: []byte("f\x00"), 2: []byte("i\x00")}
	sum := func(packets byte) uint64 {
		r := &reader{sum: fnv.New64a(), Ruleset: &Ruleset{chains: map[chainKey]*chain{{familyInet, "f", "i"}: {}}}}
		// NFTA_LIST_ELEM with the name "counter" and its data.
		item := append(text(1, "counter"), 8, 0, 2, 0, packets, 0, 0, 0)
		counter[4] = append([]byte{byte(len(item) + 4), 0, 1, 0}, item...)
		r.rule(familyInet, counter)
		return r.sum.Sum64()
	}
	if sum(1) != sum(2) {
		t.Error("a packet that is counted makes another ruleset")
	}
}

func TestAHugeRulesetIsNotFollowedForEver(t *testing.T) {
	t.Parallel()
	r := play(t, "docker")
	for _, c := range r.chains {
		if c.key.name == "DOCKER" {
			for len(c.rules) < 100_000 {
				c.rules = append(c.rules, c.rules...)
			}
		}
	}
	var addresses []netip.Addr
	for i := range byte(200) {
		addresses = append(addresses, netip.AddrFrom4([4]byte{203, 0, 113, i}))
	}
	if _, complete := r.Published(addresses); complete {
		t.Error("the list is called complete")
	}
}

// FuzzRuleset: whatever the kernel answers, nothing panics or goes on for ever,
// and every packet has a verdict.
func FuzzRuleset(f *testing.F) {
	for name := range recorded() {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tape, err := probetest.ParseTape(data)
		if err != nil {
			return
		}
		r, err := Read(t.Context(), tape, rootfs.New(rootfs.Paths{Root: "/nonexistent"}), nil)
		if err != nil {
			return
		}
		for _, port := range []uint16{0, 22, 8080} {
			p := Packet{Protocol: 6, Port: port}
			for _, verdict := range []Verdict{r.Input(p), r.Forward(p)} {
				if verdict != Accepted && verdict != Dropped && verdict != Depends {
					t.Errorf("the verdict %q", verdict)
				}
			}
		}
		r.Published([]netip.Addr{netip.MustParseAddr("203.0.113.2")})
	})
}
