package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hygiene_exporter/probes/drill"
)

func TestADrillIsAttestedAndItsEvidenceIsKept(t *testing.T) {
	h := newTestHost(t)
	state := t.TempDir()
	config := h.config("probes: {drill: {interval: 1s, timeout: 500ms, drills: [{name: ups, kind: attested, owner: net}, {name: bond0, kind: observed, object: bond/bond0}]}}")
	agent := serve(t, "--path.rootfs="+h.root, "--state.dir="+state, "--config.file="+config)
	agent.eventually(t, "the list of drills", func() bool {
		return strings.Contains(execute(t, "drill", "list", "--state.dir="+state).Stdout, "ups    attested  net    never")
	})
	protocol := filepath.Join(t.TempDir(), "protocol.txt")
	if err := os.WriteFile(protocol, []byte("it worked\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := execute(t, "drill", "record", "ups", "--state.dir="+state, "--result=passed", "--by=kim", "--note=pulled the plug", "--evidence="+protocol, "--took=90s", "--at=2026-01-02T10:00:00Z")
	if got.Status != 0 || !strings.Contains(got.Stdout, "1m30s") {
		t.Errorf("record: %+v", got)
	}
	got = execute(t, "drill", "list", "--state.dir="+state, "--output=evidence")
	var r drill.Record
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	uid := uint32(os.Geteuid())
	if r.Drill != "ups" || r.By != "kim" || r.UID == nil || *r.UID != uid || r.File != "protocol.txt" || r.SHA256 != "b497a169923316da96e8ab527e9f335db574f482741a468331156cdb2f9eed65" || r.Seconds != 90 {
		t.Errorf("the evidence is %+v", r)
	}
	for want, args := range map[string][]string{
		"no object contains":        {"record", "none", "--result=passed"},
		"is no instant":             {"record", "ups", "--result=passed", "--at=yesterday"},
		"cannot have been at":       {"record", "ups", "--result=passed", "--at=2999-01-01"},
		"no such file":              {"record", "ups", "--result=passed", "--evidence=/none"},
		"is no file":                {"record", "ups", "--result=passed", "--evidence=/"},
		"is empty":                  {"record", "ups", "--result=passed", "--evidence=/dev/null"},
		"enum value must be one of": {"record", "ups", "--result=fine"},
	} {
		if want == "is empty" {
			empty := filepath.Join(t.TempDir(), "empty")
			if err := os.WriteFile(empty, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			args[len(args)-1] = "--evidence=" + empty
		}
		got := execute(t, append([]string{"drill"}, append(args, "--state.dir="+state)...)...)
		if got.Status != 3 || !strings.Contains(got.Stderr, want) {
			t.Errorf("%q: %+v", args, got)
		}
	}
	agent.stop()
	agent = serve(t, "--path.rootfs="+h.root, "--state.dir="+state, "--config.file="+config)
	agent.eventually(t, "the evidence after a restart", func() bool {
		return strings.Contains(execute(t, "drill", "list", "--state.dir="+state, "--output=evidence").Stdout, "pulled the plug")
	})
}

func TestADrillIsRunByRootAlone(t *testing.T) {
	h := newTestHost(t)
	state, place := t.TempDir(), t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(place, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	check := script("check", "test ! -e "+place+"/down")
	config := h.config("probes: {drill: {interval: 1s, timeout: 500ms, drills: [" +
		"{name: good, kind: command, objective: 1h, run: {command: [" + script("good", "echo switched") + "], check: [" + check + "]}}, " +
		"{name: bad, kind: command, run: {command: [" + script("bad", "exit 4") + "]}}, " +
		"{name: mess, kind: command, run: {command: [" + script("mess", "touch "+place+"/down") + "], check: [" + check + "], recover_within: 0s}}, " +
		"{name: forbidden, kind: failover, object: bond/bond0, run: {check: [" + check + "]}}, " +
		"{name: live, kind: failover, object: bond/bond0, run: {check: [" + check + "]}, failover: {allowed: true}}, " +
		"{name: person, kind: attested}]}}")
	flags := []string{"--path.rootfs=" + h.root, "--state.dir=" + state, "--config.file=" + config}
	do := func(name string) outcome {
		return execute(t, append([]string{"drill", "run", name, "--despite-problems=for the test"}, flags...)...)
	}
	if os.Geteuid() != 0 {
		if got := do("good"); got.Status != 3 || !strings.Contains(got.Stderr, "only root runs drills") {
			t.Errorf("somebody else: %+v", got)
		}
		return
	}
	if got := do("good"); got.Status != 3 || !strings.Contains(got.Stderr, "no agent is listening") {
		t.Errorf("without an agent: %+v", got)
	}
	agent := serve(t, flags...)
	agent.eventually(t, "the list of drills", func() bool {
		return strings.Contains(execute(t, "drill", "list", "--state.dir="+state).Stdout, "good")
	})
	for _, c := range []struct {
		drill  string
		status int
		want   string
	}{
		{"good", 0, "switched"},
		{"bad", 2, "the command ended with status 4"},
		{"person", 3, "there is nothing to run"},
		{"forbidden", 3, "does not allow to fail over bond/bond0"},
		{"live", 3, "a failover is for the host that this program runs on"},
		{"none", 3, "no drill of the configuration"},
		{"mess", 2, "did not recover"},
		{"good", 3, "the check fails already"},
	} {
		if got := do(c.drill); got.Status != c.status || !strings.Contains(got.Stdout+got.Stderr, c.want) {
			t.Errorf("%s: %+v, want status %d and %q", c.drill, got, c.status, c.want)
		}
	}
	agent.eventually(t, "the problem of what is left broken", func() bool {
		return strings.Contains(execute(t, "problems", "--state.dir="+state).Stdout, "drill/not_recovered/mess")
	})
	if got := execute(t, "problem", "test", "--for=1m", "--state.dir="+state); got.Status != 0 {
		t.Fatalf("problem test: %+v", got)
	}
	agent.eventually(t, "the other problem", func() bool {
		return strings.Contains(execute(t, "problems", "--state.dir="+state).Stdout, "test/test/")
	})
	got := execute(t, append([]string{"drill", "run", "bad"}, flags...)...)
	if got.Status != 3 || !strings.Contains(got.Stderr, "another problem is open, or more (--despite-problems=REASON goes on)") {
		t.Errorf("while another problem is open: %+v", got)
	}
	if err := os.Chmod(check, 0o777); err != nil {
		t.Fatal(err)
	}
	if got := do("good"); got.Status != 3 || !strings.Contains(got.Stderr, "can be written by others than root") {
		t.Errorf("a check that anybody can change: %+v", got)
	}
	got = execute(t, "drill", "list", "--state.dir="+state, "--output=evidence")
	if n := strings.Count(got.Stdout, "\n"); n != 3 || strings.Contains(got.Stdout, "switched") || !strings.Contains(got.Stdout, `"recovered":false`) {
		t.Errorf("%d records: %+v", n, got)
	}
}

// What one probe sees counts for a drill of another, through the events of the
// agent: a bond whose active member changes, and a backup that is restored.
func TestAFailoverAndATestRestoreCountForDrills(t *testing.T) {
	h := newTestHost(t)
	state := t.TempDir()
	bond, member := "/sys/class/net/bond0/bonding/", "/sys/class/net/eth%d/bonding_slave/"
	for path, text := range map[string]string{
		bond + "slaves": "eth0 eth1", bond + "mode": "active-backup 1", bond + "miimon": "100",
		bond + "mii_status": "up", bond + "active_slave": "eth0",
	} {
		h.write(path, []byte(text+"\n"))
	}
	for i := range 2 {
		of := fmt.Sprintf(member, i)
		h.write(of+"mii_status", []byte("up\n"))
		h.write(of+"perm_hwaddr", fmt.Appendf(nil, "02:00:00:00:00:0%d\n", i))
		h.write(of+"link_failure_count", []byte("0\n"))
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("content"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	h.write("/backups/db.gz", packed.Bytes())
	agent := serve(t, "--path.rootfs="+h.root, "--state.dir="+state, "--config.file="+h.config(
		"probes: {redundancy: {interval: 1s, timeout: 500ms}, drill: {interval: 1s, timeout: 500ms, drills: ["+
			"{name: bond, kind: observed, object: 'bond/*'}, {name: restore, kind: restore, object: db, objective: 1h}]}, "+
			"backup: {interval: 1s, timeout: 500ms, jobs: [{name: db, kind: files, paths: ['/backups/*.gz'], settle: 1ms, rpo: 1d, verify: {restored: 1h}}]}}"))
	passed := func(name string) func() bool {
		return func() bool {
			line := execute(t, "drill", "list", "--state.dir="+state, "--output=evidence").Stdout
			for l := range strings.SplitSeq(line, "\n") {
				if strings.Contains(l, `"drill":"`+name+`"`) && strings.Contains(l, `"how":"observed","result":"passed"`) {
					return true
				}
			}
			return false
		}
	}
	agent.eventually(t, "the bond is known", func() bool {
		return strings.Contains(execute(t, "baseline", "show", "--state.dir="+state).Stdout, "bond/bond0")
	})
	if passed("bond")() {
		t.Error("a failover that did not happen counts")
	}
	h.write(bond+"active_slave", []byte("eth1\n"))
	agent.eventually(t, "the failover counts", passed("bond"))
	agent.eventually(t, "the test restore counts", passed("restore"))
}
