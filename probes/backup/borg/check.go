package borg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// Look lists the archives, and on a file system the segments.
func (r *Repository) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "server"}
	if r.local != "" {
		sight.Media = "disk"
		if err := r.see(ctx, &sight); err != nil {
			return sight, err
		}
	}
	tool, err := r.judge(ctx)
	if err != nil {
		return sight, err
	}
	sight.Tools = []job.Tool{tool}
	out, err := r.list(ctx)
	if err != nil {
		return sight, err
	}
	list, err := parseArchives(out, r.place.Archives)
	if err != nil {
		return sight, err
	}
	sight.Points, sight.Encrypted = list.points, list.encrypted
	if len(list.points) == 0 && list.others > 0 {
		sight.Notes = append(sight.Notes, fmt.Sprintf("there are %d archives, and none has a name like %s", list.others, r.place.Archives))
	}
	r.mu.Lock()
	r.id = list.id
	r.mu.Unlock()
	if r.local == "" {
		for i, point := range sight.Points {
			sight.Points[i].Units = []string{point.ID}
			sight.Units = append(sight.Units, job.Unit{ID: point.ID, Bytes: 1, Stamp: point.At.Format(time.RFC3339Nano)})
		}
	}
	return sight, nil
}

// see looks at a repository on a file system.
func (r *Repository) see(ctx context.Context, sight *job.Sight) error {
	info, err := r.host.Files.Stat(path.Join(r.local, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return probes.Because(probes.NotFound, fmt.Errorf("there is no repository of Borg at %s", r.local))
	}
	if err != nil {
		return err
	}
	sight.Devices = device.Of(r.host.Files, info)
	if sight.Units, err = r.segments(ctx); err != nil {
		return err
	}
	sight.Busy, sight.Notes, err = r.locks()
	return err
}

// list lists the archives. borg may stumble over a file that a backup replaces just
// then, and is asked once more.
func (r *Repository) list(ctx context.Context) ([]byte, error) {
	out, err := r.run(ctx, nil, "borg-list")
	if probes.ReasonOf(err) == probes.Unavailable {
		out, err = r.run(ctx, nil, "borg-list")
	}
	return out.Stdout, err
}

// archives is what Borg says of a repository.
type archives struct {
	points    []job.Point // those that count, newest first
	others    int         // archives that do not count
	encrypted string      // as in a Sight
	id        string      // of the repository
}

// parseArchives reads the list of archives. Borg 1 prints the time of its zone,
// which is UTC here.
func parseArchives(out []byte, pattern string) (archives, error) {
	var list struct {
		Archives []struct {
			Name  string `json:"name"`
			Start string `json:"start"`
		} `json:"archives"`
		Encryption struct {
			Mode string `json:"mode"`
		} `json:"encryption"`
		Repository struct {
			ID string `json:"id"`
		} `json:"repository"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return archives{}, probes.Because(probes.Malformed, fmt.Errorf("borg printed no list of archives: %w", err))
	}
	found := archives{encrypted: "yes", id: list.Repository.ID}
	for _, a := range list.Archives {
		at, err := time.Parse("2006-01-02T15:04:05.999999", a.Start)
		if err != nil || a.Name == "" {
			return archives{}, probes.Because(probes.Malformed, fmt.Errorf("borg told of the archive %.40q of %.40q", a.Name, a.Start))
		}
		if strings.Contains(a.Name, ".checkpoint") {
			continue // it is what an interrupted backup left
		}
		if match, err := doublestar.Match(pattern, a.Name); pattern != "" && (err != nil || !match) {
			found.others++
			continue
		}
		found.points = append(found.points, job.Point{ID: a.Name, At: at})
	}
	slices.SortStableFunc(found.points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	if mode := list.Encryption.Mode; mode == "none" || strings.HasPrefix(mode, "authenticated") {
		found.encrypted = "no"
	}
	return found, nil
}

// Check does a task.
func (r *Repository) Check(ctx context.Context, task job.Task) job.Outcome {
	out := r.check(ctx, task)
	if r.local == "" && job.IsFlaw(out.Err) {
		// Nobody here sees that the server just compacts the repository, which
		// takes away what is being read: what is wrong is so twice.
		out = r.check(ctx, task)
	}
	return out
}

func (r *Repository) check(ctx context.Context, task job.Task) job.Outcome {
	return job.Unlocked(func() (string, error) { return r.state(ctx) }, func(out *job.Outcome) error {
		tool, err := r.judge(ctx)
		if err != nil {
			return err
		}
		out.Judged(tool)
		switch task.Depth {
		case job.Structure:
			return r.structure(ctx, task, out)
		case job.Read:
			return r.read(ctx, task, out)
		case job.Restored, job.Asserted:
			return r.restore(ctx, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a repository of Borg is not checked by %s", task.Depth))
	})
}

// state returns what every transaction changes, or the error that somebody is
// writing now. Behind SSH that is the list of archives.
func (r *Repository) state(ctx context.Context) (string, error) {
	if r.local == "" {
		list, err := r.list(ctx)
		return string(list), err
	}
	busy, _, err := r.locks()
	if err != nil {
		return "", err
	}
	if busy != "" {
		return "", job.Busy("%s", busy)
	}
	entries, err := r.host.Files.ReadDir(r.local)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name()) // index.N and hints.N count the transactions
	}
	return strings.Join(names, "\n"), err
}

// Entries calls each with the path and the size of every entry of an archive that
// is a file.
func (r *Repository) Entries(ctx context.Context, id string, each func(path string, size int64)) error {
	return job.Stream(
		func(to io.Writer) error { return r.stream(ctx, to, "borg-list-archive", id) },
		func(in io.Reader) error {
			lines := json.NewDecoder(in)
			for {
				var entry struct {
					Type, Path string
					Size       int64
				}
				switch err := lines.Decode(&entry); {
				case errors.Is(err, io.EOF):
					return nil
				case err != nil:
					return probes.Because(probes.Malformed, fmt.Errorf("borg printed no list: %w", err))
				case entry.Type == "-":
					each(entry.Path, entry.Size)
				}
			}
		})
}

// listing counts what an archive holds, in files and in links.
func (r *Repository) listing(ctx context.Context, id string) (l restore.Listing, err error) {
	err = job.Stream(
		func(to io.Writer) error { return r.stream(ctx, to, "borg-list-archive", id) },
		func(in io.Reader) (err error) {
			l, err = restore.ParseListing(in, "-", "l", "h")
			return err
		})
	return l, err
}

// stream lets borg print what may be much.
func (r *Repository) stream(ctx context.Context, to io.Writer, entry, id string) error {
	_, err := r.run(ctx, to, entry, id)
	return err
}

// structure reads what describes the newest archive, and demands that it holds
// something.
func (r *Repository) structure(ctx context.Context, task job.Task, out *job.Outcome) error {
	l, err := r.listing(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	out.Size, out.Files = job.Of(l.Bytes), job.Of(l.Files)
	if l.Files == 0 {
		return job.Flawed(job.Empty, "the archive %s holds no file", task.Point.ID)
	}
	return nil
}

// read reads segments, and lets borg read all of an archive.
func (r *Repository) read(ctx context.Context, task job.Task, out *job.Outcome) error {
	if r.local == "" {
		return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return r.extract(ctx, u.ID) })
	}
	out.Judged(job.Tool{Name: "builtin crc32"})
	err := out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return r.segment(ctx, u.ID) })
	if err != nil || task.Point.ID == "" || len(out.Units) < len(task.Units) {
		return err
	}
	return r.stream(ctx, io.Discard, "borg-extract", task.Point.ID)
}

// extract lets borg read an archive. How many bytes come over the line, it does
// not tell: what the archive holds counts.
func (r *Repository) extract(ctx context.Context, id string) (int64, error) {
	l, err := r.listing(ctx, id)
	if err != nil {
		return 0, err
	}
	return l.Bytes, r.stream(ctx, io.Discard, "borg-extract", id)
}

// restore restores an archive. borg itself writes nothing: it hands out another
// archive.
func (r *Repository) restore(ctx context.Context, task job.Task, out *job.Outcome) error {
	want, err := r.listing(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	archive := restore.Export{
		Backup: "the archive " + task.Point.ID, Want: want,
		Print: func(ctx context.Context, to io.Writer) error { return r.stream(ctx, to, "borg-export", task.Point.ID) },
	}
	return archive.Restore(ctx, r.host.Files, task, out)
}
