package board

func backups() Board {
	verdict := func(which string) string {
		return "sum(" + owned("hygiene_backup_verdict", `verdict="`+which+`"`) + ")"
	}
	return Board{
		UID: "hygiene-backups", Title: "Hygiene / Backups and drills",
		Description: "How old backups are, how deeply they were checked, whether they could be restored, and when that was last proven.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Too old", "Jobs whose newest data are older than their recovery point objective.", bad, "count("+owned("hygiene_backup_rpo_deadline_timestamp_seconds")+" <= time())"),
			count("Bad", "Copies that were checked and found bad.", bad, verdict("bad")),
			count("Not known", "Copies of which nobody can say whether they are good.", unknown, verdict("unknown")),
			count("Verification overdue", "Copies that should have been checked more deeply by now.", notice, "count("+owned("hygiene_backup_verify_deadline_timestamp_seconds")+" <= time())"),
			count("Copies missing", "Requirements on the number of copies that are not met.", bad,
				"count("+owned("hygiene_backup_copies")+" < on (job, instance, object, requirement) "+owned("hygiene_backup_copies_required")+")"),
			count("Drills overdue", "Drills that should have been done by now.", notice, "count("+owned("hygiene_drill_deadline_timestamp_seconds")+" <= time())"),

			table("Jobs", "Each job: the newest data, the size, and how long a restore takes against what it may take.",
				[]Column{
					label("instance", "Host"), label("object", "Job"), label("owner", "Owner"), value(0, "Newest data", fromNow), value(1, "Too old from", fromNow),
					value(2, "Size", size), value(3, "Restore took", seconds), value(4, "May take", seconds),
				},
				"sort("+milliseconds("max by (job, instance, object, owner) ("+owned("hygiene_backup_newest_timestamp_seconds")+")")+")",
				milliseconds("max by (job, instance, object, owner) ("+owned("hygiene_backup_rpo_deadline_timestamp_seconds")+")"),
				"max by (job, instance, object, owner) ("+owned("hygiene_backup_size_bytes")+")",
				"max by (job, instance, object, owner) ("+owned("hygiene_backup_restore_duration_seconds")+")",
				"max by (job, instance, object, owner) ("+owned("hygiene_backup_restore_objective_seconds")+")",
			).high(10),
			table("Depth", "When each copy was last checked, by how deeply.",
				[]Column{label("instance", "Host"), label("object", "Job"), label("copy", "Copy"), label("depth", "Depth"), value(0, "Verified", fromNow), value(1, "Due", fromNow)},
				milliseconds(owned("hygiene_backup_verified_timestamp_seconds")),
				milliseconds(owned("hygiene_backup_verify_deadline_timestamp_seconds"))).wide(12),
			table("Not good", "Copies that are bad or unknown, with the reason.",
				[]Column{label("instance", "Host"), label("object", "Job"), label("copy", "Copy"), label("reason", "Reason")},
				owned("hygiene_backup_verdict_reason")).wide(12).quiet(),
			bars("Read within the cycle", "How much of each repository was read and compared within its cycle.", ratio,
				Query{Expr: owned("hygiene_backup_verify_coverage_ratio"), Legend: "{{instance}} {{object}} {{copy}}"}, below(0.5, 0.9)...).quiet(),
			lines("Size", "Logical size of each job.", size, Query{Expr: "max by (instance, object) (" + owned("hygiene_backup_size_bytes") + ")", Legend: "{{instance}} {{object}}"}),

			header("Drills"),
			table("Drills", "Each drill: when it last succeeded, and by when it must again.",
				[]Column{
					label("instance", "Host"), label("object", "Drill"), label("owner", "Owner"), value(0, "Last success", fromNow),
					value(1, "Deadline", fromNow), value(2, "Took", seconds), value(3, "May take", seconds),
					value(4, "Last one passed", none, Word{0, "no", bad}, Word{1, "yes", good}), value(5, "Recovered", none, Word{0, "no", bad}, Word{1, "yes", good}),
				},
				milliseconds(owned("hygiene_drill_last_success_timestamp_seconds")),
				"sort("+milliseconds(owned("hygiene_drill_deadline_timestamp_seconds"))+")",
				owned("hygiene_drill_last_duration_seconds"),
				owned("hygiene_drill_objective_seconds"),
				"max without (result) ("+owned("hygiene_drill_last_result", `result="passed"`)+")",
				owned("hygiene_drill_recovered"),
			),
		},
	}
}
