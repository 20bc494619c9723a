//go:build live

package vm

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Volumes of every kind of LVM lose disks until they fail. What the agent says
// comes from the real tools, and what it said before a disk was broken is held
// against whether the volume worked afterwards.
func TestLevels(t *testing.T) {
	out := boot(t, "levels.sh",
		[]string{"loop", "dm-mod", "raid0", "raid1", "raid10", "raid456", "dm-raid", "dm-mirror", "dm-thin-pool"},
		[]string{"lvm", "lvs"})
	judged := 0
	before := map[string]string{"1": "whole", "2": "broken 1", "3": "broken 2"}
	for _, attempt := range slices.Sorted(maps.Keys(out.outcome)) {
		for name, works := range out.outcome[attempt] {
			volume := strings.TrimPrefix(name, "mdraid/")
			said := out.facts[before[attempt]][volume]["failures_tolerated"]
			if wanted := !strings.HasPrefix(said, "-") && said != "0"; said == "" || works != wanted {
				t.Errorf("%s tolerated %q failures, and after attempt %s it works: %v", volume, said, attempt, works)
			}
			judged++
		}
	}
	if judged < 10 {
		t.Errorf("only %d attempts were made", judged)
	}
	golden(t, "levels.want", out.text())
}

// A team whose standby loses its link, and devices that replicate to each other
// until they are disconnected.
func TestPartners(t *testing.T) {
	out := boot(t, "partners.sh", []string{"loop", "veth", "team", "team_mode_activebackup", "drbd"},
		[]string{"teamd", "teamdctl", "/lib/drbd/drbdsetup-84", "drbdmeta"})
	golden(t, "partners.want", out.text())
}

// Emulated RAID controllers, whose drivers are bound and that no tool tells of. An
// adapter without RAID is none of them.
func TestHardware(t *testing.T) {
	m := machine(t, "linux-image-amd64", "hardware.sh", []string{"megaraid_sas", "mptsas"}, nil)
	m.Devices = []string{"megasas-gen2", "mptsas1068"}
	golden(t, "hardware.want", run(t, m).text())
}

// Fibre Channel, an enclosure and RDMA, of which the machine is both ends.
func TestFabrics(t *testing.T) {
	m := machine(t, "linux-image-amd64", "fabrics.sh", []string{
		"configfs", "loop", "dm-mod", "veth", "fcoe", "tcm_fc", "sd_mod", "sg", "ses", "tcm_loop", "target_core_user", "target_core_iblock", "rdma_rxe", "crc32_generic", "bridge",
	}, []string{"rdma", "sg_ses"})
	m.Programs["sbin/enclosure"] = compile(t, t.TempDir(), "enclosure", filepath.Join("test", "vm", "enclosure"))
	out := run(t, m)
	golden(t, "fabrics.want", out.text())
	out.save(t)
}
