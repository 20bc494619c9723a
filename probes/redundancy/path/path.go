// Package path reads the ways to storage: NVMe subsystems with native multipath,
// device-mapper multipath, ports of Fibre Channel, sessions of iSCSI, SAS
// enclosures and ports of InfiniBand. A path counts as active only if input and
// output can go over it now.
package path

import (
	"context"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// Read returns all groups of paths of the host.
func Read(ctx context.Context, host probes.Host) group.Reading {
	var reading group.Reading
	files := func(read func(*rootfs.FS) ([]group.Group, error)) func() ([]group.Group, error) {
		return func() ([]group.Group, error) { return read(host.Files) }
	}
	for _, part := range []struct {
		kind string
		read func() ([]group.Group, error)
	}{
		{group.NVMe, files(readNVMe)},
		{group.Multipath, func() ([]group.Group, error) { return readMultipath(ctx, host) }},
		{group.FC, files(readFC)},
		{group.FCTarget, files(readTargets)},
		{group.ISCSI, files(readISCSI)},
		{group.Enclosure, files(readEnclosures)},
		{group.IB, files(readInfiniBand)},
	} {
		groups, err := part.read()
		reading.Groups = append(reading.Groups, groups...)
		if err != nil {
			reading.Close(part.kind, err)
		}
	}
	return reading
}
