package volume

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/redundancy/group"
)

// scrubbed takes in the last scrub of a btrfs, of which the program "btrfs"
// keeps a record. Without the right to read it there is no deadline.
func scrubbed(files *rootfs.FS, g *group.Group) {
	data, err := files.ReadFile("/var/lib/btrfs/scrub.status."+g.Name, 1<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		g.Scrub.Possible = true
	case err != nil:
		g.Note("When it was last checked is not known: %v.", err)
	default:
		g.Scrub = ParseScrub(data)
	}
}

// ParseScrub reads the record of "btrfs scrub": a line for each device, of
// fields between bars. A scrub is whole when that of every device has finished.
func ParseScrub(data []byte) group.Scrub {
	s := group.Scrub{Possible: true}
	whole, devices := true, 0
	var end time.Time
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) < 2 {
			continue // the head
		}
		number := map[string]int64{}
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, ":")
			if n, err := strconv.ParseInt(value, 10, 64); err == nil {
				number[name] = n
			}
		}
		devices++
		whole = whole && number["finished"] == 1 && number["canceled"] == 0
		for _, name := range []string{"read_errors", "csum_errors", "verify_errors", "super_errors"} {
			s.Errors += float64(number[name])
		}
		if at := time.Unix(max(number["t_start"], number["t_resumed"])+number["duration"], 0); at.After(end) {
			end = at
		}
	}
	if devices > 0 && whole {
		s.Last, s.Counted = end, true
	}
	return s
}
