//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	arrays = 64
	maps   = 1000
	legs   = 4
	bonds  = 16
	every  = 5 * time.Second
)

// A large storage host in a directory, which the agent and the collectors
// mdadm, bonding and dmmultipath of the node exporter read in turn.
func TestBenchRedundancyBesideNodeExporter(t *testing.T) {
	root := t.TempDir()
	largeHost(t, root)
	ours := agent(t, `
limits: {series: 1000000}
probes: {redundancy: {interval: 5s, timeout: 4s}, certificate: {enabled: false}, patch: {enabled: false}, port: {enabled: false}}
`, "--path.rootfs="+root)
	path := filepath.Join(os.Getenv("HYGIENE_TOOLS"), "node_exporter")
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("node_exporter"); err != nil {
			t.Fatal("there is no node_exporter; make bench builds it")
		}
	}
	peer := run(t, path, "--web.listen-address=ADDRESS", "--collector.disable-defaults", "--collector.mdadm", "--collector.bonding",
		"--collector.dmmultipath", "--path.procfs="+filepath.Join(root, "proc"), "--path.sysfs="+filepath.Join(root, "sys"))

	for end := time.Now().Add(time.Minute); ours.value(`hygiene_probe_success{name="redundancy"}`) != 1; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("the probe does not succeed")
		}
	}
	states := map[string]int{}
	for _, state := range []string{"redundant", "unknown"} {
		states[state] = count(ours, "hygiene_redundancy_state{", fmt.Sprintf("state=%q", state))
	}
	// Nobody scrapes meanwhile: a scrape of so many series would count.
	const runs = 8
	before := ours.cpu()
	time.Sleep(runs * every)
	oursCPU := (ours.cpu() - before) / runs
	oursTime := time.Duration(ours.value(`hygiene_probe_duration_seconds{name="redundancy"}`) * float64(time.Second))

	before = peer.cpu()
	p50, _, series := peer.latencies(runs)
	peerCPU := (peer.cpu() - before) / runs
	t.Logf("agent          one run %8s, %8s of processor time with the rules, %.0f MB resident, objects %v",
		oursTime, oursCPU, float64(ours.rss())/1e6, states)
	t.Logf("node_exporter  one run %8s, %8s of processor time, %.0f MB resident, %d series", p50, peerCPU, float64(peer.rss())/1e6, series)
	t.Logf("ratio: time %.2f, processor time %.2f", oursTime.Seconds()/p50.Seconds(), oursCPU.Seconds()/peerCPU.Seconds())
	for _, name := range []string{"mdadm", "bonding", "dmmultipath"} {
		if v := peer.value(fmt.Sprintf("node_scrape_collector_success{collector=%q}", name)); v != 1 {
			t.Errorf("the collector %s of the node exporter fails on this host", name)
		}
	}
}

// count counts the series of a scrape with a value of 1.
func count(p program, prefix, with string) (n int) {
	body, _ := p.scrape()
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, prefix) && strings.Contains(line, with) && strings.HasSuffix(strings.TrimSpace(line), " 1") {
			n++
		}
	}
	return n
}

// largeHost writes the files of a host.
func largeHost(t *testing.T, root string) {
	t.Helper()
	write := func(name, content string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, target string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	mdstat := "Personalities : [raid1] \n"
	for i := range arrays {
		name := fmt.Sprintf("md%d", i)
		mdstat += fmt.Sprintf("%s : active raid1 d%db[1] d%da[0]\n      8192 blocks super 1.2 [2/2] [UU]\n\n", name, i, i)
		for attr, value := range map[string]string{
			"level": "raid1", "array_state": "clean", "raid_disks": "2", "degraded": "0", "sync_action": "idle", "sync_completed": "none",
			"metadata_version": "1.2", "uuid": fmt.Sprintf("uuid-%d", i), "layout": "0", "last_sync_action": "none", "mismatch_cnt": "0",
			"sync_min": "0", "consistency_policy": "resync", "chunk_size": "0", "component_size": "4096",
		} {
			write(filepath.Join("sys/block", name, "md", attr), value)
		}
		write(filepath.Join("sys/block", name, "size"), "16384")
		for slot, letter := range []string{"a", "b"} {
			dir := filepath.Join("sys/block", name, "md", fmt.Sprintf("dev-d%d%s", i, letter))
			write(filepath.Join(dir, "state"), "in_sync")
			write(filepath.Join(dir, "slot"), fmt.Sprint(slot))
			write(filepath.Join(dir, "errors"), "0")
			write(filepath.Join(dir, "bad_blocks"), "")
			link(filepath.Join("sys/block", name, "md", fmt.Sprintf("rd%d", slot)), filepath.Base(dir))
			link(filepath.Join(dir, "block"), fmt.Sprintf("../../../../../devices/pci0000:00/0000:00:01.0/host0/block/d%d%s", i, letter))
		}
	}
	write("proc/mdstat", mdstat+"unused devices: <none>")
	for i := range maps {
		name := fmt.Sprintf("dm-%d", i)
		write(filepath.Join("sys/block", name, "dm/name"), fmt.Sprintf("mpath%d", i))
		write(filepath.Join("sys/block", name, "dm/uuid"), fmt.Sprintf("mpath-3600%d", i))
		write(filepath.Join("sys/block", name, "dm/suspended"), "0")
		write(filepath.Join("sys/block", name, "size"), "2097152")
		for leg := range legs {
			device, h := fmt.Sprintf("sd%d_%d", i, leg), leg%2+1
			address := fmt.Sprintf("%d:0:%d:%d", h, leg/2, i)
			real := fmt.Sprintf("devices/pci0000:00/0000:00:0%d.0/host%d/rport-%d:0-%d/target%d:0:%d/%s", h+1, h, h, leg/2, h, leg/2, address)
			write(filepath.Join("sys", real, "state"), "running")
			write(filepath.Join("sys", real, "block", device, "dev"), fmt.Sprintf("8:%d", i*legs+leg))
			link(filepath.Join("sys", real, "block", device, "device"), "../../../"+address)
			link(filepath.Join("sys/block", device), "../"+real+"/block/"+device)
			link(filepath.Join("sys/block", name, "slaves", device), "../../../"+real+"/block/"+device)
		}
	}
	var masters []string
	for i := range bonds {
		name := fmt.Sprintf("bond%d", i)
		masters = append(masters, name)
		dir := filepath.Join("sys/class/net", name, "bonding")
		slaves := fmt.Sprintf("eth%da eth%db", i, i)
		for attr, value := range map[string]string{
			"mode": "active-backup 1", "slaves": slaves, "active_slave": fmt.Sprintf("eth%da", i), "miimon": "100", "arp_interval": "0",
			"min_links": "0", "mii_status": "up",
		} {
			write(filepath.Join(dir, attr), value)
		}
		for slave := range strings.FieldsSeq(slaves) {
			of := filepath.Join("sys/class/net", slave)
			write(filepath.Join(of, "carrier"), "1")
			for attr, value := range map[string]string{"mii_status": "up", "state": "active", "perm_hwaddr": "02:00:00:00:00:0" + slave[len(slave)-1:], "link_failure_count": "0"} {
				write(filepath.Join(of, "bonding_slave", attr), value)
			}
			link(filepath.Join("sys/class/net", name, "lower_"+slave), "../"+slave)
		}
	}
	write("sys/class/net/bonding_masters", strings.Join(masters, " "))
}
