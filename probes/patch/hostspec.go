package patch

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/reboot"
	"hygiene_exporter/probes/patch/support"
)

// The metrics of the host as a whole and of its services.
var (
	rebootRequired = perObject("reboot_required", "Whether something that is installed takes effect only by a reboot, 0 or 1, from the flags of packages, the running and the installed kernels, and packages installed after the last boot. Absent where nothing asks for a reboot and the kernels cannot be compared.")
	rebootReason   = &probes.Metric{
		Name:   "hygiene_patch_reboot_reason_info",
		Help:   "A reason for a reboot; always 1. kernel: a newer one is installed than runs; requested: a flag of a package; package: installed after the last boot.",
		Labels: []string{probes.LabelObject, "reason", "package", probes.LabelOwner},
		Values: map[string][]string{"reason": reboot.Kinds()},
	}
	rebootSince       = perObject("reboot_required_since_timestamp_seconds", "Since when a reboot has been required, from the times of flags, kernels and installations, or an earlier look.")
	rebootDeadline    = perObject("reboot_deadline_timestamp_seconds", "By when the host must be rebooted, by the deadlines of the configuration.")
	livepatched       = perObject("kernel_livepatched", "Whether the running kernel is patched in memory, 0 or 1, from /sys/kernel/livepatch.")
	outdatedProcesses = perObject("outdated_processes", "Processes of a service that execute code which has been replaced or removed on disk since they started, from /proc/PID/maps. Only services that have any; containers do not count.")
	outdatedSince     = perObject("outdated_since_timestamp_seconds", "When the first of the code that a service still executes was replaced, from the change times of files.")
	restartDeadline   = perObject("restart_deadline_timestamp_seconds", "By when a service that executes replaced code must be restarted, by the deadlines of the configuration.")
	processes         = &probes.Metric{
		Name:   "hygiene_patch_processes",
		Help:   "Processes by whether their code was inspected; those of other users are unreadable without CAP_SYS_PTRACE, and containers have code of their own.",
		Labels: []string{probes.LabelObject, "state", probes.LabelOwner},
		Values: map[string][]string{"state": {"inspected", "unreadable", "container"}},
	}
	supportEnd = &probes.Metric{
		Name:   "hygiene_patch_support_end_timestamp_seconds",
		Help:   "When a phase of the distribution's support ends, from os-release, distro-info or the table of the agent. standard and lts are for everybody, extended for those who pay.",
		Labels: []string{probes.LabelObject, "phase", probes.LabelOwner},
		Values: map[string][]string{"phase": support.Phases()},
	}
	supportCovered  = perObject("support_covered_until_timestamp_seconds", "Until when this host gets security updates: the end of the last phase for everybody, or of the extended one with a subscription.")
	supportDeadline = perObject("support_deadline_timestamp_seconds", "By when the upgrade to a supported release should be under way: the end of security updates less the time of the configuration.")
	supportKnown    = perObject("support_known", "Whether it is known until when the distribution is supported, 0 or 1; distributions without releases count as known.")
	supportTable    = perObject("support_table_timestamp_seconds", "When the agent's own table of the ends of support was last compared with the announcements. Only where the end is from that table.")
)

// systemMetrics lists the metrics of this file.
func systemMetrics() []*probes.Metric {
	return []*probes.Metric{
		rebootRequired, rebootReason, rebootSince, rebootDeadline, livepatched,
		outdatedProcesses, outdatedSince, restartDeadline, processes,
		supportEnd, supportCovered, supportDeadline, supportKnown, supportTable,
	}
}
