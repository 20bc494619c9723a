package redundancy

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
	"hygiene_exporter/probes/redundancy/group"
)

var update = flag.Bool("update", false, "rewrite what the states say")

// Every file in testdata is a host: what it is in English, its files, and under
// "want" what the probe says of it.
func TestStates(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no states: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := parse(data)
			last := len(a.files) - 1
			if a.files[last].name != "want" {
				t.Fatal("the last file is not \"want\"")
			}
			want := a.files[last].content
			a.files = a.files[:last]
			r := newRig(t)
			r.host(a)
			got := lines(short(r.run()))
			if *update {
				keep, _, _ := strings.Cut(string(data), "-- want --\n")
				if err := os.WriteFile(path, []byte(keep+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// load returns the files of a state.
func load(t *testing.T, name string) archive {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	a := parse(data)
	a.files = a.files[:len(a.files)-1]
	return a
}

// What vanishes in silence leaves a host that looks complete on its own. With
// what was there before, it does not.
func TestSilentLossIsNoticed(t *testing.T) {
	for _, c := range []struct {
		before, after string
		want          map[string]string
	}{
		{"network-whole", "network-silent-loss", map[string]string{
			"bond/bond1": "lost tolerates 0/1 active 1/2 missing 1",
			"btrfs/9024825a-e64d-4fbd-8b1f-ce014a7a68c1": "lost tolerates 0/1 active 1/2 missing 0",
			"dns/resolvers": "lost tolerates 0/1 active 1/2 missing 1",
		}},
		{"arrays-journal-failed", "arrays-not-assembled", map[string]string{
			"mdraid/md5": "missing tolerates ?/1 active 0/3 missing 3",
		}},
		{"paths-whole", "paths-silent-loss", map[string]string{
			"iscsi/iqn.2026-01.test:disk": "failed tolerates -1/1 active 0/2 missing 1",
			"multipath/mpatha":            "lost tolerates 0/3 active 1/4 missing 1 unverifiable:permission_denied",
			"nvme/nqn.2026-01.test:a":     "lost tolerates 0/1 active 1/2 missing 1",
		}},
		{"paths-whole", "paths-nothing", map[string]string{
			"nvme/nqn.2026-01.test:a": "missing tolerates ?/1 active 0/2 missing 2",
			"multipath/mpatha":        "failed tolerates -1/3 active 0/4 missing 1 unverifiable:permission_denied",
		}},
		{"fabrics-whole", "fabrics-silent-loss", map[string]string{
			"fc/ports":                          "reduced tolerates 2/3 active 3/4 missing 1",
			"fc-target/0x1000020000000012":      "lost tolerates 0/1 active 1/2 missing 1",
			"enclosure/0x5001405e00000001/bays": "none tolerates 0/0 active 3/4 missing 1",
		}},
		{"paths-whole", "network-whole", map[string]string{
			"multipath/mpatha":            "missing tolerates ?/3 active 0/4 missing 4",
			"iscsi/iqn.2026-01.test:disk": "missing tolerates ?/1 active 0/2 missing 2",
		}},
	} {
		r := newRig(t)
		r.host(load(t, c.before))
		r.run()
		r.restart()
		r.host(load(t, c.after))
		got := short(r.run())
		for object, want := range c.want {
			if got[object] != want {
				t.Errorf("%s, then %s: %s: %s, want %s", c.before, c.after, object, got[object], want)
			}
		}
	}
}

// bond puts a bond of these members on the host, each as name=mii_status.
func (r *rig) bond(name string, members ...string) {
	r.t.Helper()
	dir := "sys/class/net/" + name + "/bonding/"
	var names []string
	for _, m := range members {
		member, status, _ := strings.Cut(m, "=")
		names = append(names, member)
		of := "sys/class/net/" + member + "/bonding_slave/"
		r.write(of+"mii_status", status+"\n")
		r.write(of+"perm_hwaddr", "02:00:00:00:00:0"+member[len(member)-1:]+"\n")
		r.write(of+"link_failure_count", "0\n")
	}
	r.write(dir+"slaves", strings.Join(names, " ")+"\n")
	r.write(dir+"mode", "active-backup 1\n")
	r.write(dir+"miimon", "100\n")
	r.write(dir+"mii_status", "up\n")
	if len(names) > 0 {
		r.write(dir+"active_slave", names[0]+"\n")
	}
}

// array puts a raid1 on the host, with members in the given states.
func (r *rig) array(name, uuid string, states ...string) {
	r.t.Helper()
	dir := "sys/block/" + name + "/md/"
	r.remove("sys/block/" + name)
	for attr, value := range map[string]string{
		"level": "raid1", "array_state": "clean", "raid_disks": "2", "degraded": "0", "sync_action": "idle",
		"sync_completed": "none", "metadata_version": "1.2", "uuid": uuid,
	} {
		r.write(dir+attr, value+"\n")
	}
	for i, state := range states {
		of := dir + "dev-sd" + string(rune('a'+i)) + "/"
		r.write(of+"state", state+"\n")
		r.write(of+"slot", string(rune('0'+i))+"\n")
		r.write(of+"errors", "0\n")
		if state == "spare" {
			r.write(of+"slot", "none\n")
		}
	}
}

func (r *rig) expect(step string, want map[string]string) {
	r.t.Helper()
	if diff := cmp.Diff(want, short(r.run())); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", step, diff)
	}
}

func TestABondThatCameUpWithOneMemberIsNoSmallerBond(t *testing.T) {
	r := newRig(t)
	r.bond("bond0", "eth0=up", "eth1=up")
	r.expect("whole", map[string]string{"bond/bond0": "redundant tolerates 1/1 active 2/2 missing 0"})
	r.bond("bond0", "eth1=up")
	r.restart()
	r.expect("one member", map[string]string{"bond/bond0": "lost tolerates 0/1 active 1/2 missing 1"})
	text, err := r.probe.(probes.Explainer).Explain(t.Context(), "bond/bond0")
	if err != nil || !strings.Contains(text, "eth0                     missing") {
		t.Errorf("what is missing is not named: %s%v", text, err)
	}
	one := 1
	r.config.Expect = []Expect{{Object: "bond/bond0", Members: &one, Owner: "net"}}
	r.restart()
	r.expect("accepted", map[string]string{"bond/bond0": "none tolerates 0/0 active 1/1 missing 0"})
	r.config.Expect = nil
	r.restart()
	r.expect("what was accepted stays accepted", map[string]string{"bond/bond0": "none tolerates 0/0 active 1/1 missing 0"})
	r.bond("bond0", "eth0=up", "eth1=up", "eth2=up")
	r.expect("and it grows again by itself", map[string]string{"bond/bond0": "redundant tolerates 2/2 active 3/3 missing 0"})
}

func TestAMemberThatIsReplacedIsNotMissing(t *testing.T) {
	r := newRig(t)
	r.bond("bond0", "eth0=up", "eth1=up")
	r.run()
	r.bond("bond0", "eth0=up", "eth2=up")
	r.expect("replaced", map[string]string{"bond/bond0": "redundant tolerates 1/1 active 2/2 missing 0"})
	r.bond("bond0", "eth0=up")
	r.run()
	text, _ := r.probe.(probes.Explainer).Explain(t.Context(), "bond/bond0")
	if strings.Contains(text, "eth1") || !strings.Contains(text, "eth2 ") {
		t.Errorf("not the new member is missing: %s", text)
	}
}

func TestAnArrayThatVanishesIsMissingUntilItIsGivenUp(t *testing.T) {
	r := newRig(t)
	r.array("md0", "u0", "in_sync", "in_sync")
	r.array("md1", "u1", "in_sync", "in_sync")
	r.run()
	r.remove("sys/block/md0")
	r.restart()
	rest := "redundant tolerates 1/1 active 2/2 missing 0"
	r.expect("vanished", map[string]string{"mdraid/md0": "missing tolerates ?/1 active 0/2 missing 2", "mdraid/md1": rest})
	r.expect("still", map[string]string{"mdraid/md0": "missing tolerates ?/1 active 0/2 missing 2", "mdraid/md1": rest})
	zero := 0
	r.config.Expect = []Expect{{Object: "mdraid/md0", Members: &zero}}
	r.restart()
	r.expect("given up", map[string]string{"mdraid/md0": " gone", "mdraid/md1": rest})
	r.array("md0", "u0", "in_sync", "in_sync")
	r.config.Expect = nil
	r.restart()
	r.expect("back", map[string]string{"mdraid/md0": rest, "mdraid/md1": rest})
	r.config.Ignore = []string{"mdraid/md?"}
	r.restart()
	r.expect("ignored", map[string]string{"mdraid/md0": " gone", "mdraid/md1": " gone"})
}

func TestLessIsAcceptedByAPerson(t *testing.T) {
	r := newRig(t)
	accept := func(object string) (probes.Remembered, error) { return r.probe.(probes.Baseliner).Accept(object) }
	r.bond("bond0", "eth0=up", "eth1=up", "eth2=up")
	r.array("md0", "u0", "in_sync", "in_sync")
	r.array("md1", "u1", "in_sync", "in_sync")
	r.run()
	r.bond("bond0", "eth0=up", "eth1=up")
	r.array("md0", "u0", "in_sync")
	r.write("sys/block/md0/md/degraded", "1\n")
	r.remove("sys/block/md1")
	r.expect("less of everything", map[string]string{
		"bond/bond0": "reduced tolerates 1/2 active 2/3 missing 1",
		"mdraid/md0": "lost tolerates 0/1 active 1/2 missing 1",
		"mdraid/md1": "missing tolerates ?/1 active 0/2 missing 2",
	})
	for _, object := range []string{"bond/bond0", "mdraid/md0", "mdraid/md1"} {
		if _, err := accept(object); err != nil {
			t.Error(err)
		}
	}
	want := map[string]string{
		"bond/bond0": "redundant tolerates 1/1 active 2/2 missing 0",
		"mdraid/md0": "none tolerates 0/0 active 1/1 missing 0",
		"mdraid/md1": " gone",
	}
	r.expect("accepted", want)
	r.restart()
	r.expect("and remembered", want)
	r.bond("bond0", "eth0=up")
	r.array("md0", "u0", "in_sync", "in_sync")
	r.expect("what is there grows by itself, and is missed again", map[string]string{
		"bond/bond0": "lost tolerates 0/1 active 1/2 missing 1",
		"mdraid/md0": "redundant tolerates 1/1 active 2/2 missing 0",
		"mdraid/md1": " gone",
	})
	if _, err := accept("bond/bond7"); err == nil {
		t.Error("something that nobody knows is accepted")
	}
	two := 2
	r.config.Expect = []Expect{{Object: "bond/bond0", Members: &two}}
	r.restart()
	r.run()
	if _, err := accept("bond/bond0"); err == nil || !strings.Contains(err.Error(), "expect") {
		t.Errorf("against the configuration: %v", err)
	}
}

// A box with 32 bays and four disks is always degraded, until somebody says that
// it is meant to be.
func TestASparseArrayIsAcceptedAsItIs(t *testing.T) {
	r := newRig(t)
	sparse := func(members int) {
		states := make([]string, members)
		for i := range states {
			states[i] = "in_sync"
		}
		r.array("md9", "u9", states...)
		r.write("sys/block/md9/md/raid_disks", "32\n")
		r.write("sys/block/md9/md/degraded", fmt.Sprintf("%d\n", 32-members))
	}
	sparse(4)
	r.expect("as it is", map[string]string{"mdraid/md9": "reduced tolerates 3/31 active 4/32 missing 28"})
	if _, err := r.probe.(probes.Baseliner).Accept("mdraid/md9"); err != nil {
		t.Fatal(err)
	}
	r.expect("accepted", map[string]string{"mdraid/md9": "redundant tolerates 3/3 active 4/4 missing 0"})
	sparse(3)
	r.expect("one fails", map[string]string{"mdraid/md9": "reduced tolerates 2/3 active 3/4 missing 1"})
	sparse(5)
	r.expect("one more", map[string]string{"mdraid/md9": "redundant tolerates 4/4 active 5/5 missing 0"})
	sparse(4)
	r.expect("and it fails", map[string]string{"mdraid/md9": "reduced tolerates 3/4 active 4/5 missing 1"})
	four := 4
	r.config.Expect = []Expect{{Object: "mdraid/md9", Members: &four}}
	r.restart()
	r.expect("by the configuration", map[string]string{"mdraid/md9": "redundant tolerates 3/3 active 4/4 missing 0"})
}

func TestAnArrayUnderAnotherNameIsTheSame(t *testing.T) {
	r := newRig(t)
	r.array("md0", "u0", "in_sync", "in_sync", "spare")
	r.run()
	r.remove("sys/block/md0")
	r.array("md127", "u0", "in_sync")
	r.write("sys/block/md127/md/degraded", "1\n")
	r.expect("renamed", map[string]string{
		"mdraid/md0": " gone", "mdraid/md127": "lost tolerates 0/1 active 1/2 missing 1 spares 0/1",
	})
}

func TestWhatTheConfigurationExpectsIsMissedFromTheStart(t *testing.T) {
	r := newRig(t)
	two, three := 2, 3
	r.config.Expect = []Expect{{Object: "bond/bond0", Members: &three}, {Object: "bond/bond1", Members: &two}}
	r.restart()
	r.bond("bond0", "eth0=up", "eth1=up")
	r.expect("expected", map[string]string{
		"bond/bond0": "reduced tolerates 1/2 active 2/3 missing 1",
		"bond/bond1": "missing tolerates ?/1 active 0/2 missing 2",
	})
}

// A host that was degraded when the agent first looked is known by its
// configuration.
func TestWhatTheHostIsConfiguredToHaveIsMissedFromTheStart(t *testing.T) {
	r := newRig(t)
	r.write("etc/network/interfaces", "iface bond0 inet manual\n  bond-slaves eth0 eth1\n")
	r.write("etc/mdadm/mdadm.conf", "ARRAY /dev/md/data UUID=a:0 num-devices=3 spares=1\nARRAY /dev/md/old UUID=b:0 num-devices=2\n")
	r.bond("bond0", "eth0=up")
	r.array("md127", "a-0", "in_sync", "in_sync")
	want := map[string]string{
		"bond/bond0":   "lost tolerates 0/1 active 1/2 missing 1",
		"mdraid/md127": "redundant tolerates 1/1 active 2/3 missing 1 spares 0/1",
		"mdraid/old":   "missing tolerates ?/1 active 0/2 missing 2",
	}
	r.expect("configured", want)
	text, _ := r.probe.(probes.Explainer).Explain(t.Context(), "bond/bond0")
	if !strings.Contains(text, "eth1                     missing") {
		t.Errorf("what is missing has a name in the configuration: %s", text)
	}
	for _, object := range []string{"bond/bond0", "mdraid/md127", "mdraid/old"} {
		if _, err := r.probe.(probes.Baseliner).Accept(object); err != nil {
			t.Fatal(err)
		}
	}
	r.restart()
	r.expect("what was accepted is not asked for again", map[string]string{
		"bond/bond0":   "none tolerates 0/0 active 1/1 missing 0",
		"mdraid/md127": "redundant tolerates 1/1 active 2/2 missing 0",
		"mdraid/old":   " gone",
	})
	r.write("etc/network/interfaces", "iface bond0 inet manual\n  bond-slaves eth0 eth1 eth2\n")
	r.restart()
	r.expect("more than before is news", map[string]string{
		"bond/bond0":   "lost tolerates 0/2 active 1/3 missing 2",
		"mdraid/md127": "redundant tolerates 1/1 active 2/2 missing 0",
		"mdraid/old":   " gone",
	})
}

func TestASpareThatIsUsedUpIsMissed(t *testing.T) {
	r := newRig(t)
	r.array("md0", "u0", "in_sync", "faulty", "spare")
	r.write("sys/block/md0/md/degraded", "1\n")
	r.expect("a disk that is about to be used is no spare that there should be", map[string]string{
		"mdraid/md0": "lost tolerates 0/1 active 1/2 missing 0",
	})
	r.array("md0", "u0", "in_sync", "in_sync", "spare")
	r.expect("a spare", map[string]string{"mdraid/md0": "redundant tolerates 1/1 active 2/2 missing 0 spares 1/1"})
	r.array("md0", "u0", "in_sync", "in_sync")
	r.expect("none", map[string]string{"mdraid/md0": "redundant tolerates 1/1 active 2/2 missing 0 spares 0/1"})
}

func TestOneObjectThatIsNotUnderstoodHidesNoOther(t *testing.T) {
	r := newRig(t)
	r.array("md0", "u0", "in_sync", "in_sync")
	r.array("md1", "u1", "in_sync", "in_sync")
	r.bond("bond0", "eth0=up", "eth1=up")
	r.bond("bond1", "eth2=up", "eth3=up")
	r.run()
	r.write("sys/block/md0/md/array_state", "wobbly\n")
	r.write("sys/class/net/eth0/bonding_slave/mii_status", "sideways\n")
	r.write("sys/block/md1/md/degraded", "1\n")
	r.expect("two odd ones", map[string]string{
		"mdraid/md0": "unknown fault:malformed", "bond/bond0": "unknown fault:malformed",
		"mdraid/md1": "lost tolerates 0/1 active 2/2 missing 0",
		"bond/bond1": "redundant tolerates 1/1 active 2/2 missing 0",
	})
}

func TestAKindThatCannotBeListedLosesNothing(t *testing.T) {
	r := newRig(t)
	r.bond("bond0", "eth0=up", "eth1=up")
	r.array("md0", "u0", "in_sync", "in_sync")
	r.run()
	r.remove("sys/class/net")
	r.write("sys/class/net", "a file where a directory was")
	r.expect("closed", map[string]string{
		"bond/bond0": " fault:other", "mdraid/md0": "redundant tolerates 1/1 active 2/2 missing 0",
	})
}

func TestAFailoverIsSeenAndTold(t *testing.T) {
	r := newRig(t)
	r.bond("bond0", "eth0=up", "eth1=up")
	r.run()
	r.bond("bond0", "eth1=up", "eth0=up")
	result := r.run()
	seen := false
	for _, s := range result.Samples {
		seen = seen || s.Metric == lastFailover
	}
	events := r.world.Host().Events.Observed(Failover)
	if !seen || len(events) != 1 || events[0].Object != "bond/bond0" || events[0].Detail["to"] != "eth1" {
		t.Errorf("the failover is seen: %v, and told as %+v", seen, events)
	}
	r.run()
	if events := r.world.Host().Events.Observed(Failover); len(events) != 1 {
		t.Errorf("it is told again: %+v", events)
	}
}

func TestTheRepairDeadlineMovesOnlyWithARebuildThatGetsOn(t *testing.T) {
	r := record{Members: 2}
	start := time.Unix(1_000_000, 0)
	v := verdict{state: lost, known: true, tolerated: 0, design: 1}
	g := &raid1Rebuild{}
	step := func(ratio float64, running bool, v verdict, after time.Duration) record {
		r, _, _ = r.watch(g.at(ratio, running), v, start.Add(after))
		return r
	}
	if step(0, false, v, 0); r.Degraded != 1_000_000 || r.Progress != 0 {
		t.Fatalf("%+v", r)
	}
	step(0.10, true, v, time.Minute)
	if step(0.10004, true, v, time.Hour); r.Progress != 1_000_060 || r.Degraded != 1_000_000 {
		t.Errorf("a rebuild that hardly moves: %+v", r)
	}
	if step(0.2, true, v, 2*time.Hour); r.Progress != 1_007_200 {
		t.Errorf("a rebuild that moves: %+v", r)
	}
	if held := r; step(0, false, verdict{state: unknown}, 3*time.Hour) != held {
		t.Errorf("not understood: %+v", r)
	}
	if step(0, false, v, 3*time.Hour); r.Progress != 0 || r.Degraded != 1_000_000 {
		t.Errorf("a rebuild that was given up: %+v", r)
	}
	if step(0, false, verdict{state: redundant, known: true, tolerated: 1, design: 1}, 4*time.Hour); r.Degraded != 0 || r.Progress != 0 {
		t.Errorf("whole again: %+v", r)
	}
}

func TestAMemberThatWentAndCameBackIsAFailover(t *testing.T) {
	r := newRig(t)
	degraded := func(n string) { r.write("sys/block/md0/md/degraded", n+"\n") }
	r.array("md0", "u0", "in_sync", "spare")
	degraded("1")
	r.run()
	r.array("md0", "u0", "in_sync", "in_sync")
	r.run()
	if events := r.world.Host().Events.Observed(Failover); len(events) != 0 {
		t.Errorf("the first sync of an array is one: %+v", events)
	}
	r.array("md0", "u0", "in_sync", "faulty")
	degraded("1")
	r.run()
	r.restart()
	r.array("md0", "u0", "in_sync", "in_sync")
	r.run()
	events := r.world.Host().Events.Observed(Failover)
	if len(events) != 1 || events[0].Object != "mdraid/md0" || events[0].Detail["from"] != "sdb" {
		t.Errorf("a disk that failed and was rebuilt: %+v", events)
	}
	r.write("sys/block/md0/md/array_state", "inactive\n")
	r.run()
	r.write("sys/block/md0/md/array_state", "clean\n")
	r.run()
	if events := r.world.Host().Events.Observed(Failover); len(events) != 1 {
		t.Errorf("an array that failed has not survived anything: %+v", events)
	}
}

func TestAScrubIsSeenToEnd(t *testing.T) {
	const start = 1_000_000
	r := record{}
	step := func(at int64, running, ended bool) int64 {
		g := &group.Group{Known: true, Sync: group.Sync{Scrubbing: running}, Scrub: group.Scrub{Possible: true, Ended: ended}}
		r, _, _ = r.watch(g, verdict{state: redundant, known: true}, time.Unix(at, 0))
		return r.Scrub
	}
	for _, c := range []struct {
		name           string
		at             int64
		running, ended bool
		want           int64
	}{
		{"one that ended before the agent came is of no known time", start, false, true, 0},
		{"one that runs", start + 10, true, false, 0},
		{"one that was stopped", start + 20, false, false, 0},
		{"one that ran and ended between two looks", start + 30, false, true, start + 30},
		{"nothing new", start + 40, false, true, start + 30},
		{"the next", start + 50, true, false, start + 30},
		{"its end", start + 60, false, true, start + 60},
	} {
		if got := step(c.at, c.running, c.ended); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// What the system counts or dates, and what only the agent saw.
func TestAScrubThatIsCountedOrOnlySeen(t *testing.T) {
	const start = 1_000_000
	type look struct {
		name  string
		group group.Group
		want  int64 // after the start; 0 for none, and else from one on
	}
	counted := func(n int, last int64) group.Group {
		s := group.Scrub{Possible: true, Count: n}
		if last != 0 {
			s.Last = time.Unix(start+last, 0)
		}
		return group.Group{Scrub: s}
	}
	seen := func(running bool, ratio float64) group.Group {
		return group.Group{Scrub: group.Scrub{Possible: true, Watched: true}, Sync: group.Sync{Scrubbing: running, HasRatio: running, Ratio: ratio}}
	}
	for name, looks := range map[string][]look{
		"counted, and its start is known": {
			{"the first look", counted(7, -500), -500},
			{"the next one began and was stopped", counted(7, -10), -500},
			{"the tool did not say it this time", counted(0, 0), -500},
			{"one more is counted", counted(8, -10), 3},
		},
		"counted and not dated": {
			{"the first look", counted(7, 0), 0},
			{"one more", counted(8, 0), 1},
			{"another controller in its place", counted(2, 0), 1},
			{"that counts too", counted(3, 0), 3},
		},
		"never, and then the first": {
			{"none", counted(0, 0), 0},
			{"one, which began at a known time", counted(1, -20), -20},
		},
		"only seen": {
			{"nothing runs", seen(false, 0), 0},
			{"half of it", seen(true, 0.5), 0},
			{"it was stopped", seen(false, 0), 0},
			{"nearly all of it", seen(true, 0.95), 0},
			{"its end", seen(false, 0), 4},
		},
	} {
		r := record{}
		for i, l := range looks {
			g := l.group
			g.Known = true
			r, _, _ = r.watch(&g, verdict{state: redundant, known: true}, time.Unix(start+int64(i), 0))
			want := l.want
			if want != 0 {
				want += start
			}
			if r.Scrub != want {
				t.Errorf("%s: %s: %d, want %d", name, l.name, r.Scrub, want)
			}
		}
	}
}

// What members share, by "name=adapter/target/disk" words; a word that begins
// with "-" is a member that is not active.
func TestWhatMembersShareMakesThemWeak(t *testing.T) {
	for _, c := range []struct {
		name, once, now string
		tolerated       int // without what is shared, where Needed is not set
		want            string
	}{
		{"two ports of one card", "", "a=h1 b=h1", -1, "none 0/1 adapter"},
		{"one port of a card of two is down", "a=h1 b=h1", "a=h1 -b=h1", -1, "lost 0/1"},
		{"four paths over two adapters survive one of them", "", "a=h1 b=h1 c=h2 d=h2", -1, "redundant 1/1"},
		{"one of four paths is down", "a=h1 b=h1 c=h2 d=h2", "-a=h1 b=h1 c=h2 d=h2", -1, "redundant 1/1"},
		{"all paths of one adapter are down", "a=h1 b=h1 c=h2 d=h2", "-a=h1 -b=h1 c=h2 d=h2", -1, "lost 0/1 adapter"},
		{"two adapters and one port of the storage", "", "a=h1/t1 b=h2/t1", -1, "none 0/1 target"},
		{"what is not known is not shared", "", "a b", -1, "redundant 1/1"},
		{"two halves of a mirror on one disk", "", "a=//sda b=//sda", 1, "none 0/1 disk"},
		{"two of four members on one disk, of which two may fail", "", "a=//sda b=//sda c=//sdb d=//sdc", 2, "reduced 1/2 disk"},
	} {
		r := record{}
		if c.once != "" {
			r = r.learn(sharing(c.once, c.tolerated), Expect{})
		}
		g := sharing(c.now, c.tolerated)
		v := judge(g, r.learn(g, Expect{}))
		got := fmt.Sprintf("%s %d/%d", v.state, v.tolerated, v.design)
		for _, domain := range v.shared {
			got += " " + string(domain)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func sharing(text string, survived int) *group.Group {
	g := &group.Group{Kind: group.Multipath, Needed: 1}
	if survived >= 0 {
		g.Needed, g.Known, g.Tolerated, g.Design = 0, true, survived, survived
	}
	for word := range strings.FieldsSeq(text) {
		name, domains, _ := strings.Cut(word, "=")
		m := group.Member{ID: name, Name: name, Active: !strings.HasPrefix(name, "-"), Domains: map[group.Domain]string{}}
		for i, domain := range strings.Split(domains, "/") {
			m.Domains[[]group.Domain{group.Adapter, group.Target, group.Disk}[i]] = domain
		}
		g.Members = append(g.Members, m)
	}
	g.Expected = len(g.Members)
	return g
}

func TestAHostWithoutAnythingRedundantIsNotApplicable(t *testing.T) {
	r := newRig(t)
	if _, err := r.probe.Run(t.Context()); !errors.Is(err, probes.ErrNotApplicable) {
		t.Errorf("got %v", err)
	}
	r.bond("bond0") // the module makes one without members
	if _, err := r.probe.Run(t.Context()); !errors.Is(err, probes.ErrNotApplicable) {
		t.Errorf("with an empty bond: %v", err)
	}
}

func TestConformance(t *testing.T) {
	probetest.Run(t, Spec(), probetest.Options{Prepare: func(root string) error {
		for name, content := range map[string]string{
			"level": "raid1", "array_state": "clean", "raid_disks": "2", "degraded": "0",
			"dev-sda/state": "in_sync", "dev-sda/slot": "0", "dev-sdb/state": "in_sync", "dev-sdb/slot": "1",
		} {
			if err := place(root, "sys/block/md0/md/"+name, content); err != nil {
				return err
			}
		}
		return nil
	}})
}

func TestValidation(t *testing.T) {
	c := defaultConfig()
	low, high := -1, 20_000
	c.Repair, c.Scrub = 0, -1
	c.Expect = []Expect{{Object: "bond/bond0", Members: &low}, {Object: "bond/bond0", Spares: &high}, {Object: "bond0"}, {Object: "toaster/1"}}
	c.Ignore = []string{"bond/[a"}
	kinds := strings.Join(group.Kinds(), ", ")
	want := "repair: must be above 0, not 0s\n" +
		"scrub: must not be below 0\n" +
		"expect[0].members: must be between 0 and 10000, not -1\n" +
		"expect[1].spares: must be between 0 and 10000, not 20000\n" +
		"expect[1].object: \"bond/bond0\" stands here twice\n" +
		"expect[2].object: \"bond0\" is no object; write it like bond/bond0, with one of the kinds " + kinds + "\n" +
		"expect[3].object: \"toaster/1\" is no object; write it like bond/bond0, with one of the kinds " + kinds + "\n" +
		"ignore[0]: \"bond/[a\" is not a valid pattern"
	err := c.Validate()
	if err == nil {
		t.Fatal("no complaint")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
