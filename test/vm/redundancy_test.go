//go:build live

package vm

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files and the captured states")

// A told is what a machine printed, by step.
type told struct {
	steps    []string
	facts    map[string]map[string]map[string]string // by step, object and metric
	problems map[string][]string
	outcome  map[string]map[string]bool // whether an array worked, by attempt and array
	captures map[string][]string        // lines of txtar
}

var sample = regexp.MustCompile(`^fact (\w+)\{(.*)\} (\S+)$`)

// read takes apart what the machine printed.
func read(t *testing.T, lines []string) told {
	out := told{
		facts: map[string]map[string]map[string]string{}, problems: map[string][]string{},
		outcome: map[string]map[string]bool{}, captures: map[string][]string{},
	}
	step, problems, capture := "", "", ""
	for _, line := range lines {
		line, is := strings.CutPrefix(line, marker)
		if !is {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "failed:":
			t.Errorf("in the machine, after step %q: %s", step, line)
		case "step":
			step = rest
			out.steps = append(out.steps, rest)
			out.facts[step] = map[string]map[string]string{}
		case "problems":
			problems = rest
			out.problems[problems] = []string{}
		case "problem":
			l := labels(rest)
			if l["probe"] != "redundancy" {
				continue // the machine has no time service, and the agent says so
			}
			out.problems[problems] = append(out.problems[problems], l["object"]+" "+l["check"]+" "+l["severity"])
		case "fault":
			l := labels(rest)
			of(out.facts[step], l["object"])["fault"] = l["reason"]
		case "works", "broken":
			attempt, array, _ := strings.Cut(rest, " ")
			if out.outcome[attempt] == nil {
				out.outcome[attempt] = map[string]bool{}
			}
			out.outcome[attempt]["mdraid/"+array] = word == "works"
		case "capture":
			capture = rest
		case "file":
			out.captures[capture] = append(out.captures[capture], "-- "+rest+" --")
		case "data":
			out.captures[capture] = append(out.captures[capture], rest)
		case "fact":
			m := sample.FindStringSubmatch(line)
			if m == nil {
				t.Errorf("not understood: %s", line)
				continue
			}
			l := labels(m[2])
			metrics := of(out.facts[step], l["object"])
			switch {
			case m[1] == "state" && m[3] == "1":
				metrics["state"] += l["state"]
			case m[1] == "unverifiable":
				metrics[m[1]] = l["reason"]
			case m[1] == "shared_failure_domain":
				metrics[m[1]] = l["domain"]
			case m[1] == "member_active" && m[3] == "0":
				metrics["down"] += " -" + l["member"]
			case m[1] != "state" && m[1] != "member_active":
				metrics[m[1]] = m[3]
			}
		}
	}
	return out
}

func of(objects map[string]map[string]string, object string) map[string]string {
	if objects[object] == nil {
		objects[object] = map[string]string{}
	}
	return objects[object]
}

var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

