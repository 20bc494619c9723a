//go:build live

package vm

import (
	"cmp"
	"context"
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
)

var sample = regexp.MustCompile(`^fact (\w+)\{(.*)\} (\S+)$`)

// seen collects the same of what the machine printed.
func seen(t *testing.T, lines []string) map[string]map[string]string {
	facts, step := map[string]map[string]map[string]string{}, ""
	for _, line := range lines {
		line, is := strings.CutPrefix(line, marker)
		if !is {
			continue
		}
		if strings.HasPrefix(line, "failed: ") {
			t.Errorf("in the machine, after step %q: %s", step, line)
		}
		if name, is := strings.CutPrefix(line, "step "); is {
			step, facts[name] = name, map[string]map[string]string{}
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		labels := labels(m[2])
		of := facts[step][labels["object"]]
		if of == nil {
			of = map[string]string{}
			facts[step][labels["object"]] = of
		}
		switch {
		case m[1] != "state":
			of[m[1]] = m[3]
		case m[3] == "1":
			of["state"] += labels["state"]
		}
	}
	result := map[string]map[string]string{}
	for step, objects := range facts {
		result[step] = map[string]string{}
		for object, of := range objects {
			result[step][object] = fmt.Sprintf("%s %s/%s %s/%s-%s", of["state"], cmp.Or(of["failures_tolerated"], "?"), of["failures_tolerated_design"],
				of["members_active"], of["members_expected"], of["members_missing"])
			for _, more := range []string{"spares_available", "unverifiable", "last_failover_timestamp_seconds", "sync_ratio"} {
				if value, is := of[more]; is && value != "0" {
					result[step][object] += " " + strings.TrimSuffix(more, "_timestamp_seconds")
				}
			}
		}
	}
	return result
}

var label = regexp.MustCompile(`(\w+)="([^"]*)"`)

func labels(text string) map[string]string {
	all := map[string]string{}
	for _, m := range label.FindAllStringSubmatch(text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

// The facts of the agent on real arrays, bonds and paths of a real kernel, while
// their members fail, vanish and come back.
func TestRedundancy(t *testing.T) {
	dir := t.TempDir()
	cache := cmp.Or(os.Getenv("VM_CACHE"), dir)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	image, modules, err := Kernel(ctx, cache)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/redundancy.sh")
	if err != nil {
		t.Fatal(err)
	}
	m := Machine{
		Kernel: image, Modules: modules, Script: string(script),
		Load: []string{
			"configfs", "loop", "raid0", "raid1", "raid10", "raid456", "veth", "bonding max_bonds=0", "team", "team_mode_activebackup", "btrfs",
			"nvmet", "nvmet-tcp", "nvme-tcp", "scsi_debug add_host=2 vpd_use_hostno=0 dev_size_mb=16", "sd_mod", "dm-multipath", "dm-round-robin",
		},
		Programs: map[string]string{"bin/hygiene_exporter": build(t, dir)},
	}
	for as, name := range map[string]string{"busybox": "busybox", "mdadm": "mdadm", "dmsetup": "dmsetup", "mkfs.btrfs": "mkfs.btrfs", "../sbin/ip": "ip"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		m.Programs[filepath.Join("bin", as)] = path
	}
	lines, err := m.Run(ctx, dir)
	if err != nil {
		t.Errorf("%v:\n%s", err, strings.Join(lines, "\n"))
	}
	got := seen(t, lines)
	for _, step := range slices.Sorted(maps.Keys(got)) {
		for _, object := range slices.Sorted(maps.Keys(got[step])) {
			fmt.Printf("%q %q: %q,\n", step, object, got[step][object])
		}
	}
	if t.Failed() {
		t.Log(strings.Join(lines, "\n"))
	}
}

// build returns the agent as a static program.
func build(t *testing.T, dir string) string {
	agent := filepath.Join(dir, "hygiene_exporter")
	cmd := exec.Command("go", "build", "-o", agent, "./cmd/hygiene_exporter")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return agent
}
