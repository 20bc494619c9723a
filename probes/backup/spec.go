// Package backup answers, for every backup job of the configuration: how old is
// the data, how do we know that it is good and how deeply was that checked, how
// long would a restore take, and are there enough copies.
//
// Each run looks at what can be seen cheaply. What takes long, reading and
// restoring, is done between the runs, within a budget, and what came of it is
// remembered over restarts.
package backup

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

var (
	newest = &probes.Metric{
		Name:   "hygiene_backup_newest_timestamp_seconds",
		Help:   "Instant of the data of the newest backup that is not known to be bad.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	rpo = &probes.Metric{
		Name:   "hygiene_backup_rpo_seconds",
		Help:   "Recovery point objective of the job, from the configuration.",
		Labels: []string{probes.LabelObject, probes.LabelOwner},
	}
	rpoDeadline = &probes.Metric{
		Name:   "hygiene_backup_rpo_deadline_timestamp_seconds",
		Help:   "When the newest backup is older than the objective; without one, counted from when the job was first seen.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	logArchived = &probes.Metric{
		Name:   "hygiene_backup_log_timestamp_seconds",
		Help:   "When the newest part of the log was archived that a restore of the newest backup can reach.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	logDeadline = &probes.Metric{
		Name:   "hygiene_backup_log_deadline_timestamp_seconds",
		Help:   "When that is older than log_rpo allows; without any, counted from when the job was first seen.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	verified = &probes.Metric{
		Name:   "hygiene_backup_verified_timestamp_seconds",
		Help:   "When a backup of the copy was last found good, by the depth of the check.",
		Labels: []string{probes.LabelObject, "copy", "depth", probes.LabelOwner},
		Values: map[string][]string{"depth": depthNames()},
	}
	verifyDeadline = &probes.Metric{
		Name:   "hygiene_backup_verify_deadline_timestamp_seconds",
		Help:   "When the evidence of a depth is older than the configuration allows; without any, counted from when the job was first seen.",
		Labels: []string{probes.LabelObject, "copy", "depth", probes.LabelOwner},
		Values: map[string][]string{"depth": depthNames()},
	}
	verdict = &probes.Metric{
		Name:   "hygiene_backup_verdict",
		Help:   "Whether the copy is good, bad, or could not be judged.",
		Labels: []string{probes.LabelObject, "copy", "verdict", probes.LabelOwner},
		Values: map[string][]string{"verdict": {string(job.Good), string(job.Bad), string(job.Unknown)}},
	}
	verdictReason = &probes.Metric{
		Name:   "hygiene_backup_verdict_reason",
		Help:   "Why the verdict is not good: 1 for the reason.",
		Labels: []string{probes.LabelObject, "copy", "reason", probes.LabelOwner},
		Values: map[string][]string{"reason": job.Reasons()},
	}
	unknownDeadline = &probes.Metric{
		Name:   "hygiene_backup_unknown_deadline_timestamp_seconds",
		Help:   "While the verdict is unknown: until when that is tolerated.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	judgeInfo = &probes.Metric{
		Name:   "hygiene_backup_judge_info",
		Help:   "What judged the newest backup: a program with its version, or a part of the agent.",
		Labels: []string{probes.LabelObject, "copy", "tool", "version"},
	}
	sizeBytes = &probes.Metric{
		Name:   "hygiene_backup_size_bytes",
		Help:   "Logical size of the newest backup whose size is known: what a restore would write.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	filesCount = &probes.Metric{
		Name:   "hygiene_backup_files",
		Help:   "Files in the newest backup whose content is known.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	sizeExpected = &probes.Metric{
		Name:   "hygiene_backup_size_expected_bytes",
		Help:   "Bounds of the logical size by earlier backups of the same type.",
		Labels: []string{probes.LabelObject, "copy", "bound", probes.LabelOwner},
		Values: bounds(),
	}
	filesExpected = &probes.Metric{
		Name:   "hygiene_backup_files_expected",
		Help:   "Bounds of the count of files by earlier backups of the same type.",
		Labels: []string{probes.LabelObject, "copy", "bound", probes.LabelOwner},
		Values: bounds(),
	}
	coverage = &probes.Metric{
		Name:   "hygiene_backup_verify_coverage_ratio",
		Help:   "Share of the kept bytes that were read, and found good, within the cycle of the configuration.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	oldestUnverified = &probes.Metric{
		Name:   "hygiene_backup_oldest_unverified_timestamp_seconds",
		Help:   "When the part was last read that was not read for the longest; one that never was counts from when it was first seen.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	cycleDeadline = &probes.Metric{
		Name:   "hygiene_backup_cycle_deadline_timestamp_seconds",
		Help:   "When a part of the copy was not read for longer than the cycle of the configuration.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	verifiedBytes = &probes.Metric{
		Name:   "hygiene_backup_verified_bytes_total",
		Help:   "Bytes of the copy that were read for checks.",
		Kind:   probes.Counter,
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	restoreDuration = &probes.Metric{
		Name:   "hygiene_backup_restore_duration_seconds",
		Help:   "Time that a full restore takes, by the last test restore; extrapolated when that was of a sample.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	restoreObjective = &probes.Metric{
		Name:   "hygiene_backup_restore_objective_seconds",
		Help:   "Recovery time objective of the job, from the configuration.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	copies = &probes.Metric{
		Name:   "hygiene_backup_copies",
		Help:   "Copies that are fresh and not bad, on disks or pools of their own; and how many kinds of media, other sites and unchangeable places they are on.",
		Labels: []string{probes.LabelObject, "requirement", probes.LabelOwner},
		Values: requirements(),
	}
	copiesRequired = &probes.Metric{
		Name:   "hygiene_backup_copies_required",
		Help:   "How many there must be.",
		Labels: []string{probes.LabelObject, "requirement", probes.LabelOwner},
		Values: requirements(),
	}
	immutableUntil = &probes.Metric{
		Name:   "hygiene_backup_immutable_until_timestamp_seconds",
		Help:   "Until when nobody can change or delete the newest backup of the copy.",
		Labels: []string{probes.LabelObject, "copy", probes.LabelOwner},
	}
	selftestPassed = &probes.Metric{
		Name:   "hygiene_backup_selftest_passed",
		Help:   "Whether the agent has judged its own samples of the format right: the good one good and the bad ones bad.",
		Labels: []string{"format"},
	}
)

func depthNames() []string {
	var names []string
	for _, d := range job.Depths() {
		names = append(names, string(d))
	}
	return names
}

func bounds() map[string][]string { return map[string][]string{"bound": {"lower", "upper"}} }

func requirements() map[string][]string {
	return map[string][]string{"requirement": {"total", "media", "offsite", "immutable"}}
}

// Spec describes the probe.
func Spec() probes.Spec {
	return probes.Spec{
		Name:    "backup",
		Summary: "Backups: how old they are, how deeply they were checked, and whether they could be restored.",
		Metrics: []*probes.Metric{
			newest, rpo, rpoDeadline, logArchived, logDeadline, verified, verifyDeadline, verdict, verdictReason, unknownDeadline, judgeInfo,
			sizeBytes, filesCount, sizeExpected, filesExpected, coverage, oldestUnverified, cycleDeadline, verifiedBytes,
			restoreDuration, restoreObjective, copies, copiesRequired, immutableUntil, selftestPassed,
		},
		Config:   func() probes.Config { return defaultConfig() },
		Commands: commands(),
	}
}
