package sysfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/sysfs"
)

// What lies on one disk is found to, whatever is between.
func TestDisk(t *testing.T) {
	root := t.TempDir()
	link := func(name, target string) {
		path := filepath.Join(root, "sys", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	// As in the kernel: /sys/block has a link to each device, and a device has
	// links to those that it is made of.
	virtual := func(name string, on ...string) {
		link("block/"+name, "../devices/virtual/block/"+name)
		for _, below := range on {
			link("devices/virtual/block/"+name+"/slaves/"+filepath.Base(below), "../../"+below)
		}
	}
	const disk = "../../pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/"
	link("block/sda", "../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda")
	virtual("dm-0", disk+"sda/sda1") // encrypted
	virtual("dm-1", "dm-0")          // a volume on it
	virtual("dm-2", disk+"sda", disk+"sdb")
	virtual("dm-3", "dm-2") // a partition of a map with two paths
	virtual("dm-4", "dm-2") // another one
	virtual("loop0")
	link("members/partition", "../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2")
	link("members/whole", "../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda")
	link("members/loop", "../devices/virtual/block/loop0/loop0p1")
	link("members/volume", "../devices/virtual/block/dm-1")
	link("members/part1", "../devices/virtual/block/dm-3")
	link("members/part2", "../devices/virtual/block/dm-4")
	link("members/circle", "../devices/virtual/block/dm-9")
	virtual("dm-9", "dm-9")
	files := rootfs.New(rootfs.Paths{Root: root})
	for name, want := range map[string]string{
		"partition": "sda", "whole": "sda", "volume": "sda", "loop": "loop0", "part1": "dm-2", "part2": "dm-2", "circle": "dm-9", "nothing": "",
	} {
		if got := sysfs.Disk(files, "/sys/members/"+name); got != want {
			t.Errorf("%s lies on %q, want %q", name, got, want)
		}
	}
	if card := sysfs.Card(files, "/sys/block/sda"); card != "0000:00:1f" {
		t.Errorf("the card is %q", card)
	}
}
