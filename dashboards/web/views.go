package web

// views says how the facts of each probe are shown. A probe without a view has
// its facts in one table.
func views() map[string]view {
	const object = "object"
	return map[string]view{
		"certificate": {chart: lifetimes, tables: []tableSpec{
			{title: "Certificates", help: "In files and at endpoints; the first to expire on top.", keys: []string{object, "slot"}, columns: []column{
				{title: "Expires", metric: "not_after_timestamp_seconds", format: asInstant},
				{title: "Renewal due", metric: "renewal_due_timestamp_seconds", format: asInstant},
				{title: "Overdue", metric: "renewal_overdue_timestamp_seconds", format: asInstant},
				{title: "Name", metric: "info", label: "subject_cn"},
				{title: "Issuer", metric: "info", label: "issuer_cn"},
				{title: "Key", metric: "info", label: "key"},
			}},
			{title: "Findings", help: "What is wrong with certificates, apart from their age.", keys: []string{object, "slot"}, columns: []column{{title: "Finding", metric: "finding", label: "finding"}}},
			{title: "Endpoints that fail", help: "By the stage at which it ended.", keys: []string{object, "address"}, columns: []column{
				{title: "Stage", metric: "endpoint_failure", label: "stage"}, {title: "Reason", metric: "endpoint_failure", label: "reason"},
			}},
			{title: "Connections", keys: []string{object, "address"}, columns: []column{
				{title: "Version", metric: "tls_info", label: "version"}, {title: "Cipher", metric: "tls_info", label: "cipher"}, {title: "Verified", metric: "verified", format: asFlag},
			}},
			{title: "Served and on disk", help: "Whether a listener of this host serves an older certificate than lies on disk.", keys: []string{object, "listener"}, columns: []column{
				{title: "Outdated", metric: "served_outdated", format: asFlag},
			}},
			{title: "Trust stores", keys: []string{object, "state"}, columns: []column{{title: "Certificates", metric: "trust_store_certificates"}}},
			{title: "Revocation lists", keys: []string{object}, columns: []column{{title: "Next update", metric: "crl_next_update_timestamp_seconds", format: asInstant}}},
			{title: "Sources", keys: []string{"source"}, columns: []column{
				{title: "Complete", metric: "source_success", format: asFlag},
				{title: "Read", metric: "source_objects", where: map[string]string{"state": "ok"}},
				{title: "With a fault", metric: "source_objects", where: map[string]string{"state": "fault"}},
			}},
		}},
		"redundancy": {chart: members, tables: []tableSpec{
			{title: "Objects", help: "The least redundant on top: failures survived from now on in the worst case, and by design.", keys: []string{object}, columns: []column{
				{title: "Survives", metric: "failures_tolerated"},
				{title: "By design", metric: "failures_tolerated_design"},
				{title: "Active", metric: "members_active"},
				{title: "Expected", metric: "members_expected"},
				{title: "Spares", metric: "spares_available"},
				{title: "Degraded since", metric: "degraded_since_timestamp_seconds", format: asInstant},
				{title: "Rebuild", metric: "sync_ratio", format: asShare},
				{title: "Last scrub", metric: "last_scrub_timestamp_seconds", format: asInstant},
				{title: "Last failover", metric: "last_failover_timestamp_seconds", format: asInstant},
			}},
			{title: "Errors", help: "Errors that the system has counted.", keys: []string{object, "member"}, columns: []column{{title: "Errors", metric: "member_errors"}}, latestFirst: true},
			{title: "Shared", help: "Members that share something which can fail for all of them.", keys: []string{object}, columns: []column{{title: "What", metric: "shared_failure_domain", label: "domain"}}},
			{title: "Cannot be verified", help: "Where the redundancy may be less than it seems.", keys: []string{object}, columns: []column{{title: "Reason", metric: "unverifiable", label: "reason"}}},
		}},
		"patch": {tables: []tableSpec{
			{title: "Oldest pending", help: "Since when, at least, an update has been available.", keys: []string{object, "class", "advisory"}, columns: []column{
				{title: "Available since", metric: "oldest_pending_timestamp_seconds", format: asInstant}, {title: "Deadline", metric: "deadline_timestamp_seconds", format: asInstant},
			}},
			{title: "Pending", keys: []string{object, "class", "state"}, columns: []column{{title: "Updates", metric: "pending"}}, latestFirst: true},
			{title: "Packages", help: "The oldest first; as many as are exposed.", keys: []string{object, "package"}, columns: []column{
				{title: "Installed", metric: "pending_info", label: "installed"},
				{title: "Candidate", metric: "pending_info", label: "candidate"},
				{title: "Class", metric: "pending_info", label: "class"},
				{title: "Advisory", metric: "pending_info", label: "advisory"},
			}},
			{title: "Repositories and automatic updates", keys: []string{object}, columns: []column{
				{title: "Refreshed", metric: "metadata_last_refresh_timestamp_seconds", format: asInstant},
				{title: "Stale from", metric: "metadata_deadline_timestamp_seconds", format: asInstant},
				{title: "Last upgrade", metric: "last_upgrade_timestamp_seconds", format: asInstant},
				{title: "Automatic", metric: "automatic_enabled", format: asFlag},
				{title: "Knows security", metric: "security_known", format: asFlag},
			}},
			{title: "Reboot", keys: []string{object}, columns: []column{
				{title: "Needed", metric: "reboot_required", format: asFlag},
				{title: "Since", metric: "reboot_required_since_timestamp_seconds", format: asInstant},
				{title: "Deadline", metric: "reboot_deadline_timestamp_seconds", format: asInstant},
			}},
			{title: "Services that run replaced code", keys: []string{object}, columns: []column{{title: "Processes", metric: "outdated_processes"}}, latestFirst: true},
			{title: "Support", keys: []string{"phase"}, columns: []column{{title: "Ends", metric: "support_end_timestamp_seconds", format: asInstant}}},
		}},
		"port": {tables: []tableSpec{
			{title: "Violations", help: "Listeners that are not as they were meant.", keys: []string{object, "policy"}, columns: []column{
				{title: "Since", metric: "policy_violation_since_timestamp_seconds", format: asInstant}, {title: "Exposure", metric: "policy_violation_since_timestamp_seconds", label: "exposure"},
			}},
			{title: "Missing", help: "Listeners that must be there.", keys: []string{object}, columns: []column{{title: "Since", metric: "required_missing_since_timestamp_seconds", format: asInstant}}},
			{title: "Listeners", keys: []string{object, "address"}, columns: []column{
				{title: "Process", metric: "listener_info", label: "process"},
				{title: "User", metric: "listener_info", label: "user"},
				{title: "Executable", metric: "listener_info", label: "executable"},
				{title: "Policy", metric: "listener_info", label: "policy"},
			}},
			{title: "Exceptions", keys: []string{object}, columns: []column{{title: "Until", metric: "exception_expiry_timestamp_seconds", format: asInstant}}},
			{title: "Findings", keys: []string{object}, columns: []column{{title: "Finding", metric: "finding", label: "finding"}}},
			{title: "Network namespaces", keys: []string{"state"}, columns: []column{{title: "Count", metric: "namespaces"}}},
			{title: "Attribution", help: "How the owner of each listening socket was found out.", keys: []string{"how"}, columns: []column{{title: "Sockets", metric: "attribution"}}, latestFirst: true},
		}},
		"backup": {chart: depths, tables: []tableSpec{
			{title: "Jobs", keys: []string{object, "copy"}, columns: []column{
				{title: "Newest data", metric: "newest_timestamp_seconds", format: asInstant},
				{title: "Too old from", metric: "rpo_deadline_timestamp_seconds", format: asInstant},
				{title: "Size", metric: "size_bytes", format: asBytes},
				{title: "Files", metric: "files"},
				{title: "Restore took", metric: "restore_duration_seconds", format: asSpan},
				{title: "May take", metric: "restore_objective_seconds", format: asSpan},
				{title: "Read in this cycle", metric: "verify_coverage_ratio", format: asShare},
			}},
			{title: "Judged by", keys: []string{object, "copy"}, columns: []column{{title: "Tool", metric: "judge_info", label: "tool"}, {title: "Version", metric: "judge_info", label: "version"}}},
			{title: "Not good", keys: []string{object, "copy"}, columns: []column{{title: "Reason", metric: "verdict_reason", label: "reason"}}},
			{title: "Verification", keys: []string{object, "copy", "depth"}, columns: []column{
				{title: "Verified", metric: "verified_timestamp_seconds", format: asInstant}, {title: "Due", metric: "verify_deadline_timestamp_seconds", format: asInstant},
			}, latestFirst: true},
			{title: "Copies", keys: []string{object, "requirement"}, columns: []column{{title: "There are", metric: "copies"}, {title: "Required", metric: "copies_required"}}},
			{title: "Self-test", help: "Whether the agent tells known-bad samples from good ones.", keys: []string{"format"}, columns: []column{{title: "Passed", metric: "selftest_passed", format: asFlag}}},
		}},
		"drill": {tables: []tableSpec{
			{title: "Calendar", help: "The next drill on top.", keys: []string{object}, columns: []column{
				{title: "Due", metric: "deadline_timestamp_seconds", format: asInstant},
				{title: "Last success", metric: "last_success_timestamp_seconds", format: asInstant},
				{title: "Last attempt", metric: "last_attempt_timestamp_seconds", format: asInstant},
				{title: "It failed", metric: "last_result", where: map[string]string{"result": "failed"}, format: asFlag},
				{title: "Took", metric: "last_duration_seconds", format: asSpan},
				{title: "May take", metric: "objective_seconds", format: asSpan},
				{title: "Recovered", metric: "recovered", format: asFlag},
			}},
		}},
	}
}
