package path

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// brief lists members, with "!" behind those that are not active.
func brief(g group.Group) string {
	line := g.Name
	for _, m := range g.Members {
		line += " " + m.Name
		if !m.Active {
			line += "!"
		}
		if m.Spare {
			line += "?"
		}
	}
	if g.Failed != "" {
		line += " failed"
	}
	if g.Err != nil {
		line += " unclear"
	}
	return line
}

// The files are answers of a multipathd in the virtual machine of the live tests.
func TestMapsOfMultipathd(t *testing.T) {
	for name, want := range map[string]string{
		"multipathd-whole.json":    "mpatha sda sdb sdc sdd",
		"multipathd-one-less.json": "mpatha sda! sdb sdc sdd",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		maps, err := ParseMaps(data)
		if err != nil || len(maps) != 1 {
			t.Fatalf("%s: %d maps, %v", name, len(maps), err)
		}
		if got := brief(maps[0].Group()); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestPathsAreUsedOnlyIfAllAgree(t *testing.T) {
	for name, c := range map[string]struct {
		leg    Leg
		active bool
		odd    bool
	}{
		"all agree":                     {Leg{State: "running", Mapper: "active", Checker: "ready"}, true, false},
		"a path of a standby":           {Leg{State: "running", Mapper: "active", Checker: "ghost"}, true, false},
		"the checker has given it up":   {Leg{State: "running", Mapper: "active", Checker: "faulty"}, false, false},
		"the device mapper has":         {Leg{State: "running", Mapper: "failed", Checker: "ready"}, false, false},
		"the disk is offline":           {Leg{State: "offline", Mapper: "active", Checker: "ready"}, false, false},
		"it is marginal":                {Leg{State: "running", Mapper: "active", Checker: "ready", Outside: "marginal"}, false, false},
		"it waits for its time":         {Leg{State: "running", Mapper: "failed", Checker: "delayed"}, false, false},
		"sysfs alone knows it":          {Leg{State: "running"}, true, false},
		"it has just gone":              {Leg{}, false, false},
		"a state that nobody knows":     {Leg{State: "wobbly", Mapper: "active"}, false, true},
		"a checker that nobody knows":   {Leg{State: "running", Mapper: "active", Checker: "wobbly"}, false, true},
		"a path of NVMe below a map":    {Leg{State: "live", Mapper: "active", Checker: "ready"}, true, false},
		"a disk without a state at all": {Leg{Mapper: "active", Checker: "ready"}, true, false},
	} {
		m, err := c.leg.member()
		if m.Active != c.active || (err != nil) != c.odd {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func TestStatusOfTheDeviceMapper(t *testing.T) {
	legs := func() []Leg {
		return []Leg{{Name: "sda", Number: "8:0", State: "running"}, {Name: "sdb", Number: "8:16", State: "running"}}
	}
	for line, want := range map[string]string{
		"2 0 0 0 2 1 A 0 1 2 8:0 A 0 0 1 E 0 1 2 8:16 F 3 0 1": "m sda sdb!",
		"2 0 0 0 1 1 A 0 2 0 8:0 F 1 8:16 F 1":                 "m sda! sdb! failed",
		"2 0 0 1 alua 2 1 A 0 1 0 8:0 A 0 D 0 1 0 8:16 A 0":    "m sda sdb!",
		"0 0 1 1 A 0 1 0 8:0 A 0":                              "m sda sdb!", // not in the table
	} {
		m := Map{Name: "m", Paths: legs()}
		if err := m.status(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if got := brief(m.Group()); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	for _, line := range []string{"", "2 0", "2 0 0 0 1 1 A 0 2 0 8:0 A", "2 0 0 0 1 1 A 0 1 0 8:0 X 0", "0 0 99999999 1"} {
		m := Map{Paths: legs()}
		if err := m.status(line); probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestNVMe(t *testing.T) {
	controller := func(name, state, ana string) Controller {
		c := Controller{Name: name, State: state, Transport: "tcp", Address: "traddr=192.0.2." + name[4:] + ",trsvcid=4420,src_addr=192.0.2.99", ANA: map[string]string{}}
		for word := range strings.FieldsSeq(ana) {
			n, state, _ := strings.Cut(word, "=")
			c.ANA[n] = state
		}
		return c
	}
	for name, c := range map[string]struct {
		controllers []Controller
		want        string
	}{
		"two ways":                         {[]Controller{controller("nvme0", "live", "n1=optimized"), controller("nvme1", "live", "n1=non-optimized")}, "s nvme0 nvme1"},
		"one way is lost":                  {[]Controller{controller("nvme0", "live", "n1=optimized"), controller("nvme1", "connecting", "")}, "s nvme0 nvme1!"},
		"one way is forbidden":             {[]Controller{controller("nvme0", "live", "n1=optimized"), controller("nvme1", "live", "n1=inaccessible")}, "s nvme0 nvme1!"},
		"one of two namespaces is":         {[]Controller{controller("nvme0", "live", "n1=optimized n2=optimized"), controller("nvme1", "live", "n1=optimized n2=persistent-loss")}, "s nvme0 nvme1!"},
		"a namespace that one does not do": {[]Controller{controller("nvme0", "live", "n1=optimized n2=optimized"), controller("nvme1", "live", "n1=optimized")}, "s nvme0 nvme1!"},
		"without ANA":                      {[]Controller{controller("nvme0", "live", ""), controller("nvme1", "live", "")}, "s nvme0 nvme1"},
		"a word that nobody knows":         {[]Controller{controller("nvme0", "live", "n1=odd"), controller("nvme1", "asleep", "")}, "s nvme0! nvme1! unclear"},
	} {
		g := Subsystem{Name: "s", Native: "Y", Controllers: c.controllers}.Group()
		if got := brief(g); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if id := g.Members[0].ID; id != "tcp 192.0.2.0 4420" {
			t.Errorf("%s: the identity is %q", name, id)
		}
	}
}

func TestPortsOfFibreChannel(t *testing.T) {
	g := HostPorts([]Port{
		{Name: "host1", State: "Online", WWPN: "0x1", Adapter: "0000:01:00"},
		{Name: "host2", State: "Linkdown", WWPN: "0x2"},
		{Name: "host3", State: "Asleep", WWPN: "0x3"},
	})
	if got := brief(g); got != "ports 0x1 0x2!? 0x3!? unclear" || g.Expected != 1 {
		t.Errorf("%s, expected %d", got, g.Expected)
	}
	var lines []string
	for _, g := range Targets([]Port{
		{Name: "rport-1:0-0", Local: "0x1", State: "Online", WWPN: "0xa", Node: "0xn", Roles: "FCP Target"},
		{Name: "rport-2:0-0", Local: "0x2", State: "Blocked", WWPN: "0xb", Node: "0xn", Roles: "FCP Target, FCP Initiator"},
		{Name: "rport-2:0-1", Local: "0x2", State: "Online", WWPN: "0xc", Node: "0xm", Roles: "Fabric Port"},
	}) {
		lines = append(lines, brief(g))
	}
	if diff := cmp.Diff([]string{"0xn 0x1 0xa 0x2 0xb!"}, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBaysAndInfiniBand(t *testing.T) {
	for _, c := range []struct {
		bays []Bay
		want string
	}{
		{[]Bay{{"SLOT 2", "OK"}, {"SLOT 1", "OK"}, {"SLOT 3", "not installed"}}, "0x5/bays SLOT 1 SLOT 2 tolerates 0/0"},
		{[]Bay{{"SLOT 1", "OK"}, {"SLOT 2", "critical"}}, "0x5/bays SLOT 1 SLOT 2! tolerates 0/0"},
		{[]Bay{{"SLOT 1", "on fire"}}, "0x5/bays SLOT 1! unclear tolerates 0/0"},
	} {
		g := Bays("0x5", c.bays)
		if got := fmt.Sprintf("%s tolerates %d/%d", brief(g), g.Tolerated, g.Design); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	for state, active := range map[string]bool{"4: ACTIVE": true, "1: DOWN": false, "2: INIT": false} {
		if m, err := (IBPort{Name: "mlx5_0/1", State: state}).member(); err != nil || m.Active != active {
			t.Errorf("%s: %+v, %v", state, m, err)
		}
	}
	if _, err := (IBPort{State: "9: ODD"}).member(); probes.ReasonOf(err) != probes.Malformed {
		t.Errorf("a state that nobody knows: %v", err)
	}
}

// A daemon on a pipe answers as multipathd does.
func TestConversation(t *testing.T) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		head := make([]byte, 8)
		if _, err := there.Read(head); err != nil {
			return
		}
		text := make([]byte, binary.NativeEndian.Uint64(head))
		if _, err := there.Read(text); err != nil || string(text) != "show maps json\x00" {
			return
		}
		answer := []byte("{}\n\x00")
		_, _ = there.Write(binary.NativeEndian.AppendUint64(nil, uint64(len(answer))))
		_, _ = there.Write(answer)
	}()
	answer, err := converse(here, "show maps json")
	if err != nil || string(answer) != "{}" {
		t.Errorf("%q, %v", answer, err)
	}
	for _, text := range []string{"timeout\n", "{}", `{"major_version": 1}`, `{"major_version": 0, "maps": {}}`} {
		if _, err := ParseMaps([]byte(text)); err == nil {
			t.Errorf("%q is understood", text)
		}
	}
}

// A path that multipathd or the device mapper does not call active is not.
func FuzzMaps(f *testing.F) {
	for _, name := range []string{"multipathd-whole.json", "multipathd-one-less.json"} {
		if data, err := os.ReadFile(filepath.Join("testdata", name)); err == nil {
			f.Add(data)
		}
	}
	f.Add([]byte("2 0 0 0 1 1 A 0 2 0 8:0 F 1 8:16 A 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		maps, _ := ParseMaps(data)
		m := Map{Paths: []Leg{{Name: "sda", Number: "8:0", State: "running"}, {Name: "sdb", Number: "8:16", State: "running"}}}
		if m.status(string(data)) == nil {
			maps = append(maps, m)
			for i, number := range []string{"8:0 A", "8:16 A"} {
				if g := m.Group(); g.Members[i].Active && !bytes.Contains(bytes.Join(bytes.Fields(data), []byte(" ")), []byte(number)) {
					t.Errorf("%s is active in %q", g.Members[i].Name, data)
				}
			}
		}
		for _, m := range maps {
			for _, leg := range m.Paths {
				if member, err := leg.member(); err == nil && member.Active && leg.Mapper != "active" {
					t.Errorf("%+v is active", leg)
				}
			}
		}
	})
}
