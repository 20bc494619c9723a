package redundancy

import (
	"fmt"
	"testing"

	"hygiene_exporter/probes/probetest"
)

// A host with 64 arrays, 1,000 maps of 4 paths and 16 bonds.
func BenchmarkRun(b *testing.B) {
	root := b.TempDir()
	put := func(name, content string) {
		if err := place(root, name, content+"\n"); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 64 {
		dir := fmt.Sprintf("sys/block/md%d/md/", i)
		for attr, value := range map[string]string{"level": "raid1", "array_state": "clean", "raid_disks": "2", "degraded": "0", "uuid": fmt.Sprint(i)} {
			put(dir+attr, value)
		}
		for slot, name := range []string{"a", "b"} {
			put(fmt.Sprintf("%sdev-d%d%s/state", dir, i, name), "in_sync")
			put(fmt.Sprintf("%sdev-d%d%s/slot", dir, i, name), fmt.Sprint(slot))
		}
	}
	for i := range 1000 {
		dir := fmt.Sprintf("sys/block/dm-%d/", i)
		put(dir+"dm/name", fmt.Sprintf("mpath%d", i))
		put(dir+"dm/uuid", fmt.Sprintf("mpath-3600%d", i))
		put(dir+"dm/suspended", "0")
		for leg := range 4 {
			device := fmt.Sprintf("sd%d_%d", i, leg)
			put("sys/devices/"+device+"/dev", fmt.Sprintf("8:%d", i*4+leg))
			put("sys/devices/"+device+"/device/state", "running")
			put("sys/block/"+device, "-> ../devices/"+device)
			put(dir+"slaves/"+device, "-> ../../../devices/"+device)
		}
	}
	for i := range 16 {
		dir := fmt.Sprintf("sys/class/net/bond%d/bonding/", i)
		put(dir+"mode", "active-backup 1")
		put(dir+"miimon", "100")
		put(dir+"mii_status", "up")
		put(dir+"slaves", fmt.Sprintf("eth%da eth%db", i, i))
		for _, name := range []string{"a", "b"} {
			put(fmt.Sprintf("sys/class/net/eth%d%s/bonding_slave/mii_status", i, name), "up")
		}
	}
	w := &probetest.World{Root: root}
	p, err := defaultConfig().New(w.Host())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		result, err := p.Run(b.Context())
		if err != nil || len(result.Samples) < 10_000 {
			b.Fatal(len(result.Samples), err)
		}
	}
}
