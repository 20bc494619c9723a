// Package walg is the kind of backup that is a storage of WAL-G for PostgreSQL on
// a file system.
//
// It is read without WAL-G, which is asked nothing: what stands in it is a list
// of the backups in JSON, archives of their files, and the segments of the log.
package walg

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/backup/wal"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "walg",
		Summary:  "A storage of WAL-G for PostgreSQL on a file system, with the log behind the newest backup; by its documented form.",
		Keys:     []string{"repository"},
		Needs:    []string{"repository"},
		Log:      true,
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Loaded, job.Asserted},
		Commands: slices.Concat(stream.Commands(), engine.Commands()),
		Check: func(o job.Options) error {
			if o.Repository != "" && !path.IsAbs(o.Repository) {
				return probes.At("repository", fmt.Errorf("%.80q is not an absolute path; a storage elsewhere is not read", o.Repository))
			}
			return nil
		},
		Open: func(host probes.Host, o job.Options) job.Copy { return &storage{host: host, root: o.Repository} },
	}
}

// Directories of a storage, and what names the description of a backup.
const (
	backupDir = "basebackups_005"
	logDir    = "wal_005"
	sentinel  = "_backup_stop_sentinel.json"
	parts     = "tar_partitions"
)

const (
	maxSentinel = 4 << 20
	maxMetadata = 256 << 20
)

// identifier is the name of a backup: with the segment in which it begins, and
// for an increment that of the backup before.
var identifier = regexp.MustCompile(`^base_([0-9A-F]{24})(_D_[0-9A-F]{24})?$`)

type storage struct {
	host probes.Host
	root string
}

// A backup is what its sentinel says of it.
type backup struct {
	name string

	Start        wal.LSN   `json:"LSN"`
	Finish       wal.LSN   `json:"FinishLSN"`
	From         string    `json:"DeltaFrom"` // the backup that it is an increment of
	Uncompressed int64     `json:"UncompressedSize"`
	Compressed   int64     `json:"CompressedSize"`
	Version      int       `json:"Version"`
	Finished     time.Time `json:"FinishTime"`
	Bare         bool      `json:"FilesMetadataDisabled"`

	first, last string // segments of the log that it needs
	segment     int64  // size of one
	err         error  // why it cannot be restored, or could not be seen
}

// parse reads a sentinel.
func (b *backup) parse(text []byte) error {
	if err := json.Unmarshal(text, b); err != nil {
		if strings.Contains(err.Error(), "unexpected end") {
			return job.Flawed(job.Truncated, "the description of %s ends early", b.name)
		}
		return job.Flawed(job.Damaged, "the description of %s cannot be read: %v", b.name, err)
	}
	b.first = identifier.FindStringSubmatch(b.name)[1]
	size, err := wal.SizeOf(b.Start, b.first)
	if err != nil || b.Finish <= b.Start || b.Uncompressed < 0 || b.Compressed < 0 {
		return job.Flawed(job.Damaged, "the description of %s cannot be: it is of the log from %s to %s", b.name, b.Start, b.Finish)
	}
	begun, err := wal.ParseSegment(b.first, size)
	if err != nil {
		return err
	}
	b.segment = size
	b.last = wal.Segment{Timeline: begun.Timeline, Number: (uint64(b.Finish) - 1) / uint64(size)}.Name(size)
	return nil
}

// open lists the backups, the newest first.
func (s *storage) open() ([]backup, []string, error) {
	dir := path.Join(s.root, backupDir)
	entries, err := s.host.Files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, probes.Because(probes.NotFound, fmt.Errorf("there is no %s at %s", backupDir, s.root))
	}
	if err != nil {
		return nil, nil, err
	}
	var (
		backups  []backup
		notes    []string
		finished = map[string]bool{}
	)
	for _, entry := range entries {
		name := strings.TrimSuffix(entry.Name(), sentinel)
		if name == entry.Name() || !identifier.MatchString(name) {
			continue
		}
		finished[name] = true
		backups = append(backups, s.read(dir, name))
	}
	for _, entry := range entries {
		if entry.IsDir() && identifier.MatchString(entry.Name()) && !finished[entry.Name()] {
			notes = append(notes, fmt.Sprintf("the backup %s was begun and has not ended", entry.Name()))
		}
	}
	slices.SortFunc(backups, func(a, b backup) int { return cmp.Or(b.Finished.Compare(a.Finished), cmp.Compare(b.name, a.name)) })
	return backups, notes, nil
}

