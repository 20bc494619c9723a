package tool

import (
	"regexp"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// tools lists all. Services of Redfish are asked because they are configured.
func tools(redfish []Service) []tool {
	return []tool{
		{
			name: "zpool", kinds: []string{group.ZFS}, every: time.Minute, limit: 30 * time.Second,
			present: exist("/sys/module/zfs"), ask: askZpool, partial: true,
		},
		{
			name: "dmsetup", kinds: []string{group.LVM}, every: time.Minute, limit: 30 * time.Second,
			present: volumes, ask: askLVM,
		},
		{
			name: "drbdsetup", kinds: []string{group.DRBD}, every: 30 * time.Second, limit: 20 * time.Second,
			present: exist("/sys/module/drbd", "/proc/drbd"), ask: askDRBD,
		},
		{
			name: "teamdctl", kinds: []string{group.Team}, every: time.Minute, limit: 20 * time.Second,
			present: teams, ask: askTeams, partial: true,
		},
		{
			name: "storcli", kinds: []string{group.MegaRAID}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: drivers([]string{"megaraid_sas", "megaraid_mbox", "mpi3mr"}, nil), ask: askMegaRAID, counted: true,
		},
		{
			name: "ssacli", kinds: []string{group.SmartArray}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: either(drivers([]string{"hpsa", "cciss"}, nil), drivers([]string{"smartpqi"}, hewlett)), ask: askSmartArray, counted: true,
		},
		{
			name: "arcconf", kinds: []string{group.Adaptec}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: either(drivers([]string{"aacraid"}, nil), drivers([]string{"smartpqi"}, notHewlett)), ask: askAdaptec, counted: true,
		},
		{
			name: "tw_cli", kinds: []string{group.ThreeWare}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: drivers([]string{"3w-xxxx", "3w-9xxx", "3w-sas"}, nil), ask: askThreeWare, counted: true,
		},
		{
			name: "sas3ircu", kinds: []string{group.LSI}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: drivers([]string{"mpt2sas", "mpt3sas"}, nil), ask: askSASIRCU, needed: raidVolumes,
		},
		{
			name: "mpt-status", kinds: []string{group.LSI}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: drivers([]string{"mptsas", "mptspi", "mptscsih"}, nil), ask: askMPT, needed: raidVolumes,
		},
		{
			name: "cli64", kinds: []string{group.Areca}, every: 10 * time.Minute, limit: 2 * time.Minute,
			present: drivers([]string{"arcmsr"}, nil), ask: askAreca, counted: true,
		},
		{
			name: "sg_ses", kinds: []string{group.Enclosure}, every: 5 * time.Minute, limit: 30 * time.Second,
			present: enclosures, ask: askEnclosures, optional: true,
		},
		{
			name: "ipmitool", kinds: []string{group.Power, group.Fan}, every: 5 * time.Minute, limit: 2 * time.Minute,
			present: exist("/dev/ipmi0", "/dev/ipmi/0", "/dev/ipmidev/0"), ask: askIPMI, optional: true,
		},
		{
			name: "redfish", kinds: []string{group.Power, group.Fan}, every: 5 * time.Minute, limit: 2 * time.Minute,
			present: services(redfish), ask: askRedfish(redfish),
		},
	}
}

var (
	number          = regexp.MustCompile(`[0-9]{1,3}`)
	arecaController = regexp.MustCompile(`ctrl=[0-9]{1,2}`)
	controllerName  = regexp.MustCompile(`c[0-9]{1,3}`)
	sesPage         = regexp.MustCompile(`--page=0x[12]`)
	genericDevice   = regexp.MustCompile(`/dev/sg[0-9]{1,4}`)
	interfaceName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$`)
)

// Programs that tell of the same kind, the best first.

func storclis() []string {
	return []string{"storcli64", "storcli", "perccli64", "perccli", "storcli2", "perccli2"}
}
func megaclis() []string    { return []string{"MegaCli64", "MegaCli", "megacli"} }
func smartArrays() []string { return []string{"ssacli", "hpssacli", "hpacucli"} }
func sasircus() []string    { return []string{"sas3ircu", "sas2ircu"} }

// Commands lists every program that is run.
func Commands() []probes.Command {
	all := []probes.Command{
		{Entry: "zpool-json", Argv: []string{"zpool", "status", "-j", "--json-int"}, Help: "Devices of ZFS pools, from OpenZFS 2.3 on."},
		{Entry: "zpool-text", Argv: []string{"zpool", "status"}, Help: "Devices of ZFS pools, of older releases."},
		{
			Entry: "lvs", Argv: []string{"lvs", "--readonly", "-a", "-o", "vg_name,lv_name,devices", "--reportformat", "json"},
			Help: "Disks of LVM volumes, from the metadata on the disks and without a lock.", Privileged: true,
		},
		{Entry: "dmsetup", Argv: []string{"dmsetup", "status"}, Help: "State of LVM's RAID volumes, mirrors and thin pools, from the kernel.", Privileged: true},
		{Entry: "drbdsetup-status", Argv: []string{"drbdsetup", "status", "--json"}, Help: "Replicated devices and their peers, from the kernel.", Privileged: true},
		{Entry: "drbdsetup-events", Argv: []string{"drbdsetup", "events2", "--now"}, Help: "Replicated devices and their peers, of older releases.", Privileged: true},
		{
			Entry: "teamdctl", Argv: []string{"teamdctl", "{0}", "state", "dump"}, Objects: []*regexp.Regexp{interfaceName},
			Help: "Ports of a network team, from its daemon.", Privileged: true,
		},
		{Entry: "ipmitool-power", Argv: []string{"ipmitool", "-c", "sdr", "type", "Power Supply"}, Help: "Power supplies, from the management controller.", Privileged: true},
		{Entry: "ipmitool-unit", Argv: []string{"ipmitool", "-c", "sdr", "type", "Power Unit"}, Help: "Redundancy of the power supplies, from the management controller.", Privileged: true},
		{Entry: "ipmitool-fan", Argv: []string{"ipmitool", "-c", "sdr", "type", "Fan"}, Help: "Fans, from the management controller.", Privileged: true},
		{Entry: "mpt-status-probe", Argv: []string{"mpt-status", "-p"}, Help: "Numbers of the RAID volumes of an LSI MPT controller.", Privileged: true},
		{Entry: "mpt-status", Argv: []string{"mpt-status", "-i", "{0}"}, Objects: []*regexp.Regexp{number}, Help: "A RAID volume of an LSI MPT controller.", Privileged: true},
		{Entry: "arcconf-config", Argv: []string{"arcconf", "GETCONFIG", "{0}", "AL"}, Objects: []*regexp.Regexp{number}, Help: "Volumes and disks of an Adaptec controller.", Privileged: true},
		{Entry: "arcconf-status", Argv: []string{"arcconf", "GETSTATUS", "{0}"}, Objects: []*regexp.Regexp{number}, Help: "Running tasks of an Adaptec controller.", Privileged: true},
		{
			Entry: "sg_ses", Argv: []string{"sg_ses", "{0}", "-rr", "{1}"}, Objects: []*regexp.Regexp{sesPage, genericDevice},
			Help: "Power supplies, fans and controllers of a SAS enclosure.", Privileged: true,
		},
		{Entry: "tw_cli-info", Argv: []string{"tw_cli", "info"}, Help: "The 3ware controllers.", Privileged: true},
	}
	add := func(program, entry, help string, objects []*regexp.Regexp, args ...string) {
		all = append(all, probes.Command{
			Entry: program + "-" + entry, Argv: append([]string{program}, args...), Objects: objects, Help: help, Privileged: true,
		})
	}
	for _, entry := range [][2]string{{"sets", "rsf"}, {"volumes", "vsf"}, {"disks", "disk"}, {"system", "sys"}} {
		add("cli64", entry[0], "Raid sets, volumes, disks or the number of the only Areca controller.", nil, entry[1], "info")
		add("cli64", "controller-"+entry[0], "The same of one of several Areca controllers.", []*regexp.Regexp{arecaController}, "{0}", entry[1], "info")
	}
	for _, entry := range []string{"unitstatus", "drivestatus", "bbustatus"} {
		add("tw_cli", entry, "Units, disks or the battery of a 3ware controller.", []*regexp.Regexp{controllerName}, "info", "{0}", entry)
	}
	for _, program := range storclis() {
		add(program, "show", "Volumes, disks and batteries of all MegaRAID controllers.", nil, "/cALL", "show", "all", "J", "nolog")
		add(program, "rebuild", "How far rebuilds are.", nil, "/cALL/eALL/sALL", "show", "rebuild", "J", "nolog")
		add(program, "patrol", "When disks were read to find sectors that cannot be.", nil, "/cALL", "show", "patrolread", "J", "nolog")
		add(program, "consistency", "When volumes were checked.", nil, "/cALL", "show", "cc", "J", "nolog")
	}
	for _, program := range megaclis() {
		add(program, "volumes", "Volumes of all MegaRAID controllers, with their disks.", nil, "-LDPDInfo", "-aALL", "-NoLog")
		add(program, "old-volumes", "Volumes of all MegaRAID controllers.", nil, "-LDInfo", "-Lall", "-aALL", "-NoLog")
		add(program, "disks", "Disks of all MegaRAID controllers.", nil, "-PDList", "-aALL", "-NoLog")
		add(program, "battery", "Batteries of all MegaRAID controllers.", nil, "-AdpBbuCmd", "-GetBbuStatus", "-aALL", "-NoLog")
		add(program, "patrol", "When disks were read to find sectors that cannot be.", nil, "-AdpPR", "-Info", "-aALL", "-NoLog")
		add(program, "consistency", "When volumes were checked.", nil, "-AdpCcSched", "-Info", "-aALL", "-NoLog")
	}
	for _, program := range smartArrays() {
		add(program, "config", "Volumes, disks and batteries of all Smart Array controllers.", nil, "ctrl", "all", "show", "config", "detail")
	}
	for _, program := range sasircus() {
		add(program, "list", "The LSI controllers with Integrated RAID.", nil, "LIST")
		add(program, "display", "Volumes and disks of an LSI controller.", []*regexp.Regexp{number}, "{0}", "DISPLAY")
		add(program, "status", "How far rebuilds are.", []*regexp.Regexp{number}, "{0}", "STATUS")
	}
	return all
}
