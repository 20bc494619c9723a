//go:build live

package firewall

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/netlink"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/probetest"
)

const roleEnv = "HYGIENE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, argument, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "listen":
		for address := range strings.FieldsSeq(argument) {
			if _, err := net.Listen("tcp", address); err != nil {
				fmt.Println(err)
				return
			}
		}
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
	case "connect":
		connect(strings.Fields(argument))
	default:
		os.Exit(m.Run())
	}
}

// connect prints the addresses that answer.
func connect(addresses []string) {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
	)
	for _, address := range addresses {
		group.Go(func() {
			c, err := net.DialTimeout("tcp", address, 700*time.Millisecond)
			if err == nil {
				c.Close()
				mu.Lock()
				fmt.Println(address)
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

func shell(t *testing.T, line string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// world makes three hosts: a peer, one with the firewall, and a container behind
// it, which listen on ports 1001 to 1030 and on 80.
func world(t *testing.T) {
	t.Helper()
	for _, name := range []string{"peer", "fw", "inner"} {
		shell(t, "ip netns add hygiene-"+name)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", "hygiene-"+name).Run() })
		shell(t, "ip -n hygiene-"+name+" link set lo up")
	}
	shell(t, `
		ip link add hyg-p netns hygiene-peer type veth peer name hyg-f netns hygiene-fw
		ip link add hyg-i netns hygiene-inner type veth peer name hyg-c netns hygiene-fw
		ip -n hygiene-peer addr add 203.0.113.1/24 dev hyg-p
		ip -n hygiene-peer addr add 2001:db8::1/64 dev hyg-p nodad
		ip -n hygiene-fw addr add 203.0.113.2/24 dev hyg-f
		ip -n hygiene-fw addr add 2001:db8::2/64 dev hyg-f nodad
		ip -n hygiene-fw addr add 10.9.0.1/24 dev hyg-c
		ip -n hygiene-inner addr add 10.9.0.2/24 dev hyg-i
		for d in "peer hyg-p" "fw hyg-f" "fw hyg-c" "inner hyg-i"; do set -- $d; ip -n hygiene-$1 link set $2 up; done
		ip -n hygiene-inner route add default via 10.9.0.1
		nsenter --net=/run/netns/hygiene-fw sysctl -q -w net.ipv4.ip_forward=1`)
	var ports []string
	for port := 1001; port <= 1030; port++ {
		ports = append(ports, fmt.Sprintf(":%d", port))
	}
	serve(t, "fw", strings.Join(ports, " "))
	serve(t, "inner", ":80")
	// The link needs a moment until it carries IPv6.
	for range 20 {
		if out, _ := inside("peer", "connect [2001:db8::2]:1001").Output(); len(out) > 0 {
			return
		}
	}
	t.Fatal("the peer does not reach the host")
}

func inside(name, role string) *exec.Cmd {
	path, _ := os.Executable()
	cmd := exec.Command("nsenter", "--net=/run/netns/hygiene-"+name, path)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

func serve(t *testing.T, name, addresses string) {
	t.Helper()
	cmd := inside(name, "listen "+addresses)
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	answer := make([]byte, 100)
	if n, _ := out.Read(answer); strings.TrimSpace(string(answer[:n])) != "ready" {
		t.Fatalf("the server says %q", answer[:n])
	}
}

func load(t *testing.T, ruleset string) {
	t.Helper()
	shell(t, "nsenter --net=/run/netns/hygiene-fw nft flush ruleset")
	if lines, iptables := strings.CutPrefix(ruleset, "iptables\n"); iptables {
		for line := range strings.Lines(lines) {
			shell(t, "nsenter --net=/run/netns/hygiene-fw "+line)
		}
		return
	}
	cmd := exec.Command("nsenter", "--net=/run/netns/hygiene-fw", "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(ruleset, "} }", "}\n}"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s\n%s", err, out, ruleset)
	}
}

func readRuleset(t *testing.T) *Ruleset {
	t.Helper()
	file, err := os.Open("/run/netns/hygiene-fw")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := Read(t.Context(), netlink.Kernel{}, rootfs.New(rootfs.Paths{}), file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func inet(rules string) string {
	return "table inet f {\n chain i { type filter hook input priority 0; policy drop;\n" + rules + "\n}\n}\n"
}

func rulesets() []struct {
	name, rules string
	depends     []int // ports of which nothing certain is to be said
} {
	all := func() (ports []int) {
		for port := 1001; port <= 1030; port++ {
			ports = append(ports, port)
		}
		return ports
	}()
	neighbours := "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
	return []struct {
		name, rules string
		depends     []int
	}{
		{"no rules", "", nil},
		{"a table without a hook", "table inet f { chain i { tcp dport 1001 drop\n } }", nil},
		{"nothing but a policy", inet(neighbours), nil},
		{"single ports", inet(neighbours + "tcp dport 1001 accept\ntcp dport 1007 counter log accept"), nil},
		{"a set of ports", inet(neighbours + "tcp dport { 1001, 1003, 1005 } accept"), nil},
		{"a range", inet(neighbours + "tcp dport 1004-1009 accept"), nil},
		{"a set of ranges", inet(neighbours + "tcp dport { 1001-1003, 1010, 1012-1015 } accept"), nil},
		{"all but a set", inet(neighbours + "tcp dport != { 1001-1003, 1010 } accept"), nil},
		{"all but a range", inet(neighbours + "tcp dport != 1010-1020 accept"), nil},
		{"less and more", inet(neighbours + "tcp dport < 1005 accept\ntcp dport >= 1025 accept"), nil},
		{"a named set", "table inet f { set s { type inet_service; flags interval; elements = { 1002-1004, 1030 } }\n chain i { type filter hook input priority 0; policy drop; " + strings.ReplaceAll(neighbours, "\n", ";") + " tcp dport @s accept; } }", nil},
		{"what everybody writes first", inet("ct state vmap { established : accept, related : accept, invalid : drop }\niifname lo accept\nmeta l4proto { icmp, ipv6-icmp } accept\ntcp dport { 1022, 1030 } ct state new accept"), nil},
		{"states without a map", inet("ct state established,related accept\nct state invalid drop\niif lo accept\n" + neighbours + "tcp dport 1001 accept"), nil},
		{"a map of verdicts by port", "table inet f { chain a { tcp dport 1002 drop; accept; }\n chain b { return; }\n chain i { type filter hook input priority 0; policy drop; " + strings.ReplaceAll(neighbours, "\n", ";") + " tcp dport vmap { 1001 : accept, 1002 : jump a, 1003 : jump a, 1004 : drop, 1005 : jump b, 1010-1012 : accept }; } }", nil},
		{"jump, return and goto", "table inet f { chain a { tcp dport 1001 return; tcp dport 1001-1005 accept; }\n chain g { tcp dport 1006 accept; }\n chain i { type filter hook input priority 0; policy drop; " + strings.ReplaceAll(neighbours, "\n", ";") + " jump a; tcp dport 1001 accept; tcp dport 1006-1007 goto g; tcp dport 1007 accept; tcp dport 1008 accept; } }", nil},
		{"reject", "table inet f { chain i { type filter hook input priority 0; policy accept; tcp dport 1001 reject; tcp dport 1002 reject with tcp reset; } }", nil},
		{"IPv4 and IPv6 apart", "table ip f { chain i { type filter hook input priority 0; policy drop; tcp dport 1001 accept; } }\ntable ip6 f { chain i { type filter hook input priority 0; policy accept; tcp dport 1002 drop; } }", nil},
		{"families within inet", inet(neighbours + "meta nfproto ipv4 tcp dport 1001 accept\nmeta nfproto ipv6 tcp dport 1002 accept\nip protocol tcp tcp dport 1003 accept\nip6 nexthdr tcp th dport 1004 accept"), nil},
		{"two chains, both of which must accept", "table inet f { chain a { type filter hook input priority -5; policy accept; tcp dport 1001 drop; }\n chain b { type filter hook input priority 5; policy accept; tcp dport 1002 drop; tcp dport 1001 accept; } }", nil},
		{"a drop before the routing", "table inet f { chain p { type filter hook prerouting priority -300; policy accept; tcp dport 1003 drop; } }", nil},
		{"the flags of a first packet", inet(neighbours + "tcp flags & (fin|syn|rst|ack) == syn tcp dport 1001 accept\ntcp flags != syn tcp dport 1002 accept\ntcp dport 1003 tcp flags syn accept\nct state established accept"), nil},
		{"some clients", inet(neighbours + "ip saddr 203.0.113.0/24 tcp dport 1001 accept\nip saddr 198.51.100.1 tcp dport 1002 accept\ntcp dport 1003 accept"), []int{1001, 1002}},
		{"some interfaces", inet(neighbours + "iifname \"hyg-*\" tcp dport 1001 accept\niifname != \"lo\" tcp dport 1002 accept\niif != lo tcp dport 1003 accept"), []int{1001}},
		{"a limit", inet(neighbours + "tcp dport 1001 limit rate 100/second accept"), []int{1001}},
		{"a client and a port together", "table inet f { set s { type ipv4_addr . inet_service; elements = { 203.0.113.1 . 1001 } }\n chain i { type filter hook input priority 0; policy drop; " + strings.ReplaceAll(neighbours, "\n", ";") + " ip saddr . tcp dport @s accept; tcp dport 1002 accept; } }", all},
		{"iptables, by its policy", "iptables\niptables -P INPUT DROP\niptables -A INPUT -p tcp --dport 1001 -j ACCEPT\nip6tables -A INPUT -p tcp --dport 1002 -j DROP", nil},
		{"iptables, as a firewall of a host", "iptables\niptables -A INPUT -i lo -j ACCEPT\niptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\niptables -A INPUT -m conntrack --ctstate INVALID -j DROP\niptables -A INPUT -p icmp -j ACCEPT\niptables -A INPUT -p tcp -m conntrack --ctstate NEW -m tcp --dport 1022 -j ACCEPT\niptables -A INPUT -p tcp -m multiport --dports 1001,1003:1005 -j ACCEPT\niptables -A INPUT -j REJECT --reject-with icmp-host-prohibited", nil},
		{"iptables, with chains and marks", "iptables\niptables -N web\niptables -A web -p tcp --dport 1001 -j RETURN\niptables -A web -j ACCEPT\niptables -A INPUT -j MARK --set-mark 1\niptables -A INPUT -p tcp --dport 1001:1003 -j web\niptables -A INPUT -p tcp --syn --dport 1004 -j ACCEPT\niptables -A INPUT -p tcp ! --dport 1005 -m comment --comment hello -j DROP", nil},
		{"iptables, some clients", "iptables\niptables -A INPUT -s 203.0.113.1 -p tcp --dport 1001 -j ACCEPT\niptables -A INPUT -p tcp --dport 1002 -j ACCEPT\niptables -A INPUT -p tcp -j DROP", []int{1001}},
	}
}

// The oracle is the kernel itself: a peer connects to each port, over IPv4 and
// IPv6, and what we call accepted must answer, and what we call dropped must not.
func TestLiveVerdictsAreWhatHappensToConnections(t *testing.T) {
	world(t)
	var addresses []string
	for port := 1001; port <= 1030; port++ {
		addresses = append(addresses, fmt.Sprintf("203.0.113.2:%d", port), fmt.Sprintf("[2001:db8::2]:%d", port))
	}
	judged, unsure := 0, 0
	for _, test := range rulesets() {
		t.Run(test.name, func(t *testing.T) {
			load(t, test.rules)
			r := readRuleset(t)
			out, err := inside("peer", "connect "+strings.Join(addresses, " ")).Output()
			if err != nil {
				t.Fatal(err)
			}
			answered := strings.Fields(string(out))
			for _, text := range addresses {
				address := netip.MustParseAddrPort(text)
				for _, destination := range []netip.Addr{{}, address.Addr()} {
					got := r.Input(Packet{Protocol: 6, IPv6: address.Addr().Is6(), Destination: destination, Port: address.Port()})
					open := slices.Contains(answered, text)
					judged++
					switch {
					case got == Depends && slices.Contains(test.depends, int(address.Port())):
						unsure++
					case got == Depends, (got == Accepted) != open:
						t.Errorf("%s is %s; a connection was made: %t", text, got, open)
					}
				}
			}
		})
	}
	t.Logf("%d verdicts agree with connections, %d depend on what a port does not tell", judged-unsure, unsure)
}

// Published ports are led to a container before any socket; the oracle is again
// a connection.
func TestLivePublishedPortsAreLedElsewhere(t *testing.T) {
	world(t)
	masquerade := "\nchain o { type nat hook postrouting priority 100; }"
	for _, test := range []struct {
		name, rules string
		want        []string
		forward     Verdict
		input       Verdict
	}{
		{
			"nft", "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.9.0.2:80; }" + masquerade + " }",
			[]string{"8080 203.0.113.2 10.9.0.2:80"},
			Accepted, Accepted,
		},
		{
			"nft, by a map", "table ip n { chain p { type nat hook prerouting priority -100; dnat ip addr . port to tcp dport map { 8080 : 10.9.0.2 . 80 }; } }",
			[]string{"8080 203.0.113.2 10.9.0.2:80"},
			Accepted, Accepted,
		},
		{
			"nft, by a map of addresses", "table ip n { chain p { type nat hook prerouting priority -100; dnat to tcp dport map { 80 : 10.9.0.2 }; } }",
			[]string{"80 203.0.113.2 10.9.0.2:80"},
			Accepted, Accepted,
		},
		{
			"as docker writes it, dropped by the rules for the host", "iptables\niptables -t nat -N DOCKER\niptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\niptables -t nat -A DOCKER ! -i hyg-c -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80\niptables -t nat -A DOCKER -d 127.0.0.1/32 ! -i hyg-c -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.9.0.2:80\niptables -P INPUT DROP\niptables -A FORWARD -p tcp --dport 80 -j ACCEPT",
			[]string{"8080 203.0.113.2 10.9.0.2:80"},
			Accepted, Dropped,
		},
		{
			"stopped on its way to the container", "table ip n { chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.9.0.2:80; }\n chain f { type filter hook forward priority 0; policy drop; tcp dport 81 accept; } }",
			[]string{"8080 203.0.113.2 10.9.0.2:80"},
			Dropped, Accepted,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			load(t, test.rules)
			r := readRuleset(t)
			var got []string
			list, _ := r.Published([]netip.Addr{netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("2001:db8::2")})
			for _, p := range list {
				got = append(got, fmt.Sprintf("%d %s %s", p.Port, p.Destination, p.Target))
				if verdict := r.Forward(Packet{Protocol: 6, Destination: p.Target.Addr(), Port: p.Target.Port()}); verdict != test.forward {
					t.Errorf("on the way to %s it is %s; want %s", p.Target, verdict, test.forward)
				}
				if verdict := r.Input(Packet{Protocol: 6, Port: p.Port}); verdict != test.input {
					t.Errorf("the rules for the host say %s; want %s", verdict, test.input)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("published (-want +got):\n%s", diff)
			}
			out, err := inside("peer", "connect 203.0.113.2:8080 203.0.113.2:80").Output()
			if err != nil {
				t.Fatal(err)
			}
			if open := len(out) > 0; open != (test.forward == Accepted) {
				t.Errorf("a connection was made: %t", open)
			}
		})
	}
}

// recordEnv names the directory of recordings that are made anew.
const recordEnv = "HYGIENE_TEST_RECORD"

// TestLiveRecord records what the kernel says of two rulesets, for the hermetic
// tests.
func TestLiveRecord(t *testing.T) {
	dir := os.Getenv(recordEnv)
	if dir == "" {
		dir = t.TempDir() // recording must work even if nobody keeps it
	}
	world(t)
	for name, rules := range recorded() {
		load(t, rules)
		file, err := os.Open("/run/netns/hygiene-fw")
		if err != nil {
			t.Fatal(err)
		}
		tape := &probetest.Tape{Kernel: netlink.Kernel{}}
		_, err = Read(t.Context(), tape, rootfs.New(rootfs.Paths{}), file)
		file.Close()
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), tape.Bytes(), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
