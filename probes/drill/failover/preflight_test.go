package failover

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes"
)

func TestWhatMustNotBeFailedOver(t *testing.T) {
	whole := map[string]float64{"failures_tolerated": 1, "members_active": 2, "members_expected": 2, "members_missing": 0}
	for name, c := range map[string]struct {
		state  string
		change map[string]float64
		label  string
		down   string
		fault  error
		want   string
	}{
		"it is whole":                          {state: "redundant"},
		"a member is missing":                  {state: "lost", change: map[string]float64{"members_missing": 1, "members_active": 1}, want: "1 of 2 members"},
		"a member does not do its part":        {state: "lost", change: map[string]float64{"members_active": 1}, down: "eth1", want: "1 of 2 members do their part, without eth1"},
		"it survives nothing":                  {state: "none", change: map[string]float64{"failures_tolerated": 0}, want: "its state is none"},
		"both ports are on one card":           {state: "none", change: map[string]float64{"failures_tolerated": 0}, label: "domain"},
		"it is being rebuilt":                  {state: "rebuilding", want: "is rebuilding, and not redundant"},
		"something may be worse than it seems": {state: "unknown", label: "reason", want: "not certain"},
		"it could not be looked at":            {fault: errors.New("no answer"), want: "no answer"},
		"nobody knows it":                      {want: "knows no"},
	} {
		var samples []probes.Sample
		add := func(name string, value float64, more ...string) {
			m := &probes.Metric{Name: "hygiene_redundancy_" + name, Labels: []string{"object"}}
			for i := 0; i < len(more); i += 2 {
				m.Labels = append(m.Labels, more[i])
			}
			s := probes.Sample{Metric: m, Value: value, Labels: []string{"bond/bond0"}}
			for i := 1; i < len(more); i += 2 {
				s.Labels = append(s.Labels, more[i])
			}
			samples = append(samples, s)
		}
		if c.state != "" {
			add("state", 1, "state", c.state)
			add("state", 0, "state", "other")
			for metric, value := range whole {
				if other, is := c.change[metric]; is {
					value = other
				}
				add(metric, value)
			}
		}
		if c.down != "" {
			add("member_active", 1, "member", "eth0")
			add("member_active", 0, "member", c.down)
		}
		switch c.label {
		case "domain":
			add("shared_failure_domain", 1, "domain", "adapter")
		case "reason":
			add("unverifiable", 1, "reason", "not_run")
		}
		err := FactsOf("bond/bond0", samples, c.fault).Refuse("bond/bond0")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTheSessionIsFoundAboveSudo(t *testing.T) {
	proc := t.TempDir()
	for pid, c := range map[string][2]string{
		"9": {"HOME=/root\x00", "9 (a) b) S 7 9"},
		"7": {"A=b\x00SSH_CONNECTION=192.0.2.9 50000 ::ffff:192.0.2.2 22\x00", "7 (sh) S 1 7"},
		"5": {"", "5 (cron) S 1 5"},
		"1": {"", "1 (init) S 0 1"},
	} {
		dir := filepath.Join(proc, pid)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "environ"), []byte(c[0]), 0o644),
			os.WriteFile(filepath.Join(dir, "stat"), []byte(c[1]), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	session, found := SessionOf(proc, 9)
	if !found || session.Client != netip.MustParseAddr("192.0.2.9") {
		t.Fatalf("%+v, %v", session, found)
	}
	if _, found := SessionOf(proc, 5); found {
		t.Error("a session without SSH is one")
	}
	sys := t.TempDir()
	for _, link := range []string{"bond0/lower_eth0", "bond0/lower_eth1", "br0/lower_bond0.7", "bond0.7/lower_bond0", "eth2/x"} {
		if err := os.MkdirAll(filepath.Join(sys, "class/net", link), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, refused := range map[string]bool{"bond0": true, "br0": true, "bond0.7": true, "eth2": false, "": true} {
		var all []Interface
		if name != "" {
			all = []Interface{{"lo", nil}, {name, []netip.Addr{netip.MustParseAddr("192.0.2.2")}}}
		}
		if err := session.Over(sys, "bond0", all); (err != nil) != refused {
			t.Errorf("a session over %q: %v", name, err)
		}
	}
}

// FuzzSession: what is accepted is two addresses that an interface can have.
func FuzzSession(f *testing.F) {
	f.Add("192.0.2.9 50000 192.0.2.2 22")
	f.Add("fe80::1%eth0 50000 fe80::2%eth0 22")
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := parseSession(text)
		if ok && (!s.Client.IsValid() || !s.Server.IsValid() || s.Server.Zone() != "" || s.Server.Is4In6()) {
			t.Errorf("%q is %+v", text, s)
		}
	})
}
