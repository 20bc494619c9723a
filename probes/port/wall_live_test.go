//go:build live

package port

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wallOnce prints what the probe says of the firewall.
func wallOnce() {
	c := defaultConfig()
	c.Firewall = true
	c.Policy = []Rule{{Protocol: "tcp", Ports: []Ports{{First: 25, Last: 25}}, Expect: required}, {Expect: allowed}}
	p, result, err := fresh(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range result.Samples {
		if s.Metric == firewallVerdict || s.Metric == finding && (s.Labels[1] == bypassesInput || s.Labels[1] == requiredDropped) {
			fmt.Println(s.Object(), s.Labels[1])
		}
	}
	for _, f := range result.Faults {
		fmt.Println("fault", f.Object, f.Err)
	}
	for name, o := range p.objects {
		if o.leads != nil {
			text, _ := p.Explain(context.Background(), name)
			fmt.Print(text)
		}
	}
}

// A host that drops everything but one port, and publishes another one that
// leads to a container.
func TestLiveFirewallOfAHostWithAContainer(t *testing.T) {
	netns(t, "hygiene-web")
	w := newWorld(t, "hygiene-wall")
	run := func(line string) {
		t.Helper()
		if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	run(`ip link add hyg-a netns hygiene-wall type veth peer name hyg-b netns hygiene-web
		ip link add hyg-o netns hygiene-wall type veth peer name hyg-x netns hygiene-web
		ip -n hygiene-wall addr add 10.9.0.1/24 dev hyg-a
		ip -n hygiene-wall addr add 203.0.113.2/24 dev hyg-o
		ip -n hygiene-web addr add 10.9.0.2/24 dev hyg-b
		ip -n hygiene-wall link set hyg-a up; ip -n hygiene-wall link set hyg-o up; ip -n hygiene-web link set hyg-b up`)
	rules := exec.Command("nsenter", "--net=/run/netns/hygiene-wall", "nft", "-f", "-")
	rules.Stdin = strings.NewReader(`table inet f {
 chain i { type filter hook input priority 0; policy drop; iif lo accept; tcp dport 22 accept; ip saddr 198.51.100.1 tcp dport 24 accept; }
}
table ip n {
 chain p { type nat hook prerouting priority -100; tcp dport 8080 dnat to 10.9.0.2:80; }
}
`)
	if out, err := rules.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, service := range []struct{ network, listen string }{
		{"hygiene-wall", "tcp4/:22 tcp/:24 tcp/:25 tcp4/127.0.0.1:26"}, {"hygiene-web", "tcp/:80"},
	} {
		cmd := w.run("listen " + service.listen)
		if service.network == "hygiene-web" {
			cmd = w.run("listen "+service.listen, "")
			path, _ := os.Executable()
			cmd.Args = []string{"nsenter", "--target=" + w.init, "--pid", "--mount", "--net=/run/netns/hygiene-web", path}
		}
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
		answer := make([]byte, 100)
		if n, _ := out.Read(answer); strings.TrimSpace(string(answer[:n])) != "ready" {
			t.Fatalf("the service says %q", answer[:n])
		}
	}
	out, err := w.run("wall").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := `tcp/published:8080@hygiene-web accepted
tcp/published:8080@hygiene-web bypasses_input
tcp/wildcard:24 depends
tcp/wildcard:25 dropped
tcp/wildcard:25 required_dropped
tcp/wildcard_v4:22 accepted
reached by   everybody; the firewall leads them to a container
belongs to   hygiene-web
first seen   T
policy       allowed by rule 1 (expect: allowed)
firewall     leads to 10.9.0.2:80, accepted on the way; the rules for the host itself say dropped
finding      bypasses_input

tcp 10.9.0.1:8080

tcp 203.0.113.2:8080
`
	var got strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "first seen") {
			line = "first seen   T\n"
		}
		got.WriteString(line)
	}
	if diff := cmp.Diff(sorted(want), sorted(got.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func sorted(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// Namespaces that come and go while they are looked at are no faults, and hide
// no other.
func TestLiveNamespacesComeAndGo(t *testing.T) {
	netns(t, "hygiene-lasting")
	service := &liveService{namespace: "hygiene-lasting", listen: []string{"tcp4/:7780"}}
	service.start(t, copyOfUs(t, "livesrv"))
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	var made atomic.Int64
	for range 3 {
		workers.Go(func() {
			for ctx.Err() == nil {
				_ = exec.Command("unshare", "--net", "true").Run()
				made.Add(1)
			}
		})
	}
	defer workers.Wait()
	defer cancel()
	p, _, err := fresh(defaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for run := range 60 {
		p.looked = time.Time{} // looks for namespaces each time
		result, err := p.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range result.Faults {
			t.Errorf("run %d: fault of %s: %v", run, f.Object, f.Err)
		}
		if p.objects["hygiene-lasting/tcp/wildcard_v4:7780"] == nil {
			t.Errorf("run %d does not see the namespace that lasts", run)
		}
	}
	t.Logf("60 runs while %d namespaces came and went", made.Load())
}
