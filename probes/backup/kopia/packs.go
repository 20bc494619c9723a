package kopia

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/scratch"
)

// A directory is one of packs as it was listed.
type directory struct {
	modified time.Time
	packs    []job.Pack
	below    []string // names of directories
}

// ending is that of every file of a repository on a file system.
const ending = ".f"

// see looks at the packs, and at a repository on a file system before Kopia does,
// which tries again for long what is forbidden.
func (r *repository) see(ctx context.Context, c connection, sight *job.Sight) error {
	if c.local != "" {
		info, err := r.host.Files.Stat(path.Join(c.local, "kopia.repository"+ending))
		if errors.Is(err, fs.ErrNotExist) {
			if _, err := r.host.Files.Stat(path.Join(c.local, "p")); err == nil {
				return job.Flawed(job.Incomplete, "the repository lacks kopia.repository, without which nothing of it can be read")
			}
			return probes.Because(probes.NotFound, fmt.Errorf("there is no repository of Kopia at %s", c.local))
		}
		if err != nil {
			return err
		}
		file, err := r.host.Files.Open(path.Join(c.local, "kopia.repository"+ending))
		if err != nil {
			return err
		}
		file.Close()
		sight.Devices = device.Of(r.host.Files, info)
	}
	packs, err := r.packs(ctx, c)
	if err != nil {
		return err
	}
	for id, group := range job.ByDay(packs, firstDigit) {
		sight.Units = append(sight.Units, group.Unit(id))
	}
	slices.SortFunc(sight.Units, func(a, b job.Unit) int { return cmp.Compare(b.ID, a.ID) })
	return nil
}

// packs lists the packs.
func (r *repository) packs(ctx context.Context, c connection) ([]job.Pack, error) {
	var packs []job.Pack
	if c.local == "" {
		err := r.decode(ctx, c, "blobs", func(list *json.Decoder) error {
			return each(list, func(b struct {
				ID     string    `json:"id"`
				Length int64     `json:"length"`
				Time   time.Time `json:"timestamp"`
			},
			) error {
				if packID.MatchString(b.ID) {
					packs = append(packs, job.Pack{Name: b.ID, Bytes: b.Length, Modified: b.Time})
				}
				return nil
			})
		})
		return packs, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[string]directory{}
	err := r.walk(ctx, c.local, "", seen)
	if err != nil {
		return nil, err
	}
	r.dirs = seen
	for _, d := range seen {
		packs = append(packs, d.packs...)
	}
	return packs, nil
}

// packID matches the name of a pack: with data, or with directories and manifests.
var packID = regexp.MustCompile(`^[pq][0-9a-f]{32}-s?[0-9a-f]+$|^[pq][0-9a-f]{32}$`)

// deepest is how many directories deep a repository is cut into.
const deepest = 4

// walk lists the packs below a directory, whose path below the repository is the
// beginning of their names. A directory that has not changed is not listed again.
func (r *repository) walk(ctx context.Context, top, below string, seen map[string]directory) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := r.host.Files.Stat(path.Join(top, below))
	if err != nil {
		return err
	}
	d, known := r.dirs[below]
	if !known || !d.modified.Equal(info.ModTime()) {
		d = directory{modified: info.ModTime()}
		entries, err := r.host.Files.ReadDir(path.Join(top, below))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			id := strings.ReplaceAll(path.Join(below, entry.Name()), "/", "")
			switch file, err := entry.Info(); {
			case err != nil || id[0] != 'p' && id[0] != 'q': // just removed, or of another kind
			case entry.IsDir():
				d.below = append(d.below, entry.Name())
			case packID.MatchString(strings.TrimSuffix(id, ending)) && strings.HasSuffix(id, ending):
				d.packs = append(d.packs, job.Pack{Name: strings.TrimSuffix(id, ending), Bytes: file.Size(), Modified: file.ModTime()})
			}
		}
	}
	seen[below] = d
	for _, name := range d.below {
		next := path.Join(below, name)
		if strings.Count(next, "/") >= deepest {
			continue
		}
		if err := r.walk(ctx, top, next, seen); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// firstDigit is that of the hash of a pack, behind the letter of its kind.
func firstDigit(p job.Pack) string { return p.Name[1:2] }

// A content is what the index knows of a piece of data.
type content struct {
	ID     string `json:"contentID"`
	Pack   string `json:"packFile"`
	Length int64  `json:"length"` // in the pack
	Gone   bool   `json:"deleted"`
}

// contentID matches the name of a content: a hash, and a letter before that of
// what is no data of a file.
var contentID = regexp.MustCompile(`^[g-z]?[0-9a-f]{8,128}$`)

// read lets Kopia read all that is needed of the packs of units.
func (r *repository) read(ctx context.Context, c connection, task job.Task, out *job.Outcome) error {
	packs, err := r.packs(ctx, c)
	if err != nil {
		return err
	}
	list := job.ByDay(packs, firstDigit)
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return r.group(ctx, c, list[u.ID]) })
}

// group reads the contents of packs.
func (r *repository) group(ctx context.Context, c connection, g job.Packs) (int64, error) {
	dir, err := scratch.Make(r.host.Scratch)
	if err != nil {
		return 0, fmt.Errorf("there is no scratch directory: %w", err)
	}
	defer func() { _ = scratch.Remove(dir) }()
	wanted := map[string]bool{}
	for _, p := range g {
		wanted[p.Name] = true
	}
	w := &batches{dir: dir}
	err = r.decode(ctx, c, "content-list", func(list *json.Decoder) error {
		return each(list, func(one content) error {
			switch {
			case !contentID.MatchString(one.ID):
				return fmt.Errorf("%.40q is no name of a content", one.ID)
			case one.Gone || !wanted[one.Pack]:
				return nil
			}
			return w.add(one)
		})
	})
	if closed := w.close(); err == nil {
		err = closed
	}
	var bytes int64
	for _, b := range w.list {
		if err != nil {
			break
		}
		var out probes.Output
		out, err = r.stream(ctx, c, io.Discard, "contents", b.name)
		err = r.explain(out, err)
		bytes += b.bytes
	}
	return bytes, err
}

// batches are files with the names of contents, each as many as fit in one
// command line.
type batches struct {
	dir  string
	list []batch
	file *os.File
	to   *bufio.Writer
}

type batch struct {
	name     string
	contents int
	bytes    int64
}

// fits is how many contents are read by one process.
const fits = 20_000

func (w *batches) add(c content) error {
	if n := len(w.list); n == 0 || w.list[n-1].contents == fits {
		if err := w.close(); err != nil {
			return err
		}
		name := filepath.Join(w.dir, fmt.Sprintf("contents-%d", n))
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		w.file, w.to = file, bufio.NewWriter(file)
		w.list = append(w.list, batch{name: name})
	}
	last := &w.list[len(w.list)-1]
	last.contents++
	last.bytes += c.Length
	_, err := fmt.Fprintln(w.to, c.ID)
	return err
}

func (w *batches) close() error {
	if w.file == nil {
		return nil
	}
	err := w.to.Flush()
	if closed := w.file.Close(); err == nil {
		err = closed
	}
	w.file = nil
	return err
}
