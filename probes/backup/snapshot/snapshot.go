// Package snapshot is the kind of backup that a file system keeps by itself: the
// snapshots of ZFS and btrfs, and what was received of those of another host. It
// tells finished states from transfers that did not end, and reads them: the file
// system compares what is read with its checksums, and what it cannot read is
// damaged. What a scrub has read counts too; none is ever started. On the disks of
// the data a snapshot is no copy, and it never counts as one beside it.
package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// ZFS describes the snapshots of a data set.
func ZFS() job.Kind {
	return kind("zfs", "Snapshots of a ZFS data set, own or received.", zfsCommands(), validZFS,
		func(p *place) system { return zfs{p} })
}

// Btrfs describes the snapshots in a directory.
func Btrfs() job.Kind {
	return kind("btrfs", "Snapshots of btrfs in one directory, own or received.", nil, validBtrfs,
		func(p *place) system { return btrfs{p} })
}

func kind(name, summary string, commands []probes.Command, valid func(job.Options) error, of func(*place) system) job.Kind {
	return job.Kind{
		Name: name, Summary: summary,
		Keys: []string{"dataset", "snapshots", "manifest"}, Needs: []string{"dataset"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Trees:    true,
		Commands: commands,
		Check: func(o job.Options) error {
			err := valid(o)
			if !doublestar.ValidatePattern(o.Snapshots) {
				err = errors.Join(err, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
			}
			return err
		},
		Open: func(host probes.Host, o job.Options) job.Copy {
			p := &place{host: host, options: o, files: files.Kind().Open(host, job.Options{Manifest: o.Manifest})}
			return &copied{place: p, system: of(p)}
		},
	}
}

// A place is where snapshots are.
type place struct {
	host    probes.Host
	options job.Options
	files   job.Copy // which checks the content of one snapshot
}

// wanted reports whether a snapshot of this name counts.
func (p *place) wanted(name string) bool {
	match, err := doublestar.Match(cmp.Or(p.options.Snapshots, "*"), name)
	return err == nil && match
}

// kernel is the version of the kernel, whose checksums they are.
func (p *place) kernel() string {
	text, err := p.host.Files.ReadFile("/proc/sys/kernel/osrelease", 4096)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// A system is a file system with snapshots.
type system interface {
	// look adds the finished states, and what else is known of them.
	look(ctx context.Context, sight *job.Sight) error
	// same returns what is wrong with a snapshot as far as the file system knows
	// without reading it.
	same(ctx context.Context, point job.Point) error
	// content returns the directory that holds the files of a snapshot.
	content(ctx context.Context, point job.Point) (string, error)
}

type copied struct {
	*place
	system
}

// Look lists the snapshots.
func (c *copied) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk"}
	err := c.look(ctx, &sight)
	slices.SortStableFunc(sight.Points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	slices.SortStableFunc(sight.Units, func(a, b job.Unit) int {
		return cmp.Compare(index(sight.Points, a.ID), index(sight.Points, b.ID))
	})
	return sight, err
}

func index(points []job.Point, id string) int {
	return slices.IndexFunc(points, func(p job.Point) bool { return p.ID == id })
}

// Check checks the content of snapshots as that of directories of files.
func (c *copied) Check(ctx context.Context, task job.Task) job.Outcome {
	names := map[string]string{} // of snapshots, by the directory of their files
	translated := task
	translated.Units = nil
	var failed error
	known := map[string]error{}
	for _, unit := range task.Units {
		err := c.same(ctx, job.Point{ID: unit.ID})
		dir := ""
		if err == nil {
			dir, err = c.content(ctx, job.Point{ID: unit.ID})
		}
		if err != nil {
			known[unit.ID] = err
			if failed == nil || job.IsFlaw(err) && !job.IsFlaw(failed) {
				failed = err
			}
			continue
		}
		names[dir] = unit.ID
		translated.Units = append(translated.Units, job.Unit{ID: dir, Bytes: unit.Bytes})
	}
	if failed != nil && len(translated.Units) == 0 {
		return job.Outcome{Err: failed, Units: known}
	}
	out := c.files.Check(ctx, translated)
	out.Err = damaged(out.Err, names)
	units := known
	for dir, err := range out.Units {
		units[names[dir]] = damaged(err, names)
	}
	out.Units = units
	if failed != nil && (out.Err == nil || job.IsFlaw(failed) && !job.IsFlaw(out.Err)) {
		out.Err = failed
	}
	out.Judged(job.Tool{Name: "kernel", Version: c.kernel()})
	return out
}

// damaged turns the error of reading one of the directories into a flaw: the file
// system has checksums, and what it does not hand out is lost. What else cannot be
// read, such as the source, says nothing of the snapshot.
func damaged(err error, dirs map[string]string) error {
	var read *fs.PathError
	if err == nil || job.IsFlaw(err) || !errors.Is(err, syscall.EIO) || !errors.As(err, &read) {
		return err
	}
	for dir := range dirs {
		if strings.Contains(read.Path, dir+"/") {
			return job.Flawed(job.Damaged, "the file system cannot read it, or has another checksum: %v", err)
		}
	}
	return err
}
