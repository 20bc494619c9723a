package board

// waiting are the problems that nobody has taken.
func waiting(selector func(string, ...string) string, matchers ...string) string {
	return selector("hygiene_problem_since_timestamp_seconds", matchers...) +
		" unless on (job, instance, episode) " + selector("hygiene_problem_ack_expiry_timestamp_seconds")
}

// problemColumns are the columns of a list of problems, by the order of the
// queries in problemQueries.
func problemColumns(more ...Column) []Column {
	return append(more,
		label("severity", "Severity"), label("probe", "Probe"), label("check", "Check"), label("object", "Object"),
		label("owner", "Owner"), value(0, "Open since", fromNow), value(1, "Next tier", fromNow), label("episode", "Episode"))
}

// problemQueries ask since when a problem is open, and when the next tier of
// people is told.
func problemQueries(selector func(string, ...string) string) []string {
	return []string{
		milliseconds("(" + waiting(selector) + ")"),
		"min without (escalation) (" + milliseconds("("+selector("hygiene_problem_escalation_timestamp_seconds")+" > time()") + "))" +
			" and on (job, instance, episode) (" + waiting(selector) + ")",
	}
}

func fleetOwned(metric string, matchers ...string) string {
	return fleetOf(metric, append([]string{`owner=~"$owner"`}, matchers...)...)
}

func fleet() Board {
	open := func(matchers ...string) string {
		return "count(" + fleetOwned("hygiene_problem_since_timestamp_seconds", matchers...) + ")"
	}
	return Board{
		UID: "hygiene-fleet", Title: "Hygiene / Fleet",
		Description: "What is open on all hosts, who has it, and where the agents cannot look.",
		Variables:   []string{"job", "owner"},
		Panels: []Panel{
			count("Critical", "Open critical problems of the chosen owners, taken or not.", bad, open(`severity="critical"`)),
			count("Warning", "Open warnings of the chosen owners, taken or not.", notice, open(`severity="warning"`)),
			count("Waiting", "Open problems above info that nobody has taken.", notice, "count("+waiting(fleetOwned, `severity!="info"`)+")"),
			count("Tier 2 or 3 reached", "Problems of which more than the first tier of people is told now.", bad,
				"count(count by (job, instance, episode) ("+fleetOwned("hygiene_problem_escalation_timestamp_seconds", `escalation=~"2|3"`)+
					" <= time() unless on (job, instance, episode) "+fleetOwned("hygiene_problem_ack_expiry_timestamp_seconds")+"))"),
			stat("Agents", "Agents that Prometheus reaches.", number, `count(up{job=~"$job"} == 1)`, Step{Color: good}),
			count("Agents silent", "Agents that Prometheus knows and does not reach: nothing new is learned of their hosts.", bad, `count(up{job=~"$job"} == 0)`),

			table("Waiting for somebody", "Open problems that nobody has taken, with the time at which the next tier is told. An acknowledgement on the host, or a silence, takes one.",
				problemColumns(label("instance", "Host")), problemQueries(fleetOwned)...).high(10).quiet(),

			lines("Open problems", "Open problems by severity.", number,
				Query{Expr: "count by (severity) (" + fleetOwned("hygiene_problem_since_timestamp_seconds") + ") or label_replace(vector(0), \"severity\", \"none\", \"\", \"\")", Legend: "{{severity}}"}),
			bars("Open problems by check", "How many hosts have each problem now: a long bar is one cause, not many.", number,
				Query{Expr: "sort_desc(count by (probe, check) (count by (job, instance, probe, check) (" + fleetOwned("hygiene_problem_since_timestamp_seconds") + ")))", Legend: "{{probe}}/{{check}}"},
				above(1, 20)...).quiet(),
			bars("Open problems by owner", "Open problems by who is told of them; an empty name is the default owner.", number,
				Query{Expr: "sort_desc(count by (owner) (" + fleetOwned("hygiene_problem_since_timestamp_seconds") + "))", Legend: "{{owner}}"}).quiet(),
			bars("Where agents cannot look", "Objects that should be inspected and could not be, by probe: what is not seen is not fine.", number,
				Query{Expr: "sort_desc(sum by (name) (" + fleetOf("hygiene_probe_faulted_objects") + ")) > 0", Legend: "{{name}}"},
				Step{Color: unknown}).quiet(),
			table("Hosts", "All hosts, those with the most open problems first.",
				[]Column{
					label("instance", "Host"), value(0, "Open", number), value(1, "Not inspected", number),
					value(2, "Probes failing", number), value(3, "Oldest problem", fromNow),
				},
				"sort_desc(count by (job, instance) ("+fleetOwned("hygiene_problem_since_timestamp_seconds")+") or on (job, instance) "+fleetOf(anchor)+" * 0)",
				"sum by (job, instance) ("+fleetOf("hygiene_probe_faulted_objects")+")",
				"count by (job, instance) ("+fleetOf("hygiene_probe_success")+" == 0) or on (job, instance) "+fleetOf(anchor)+" * 0",
				milliseconds("min by (job, instance) ("+fleetOwned("hygiene_problem_since_timestamp_seconds")+")"),
			).high(12),
		},
	}
}
