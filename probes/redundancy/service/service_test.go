package service

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/facebook/time/ntp/chrony"
	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/redundancy/group"
)

func TestResolvers(t *testing.T) {
	text := "# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t2001:DB8::1 \nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver nonsense\noptions rotate\n"
	want := []string{"192.0.2.1", "2001:db8::1", "fe80::1%eth0"}
	if diff := cmp.Diff(want, ParseResolvers([]byte(text))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServersOfTimesyncd(t *testing.T) {
	ntp, fallback := ParseTimesync([]byte("[Time]\nNTP=a.example b.example\n#NTP=c.example\nFallbackNTP=f.example\n"), nil, nil)
	ntp, fallback = ParseTimesync([]byte("[Time]\nNTP=d.example\nFallbackNTP=\n"), ntp, fallback)
	if diff := cmp.Diff([]string{"a.example", "b.example", "d.example"}, ntp); diff != "" || len(fallback) != 0 {
		t.Errorf("fallback %v (-want +got):\n%s", fallback, diff)
	}
	if ntp, _ := ParseTimesync([]byte("NTP=\n"), ntp, nil); len(ntp) != 0 {
		t.Errorf("an empty assignment leaves %v", ntp)
	}
}

func TestServersThatTimesyncdAsks(t *testing.T) {
	const shipped = "[Time]\n#NTP=\n#FallbackNTP=0.pool.example 1.pool.example\n"
	for _, c := range []struct {
		name  string
		files []string
		links string
		want  []string
	}{
		{"what was built in", []string{shipped}, "", []string{"0.pool.example", "1.pool.example"}},
		{"its own", []string{shipped, "[Time]\nNTP=a.example b.example\n"}, "", []string{"a.example", "b.example"}},
		{"those of the links", []string{shipped}, "OPER_STATE=routable\nNTP=192.0.2.1 192.0.2.2\n", []string{"192.0.2.1", "192.0.2.2"}},
		{"both", []string{shipped, "[Time]\nNTP=192.0.2.2\n"}, "NTP=192.0.2.1 192.0.2.2\n", []string{"192.0.2.2", "192.0.2.1"}},
		{"others to fall back to", []string{shipped, "[Time]\nFallbackNTP=f.example\n"}, "", []string{"f.example"}},
		{"none to fall back to", []string{shipped, "[Time]\nFallbackNTP=\n"}, "", nil},
		{"no file", nil, "", nil},
	} {
		var files [][]byte
		for _, text := range c.files {
			files = append(files, []byte(text))
		}
		if diff := cmp.Diff(c.want, TimesyncServers(files, []byte(c.links))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestSourcesOfChrony(t *testing.T) {
	source := func(state chrony.SourceStateType, reach uint16) group.Member {
		return chronySource(chrony.SourceData{
			IPAddr: &chrony.IPAddr{IP: [16]uint8{192, 0, 2, 1}, Family: chrony.IPAddrInet4}, State: state, Reachability: reach,
		})
	}
	for name, c := range map[string]struct {
		got  group.Member
		want bool
	}{
		"the one in use":                  {source(chrony.SourceStateSync, 0o377), true},
		"one that could be used":          {source(chrony.SourceStateCandidate, 1), true},
		"one that others are better than": {source(chrony.SourceStateOutlier, 0o377), true},
		"one that does not answer":        {source(chrony.SourceStateUnreach, 0), false},
		"one that lies":                   {source(chrony.SourceStateFalseTicker, 0o377), false},
		"one that answered once":          {source(chrony.SourceStateCandidate, 0), false},
	} {
		if c.got.Active != c.want || c.got.Name != "192.0.2.1" || c.got.Spare {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
	if m := chronySource(chrony.SourceData{IPAddr: &chrony.IPAddr{Family: chrony.IPAddrID}}); !m.Spare {
		t.Errorf("a name that was not found yet: %+v", m)
	}
}

func TestTwoSourcesOfTimeAreEnough(t *testing.T) {
	of := func(active, all int) group.Group {
		var members []group.Member
		for i := range all {
			members = append(members, group.Member{Name: string(rune('a' + i)), Active: i < active})
		}
		return clock("chrony", members)
	}
	for _, c := range []struct{ active, all, expected int }{{4, 4, 2}, {3, 4, 2}, {1, 1, 1}, {0, 2, 2}} {
		if g := of(c.active, c.all); g.Expected != c.expected || g.Active() != c.active {
			t.Errorf("%d of %d: expected %d, active %d", c.active, c.all, g.Expected, g.Active())
		}
	}
}

func TestVariables(t *testing.T) {
	const text = "srcadr=192.0.2.1, stratum=2, refid=\"GPS\"\r\n"
	for name, want := range map[string]string{"srcadr": "192.0.2.1", "refid": "GPS", "none": ""} {
		if got := variable(text, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Only addresses are servers, and each is one.
func FuzzParse(f *testing.F) {
	f.Add("nameserver 192.0.2.1\nnameserver fe80::1%eth0\nNTP=a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		servers := ParseResolvers([]byte(text))
		for _, server := range servers {
			if _, err := netip.ParseAddr(server); err != nil {
				t.Error(err)
			}
		}
		ntp, _ := ParseTimesync([]byte(text), nil, nil)
		for _, list := range [][]string{servers, ntp} {
			slices.Sort(list)
			if len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Errorf("twice in %q", list)
			}
		}
	})
}