// read reads one backup. One whose sentinel does not tell its time is as old as
// the sentinel.
func (s *storage) read(dir, name string) backup {
	b := backup{name: name}
	place := path.Join(dir, name+sentinel)
	text, err := s.host.Files.ReadFile(place, maxSentinel)
	if err == nil {
		err = b.parse(text)
	}
	b.err = err
	if b.Finished.IsZero() {
		if info, err := s.host.Files.Stat(place); err == nil {
			b.Finished = info.ModTime()
		}
	}
	return b
}

// tool is who judges.
func tool() job.Tool { return job.Tool{Name: "builtin wal-g", Version: "layout 005"} }

// Look lists the backups and the log.
func (s *storage) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk", Tools: []job.Tool{tool()}}
	backups, notes, err := s.open()
	if err != nil {
		return sight, err
	}
	sight.Notes = notes
	if info, err := s.host.Files.Stat(s.root); err == nil {
		sight.Devices = device.Of(s.host.Files, info)
	}
	l, err := s.logs(ctx, backups)
	if err != nil {
		return sight, err
	}
	for _, b := range backups {
		p := job.Point{ID: b.name, At: b.Finished, Type: "full"}
		if b.From != "" {
			p.Type = "incremental"
		}
		if b.err == nil {
			p.Size = job.Of(b.Uncompressed)
			p.Units = l.UnitsOf(b.first, b.last)
		}
		chain, _ := chainOf(backups, b.name) // what is missing in it, the structure tells
		for _, needed := range chain {
			p.Units = append(p.Units, needed.name)
		}
		sight.Points = append(sight.Points, p)
		sight.Units = append(sight.Units, job.Unit{ID: b.name, Bytes: max(b.Compressed, 1), Stamp: b.Finished.UTC().Format(time.RFC3339Nano)})
	}
	sight.Units = append(sight.Units, l.Units()...)
	if len(backups) > 0 && backups[0].err == nil {
		sight.Log = l.Reached(backups[0].last)
	}
	return sight, nil
}

// logs lists the log.
func (s *storage) logs(ctx context.Context, backups []backup) (*cluster.Logs, error) {
	size := int64(wal.DefaultSize)
	for _, b := range backups {
		if b.err == nil {
			size = b.segment
			break
		}
	}
	l := cluster.NewLogs(s.host, size)
	return l, l.List(ctx, path.Join(s.root, logDir), false)
}

// chainOf returns a backup and those that it is an increment of.
func chainOf(backups []backup, name string) ([]backup, error) {
	var chain []backup
	for name != "" {
		i := slices.IndexFunc(backups, func(b backup) bool { return b.name == name })
		if i < 0 && len(chain) == 0 {
			return nil, fmt.Errorf("the backup %.80s is gone: %w", strings.ToValidUTF8(name, "?"), fs.ErrNotExist)
		}
		if i < 0 || len(chain) > len(backups) {
			return chain, job.Flawed(job.Incomplete, "the backup %s is an increment of %.80s, which is not kept", chain[0].name, name)
		}
		b := backups[i]
		chain = append(chain, b)
		if b.err != nil {
			return chain, b.err
		}
		name = b.From
	}
	return chain, nil
}

// Check does a task.
func (s *storage) Check(ctx context.Context, task job.Task) job.Outcome {
	var backups []backup
	return job.Unlocked(func() (state string, err error) {
		if backups, _, err = s.open(); err != nil {
			return "", err
		}
		for _, b := range backups {
			state += b.name + "\n"
		}
		return state, nil
	}, func(out *job.Outcome) error {
		out.Judged(tool())
		switch task.Depth {
		case job.Structure:
			return s.structure(ctx, backups, task, out)
		case job.Read:
			return s.readUnits(ctx, backups, task, out)
		case job.Restored, job.Loaded, job.Asserted:
			return s.restore(ctx, backups, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a storage of WAL-G is not checked by %s", task.Depth))
	})
}
