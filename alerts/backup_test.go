package alerts

// backupCases are those of the rules of the probe "backup".
func backupCases() map[string]struct{ fires, silent string } {
	return map[string]struct{ fires, silent string }{
		"HygieneBackupTooOld": {
			fires: `
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="remote", owner="dba"} now-3d
				hygiene_backup_rpo_seconds{object="db", owner="dba"} 3600`,
			silent: `
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now+1s
				hygiene_backup_log_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now+1s
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="remote", owner="dba"} now-3d
				hygiene_backup_rpo_seconds{object="db", owner="dba"} 3600`,
		},
		"HygieneBackupMuchTooOld": {
			fires: `
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now-1h
				hygiene_backup_rpo_seconds{object="db", owner="dba"} 3600`,
			silent: `
				hygiene_backup_rpo_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now-59m
				hygiene_backup_rpo_seconds{object="db", owner="dba"} 3600`,
		},
		"HygieneBackupBad": {
			fires: `
				hygiene_backup_verdict{object="db", copy="local", verdict="good", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="local", verdict="bad", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="local", verdict="unknown", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="good", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="remote", verdict="bad", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="unknown", owner="dba"} 0`,
			silent: `
				hygiene_backup_verdict{object="db", copy="local", verdict="good", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="local", verdict="bad", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="local", verdict="unknown", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="good", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="bad", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="unknown", owner="dba"} 1`,
		},
		"HygieneBackupNoGoodCopy": {
			fires: `
				hygiene_backup_verdict{object="db", copy="local", verdict="good", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="local", verdict="bad", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="local", verdict="unknown", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="good", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="bad", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="unknown", owner="dba"} 1`,
			silent: `
				hygiene_backup_verdict{object="db", copy="local", verdict="good", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="local", verdict="bad", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="local", verdict="unknown", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="good", owner="dba"} 1
				hygiene_backup_verdict{object="db", copy="remote", verdict="bad", owner="dba"} 0
				hygiene_backup_verdict{object="db", copy="remote", verdict="unknown", owner="dba"} 0`,
		},
		"HygieneBackupUnjudged": {
			fires: `
				hygiene_backup_unknown_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now`,
			silent: `
				hygiene_backup_unknown_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now+1s`,
		},
		"HygieneBackupUnverified": {
			fires: `
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="structure", owner="dba"} now
				hygiene_backup_cycle_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now-1d
				hygiene_backup_cycle_deadline_timestamp_seconds{object="web", copy="local"} now`,
			silent: `
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="structure", owner="dba"} now+1s
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="restored", owner="dba"} now-1d
				hygiene_backup_cycle_deadline_timestamp_seconds{object="db", copy="local", owner="dba"} now+1s`,
		},
		"HygieneBackupRestoreUntested": {
			fires: `
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="restored", owner="dba"} now
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="asserted", owner="dba"} now-1d`,
			silent: `
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="restored", owner="dba"} now+1s
				hygiene_backup_verify_deadline_timestamp_seconds{object="db", copy="local", depth="read", owner="dba"} now-1d`,
		},
		"HygieneBackupRestoreSlow": {
			fires: `
				hygiene_backup_restore_duration_seconds{object="db", copy="local", owner="dba"} 3601
				hygiene_backup_restore_objective_seconds{object="db", copy="local", owner="dba"} 3600`,
			silent: `
				hygiene_backup_restore_duration_seconds{object="db", copy="local", owner="dba"} 3600
				hygiene_backup_restore_objective_seconds{object="db", copy="local", owner="dba"} 3600`,
		},
		"HygieneBackupShrunk": {
			fires: `
				hygiene_backup_size_bytes{object="db", copy="local", owner="dba"} 1000
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="lower", owner="dba"} 500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="upper", owner="dba"} 1500
				hygiene_backup_files{object="db", copy="local", owner="dba"} 4
				hygiene_backup_files_expected{object="db", copy="local", bound="lower", owner="dba"} 5
				hygiene_backup_files_expected{object="db", copy="local", bound="upper", owner="dba"} 15`,
			silent: `
				hygiene_backup_size_bytes{object="db", copy="local", owner="dba"} 500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="lower", owner="dba"} 500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="upper", owner="dba"} 1500
				hygiene_backup_files{object="db", copy="local", owner="dba"} 5
				hygiene_backup_files_expected{object="db", copy="local", bound="lower", owner="dba"} 5
				hygiene_backup_files_expected{object="db", copy="local", bound="upper", owner="dba"} 15`,
		},
		"HygieneBackupGrown": {
			fires: `
				hygiene_backup_size_bytes{object="db", copy="local", owner="dba"} 1501
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="lower", owner="dba"} 500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="upper", owner="dba"} 1500
				hygiene_backup_files{object="db", copy="local", owner="dba"} 16
				hygiene_backup_files_expected{object="db", copy="local", bound="lower", owner="dba"} 5
				hygiene_backup_files_expected{object="db", copy="local", bound="upper", owner="dba"} 15`,
			silent: `
				hygiene_backup_size_bytes{object="db", copy="local", owner="dba"} 1500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="lower", owner="dba"} 500
				hygiene_backup_size_expected_bytes{object="db", copy="local", bound="upper", owner="dba"} 1500
				hygiene_backup_files{object="db", copy="local", owner="dba"} 15
				hygiene_backup_files_expected{object="db", copy="local", bound="lower", owner="dba"} 5
				hygiene_backup_files_expected{object="db", copy="local", bound="upper", owner="dba"} 15`,
		},
		"HygieneBackupCopiesMissing": {
			fires: `
				hygiene_backup_copies{object="db", requirement="total", owner="dba"} 1
				hygiene_backup_copies_required{object="db", requirement="total", owner="dba"} 2
				hygiene_backup_copies{object="db", requirement="offsite", owner="dba"} 0
				hygiene_backup_copies_required{object="db", requirement="offsite", owner="dba"} 1`,
			silent: `
				hygiene_backup_copies{object="db", requirement="total", owner="dba"} 2
				hygiene_backup_copies_required{object="db", requirement="total", owner="dba"} 2
				hygiene_backup_copies{object="db", requirement="media", owner="dba"} 1
				hygiene_backup_copies_required{object="db", requirement="media", owner="dba"} 0`,
		},
		"HygieneBackupSelftestFailed": {
			fires: `
				hygiene_backup_selftest_passed{format="gzip"} 0
				hygiene_backup_selftest_passed{format="xz"} 1`,
			silent: `
				hygiene_backup_selftest_passed{format="gzip"} 1`,
		},
	}
}
