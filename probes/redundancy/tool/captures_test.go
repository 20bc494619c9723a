package tool_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/adaptec"
	"hygiene_exporter/probes/redundancy/tool/areca"
	"hygiene_exporter/probes/redundancy/tool/bmc"
	"hygiene_exporter/probes/redundancy/tool/lsi"
	"hygiene_exporter/probes/redundancy/tool/lvm"
	"hygiene_exporter/probes/redundancy/tool/megaraid"
	"hygiene_exporter/probes/redundancy/tool/smartarray"
	"hygiene_exporter/probes/redundancy/tool/threeware"
)

// captures is where outputs of real tools are kept that were published by others
// and are not part of this repository.
func captures() string { return cmp.Or(os.Getenv("HYGIENE_CAPTURES"), "../../../../shared/captures") }

// number returns the number at the beginning of the name of a capture.
func number(path string) string {
	before, _, _ := strings.Cut(filepath.Base(path), "-")
	return before
}

// output reads a part of a capture; what was not captured is empty.
func output(t *testing.T, tool, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(captures(), tool, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}

// reader reads one capture of a tool.
func readers(t *testing.T) map[string]func(n string) ([]group.Group, error) {
	plain := func(groups []group.Group) ([]group.Group, error) { return groups, nil }
	sas := func(tool, display, status string) func(n string) ([]group.Group, error) {
		return func(n string) ([]group.Group, error) {
			numbers, err := lsi.Controllers(output(t, tool, n+"-list.txt"))
			if err != nil {
				return nil, err
			}
			return lsi.SASIRCU(numbers[0], output(t, tool, n+display), output(t, tool, n+status)), nil
		}
	}
	return map[string]func(n string) ([]group.Group, error){
		"arcconf": func(n string) ([]group.Group, error) {
			config := slices.Concat(output(t, "arcconf", n+"-getconfig.txt"), output(t, "arcconf", n+"-getconfig_ld.txt"))
			return plain(adaptec.Parse(1, config, output(t, "arcconf", n+"-getstatus.txt")))
		},
		"areca": func(n string) ([]group.Group, error) {
			return areca.Parse("c1", areca.Outputs{Sets: output(t, "areca", n+"-rsf.txt"), Disks: output(t, "areca", n+"-disk.txt")})
		},
		"dm": func(n string) ([]group.Group, error) {
			return plain(lvm.Parse(output(t, "dm", n+"-dmsetup.txt"), nil, nil))
		},
		"hpacucli": func(n string) ([]group.Group, error) {
			status, err := smartarray.Parse(output(t, "hpacucli", n+"-controller.txt"))
			if err != nil {
				return nil, err
			}
			volumes, err := smartarray.Parse(output(t, "hpacucli", n+"-logical.txt"))
			return append(status, volumes...), err
		},
		"ssacli": func(n string) ([]group.Group, error) {
			return smartarray.Parse(output(t, "ssacli", n+"-config_detail.txt"))
		},
		"ipmitool": func(n string) ([]group.Group, error) {
			return plain(bmc.Power(output(t, "ipmitool", n+"-sdr_ps.txt"), nil))
		},
		"megacli": func(n string) ([]group.Group, error) {
			return plain(megaraid.MegaCli(output(t, "megacli", n+"-ldinfo.txt"), output(t, "megacli", n+"-pdlist.txt"), output(t, "megacli", n+"-battery.txt"), megaraid.Checks{}))
		},
		"mpt": func(n string) ([]group.Group, error) { return plain(lsi.MPTStatus(output(t, "mpt", n+"-input.txt"))) },
		"storcli": func(n string) ([]group.Group, error) {
			return megaraid.StorCLI(output(t, "storcli", n+"-call_show_all.json"), nil, megaraid.Checks{})
		},
		"perccli":  perccli(t),
		"sas2ircu": sas("sas2ircu", "-cdisplay.txt", "-cstatus.txt"),
		"sas3ircu": sas("sas3ircu", "-display.txt", "-status.txt"),
		"tw_cli": func(n string) ([]group.Group, error) {
			names, err := threeware.Controllers(output(t, "tw_cli", n+"-info.txt"))
			if err != nil {
				return nil, err
			}
			return threeware.Parse(names[0], output(t, "tw_cli", n+"-unitstatus.txt"), output(t, "tw_cli", n+"-drivestatus.txt"), output(t, "tw_cli", n+"-bbustatus.txt")), nil
		},
	}
}

func perccli(t *testing.T) func(n string) ([]group.Group, error) {
	return func(n string) ([]group.Group, error) {
		return megaraid.StorCLI(slices.Concat(output(t, "perccli", n+"-call_show_all.json"), output(t, "perccli", n+"-no_controller.json")), nil, megaraid.Checks{})
	}
}

// line says in one line what a group is.
func line(g group.Group) string {
	tolerated := "?/?"
	switch {
	case g.Err != nil:
	case g.Failed != "":
		tolerated = fmt.Sprintf("failed/%d", g.Design)
	case g.Needed > 0:
		tolerated = fmt.Sprintf("%d/%d", g.Active()-g.Needed, g.Expected-g.Needed)
	case g.Known:
		tolerated = fmt.Sprintf("%d/%d", g.Tolerated, g.Design)
	}
	text := fmt.Sprintf("%s tolerates %s active %d/%d", g.Object(), tolerated, g.Active(), g.Expected)
	if g.Spares > 0 {
		text += fmt.Sprintf(" spares %d", g.Spares)
	}
	if g.WriteCache != nil {
		text += fmt.Sprintf(" cache %v", *g.WriteCache)
	}
	switch {
	case g.Sync.Rebuilding:
		text += " rebuilding"
	case g.Sync.Confirming:
		text += " confirming"
	case g.Sync.Scrubbing:
		text += " scrubbing"
	}
	if g.Sync.HasRatio {
		text += fmt.Sprintf(" at %.3g", g.Sync.Ratio)
	}
	if g.Scrub.Counted {
		text += fmt.Sprintf(" errors %g", g.Scrub.Errors)
	}
	if g.Scrub.Possible {
		text += " checks"
		if g.Scrub.Watched {
			text += " watched"
		}
		if g.Scrub.Count > 0 {
			text += fmt.Sprintf(" counted %d", g.Scrub.Count)
		}
		if !g.Scrub.Last.IsZero() {
			text += " last " + g.Scrub.Last.UTC().Format(time.DateTime)
		}
	}
	disks := map[string]int{}
	for _, m := range g.Members {
		disks[m.Domains[group.Disk]]++
	}
	for _, disk := range slices.Sorted(maps.Keys(disks)) {
		if disk != "" && disks[disk] > 1 {
			text += " shares " + disk
		}
	}
	if g.Err != nil {
		text += " unknown: " + strings.ReplaceAll(g.Err.Error(), "\n", "; ")
	}
	return text
}

// Every output of a real tool is understood. The captures of Areca lack the list
// of volumes: their raid sets are known, and that the volumes are not is told.
func TestCapturesAreUnderstood(t *testing.T) {
	all, unknown := 0, 0
	for tool, read := range readers(t) {
		files, err := filepath.Glob(filepath.Join(captures(), tool, "*"))
		if err != nil || len(files) == 0 {
			t.Skipf("there are no captures of %s", tool)
		}
		numbers := []string{}
		for _, file := range files {
			numbers = append(numbers, number(file))
		}
		for _, n := range slices.Compact(numbers) {
			groups, err := read(n)
			switch {
			case err != nil && tool == "areca" && strings.Contains(err.Error(), "lists no volume of raid set"):
				t.Logf("%s %s: blind: %v", tool, n, err)
			case err != nil || tool == "areca":
				t.Errorf("%s %s: %v", tool, n, err)
			}
			for _, g := range groups {
				t.Logf("%s %s: %s", tool, n, line(g))
				all++
				if g.Err != nil {
					unknown++
					t.Errorf("%s %s: %s", tool, n, line(g))
				}
			}
		}
	}
	t.Logf("%d objects, %d unknown", all, unknown)
}
