package redundancy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/alerts/alertstest"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/collector"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/group"
)

// A pair is a host before and after something vanished from it in silence: what is
// left looks complete on its own.
type pair struct {
	before, after string // states of the probe, or "tool: state" of a tool
	// What is changed in the files or outputs of before, where there is no state
	// after it. The second is what stands there instead.
	cut    [2]string
	object string
	want   string // as short says it
	alert  string // that fires
}

// pairs has one for each kind. "lost" is the loss of a member, and "missing" that
// of the whole.
func pairs() []pair {
	const lost, missing, member = "HygieneRedundancyLost", "HygieneRedundancyMissingRedundant", "HygieneRedundancyMemberMissing"
	line := func(text string) [2]string { return [2]string{`(?m)^.*` + text + `.*\n`, ""} }
	all := [2]string{`(?s).+`, "[]\n"}
	return []pair{
		{before: "arrays-journal-failed", after: "arrays-not-assembled", object: "mdraid/md5", want: "missing tolerates ?/1 active 0/3 missing 3", alert: missing},
		{before: "network-whole", after: "network-silent-loss", object: "bond/bond1", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "teamdctl: LACP in order", cut: [2]string{`(?s),\n"eth2":.*`, "}}\n"}, object: "team/team0", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "paths-whole", after: "paths-silent-loss", object: "nvme/nqn.2026-01.test:a", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "paths-whole", after: "paths-silent-loss", object: "multipath/mpatha", want: "lost tolerates 0/3 active 1/4 missing 1 unverifiable:permission_denied", alert: lost},
		{before: "fabrics-whole", after: "fabrics-silent-loss", object: "fc/ports", want: "reduced tolerates 2/3 active 3/4 missing 1", alert: "HygieneRedundancyReduced"},
		{before: "fabrics-whole", after: "fabrics-silent-loss", object: "fc-target/0x1000020000000012", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "paths-whole", after: "network-whole", object: "iscsi/iqn.2026-01.test:disk", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "network-whole", after: "network-silent-loss", object: "btrfs/9024825a-e64d-4fbd-8b1f-ce014a7a68c1", want: "lost tolerates 0/1 active 1/2 missing 0", alert: lost},
		{before: "zpool: text: every kind of device in order", cut: [2]string{`(?s).+`, "no pools available\n"}, object: "zfs/tank", want: "missing tolerates ?/2 active 0/7 missing 7", alert: missing},
		{before: "bcachefs", cut: [2]string{`.+`, ""}, object: "bcachefs/0b1c", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "fabrics-whole", after: "fabrics-silent-loss", object: "enclosure/0x5001405e00000001/bays", want: "none tolerates 0/0 active 3/4 missing 1", alert: member},
		{before: "infiniband", cut: [2]string{".* $", ""}, object: "infiniband/ports", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "network-whole", after: "network-silent-loss", object: "dns/resolvers", want: "lost tolerates 0/1 active 1/2 missing 1", alert: "HygieneRedundancyReduced"},
		{before: "timesyncd", cut: [2]string{" 192.0.2.2", ""}, object: "time/timesyncd", want: "lost tolerates 0/1 active 1/2 missing 1", alert: "HygieneRedundancyReduced"},
		{before: "dmsetup: every level in order", cut: line("^vg-a: "), object: "lvm/vg/a", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "drbdsetup: in order, with an intentional client", cut: all, object: "drbd/r0/0", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "storcli: healthy", cut: [2]string{`\{"EID:Slt":"8:2"[^}]*\},`, ""}, object: "megaraid/c0", want: "none tolerates 0/0 active 4/5 missing 1 spares 1/1", alert: member},
		{before: "ssacli: healthy, with a spare and redundant power in the enclosure", cut: [2]string{`(?m)^      physicaldrive 1I:1:3.*\n(?:^         .*\n)*`, ""}, object: "smartarray/slot0", want: "none tolerates 0/0 active 2/3 missing 1", alert: member},
		{before: "arcconf: checks: one told, one running, one controller that does them in the background", cut: [2]string{`(?s)Logical device number 0.*`, ""}, object: "adaptec/c1/ld0", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "tw_cli: healthy", cut: line("^u0 "), object: "3ware/c0/u0", want: "missing tolerates ?/1 active 0/4 missing 4", alert: missing},
		{before: "sas3ircu: the spare has taken over, and the failed disk is still there", cut: [2]string{`(?s)IR volume 1.*?---`, "---"}, object: "lsi/c0/v323", want: "missing tolerates ?/1 active 0/2 missing 2", alert: missing},
		{before: "cli64: volumes of three levels", cut: line("(ARC-1880-VOL| Raid Set # 000  )"), object: "areca/c1/ARC-1880-VOL#000", want: "missing tolerates ?/2 active 0/4 missing 4", alert: missing},
		{before: "ipmitool: two supplies in order, and fans", after: "ipmitool: one supply pulled out, without a sensor of redundancy", object: "power/bmc", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
		{before: "ipmitool: two supplies in order, and fans", cut: line("^Fan(1B| Redundancy)"), object: "fan/bmc", want: "lost tolerates 0/1 active 1/2 missing 1", alert: lost},
	}
}

// synthetic holds states of what no machine of the tests has. The words are those of
// the kernel.
func synthetic() map[string][]file {
	const fs, ib = "sys/fs/bcachefs/0b1c/", "sys/class/infiniband/mlx5_"
	return map[string][]file{
		"bcachefs": {
			{fs + "options/data_replicas", "2"},
			{fs + "options/metadata_replicas", "2"},
			{fs + "dev-0/state", "[rw] ro"},
			{fs + "dev-1/state", "[rw] ro"},
			{fs + "dev-0/block", "-> ../../../../block/sda"},
			{fs + "dev-1/block", "-> ../../../../block/sdb"},
		},
		"infiniband": {
			{ib + "0/ports/1/state", "4: ACTIVE"},
			{ib + "0/ports/1/phys_state", "5: LinkUp"},
			{ib + "0/ports/1/link_layer", "InfiniBand"},
			{ib + "1/ports/1/state", "4: ACTIVE "},
			{ib + "1/ports/1/phys_state", "5: LinkUp "},
			{ib + "1/ports/1/link_layer", "InfiniBand "},
		},
	}
}

// pair puts a state on the host, and changes every content of it. A file of which
// nothing is left is none.
func (r *rig) pair(name string, cut [2]string) {
	r.t.Helper()
	edit := func(text string) string {
		if cut[0] == "" {
			return text
		}
		return regexp.MustCompile(cut[0]).ReplaceAllString(text, cut[1])
	}
	r.world.Programs = nil
	var a archive
	tool, state, of := strings.Cut(name, ": ")
	switch {
	case name == "timesyncd":
		a.files = []file{{"run/systemd/timesync/synchronized", ""}, {"etc/systemd/timesyncd.conf", edit("[Time]\nNTP=192.0.2.1 192.0.2.2\n")}}
	case name == "bcachefs", name == "infiniband":
		for _, f := range synthetic()[name] {
			if content := edit(f.content); content != "" {
				a.files = append(a.files, file{f.name, content})
			}
		}
	case of:
		r.world.Programs = map[string]probes.Output{}
		data, err := os.ReadFile(filepath.Join("tool", "testdata", tool+".txtar"))
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range parse(data).files {
			owner, what, _ := strings.Cut(f.name, "/")
			if owner != state && owner != "all" {
				continue
			}
			if path, is := strings.CutPrefix(what, "fs/"); is {
				a.files = append(a.files, file{path, f.content})
				continue
			}
			entry, objects, _ := strings.Cut(what, " ")
			entry, status, failed := strings.Cut(entry, "!")
			out := probes.Output{Stdout: []byte(edit(f.content))}
			if failed {
				out.ExitCode = int(status[0] - '0')
			}
			if _, known := r.world.Programs[entry]; !known || objects == "1" {
				r.world.Programs[entry] = out
			}
		}
	default:
		a = load(r.t, name)
		for i := range a.files {
			a.files[i].content = edit(a.files[i].content)
		}
	}
	r.host(a)
}

// What vanishes in silence is noticed, for every kind, and an alert fires for it.
// Routes are told over netlink: the virtual machine takes them away.
func TestNothingVanishesInSilence(t *testing.T) {
	rules := alertstest.Rules(t, "redundancy.yml", Spec().Metrics)
	seen := map[string]bool{group.Route: true}
	for _, p := range pairs() {
		kind, _, _ := strings.Cut(p.object, "/")
		seen[kind] = true
		r := newRig(t)
		r.pair(p.before, [2]string{})
		first := r.run()
		if before := short(first)[p.object]; !strings.Contains(before, "missing 0") || fires(t, rules, first, p.object, p.alert) {
			t.Errorf("%s: before it is %q", p.object, before)
		}
		r.forgetAnswers()
		after, cut := p.after, p.cut
		if after == "" {
			after = p.before
		}
		r.pair(after, cut)
		result := r.run()
		got := short(result)[p.object]
		if got != p.want || !fires(t, rules, result, p.object, p.alert) {
			t.Errorf("%s, then %s: %s: %s, want %s; %s fires: %v", p.before, after, p.object, got, p.want, p.alert, fires(t, rules, result, p.object, p.alert))
		}
	}
	for _, kind := range group.Kinds() {
		if !seen[kind] {
			t.Errorf("nothing of the kind %s vanishes", kind)
		}
	}
	data, err := os.ReadFile("../../test/vm/testdata/network.want")
	if err != nil {
		t.Fatal(err)
	}
	if text := string(data); !strings.Contains(text, "  route/10.0.0.0/8: missing ") || !strings.Contains(text, "  ! route/10.0.0.0/8 missing critical\n") {
		t.Error("no route vanishes in the virtual machine")
	}
}

// forgetAnswers begins anew with what was saved, but for what tools said: they are
// asked again.
func (r *rig) forgetAnswers() {
	r.t.Helper()
	saved := divide(r.world.Host().State)
	if err := saved.load(); err != nil {
		r.t.Fatal(err)
	}
	delete(saved.all, "tools")
	if err := saved.state.Save(partsVersion, saved.all); err != nil {
		r.t.Fatal(err)
	}
	r.restart()
}

// fires reports whether an alert fires for an object.
func fires(t *testing.T, rules *detect.Rules, result probes.Result, object, alert string) bool {
	t.Helper()
	e := rules.Evaluate(t.Context(), &collector.Snapshot{At: time.Now(), Reports: map[string]*collector.Report{
		"redundancy": {Probe: "redundancy", Outcome: collector.Succeeded, Run: 1, Samples: result.Samples},
	}}, "")
	if len(e.Errors) > 0 {
		t.Error(e.Errors)
	}
	return slices.ContainsFunc(e.Findings, func(f ledger.Finding) bool { return f.Rule == alert && f.Object == object })
}
