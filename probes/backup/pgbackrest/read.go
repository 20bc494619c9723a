package pgbackrest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // what pgBackRest has its checksums of
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
)

// A pile is what lies in one file of the repository.
type pile struct {
	place string
	files []file
}

// read reads units: shares of backups and batches of the log.
func (r *repository) read(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	l, err := r.logs(ctx, v, v.catalog.backups)
	if err != nil {
		return err
	}
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) {
		if strings.HasPrefix(u.ID, "log ") {
			return r.readLog(ctx, v, l, u.ID, out)
		}
		return r.readShare(ctx, v, u.ID, out)
	})
}

// readShare reads a share of the files that a backup has added.
func (r *repository) readShare(ctx context.Context, v *view, id string, out *job.Outcome) (read int64, worst error) {
	of, part, _ := strings.Cut(id, " ")
	i, err := strconv.ParseInt(part, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("there is no unit %.80q", id)
	}
	b, err := v.find(of)
	if err != nil {
		return 0, nil //nolint:nilerr // it has expired meanwhile
	}
	var piles []*pile
	index := map[string]*pile{}
	var m *manifest
	notes, err := r.manifest(ctx, v, b.Label, func(of *manifest, f file) error {
		m = of
		place := m.place(f)
		if place == "" || f.Reference != "" && f.Reference != b.Label || partOf(place, sharesOf(b)) != i {
			return nil
		}
		if index[place] == nil {
			index[place] = &pile{place: place}
			piles = append(piles, index[place])
		}
		index[place].files = append(index[place].files, f)
		return nil
	})
	out.Noted(notes...)
	if err != nil {
		return 0, err
	}
	for _, p := range piles {
		n, err := r.readPile(ctx, v, m, p, out)
		read += n
		if worst = job.Worse(worst, err); ctx.Err() != nil {
			break
		}
	}
	return read, worst
}

// partOf says of which share a file is.
func partOf(place string, shares int64) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(place))
	return int64(h.Sum64() % uint64(shares))
}

