package cluster

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/backup/wal"
	"hygiene_exporter/probes/internal/idle"
)

// Settle is how long a segment may be missing while later ones are there
// already: several may be on their way at once.
const Settle = 10 * time.Minute

// Logs is a log whose segments are files of this host, packed or not, under their
// own names.
type Logs struct {
	Archive *wal.Archive

	host    probes.Host
	places  map[string]segment
	batches map[string][]segment // sixteen segments each
}

type segment struct {
	place, name string
	size        int64
	modified    time.Time
}

// NewLogs returns a log without a segment. Each is of a size.
func NewLogs(host probes.Host, size int64) *Logs {
	return &Logs{Archive: wal.NewArchive(size), host: host, places: map[string]segment{}, batches: map[string][]segment{}}
}

// Len is how many segments there are.
func (l *Logs) Len() int { return len(l.places) }

// List adds the segments and the histories in a directory, which may be missing.
// Those that only wait there are in no unit.
func (l *Logs) List(ctx context.Context, dir string, waiting bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := l.host.Files.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // it is gone, or none
		}
		found := segment{path.Join(dir, entry.Name()), entry.Name(), info.Size(), info.ModTime()}
		if extension := path.Ext(found.name); slices.Contains(packed(), extension) {
			found.name = found.name[:len(found.name)-len(extension)]
		}
		if wal.IsHistory(found.name) {
			if err := l.history(ctx, found); err != nil {
				return err
			}
		}
		if !l.Archive.Add(found.name, found.modified) {
			continue
		}
		l.places[found.name] = found
		if !waiting {
			batch := batchOf(found.name)
			l.batches[batch] = append(l.batches[batch], found)
		}
	}
	return nil
}

// packed lists what the names of packed segments end with.
func packed() []string { return []string{".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".br"} }

const logUnit = "log "

func batchOf(name string) string { return logUnit + name[:wal.NameLength-1] }

// maxHistory is more than the history of any timeline holds.
const maxHistory = 1 << 20

func (l *Logs) history(ctx context.Context, found segment) error {
	return l.unpack(ctx, found, nil, func(in io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(in, maxHistory))
		if err != nil {
			return err
		}
		return l.Archive.History(found.name, text)
	})
}

// Units lists the units of the log, the newest first.
func (l *Logs) Units() []job.Unit {
	return Batches(l.batches, func(s segment) (int64, time.Time) { return s.size, s.modified })
}

// Batches makes units of segments that are read together, the newest first. of
// says how large a segment is, and of when.
func Batches[S any](batches map[string][]S, of func(S) (int64, time.Time)) []job.Unit {
	var units []job.Unit
	for id, list := range batches {
		u := job.Unit{ID: id}
		var newest time.Time
		for _, s := range list {
			size, modified := of(s)
			u.Bytes += size
			if modified.After(newest) {
				newest = modified
			}
		}
		u.Stamp = fmt.Sprintf("%d %d %s", len(list), u.Bytes, newest.UTC().Format(time.RFC3339Nano))
		units = append(units, u)
	}
	slices.SortFunc(units, func(a, b job.Unit) int { return cmp.Compare(b.ID, a.ID) })
	return units
}

// UnitsOf lists the units that hold segments from the first to the last.
func (l *Logs) UnitsOf(first, last string) []string {
	var ids []string
	for id, list := range l.batches {
		if slices.ContainsFunc(list, func(s segment) bool {
			return s.name[:8] == last[:min(8, len(last))] && s.name >= first && s.name <= last
		}) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Demand returns a flaw if a segment is missing that a backup needs, or one
// between it and the newest.
func (l *Logs) Demand(first, last string, out *job.Outcome) error {
	if err := l.Archive.Between(first, last); err != nil {
		return err
	}
	reached, err := l.Archive.After(last, time.Now().Add(-Settle))
	if !reached.IsZero() {
		out.Note("the log reaches until %s", reached.UTC().Format(time.RFC3339))
	}
	return err
}

// Reached is when the newest segment was archived that a restore of a backup can
// reach, whose last one is given; zero: none.
func (l *Logs) Reached(last string) time.Time {
	reached, _ := l.Archive.After(last, time.Now().Add(-Settle)) // of a gap, Demand tells
	return reached
}

// Read reads a unit of the log to its end, and compares each record with its
// checksum.
func (l *Logs) Read(ctx context.Context, id string, out *job.Outcome) (read int64, worst error) {
	for _, one := range l.batches[id] {
		err := l.check(ctx, one, out, nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has expired meanwhile; whether it is needed is asked elsewhere
		}
		read += one.size
		if worst = job.Worse(worst, err); ctx.Err() != nil {
			break
		}
	}
	return read, worst
}

// check reads a segment, and hands it on to who wants it.
func (l *Logs) check(ctx context.Context, one segment, out *job.Outcome, want func(io.Reader) error) error {
	err := l.unpack(ctx, one, out, func(in io.Reader) error {
		check := func(in io.Reader) error {
			_, err := wal.Check(in, one.name, l.Archive.Size)
			return err
		}
		if want == nil {
			return check(in)
		}
		return job.Stream(func(to io.Writer) error { return want(io.TeeReader(in, to)) }, check)
	})
	if flaw, ok := errors.AsType[*job.Flaw](err); ok {
		return job.Flawed(flaw.Reason, "the segment %s: %s", one.name, flaw.Text)
	}
	return err
}

// unpack hands on what is in a file that may be packed.
func (l *Logs) unpack(ctx context.Context, one segment, out *job.Outcome, consume func(io.Reader) error) error {
	return Unpack(ctx, l.host, one.place, func(tool job.Tool) {
		if out != nil {
			out.Judged(tool)
		}
	}, consume)
}

// Unpack hands on what is in a file that may be packed, and tells who has unpacked
// it.
func Unpack(ctx context.Context, host probes.Host, place string, judged func(job.Tool), consume func(io.Reader) error) error {
	file, err := host.Files.Open(place)
	if err != nil {
		return err
	}
	defer file.Close()
	defer idle.Forget(file)
	in := bufio.NewReaderSize(job.Interruptible(ctx, file), 64<<10)
	head, err := in.Peek(stream.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	format := stream.Detect(head)
	switch extension := path.Ext(place); {
	case format != nil:
	case len(head) == 0 && slices.Contains(packed(), extension):
		return job.Flawed(job.Truncated, "it is empty")
	case slices.Contains([]string{".br", ".lzma"}, extension):
		return probes.Because(probes.Unsupported, fmt.Errorf("%s is packed in a way that nothing here unpacks", path.Base(place)))
	case slices.Contains(packed(), extension):
		return probes.Because(probes.Unsupported, fmt.Errorf("%s does not begin as a %s file does: it is encrypted, or damaged", path.Base(place), extension))
	default:
		return consume(in)
	}
	decoder := stream.Decoder{Commands: host.Commands, Pipes: host.Pipes}
	result, err := decoder.Stream(ctx, format, in, consume)
	judged(result.Tool)
	return cmp.Or(result.Err, err)
}

// Recover puts the log beside a restored data directory, lets a real server
// recover it, and asks that.
func (l *Logs) Recover(ctx context.Context, task job.Task, data, first string, out *job.Outcome) error {
	most, err := Room(data, l.Archive.Size)
	if err != nil {
		return err
	}
	err = Fill(ctx, data, l.Archive.From(first, most), func(ctx context.Context, name string, read func(io.Reader) error) error {
		return l.check(ctx, l.places[name], out, read)
	})
	if err != nil {
		return err
	}
	return Load(ctx, l.host, task, data, out)
}
