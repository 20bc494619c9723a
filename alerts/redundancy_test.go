package alerts

// redundancyCases are those of the rules of the probe "redundancy".
func redundancyCases() map[string]struct{ fires, silent string } {
	const whole = `
		hygiene_redundancy_failures_tolerated{object="mdraid/md0", kind="mdraid", owner="db"} 1
		hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 1
		hygiene_redundancy_members_active{object="mdraid/md0", kind="mdraid", owner="db"} 2
		hygiene_redundancy_members_expected{object="mdraid/md0", kind="mdraid", owner="db"} 2`
	const shared = `
		hygiene_redundancy_failures_tolerated{object="bond/bond0", kind="bond"} 0
		hygiene_redundancy_failures_tolerated_design{object="bond/bond0", kind="bond"} 1
		hygiene_redundancy_shared_failure_domain{object="bond/bond0", kind="bond", domain="adapter"} 1
		hygiene_redundancy_members_expected{object="bond/bond0", kind="bond"} 2
		hygiene_redundancy_members_active{object="bond/bond0", kind="bond"} `
	const none = `
		hygiene_redundancy_failures_tolerated{object="mdraid/md1", kind="mdraid"} 0
		hygiene_redundancy_failures_tolerated_design{object="mdraid/md1", kind="mdraid"} 0`
	return map[string]struct{ fires, silent string }{
		"HygieneRedundancyLost": {
			fires: shared + `1
				hygiene_redundancy_failures_tolerated{object="mdraid/md0", kind="mdraid", owner="db"} 0
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 2
				hygiene_redundancy_failures_tolerated{object="mdraid/md2", kind="mdraid"} -1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md2", kind="mdraid"} 1`,
			silent: whole + none + shared + `2`,
		},
		"HygieneRedundancyReduced": {
			fires: `
				hygiene_redundancy_failures_tolerated{object="mdraid/md0", kind="mdraid", owner="db"} 1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 2
				hygiene_redundancy_failures_tolerated{object="mdraid/md2", kind="mdraid"} -1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md2", kind="mdraid"} 1`,
			silent: whole + none + shared + `2`,
		},
		"HygieneRedundancyFailed": {
			fires:  `hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="failed"} 1`,
			silent: `hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="failed"} 0`,
		},
		"HygieneRedundancyMissing": {
			fires: `
				hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="missing"} 1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 0`,
			silent: `hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="missing"} 0`,
		},
		"HygieneRedundancyMissingRedundant": {
			fires: `
				hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="missing"} 1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 1`,
			silent: `
				hygiene_redundancy_state{object="mdraid/md0", kind="mdraid", owner="db", state="missing"} 1
				hygiene_redundancy_failures_tolerated_design{object="mdraid/md0", kind="mdraid", owner="db"} 0`,
		},
		"HygieneRedundancyMemberMissing": {
			fires: `
				hygiene_redundancy_failures_tolerated{object="multipath/a", kind="multipath", owner="db"} 1
				hygiene_redundancy_failures_tolerated_design{object="multipath/a", kind="multipath", owner="db"} 1
				hygiene_redundancy_members_active{object="multipath/a", kind="multipath", owner="db"} 3
				hygiene_redundancy_members_expected{object="multipath/a", kind="multipath", owner="db"} 4
				hygiene_redundancy_state{object="multipath/a", kind="multipath", owner="db", state="missing"} 0`,
			silent: whole + `
				hygiene_redundancy_failures_tolerated{object="multipath/a", kind="multipath", owner="db"} 0
				hygiene_redundancy_failures_tolerated_design{object="multipath/a", kind="multipath", owner="db"} 1
				hygiene_redundancy_members_active{object="multipath/a", kind="multipath", owner="db"} 1
				hygiene_redundancy_members_expected{object="multipath/a", kind="multipath", owner="db"} 2
				hygiene_redundancy_members_active{object="mdraid/md1", kind="mdraid"} 0
				hygiene_redundancy_members_expected{object="mdraid/md1", kind="mdraid"} 2
				hygiene_redundancy_state{object="mdraid/md1", kind="mdraid", state="missing"} 1`,
		},
		"HygieneRedundancySharedDomain": {
			fires:  shared + "2\n" + `hygiene_redundancy_shared_failure_domain{object="bond/bond0", kind="bond", domain="target"} 1`,
			silent: whole,
		},
		"HygieneRedundancySharedDisk": {
			fires:  `hygiene_redundancy_shared_failure_domain{object="mdraid/md0", kind="mdraid", domain="disk", owner="db"} 1`,
			silent: shared + `2`,
		},
		"HygieneRedundancySpareMissing": {
			fires: `
				hygiene_redundancy_spares_available{object="mdraid/md0", kind="mdraid", owner="db"} 0
				hygiene_redundancy_spares_expected{object="mdraid/md0", kind="mdraid", owner="db"} 1`,
			silent: `
				hygiene_redundancy_spares_available{object="mdraid/md0", kind="mdraid", owner="db"} 1
				hygiene_redundancy_spares_expected{object="mdraid/md0", kind="mdraid", owner="db"} 1`,
		},
		"HygieneRedundancyRepairOverdue":  deadline("repair_deadline"),
		"HygieneRedundancyRebuildStalled": deadline("sync_deadline"),
		"HygieneRedundancyScrubOverdue":   deadline("scrub_deadline"),
		"HygieneRedundancyScrubErrors":    positive("scrub_errors"),
		"HygieneRedundancyPoolFull": {
			fires: `
				hygiene_redundancy_pool_used_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="data"} 0.95
				hygiene_redundancy_pool_used_limit_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="data"} 0.9
				hygiene_redundancy_pool_used_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="metadata"} 0.92
				hygiene_redundancy_pool_used_limit_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="metadata"} 0.9`,
			silent: `
				hygiene_redundancy_pool_used_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="data"} 0.89
				hygiene_redundancy_pool_used_limit_ratio{object="lvm/vg/pool", kind="lvm", owner="db", part="data"} 0.9`,
		},
		"HygieneRedundancyCacheUnprotected": {
			fires:  `hygiene_redundancy_write_cache_protected{object="mdraid/md0", kind="mdraid", owner="db"} 0`,
			silent: `hygiene_redundancy_write_cache_protected{object="mdraid/md0", kind="mdraid", owner="db"} 1`,
		},
		"HygieneRedundancyMemberErrors": {
			fires: `
				hygiene_redundancy_member_errors{object="btrfs/a", kind="btrfs", owner="db", member="devid 1"} 3
				hygiene_redundancy_member_errors{object="btrfs/a", kind="btrfs", owner="db", member="devid 2"} 1`,
			silent: `
				hygiene_redundancy_member_errors{object="btrfs/a", kind="btrfs", owner="db", member="devid 1"} 0
				hygiene_redundancy_member_errors{object="bond/bond0", kind="bond", owner="db", member="eth0"} 3`,
		},
		"HygieneRedundancyUnverifiable": {
			fires:  `hygiene_redundancy_unverifiable{object="bond/bond0", kind="bond", owner="db", reason="not_run"} 1`,
			silent: whole,
		},
	}
}

func deadline(name string) struct{ fires, silent string } {
	series := `hygiene_redundancy_` + name + `_timestamp_seconds{object="mdraid/md0", kind="mdraid", owner="db"} `
	return struct{ fires, silent string }{series + "now", series + "now+1s"}
}

func positive(name string) struct{ fires, silent string } {
	series := `hygiene_redundancy_` + name + `{object="mdraid/md0", kind="mdraid", owner="db"} `
	return struct{ fires, silent string }{series + "8", series + "0"}
}