// readPile reads a file of the repository and compares what lies in it.
func (r *repository) readPile(ctx context.Context, v *view, m *manifest, p *pile, out *job.Outcome) (read int64, err error) {
	slices.SortFunc(p.files, func(a, b file) int { return cmp.Compare(a.Offset, b.Offset) })
	err = v.store.raw(ctx, r.backupPath(p.place), func(in io.Reader) error {
		counted := &counter{r: bufio.NewReaderSize(in, 256<<10)}
		defer func() { read = counted.n }()
		for _, f := range p.files {
			if f.Offset < counted.n {
				return job.Flawed(job.Damaged, "%s: what the manifest says of %.80q overlaps", p.place, f.Name)
			}
			if _, err := io.CopyN(io.Discard, counted, f.Offset-counted.n); err != nil {
				return short(p.place, err)
			}
			if err := r.readFile(ctx, m, f, counted, out); err != nil {
				return inside(p.place, f, err)
			}
		}
		if n, err := io.Copy(io.Discard, counted); err != nil || n > 0 && p.files[0].Bundle == 0 {
			return cmp.Or(err, job.Flawed(job.Damaged, "%s: %d bytes too many", p.place, n))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = job.Flawed(job.Incomplete, "%s is missing", p.place)
	}
	return read, err
}

func short(place string, err error) error {
	if errors.Is(err, io.EOF) {
		return job.Flawed(job.Truncated, "%s is cut", place)
	}
	return err
}

func inside(place string, f file, err error) error {
	if flaw, ok := errors.AsType[*job.Flaw](err); ok {
		return job.Flawed(flaw.Reason, "%s, with %.80q: %s", place, f.Name, flaw.Text)
	}
	return err
}

// readFile compares one file with its checksum: that of what lies there, if the
// manifest has one.
func (r *repository) readFile(ctx context.Context, m *manifest, f file, in io.Reader, out *job.Outcome) error {
	part := io.LimitReader(in, f.stored())
	sum := f.StoredSum
	if sum == "" && m.extension == "" && !r.sealed && f.Blocks == 0 {
		sum = f.Sum // it lies there as it was
	}
	switch {
	case sum != "":
		digest := sha1.New() //nolint:gosec // see above
		n, err := io.Copy(digest, part)
		switch {
		case err != nil:
			return err
		case n < f.stored():
			return job.Flawed(job.Truncated, "it has %d bytes and should have %d", n, f.stored())
		case hex.EncodeToString(digest.Sum(nil)) != sum:
			return job.Flawed(job.Damaged, "it does not have its checksum")
		}
		return nil
	case f.Blocks > 0:
		return probes.Because(probes.Unsupported, errors.New("blocks of files without a checksum of their own are not known"))
	}
	return r.content(ctx, m.extension, m.pass, part, content{size: f.Size, sum: f.Sum}, out)
}

// content is what must come out of a stored file.
type content struct {
	size int64
	sum  string                // empty: not known
	read func(io.Reader) error // who wants it; nil: nobody
}

// content decrypts and unpacks, and compares what comes out.
func (r *repository) content(ctx context.Context, extension, pass string, in io.Reader, want content, out *job.Outcome) error {
	source := &failing{r: in}
	if r.sealed {
		plain, err := decrypt(in, pass)
		if errors.Is(err, errCipher) {
			return job.Flawed(job.Damaged, "it cannot be decrypted")
		}
		if err != nil {
			return err
		}
		source.r = plain
	}
	err := r.unpack(ctx, extension, source, out, func(plain io.Reader) error {
		digest := sha1.New() //nolint:gosec // see above
		counted := &counter{r: io.TeeReader(plain, digest)}
		var err error
		if want.read != nil {
			err = want.read(counted)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, counted)
		}
		switch n := counted.n; {
		case err != nil:
			return err
		case n != want.size:
			return job.Flawed(job.Truncated, "it holds %d bytes and should hold %d", n, want.size)
		case want.sum != "" && hex.EncodeToString(digest.Sum(nil)) != want.sum:
			return job.Flawed(job.Damaged, "it does not have its checksum")
		}
		return nil
	})
	switch {
	case errors.Is(source.err, errCipher):
		return job.Flawed(job.Damaged, "it cannot be decrypted to its end")
	case r.sealed && job.IsFlaw(err):
		return job.Flawed(job.Damaged, "what was decrypted: %v", err) // and is no more what it was
	}
	return cmp.Or(source.err, err)
}

func (r *repository) unpack(ctx context.Context, extension string, in io.Reader, out *job.Outcome, consume func(io.Reader) error) error {
	if extension == "" {
		return consume(in)
	}
	packed := bufio.NewReaderSize(in, 64<<10)
	head, err := packed.Peek(stream.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	format := stream.Detect(head)
	if format == nil {
		return job.Flawed(job.Damaged, "it does not begin as a %s file does", extension)
	}
	result, err := r.decoder.Stream(ctx, format, packed, consume)
	out.Judged(result.Tool)
	if result.Err != nil {
		return result.Err
	}
	return err
}

// readLog reads a batch of the log. Each segment has its checksum in its name.
func (r *repository) readLog(ctx context.Context, v *view, l *logs, id string, out *job.Outcome) (read int64, worst error) {
	for _, s := range l.batches[id] {
		err := v.store.raw(ctx, s.place, func(in io.Reader) error {
			counted := &counter{r: in}
			defer func() { read += counted.n }()
			return r.content(ctx, path.Ext(s.place), v.archives.pass, counted, content{size: l.sizeOf(v, id), sum: s.sum}, out)
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has expired meanwhile; whether it is needed is asked elsewhere
		}
		if worst = job.Worse(worst, about(s.place, err)); ctx.Err() != nil {
			break
		}
	}
	return read, worst
}

// sizeOf is how large the segments of a batch are.
func (l *logs) sizeOf(v *view, id string) int64 {
	for database, archive := range l.archives {
		if strings.HasPrefix(id, "log "+v.archives.history[database].archive()+"/") {
			return archive.Size
		}
	}
	return 0
}

// A counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// A failing reader remembers why it ended.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}
