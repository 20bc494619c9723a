// Package snapshot is the kind of backup that a file system keeps by itself: the
// snapshots of ZFS and btrfs. They are listed, and not read: the file system has
// checksums of its own, which the probe of redundancy watches. On the pool of
// the data a snapshot is no copy, and it never counts as one beside it.
package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
)

// ZFS describes the snapshots of a data set.
func ZFS() job.Kind {
	return kind("zfs", "Snapshots of a ZFS data set.", probes.Command{
		Entry: "zfs-snapshots", Argv: []string{"zfs", "list", "-H", "-p", "-t", "snapshot", "-o", "name,creation,referenced", "-d", "1", "{0}"},
		Objects: []*regexp.Regexp{regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.:/ -]*`)},
		Help:    "The snapshots of a data set, with the instants at which they were made.",
	}, parseZFS)
}

// Btrfs describes the snapshots of a subvolume.
func Btrfs() job.Kind {
	return kind("btrfs", "Snapshots of a btrfs file system.", probes.Command{
		Entry: "btrfs-snapshots", Argv: []string{"btrfs", "subvolume", "list", "-s", "{0}"},
		Objects:    []*regexp.Regexp{regexp.MustCompile(`/[^\x00\n]*`)},
		Help:       "The snapshots of a file system, with the instants at which they were made.",
		Privileged: true,
	}, parseBtrfs)
}

func kind(name, summary string, command probes.Command, parse func([]byte) ([]job.Point, error)) job.Kind {
	return job.Kind{
		Name: name, Summary: summary,
		Keys: []string{"dataset", "snapshots"}, Needs: []string{"dataset"},
		Depths:   []job.Depth{job.Present, job.Listed},
		Commands: []probes.Command{command},
		Check: func(o job.Options) error {
			if !doublestar.ValidatePattern(o.Snapshots) {
				return probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots))
			}
			return nil
		},
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &snapshots{host: host, options: o, kind: name, entry: command.Entry, parse: parse}
		},
	}
}

type snapshots struct {
	host        probes.Host
	options     job.Options
	kind, entry string
	parse       func([]byte) ([]job.Point, error)
}

// Look lists the snapshots.
func (s *snapshots) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk", Tools: []job.Tool{{Name: s.kind}}}
	out, err := s.host.Commands.Run(ctx, s.entry, s.options.Dataset)
	if err != nil {
		return sight, err
	}
	if out.ExitCode != 0 {
		return sight, refused(string(out.Stderr))
	}
	points, err := s.parse(out.Stdout)
	for _, p := range points {
		_, name, ok := strings.Cut(p.ID, "@")
		if !ok {
			name = p.ID[strings.LastIndex(p.ID, "/")+1:]
		}
		if match, bad := doublestar.Match(cmp.Or(s.options.Snapshots, "*"), name); bad == nil && match {
			sight.Points = append(sight.Points, p)
		}
	}
	slices.SortStableFunc(sight.Points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	if s.kind == "zfs" {
		pool, _, _ := strings.Cut(s.options.Dataset, "/")
		sight.Devices = []string{"zfs/" + pool}
	} else if info, err := s.host.Files.Stat(s.options.Dataset); err == nil {
		sight.Devices = device.Of(s.host.Files, info)
	}
	return sight, err
}

// refused turns what a tool complains of into an error with a reason.
func refused(stderr string) error {
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	err := errors.New(line)
	switch text := strings.ToLower(stderr); {
	case strings.Contains(text, "does not exist"), strings.Contains(text, "no such file"), strings.Contains(text, "cannot access"), strings.Contains(text, "not a btrfs"):
		return probes.Because(probes.NotFound, err)
	case strings.Contains(text, "permission denied"), strings.Contains(text, "operation not permitted"):
		return probes.Because(probes.PermissionDenied, err)
	}
	return probes.Because(probes.Unavailable, err)
}

// Check has nothing to do: snapshots are listed only.
func (s *snapshots) Check(context.Context, job.Task) job.Outcome {
	return job.Outcome{Err: probes.Because(probes.Unsupported, errors.New("snapshots are listed and not read"))}
}

// parseZFS reads the columns name, creation and referenced of "zfs list -Hp".
func parseZFS(out []byte) ([]job.Point, error) {
	var points []job.Point
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			return points, probes.Because(probes.Malformed, fmt.Errorf("zfs list printed %.80q", line))
		}
		seconds, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return points, probes.Because(probes.Malformed, fmt.Errorf("zfs list printed the instant %.40q", fields[1]))
		}
		p := job.Point{ID: fields[0], At: time.Unix(seconds, 0)}
		if size, err := strconv.ParseInt(fields[2], 10, 64); err == nil {
			p.Size = job.Of(size)
		}
		points = append(points, p)
	}
	return points, nil
}

var btrfsLine = regexp.MustCompile(`\botime (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) path (.+)$`)

// parseBtrfs reads "btrfs subvolume list -s", whose times are in the zone of the
// program, which is UTC.
func parseBtrfs(out []byte) ([]job.Point, error) {
	var points []job.Point
	for line := range strings.Lines(string(out)) {
		match := btrfsLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			return points, probes.Because(probes.Malformed, fmt.Errorf("btrfs subvolume list printed %.80q", line))
		}
		at, err := time.Parse(time.DateTime, match[1])
		if err != nil {
			return points, probes.Because(probes.Malformed, err)
		}
		points = append(points, job.Point{ID: match[2], At: at})
	}
	return points, nil
}
