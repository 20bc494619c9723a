package main

import (
	"strings"
	"testing"
)

func TestABaselineIsShownAndAccepted(t *testing.T) {
	h := newTestHost(t)
	state := t.TempDir()
	mdstat := func(text string) { h.write("/proc/mdstat", []byte(text)) }
	whole := "md0 : active raid1 b[1] a[0]\n      1 blocks [2/2] [UU]\n\nmd1 : active raid1 d[1] c[0]\n      1 blocks [2/2] [UU]\n"
	mdstat(whole)
	agent := serve(t, "--path.rootfs="+h.root, "--state.dir="+state,
		"--config.file="+h.config("probes: {redundancy: {interval: 1s, timeout: 500ms}}"))
	shows := func(want string) {
		t.Helper()
		agent.eventually(t, want, func() bool {
			return strings.Contains(execute(t, "baseline", "show", "--state.dir="+state).Stdout, want)
		})
	}
	shows("mdraid/md1  2        2      0       redundant")
	mdstat(whole[:strings.Index(whole, "md1 :")])
	shows("mdraid/md1  2        0      0       missing")
	if got := execute(t, "check", "redundancy", "--path.rootfs="+h.root, "--state.dir="+state); got.Status != 2 || !strings.Contains(got.Stdout, "mdraid/md1") {
		t.Errorf("a check does not know what was there: %+v", got)
	}
	if got := execute(t, "explain", "redundancy", "md1", "--path.rootfs="+h.root, "--state.dir="+state); !strings.Contains(got.Stdout, "The state is missing") {
		t.Errorf("an explanation does not know what was there: %+v", got)
	}
	got := execute(t, "baseline", "accept", "md", "--state.dir="+state)
	if got.Status != 3 || !strings.Contains(got.Stderr, `2 objects contain "md"`) {
		t.Errorf("what fits two: %+v", got)
	}
	got = execute(t, "baseline", "accept", "md1", "--state.dir="+state)
	if got.Status != 0 || !strings.Contains(got.Stdout, "given up") {
		t.Errorf("accept: %+v", got)
	}
	if got := execute(t, "baseline", "show", "--state.dir="+state); strings.Contains(got.Stdout, "md1") || !strings.Contains(got.Stdout, "md0") {
		t.Errorf("afterwards: %+v", got)
	}
	got = execute(t, "baseline", "accept", "md0", "--probe=certificate", "--state.dir="+state)
	if got.Status != 3 || got.Stderr == "" {
		t.Errorf("of a probe without a baseline: %+v", got)
	}
}
