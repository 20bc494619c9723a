package group_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// What the kernel says now is newer than what a tool said a minute ago, and the
// tool knows more.
func TestAToolRefinesWhatTheKernelSays(t *testing.T) {
	t.Parallel()
	told := time.Unix(1_000_000, 0)
	team := func(up ...bool) group.Group {
		g := group.Group{Kind: group.Team, Name: "team0", Needed: 1, Expected: 2, Partial: true}
		for i, active := range up {
			g.Members = append(g.Members, group.Member{Name: []string{"eth0", "eth1"}[i], Active: active})
		}
		return g
	}
	pool := func(known bool, tolerated int, failed string) group.Group {
		return group.Group{Kind: group.ZFS, Name: "tank", Known: known, Tolerated: tolerated, Design: tolerated, Failed: failed}
	}
	for _, test := range []struct {
		name         string
		kernel, tool group.Group
		active       int
		tolerated    int
		failed       string
	}{
		{"a link that went down since", team(true, false), team(true, true), 1, 0, ""},
		{"a port that the tool knows to be in another aggregator", team(true, true), team(true, false), 1, 0, ""},
		{"both say that all is well", team(true, true), team(true, true), 2, 0, ""},
		{"a pool that degraded since", pool(true, 0, ""), pool(true, 2, ""), 0, 0, ""},
		{"a pool of which the kernel knows nothing", pool(false, 0, ""), pool(true, 2, ""), 0, 2, ""},
		{"a pool that failed since", pool(false, 0, "suspended"), pool(true, 2, ""), 0, 2, "suspended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.tool.Observed = told
			before := len(test.tool.Members)
			got := test.kernel.Refined(test.tool)
			if diff := cmp.Diff([]any{test.active, test.tolerated, test.failed, told, before}, []any{got.Active(), got.Tolerated, got.Failed, got.Observed, len(got.Members)}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Without an answer of the tool, what the kernel says is doubted.
func TestAToolThatFailsLeavesADoubt(t *testing.T) {
	t.Parallel()
	kernel := group.Group{Kind: group.ZFS, Name: "tank", Known: true, Tolerated: 1, Design: 1}
	got := kernel.Refined(group.Group{Kind: group.ZFS, Name: "tank", Err: probes.Because(probes.Timeout, errors.New("it hangs"))})
	if got.Err != nil || probes.ReasonOf(got.Doubt) != probes.Timeout || got.Tolerated != 1 {
		t.Errorf("got %+v", got)
	}
}