func labels(text string) map[string]string {
	all := map[string]string{}
	for _, m := range label.FindAllStringSubmatch(text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

// text prints for each step what the agent said of each object: the state, how
// many failures are tolerated of how many by design, how many members are active
// of how many expected, how many are missing, and what is remarkable.
func (o told) text() string {
	var b strings.Builder
	for _, step := range o.steps {
		fmt.Fprintf(&b, "%s\n", step)
		for _, object := range slices.Sorted(maps.Keys(o.facts[step])) {
			f := o.facts[step][object]
			fmt.Fprintf(&b, "  %s: %s", object, f["state"])
			if f["members_expected"] != "" {
				fmt.Fprintf(&b, " tolerates %s/%s active %s/%s missing %s", cmp.Or(f["failures_tolerated"], "?"), f["failures_tolerated_design"],
					f["members_active"], f["members_expected"], f["members_missing"])
			}
			if f["spares_expected"] != "0" && f["spares_expected"] != "" {
				fmt.Fprintf(&b, " spares %s/%s", f["spares_available"], f["spares_expected"])
			}
			for _, more := range []string{"sync_ratio", "last_failover_timestamp_seconds", "last_scrub_timestamp_seconds"} {
				if _, is := f[more]; is {
					b.WriteString(" " + strings.TrimSuffix(more, "_timestamp_seconds"))
				}
			}
			for _, more := range []string{"unverifiable", "shared_failure_domain", "fault"} {
				if f[more] != "" {
					b.WriteString(" " + more + ":" + f[more])
				}
			}
			b.WriteString(f["down"] + "\n")
		}
		if problems, asked := o.problems[step]; asked {
			slices.Sort(problems)
			for _, problem := range problems {
				fmt.Fprintf(&b, "  ! %s\n", problem)
			}
		}
	}
	return b.String()
}

// golden compares with a file, and with -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// save writes captured states for the tests of the probe, which say what they
// are and what is wanted of them.
func (o told) save(t *testing.T) {
	if !*update {
		return
	}
	for name, lines := range o.captures {
		if strings.HasSuffix(name, ".json") {
			path := filepath.Join("..", "..", "probes", "redundancy", "path", "testdata", name)
			if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		path := filepath.Join("..", "..", "probes", "redundancy", "testdata", name+".txtar")
		head := "Captured from a kernel of Debian in the virtual machine, step " + name + ".\n"
		want := ""
		if old, err := os.ReadFile(path); err == nil {
			head, _, _ = strings.Cut(string(old), "-- ")
			_, want, _ = strings.Cut(string(old), "-- want --\n")
		}
		if err := os.WriteFile(path, []byte(head+strings.Join(lines, "\n")+"\n-- want --\n"+want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// boot runs a machine with the agent and a script. Programs are named as the
// host finds them, or by their path; they get the same path in the machine.
func boot(t *testing.T, script string, modules, programs []string) told {
	t.Helper()
	return run(t, machine(t, CloudKernel, script, modules, programs))
}

// machine describes a machine with the agent and a script.
func machine(t *testing.T, kernel, script string, modules, programs []string) Machine {
	t.Helper()
	dir := t.TempDir()
	image, tree, err := Kernel(t.Context(), cmp.Or(os.Getenv("VM_CACHE"), dir), kernel)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, name := range []string{"common.sh", script} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	m := Machine{
		Kernel: image, Modules: tree, Load: modules, Script: text.String(),
		Programs: map[string]string{"bin/hygiene_exporter": compile(t, dir, "hygiene_exporter", filepath.Join("cmd", "hygiene_exporter"))},
		Links:    map[string]string{"lib/systemd/systemd-udevd": "/sbin/udevadm", "bin/busybox": "/sbin/busybox", "sbin/lvs": "/sbin/lvm"},
	}
	for _, name := range append(programs, "busybox", "ip", "dmsetup") {
		as, path := name, name
		if !filepath.IsAbs(name) {
			if path, err = exec.LookPath(name); err != nil {
				t.Fatal(err)
			}
			as = filepath.Join("sbin", name)
		}
		m.Programs[as] = path
	}
	return m
}

// run runs a machine to its end.
func run(t *testing.T, m Machine) told {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	lines, err := m.Run(ctx, t.TempDir())
	if err != nil {
		t.Errorf("%v:\n%s", err, strings.Join(lines, "\n"))
	}
	out := read(t, lines)
	if log := os.Getenv("VM_LOG"); log != "" {
		_ = os.WriteFile(log, []byte(strings.Join(lines, "\n")), 0o644)
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
	return out
}

// weigh holds what the agent said before each attempt against what happened, and
// returns how often: an array that tolerates a failure works after it, and one
// that tolerates none does not.
func (o told) weigh(t *testing.T, before map[string]string) (judged int) {
	t.Helper()
	for attempt, arrays := range o.outcome {
		for array, works := range arrays {
			said := o.facts[before[attempt]][array]["failures_tolerated"]
			if wanted := !strings.HasPrefix(said, "-") && said != "0"; said == "" || works != wanted {
				t.Errorf("%s tolerated %q failures, and after attempt %s it works: %v", array, said, attempt, works)
			}
			judged++
		}
	}
	return judged
}

// Arrays of every level lose members until they fail.
func TestArrays(t *testing.T) {
	out := boot(t, "arrays.sh", []string{"loop", "dm-mod", "raid0", "linear", "raid1", "raid10", "raid456"}, []string{"mdadm"})
	if judged := out.weigh(t, map[string]string{"1": "whole", "2": "broken 1", "3": "broken 2"}); judged < 25 {
		t.Errorf("only %d attempts were made", judged)
	}
	golden(t, "arrays.want", out.text())
	out.save(t)
}

// Arrays in containers, whose metadata a program keeps instead of the kernel, and
// arrays whose number of members changes.
func TestContainers(t *testing.T) {
	out := boot(t, "containers.sh", []string{"loop", "dm-mod", "raid1", "raid456"}, []string{"mdadm", "mdmon"})
	before := map[string]string{"1": "whole", "2": "broken 1", "3": "reshaping", "4": "reshaped", "5": "broken 4"}
	if judged := out.weigh(t, before); judged != 10 {
		t.Errorf("%d attempts were made", judged)
	}
	golden(t, "containers.want", out.text())
	out.save(t)
}

// Members of containers fail and are rebuilt, and levels change.
func TestRebuilds(t *testing.T) {
	out := boot(t, "rebuilds.sh", []string{"loop", "dm-mod", "raid1", "raid456"}, []string{"mdadm", "mdmon"})
	golden(t, "rebuilds.want", out.text())
	out.save(t)
}

// Paths fail, vanish and come back, as multipathd, the device mapper and the
// kernel tell it.
func TestPaths(t *testing.T) {
	modules := []string{
		"configfs", "loop", "dm-mod", "dm-multipath", "dm-round-robin", "dm-service-time", "sd_mod", "nvmet", "nvmet-tcp", "nvme-tcp",
		"iscsi_tcp", "target_core_iblock", "iscsi_target_mod", "scsi_debug add_host=4 vpd_use_hostno=0 dev_size_mb=16",
	}
	out := boot(t, "paths.sh", modules, append(pathPrograms(t), "iscsid", "iscsiadm"))
	golden(t, "paths.want", out.text())
	out.save(t)
}

// pathPrograms are multipathd and what it needs.
func pathPrograms(t *testing.T) []string {
	t.Helper()
	programs := []string{"multipathd", "udevadm", "/lib/udev/scsi_id"}
	for _, pattern := range []string{"/lib/*/libgcc_s.so.1", "/lib/multipath/libchecktur.so", "/lib/multipath/libprio*.so"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		programs = append(programs, found...)
	}
	return programs
}

// Links, routes, resolvers, sources of time and file systems lose members, seen
// and unseen.
func TestNetwork(t *testing.T) {
	modules := []string{"loop", "dm-mod", "veth", "bonding max_bonds=0", "team", "team_mode_activebackup", "ipv6", "btrfs"}
	out := boot(t, "network.sh", modules, []string{"teamd", "teamdctl", "chronyd", "chronyc", "mkfs.btrfs"})
	golden(t, "network.want", out.text())
	out.save(t)
}

// compile returns a program of ours as a static program.
func compile(t *testing.T, dir, name, source string) string {
	t.Helper()
	program := filepath.Join(dir, name)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, ".")
	cmd.Dir = filepath.Join(root, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}
