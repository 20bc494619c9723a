package alerts

// drillCases are those of the rules of the probe "drill".
func drillCases() map[string]struct{ fires, silent string } {
	return map[string]struct{ fires, silent string }{
		"HygieneDrillOverdue": {
			fires: `
				hygiene_drill_deadline_timestamp_seconds{object="bond0-failover", owner="net"} now`,
			silent: `
				hygiene_drill_deadline_timestamp_seconds{object="bond0-failover", owner="net"} now+1s`,
		},
		"HygieneDrillFailed": {
			fires: `
				hygiene_drill_last_result{object="bond0-failover", result="passed", owner="net"} 0
				hygiene_drill_last_result{object="bond0-failover", result="failed", owner="net"} 1`,
			silent: `
				hygiene_drill_last_result{object="bond0-failover", result="passed", owner="net"} 1
				hygiene_drill_last_result{object="bond0-failover", result="failed", owner="net"} 0`,
		},
		"HygieneDrillNotRecovered": {
			fires: `
				hygiene_drill_recovered{object="bond0-failover", owner="net"} 0`,
			silent: `
				hygiene_drill_recovered{object="bond0-failover", owner="net"} 1`,
		},
		"HygieneDrillSlow": {
			fires: `
				hygiene_drill_last_duration_seconds{object="bond0-failover", owner="net"} 61
				hygiene_drill_objective_seconds{object="bond0-failover", owner="net"} 60`,
			silent: `
				hygiene_drill_last_duration_seconds{object="bond0-failover", owner="net"} 60
				hygiene_drill_objective_seconds{object="bond0-failover", owner="net"} 60`,
		},
	}
}
