package board

func escalation() Board {
	mean := func(metric string, by string) string {
		return "sum" + by + " (increase(" + of(metric+"_sum") + "[$__range])) / sum" + by + " (increase(" + of(metric+"_count") + "[$__range]))"
	}
	return Board{
		UID: "hygiene-escalation", Title: "Hygiene / Escalation and response",
		Description: "Who is told of what, how soon somebody takes a problem, and how long problems last.",
		Variables:   []string{"job", "instance", "owner"},
		Panels: []Panel{
			count("Open", "Open problems.", notice, "count("+owned("hygiene_problem_since_timestamp_seconds")+")"),
			count("Waiting", "Open problems above info that nobody has taken.", bad, "count("+waiting(owned, `severity!="info"`)+")"),
			count("In maintenance", "Open problems that do not page because of a maintenance window.", notice, "count("+owned("hygiene_problem_suppressed_until_timestamp_seconds")+")"),
			count("Held", "Open problems that are kept open because their object could not be inspected.", unknown, "count("+owned("hygiene_problem_info", `held="true"`)+")"),
			stat("Time to take", "Mean time from the opening of a problem until somebody took it, in the chosen range.", seconds, mean("hygiene_problem_time_to_ack_seconds", ""), above(1800, 7200)...).quiet(),
			stat("Time to solve", "Mean time from the opening of a problem to its end, in the chosen range.", seconds, mean("hygiene_problem_duration_seconds", ""), above(86400, 7*86400)...).quiet(),

			table("Waiting for somebody", "Open problems that nobody has taken, with the time at which the next tier is told.",
				problemColumns(label("instance", "Host")), problemQueries(owned)...).high(10).quiet(),
			bars("Told now", "Open problems by the highest tier of people that is told of them.", number,
				Query{Expr: `count by (escalation) (` + owned("hygiene_problem_escalation_timestamp_seconds") + " <= time())", Legend: "tier {{escalation}}"}, above(1, 10)...).quiet(),
			bars("Oldest open problem by owner", "How long the oldest open problem of each owner has been open.", seconds,
				Query{Expr: "sort_desc(max by (owner) (" + age(owned("hygiene_problem_since_timestamp_seconds")) + "))", Legend: "{{owner}}"}, above(86400, 7*86400)...).quiet(),
			lines("Time to take", "Mean time until somebody took a problem, by probe.", seconds,
				Query{Expr: "sum by (probe) (rate(" + of("hygiene_problem_time_to_ack_seconds_sum") + "[$__rate_interval])) / sum by (probe) (rate(" + of("hygiene_problem_time_to_ack_seconds_count") + "[$__rate_interval]))", Legend: "{{probe}}"}).quiet(),
			lines("Time to solve", "Time within which nine of ten problems were solved, by probe.", seconds,
				Query{Expr: "histogram_quantile(0.9, sum by (probe, le) (rate(" + of("hygiene_problem_duration_seconds_bucket") + "[$__rate_interval])))", Legend: "{{probe}}"}).quiet(),
			lines("Opened", "Problems that opened, by check.", number,
				Query{Expr: "sum by (probe, check) (increase(" + of("hygiene_problems_opened_total") + "[$__rate_interval])) > 0", Legend: "{{probe}}/{{check}}"}).quiet(),
			bars("Time between problems", "Mean time between two openings of a check in the chosen range; a short one flaps.", seconds,
				Query{Expr: "sort($__range_s / (sum by (probe, check) (increase(" + of("hygiene_problems_opened_total") + "[$__range])) > 0))", Legend: "{{probe}}/{{check}}"}, below(3600, 86400)...).quiet(),
		},
	}
}
