// Package path reads the ways to storage from sysfs: NVMe subsystems with native
// multipath, device-mapper multipath, ports of Fibre Channel and sessions of
// iSCSI. A path counts as active only if input and output can go over it now.
package path

import (
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// Read returns all groups of paths of the host.
func Read(files *rootfs.FS) group.Reading {
	var reading group.Reading
	for _, part := range []struct {
		kind string
		read func(*rootfs.FS) ([]group.Group, error)
	}{
		{group.NVMe, readNVMe},
		{group.Multipath, readMultipath},
		{group.FC, readFC},
		{group.FCTarget, readTargets},
		{group.ISCSI, readISCSI},
	} {
		groups, err := part.read(files)
		reading.Groups = append(reading.Groups, groups...)
		if err != nil {
			reading.Close(part.kind, err)
		}
	}
	return reading
}
