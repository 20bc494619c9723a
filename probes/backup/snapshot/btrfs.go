package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/redundancy/volume"
)

// snapper is the name under which snapper keeps a snapshot, in a directory with
// its number.
const snapper = "snapshot"

// btrfs lists the subvolumes of a directory. The kernel tells of each to whoever
// may open it, so that neither root nor a program is needed.
type btrfs struct{ *place }

func (b btrfs) look(_ context.Context, sight *job.Sight) error {
	sight.Tools = []job.Tool{{Name: "kernel", Version: b.kernel()}}
	top := b.options.Dataset
	entries, err := b.host.Files.ReadDir(top)
	if err != nil {
		return err
	}
	if info, err := b.host.Files.Stat(top); err == nil {
		sight.Devices = device.Of(b.host.Files, info)
	}
	system, err := systemOf(b.host.Files, top)
	if err != nil {
		return err
	}
	var open []string
	for _, entry := range entries {
		if !entry.IsDir() || !b.wanted(entry.Name()) {
			continue
		}
		name := path.Join(top, entry.Name())
		s, err := subvolumeAt(b.host.Files, name)
		if s == nil && err == nil {
			name = path.Join(name, snapper)
			s, err = subvolumeAt(b.host.Files, name)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // a directory, or one that has just been removed
		case err != nil:
			return err
		case s == nil:
			continue
		}
		if why := s.unfinished(); why != "" {
			open = append(open, strings.TrimPrefix(name, top+"/")+": "+why)
			continue
		}
		sight.Points = append(sight.Points, job.Point{ID: name, At: s.Made, Units: []string{name}})
		// How much is in a snapshot stands nowhere: each counts alike.
		sight.Units = append(sight.Units, job.Unit{ID: name, Bytes: 1, Stamp: fmt.Sprintf("%x.%d", s.ID, s.Generation)})
	}
	b.scrubbed(system, sight)
	return leftOpen(open, sight)
}

// leftOpen notes what is no finished state. Where nothing else is there, that is
// what is wrong.
func leftOpen(open []string, sight *job.Sight) error {
	if len(open) > 0 && len(sight.Points) == 0 {
		return job.Flawed(job.Incomplete, "nothing is finished: %s", strings.Join(open[:min(3, len(open))], "; "))
	}
	for _, text := range open[:min(3, len(open))] {
		sight.Notes = append(sight.Notes, "not counted: "+text)
	}
	return nil
}

// scrubbed takes what "btrfs scrub" has recorded as evidence that all was read:
// it compares every block with its checksum. The record is for root.
func (b btrfs) scrubbed(system string, sight *job.Sight) {
	data, err := b.host.Files.ReadFile("/var/lib/btrfs/scrub.status."+system, 1<<20)
	if err != nil {
		return
	}
	scrub := volume.ParseScrub(data)
	switch {
	case !scrub.Counted:
	case scrub.Errors > 0:
		sight.Notes = append(sight.Notes, fmt.Sprintf("the last scrub has found %.0f errors", scrub.Errors))
	default:
		sight.Evidence = append(sight.Evidence, job.Evidence{Depth: job.Read, At: scrub.Last, Tool: job.Tool{Name: "btrfs scrub"}})
	}
}

// same makes sure that a snapshot is still what was listed.
func (b btrfs) same(_ context.Context, point job.Point) error {
	s, err := subvolumeAt(b.host.Files, point.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return job.Flawed(job.Incomplete, "%s was there when the snapshots were listed, and is not any more", point.ID)
	case err != nil:
		return err
	case s == nil:
		return job.Flawed(job.Mismatch, "%s is no subvolume any more", point.ID)
	}
	if why := s.unfinished(); why != "" {
		return job.Flawed(job.Incomplete, "%s: %s", point.ID, why)
	}
	return nil
}

// content is where the files of a snapshot are.
func (b btrfs) content(_ context.Context, point job.Point) (string, error) { return point.ID, nil }

func validBtrfs(o job.Options) error {
	if o.Dataset != "" && !path.IsAbs(o.Dataset) {
		return probes.At("dataset", fmt.Errorf("%.80q is not an absolute path", o.Dataset))
	}
	return nil
}
