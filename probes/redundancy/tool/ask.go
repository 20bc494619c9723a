package tool

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/adaptec"
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

func askZpool(a *asking) ([]group.Group, error) {
	out, err := a.strictly("zpool-json")
	if err == nil {
		return zpool.JSON(out)
	}
	if probes.ReasonOf(err) != probes.Unavailable || a.ctx.Err() != nil {
		return nil, err
	}
	out, err = a.strictly("zpool-text") // releases before 2.3 know no -j
	return zpool.Text(out), err
}

func askLVM(a *asking) ([]group.Group, error) {
	status, err := a.strictly("dmsetup")
	if err != nil {
		return nil, err
	}
	report, err := a.strictly("lvs")
	if err != nil {
		report = nil // the disks below have no names, and all else is known
	}
	return lvm.Parse(status, report, lvm.Disks(a.host.Files)), nil
}

// maxProc bounds /proc/drbd.
const maxProc = 1 << 20

func askDRBD(a *asking) ([]group.Group, error) {
	proc, err := a.host.Files.ReadFile("/proc/drbd", maxProc)
	if err == nil && drbd.Old(proc) {
		return drbd.Proc(proc), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out, err := a.strictly("drbdsetup-status")
	if err == nil {
		return drbd.Status(out)
	}
	if probes.ReasonOf(err) != probes.Unavailable || a.ctx.Err() != nil {
		return nil, err
	}
	out, err = a.strictly("drbdsetup-events")
	return drbd.Events(out), err
}

func askTeams(a *asking) ([]group.Group, error) {
	names, err := teams(a.host.Files)
	var groups []group.Group
	for _, name := range names {
		out, err := a.strictly("teamdctl", name)
		if err != nil {
			groups = append(groups, group.Group{Kind: group.Team, Name: name, Err: err})
			continue
		}
		groups = append(groups, team.Parse(name, out))
	}
	return groups, err
}

func askMegaRAID(a *asking) ([]group.Group, error) {
	return installed(slices.Concat(storclis(), megaclis()), func(program string) ([]group.Group, error) {
		if slices.Contains(megaclis(), program) {
			return askMegaCli(a, program)
		}
		show, err := a.run(program + "-show")
		if err != nil {
			return nil, err
		}
		checks := askChecks(a, program)
		groups, err := megaraid.StorCLI(show, nil, checks)
		if err != nil || !slices.ContainsFunc(groups, func(g group.Group) bool { return g.Sync.Rebuilding }) {
			return groups, err
		}
		rebuild, failed := a.run(program + "-rebuild")
		if failed != nil {
			rebuild = nil // how far it is, is not known
		}
		return megaraid.StorCLI(show, rebuild, checks)
	})
}

// askChecks asks when a controller has read all disks. Without an answer, that is
// not known, and all else is.
func askChecks(a *asking, program string) (c megaraid.Checks) {
	c.Patrol, _ = a.run(program + "-patrol")
	c.Consistency, _ = a.run(program + "-consistency")
	return c
}

func askMegaCli(a *asking, program string) ([]group.Group, error) {
	volumes, err := a.run(program + "-volumes")
	if err == nil && !strings.Contains(string(volumes), "Virtual D") {
		volumes, err = a.run(program + "-old-volumes")
	}
	if err != nil {
		return nil, err
	}
	disks, err := a.run(program + "-disks")
	if err != nil {
		return nil, err
	}
	battery, err := a.run(program + "-battery")
	if err != nil && a.ctx.Err() != nil {
		return nil, err
	}
	return megaraid.MegaCli(volumes, disks, battery, askChecks(a, program)), nil
}

func askSmartArray(a *asking) ([]group.Group, error) {
	return installed(smartArrays(), func(program string) ([]group.Group, error) {
		out, err := a.run(program + "-config")
		if err != nil {
			return nil, err
		}
		return smartarray.Parse(out)
	})
}

func askAdaptec(a *asking) ([]group.Group, error) {
	var groups []group.Group
	for number, all := 1, 1; number <= all; number++ {
		config, err := a.run("arcconf-config", strconv.Itoa(number))
		if err != nil {
			return nil, err
		}
		if all, err = adaptec.Controllers(config); err != nil {
			return nil, err
		}
		if all == 0 {
			break
		}
		status, err := a.run("arcconf-status", strconv.Itoa(number))
		if err != nil && a.ctx.Err() != nil {
			return nil, err
		}
		groups = append(groups, adaptec.Parse(number, config, status)...)
	}
	return groups, nil
}

func askThreeWare(a *asking) ([]group.Group, error) {
	info, err := a.run("tw_cli-info")
	if err != nil {
		return nil, err
	}
	names, err := threeware.Controllers(info)
	var groups []group.Group
	for _, name := range names {
		units, err := a.run("tw_cli-unitstatus", name)
		if err != nil {
			return nil, err
		}
		drives, err := a.run("tw_cli-drivestatus", name)
		if err != nil {
			return nil, err
		}
		battery, err := a.run("tw_cli-bbustatus", name)
		if err != nil && a.ctx.Err() != nil {
			return nil, err
		}
		groups = append(groups, threeware.Parse(name, units, drives, battery)...)
	}
	return groups, err
}

func askSASIRCU(a *asking) ([]group.Group, error) {
	return installed(sasircus(), func(program string) ([]group.Group, error) {
		list, err := a.run(program + "-list")
		if err != nil {
			return nil, err
		}
		numbers, err := lsi.Controllers(list)
		var groups []group.Group
		for _, number := range numbers {
			display, err := a.run(program+"-display", number)
			if err != nil {
				return nil, err
			}
			status, err := a.run(program+"-status", number)
			if err != nil && a.ctx.Err() != nil {
				return nil, err
			}
			groups = append(groups, lsi.SASIRCU(number, display, status)...)
		}
		return groups, err
	})
}

func askMPT(a *asking) ([]group.Group, error) {
	probe, err := a.run("mpt-status-probe")
	if err != nil {
		return nil, err
	}
	var groups []group.Group
	for _, id := range lsi.VolumeIDs(probe) {
		out, err := a.run("mpt-status", id)
		if err != nil {
			return nil, err
		}
		groups = append(groups, lsi.MPTStatus(out)...)
	}
	return groups, nil
}

func askIPMI(a *asking) ([]group.Group, error) {
	power, err := a.run("ipmitool-power")
	if err != nil {
		return nil, err
	}
	unit, err := a.run("ipmitool-unit")
	if err != nil && a.ctx.Err() != nil {
		return nil, err
	}
	fans, err := a.run("ipmitool-fan")
	if err != nil && a.ctx.Err() != nil {
		return nil, err
	}
	return append(bmc.Power(power, unit), bmc.Fans(fans)...), nil
}
