package tool_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/adaptec"
	"hygiene_exporter/probes/redundancy/tool/areca"
	"hygiene_exporter/probes/redundancy/tool/bmc"
	"hygiene_exporter/probes/redundancy/tool/drbd"
	"hygiene_exporter/probes/redundancy/tool/lsi"
	"hygiene_exporter/probes/redundancy/tool/lvm"
	"hygiene_exporter/probes/redundancy/tool/megaraid"
	"hygiene_exporter/probes/redundancy/tool/smartarray"
	"hygiene_exporter/probes/redundancy/tool/team"
	"hygiene_exporter/probes/redundancy/tool/threeware"
	"hygiene_exporter/probes/redundancy/tool/zpool"
)

// fuzz feeds a reader with all that programs print in the states of a tool, and
// with what the fuzzer makes of it. Whatever a tool says: nothing panics, no
// group survives more than by design or than it has members, and none that has
// failed is said to survive something.
func fuzz(f *testing.F, states string, read func(data []byte) []group.Group) {
	f.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", states+".txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range strings.Split(string(data), "\n-- ")[1:] {
		_, content, _ := strings.Cut(file, "\n")
		f.Add([]byte(content + "\n"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, g := range read(data) {
			check(t, g, len(data))
		}
	})
}

func check(t *testing.T, g group.Group, size int) {
	t.Helper()
	now, design := g.Tolerated, g.Design
	if g.Needed > 0 {
		now, design = g.Active()-g.Needed, g.Expected-g.Needed
	}
	switch {
	case g.Kind == "" || g.Name == "":
		t.Errorf("a group has no name: %s", line(g))
	case g.Err != nil:
	case now > design:
		t.Errorf("it survives more than by design: %s", line(g))
	case design > 0 && g.Expected > 0 && design >= max(g.Expected, 2) && g.Present() >= g.Expected && g.Kind != group.Power && g.Kind != group.Fan:
		t.Logf("its level does not fit its members: %s", line(g))
	case g.Failed != "" && g.Needed == 0 && g.Tolerated > 0:
		t.Errorf("it has failed and survives something: %s", line(g))
	}
	if g.Sync.HasRatio && (g.Sync.Ratio < 0 || g.Sync.Ratio > 1) {
		t.Errorf("a ratio is %g: %s", g.Sync.Ratio, line(g))
	}
	if most := size + 1000; len(g.Members) > most {
		t.Errorf("%d bytes give %d members", size, len(g.Members))
	}
}

// halves splits what one program printed from what the next did.
func halves(data []byte) (a, b []byte) {
	first, second, _ := strings.Cut(string(data), "\n%\n")
	return []byte(first), []byte(second)
}

func FuzzStorCLI(f *testing.F) {
	fuzz(f, "storcli", func(data []byte) []group.Group {
		show, rebuild := halves(data)
		groups, _ := megaraid.StorCLI(show, rebuild, megaraid.Checks{Patrol: rebuild, Consistency: rebuild})
		return groups
	})
}

func FuzzMegaCli(f *testing.F) {
	fuzz(f, "megacli", func(data []byte) []group.Group {
		a, b := halves(data)
		return append(megaraid.MegaCli(a, b, b, megaraid.Checks{Patrol: b, Consistency: b}), megaraid.MegaCli(b, a, a, megaraid.Checks{Patrol: a, Consistency: b})...)
	})
}

func FuzzSmartArray(f *testing.F) {
	fuzz(f, "ssacli", func(data []byte) []group.Group {
		groups, _ := smartarray.Parse(data)
		return groups
	})
}

func FuzzArcconf(f *testing.F) {
	fuzz(f, "arcconf", func(data []byte) []group.Group {
		_, _ = adaptec.Controllers(data)
		config, status := halves(data)
		return adaptec.Parse(1, config, status)
	})
}

func FuzzTwCli(f *testing.F) {
	fuzz(f, "tw_cli", func(data []byte) []group.Group {
		_, _ = threeware.Controllers(data)
		units, drives := halves(data)
		return append(threeware.Parse("c0", units, drives, drives), threeware.Parse("c0", drives, units, units)...)
	})
}

func FuzzSASIRCU(f *testing.F) {
	fuzz(f, "sas3ircu", func(data []byte) []group.Group {
		_, _ = lsi.Controllers(data)
		_ = lsi.VolumeIDs(data)
		display, status := halves(data)
		return lsi.SASIRCU("0", display, status)
	})
}

func FuzzMPTStatus(f *testing.F) { fuzz(f, "sas3ircu", lsi.MPTStatus) }

func FuzzAreca(f *testing.F) {
	fuzz(f, "cli64", func(data []byte) []group.Group {
		a, b := halves(data)
		_ = areca.Serial(data)
		groups, _ := areca.Parse("c1", areca.Outputs{Sets: a, Volumes: b, Disks: b})
		more, _ := areca.Parse("c1", areca.Outputs{Sets: b, Volumes: a, Disks: a})
		return append(groups, more...)
	})
}

func FuzzDmsetup(f *testing.F) {
	fuzz(f, "dmsetup", func(data []byte) []group.Group {
		a, b := halves(data)
		return lvm.Parse(a, b, nil)
	})
}

func FuzzDRBD(f *testing.F) {
	fuzz(f, "drbdsetup", func(data []byte) []group.Group {
		groups, _ := drbd.Status(data)
		return append(append(groups, drbd.Events(data)...), drbd.Proc(data)...)
	})
}

func FuzzZpool(f *testing.F) {
	fuzz(f, "zpool", func(data []byte) []group.Group {
		groups, _ := zpool.JSON(data)
		return append(groups, zpool.Text(data)...)
	})
}

func FuzzIPMI(f *testing.F) {
	fuzz(f, "ipmitool", func(data []byte) []group.Group {
		a, b := halves(data)
		return append(bmc.Power(a, b), bmc.Fans(data)...)
	})
}

func FuzzTeam(f *testing.F) {
	fuzz(f, "teamdctl", func(data []byte) []group.Group { return []group.Group{team.Parse("team0", data)} })
}
