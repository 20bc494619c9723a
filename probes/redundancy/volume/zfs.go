package volume

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

const kstat = "/proc/spl/kstat/zfs"

func readZFS(files *rootfs.FS) ([]group.Group, error) {
	entries, err := files.ReadDir(kstat)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var groups []group.Group
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		data, err := files.ReadFile(path.Join(kstat, entry.Name(), "state"), 1000)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		g := Pool(entry.Name(), strings.TrimSpace(string(data)))
		if err != nil {
			g = group.Group{Kind: group.ZFS, Name: entry.Name()}
			g.Unclear(err)
		}
		groups = append(groups, g)
	}
	return groups, err
}

// Pool judges a pool by its state alone. A pool that is degraded works, so that
// it had redundancy; how much is left is not said, and none is certain. Of one
// that is online, nobody knows how many failures it survives.
func Pool(name, state string) group.Group {
	g := group.Group{Kind: group.ZFS, Name: name, Partial: true}
	g.Note("The state of the pool is %s.", state)
	switch state {
	case "ONLINE":
		g.Doubted(probes.Unsupported, "the kernel says that the pool is online, and not of which devices it is made")
	case "DEGRADED":
		g.Known, g.Tolerated, g.Design = true, 0, 1
	case "FAULTED", "OFFLINE", "REMOVED", "UNAVAIL", "SUSPENDED":
		g.Failed = "the state of the pool is " + state
	case "SPLIT", "TRANSITIONING":
		g.Doubted(probes.Unavailable, "the pool is changing")
	default:
		g.Unclear(group.Word("the state of the pool", state))
	}
	return g
}
