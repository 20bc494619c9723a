// Package restore writes a backup into a scratch directory and proves what came
// out: every byte is read back from the disk and compared with what was written,
// with the checksum that the backup has of it, and with the source where that is
// unchanged. Nothing is written outside the directory, no device is made, no
// right is given that a file had, and no more is written than fits.
package restore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
	"hygiene_exporter/probes/internal/scratch"
)

// Files is where the source of a backup is read.
type Files interface {
	Open(path string) (*os.File, error)
	Stat(path string) (fs.FileInfo, error)
}

// A Writer restores into one directory.
type Writer struct {
	root  *os.Root
	files Files
	task  job.Restore
	at    time.Time // of the data
	limit int64

	Count    int64         // files that were restored
	Bytes    int64         // of them
	Skipped  int64         // devices and the like
	Compared int64         // files that were compared with the source
	Duration time.Duration // of the writing alone
	required []bool        // by pattern of the assertion
	canary   time.Time     // of the youngest canary
}

// An Entry is what is restored to one path.
type Entry struct {
	Name     string // relative; with slashes
	Modified time.Time
	Size     int64 // as announced; -1 when it is not known
	// Sum is what the backup says of the content; nil: nothing.
	Sum  []byte
	Hash func() hash.Hash // with which Sum was made
}

// reserve is the share of the free space that is left alone: one in so many.
const reserve = 10

// New returns a writer for a task. The data that is restored is of the instant
// at; need is how much it will be, if that is known.
func New(files Files, task job.Restore, at time.Time, need job.Count) (*Writer, error) {
	free, err := scratch.Free(task.Scratch)
	if err != nil {
		return nil, err
	}
	limit := free - free/reserve
	if need.Known && task.Sample == 0 && need.N > limit {
		return nil, tooLarge(limit)
	}
	root, err := os.OpenRoot(task.Scratch)
	if err != nil {
		return nil, err
	}
	return &Writer{root: root, files: files, task: task, at: at, limit: limit, required: make([]bool, len(task.Assert.Required))}, nil
}

// Told says for people what was restored.
func (w *Writer) Told() string {
	if w.Count == 1 {
		return fmt.Sprintf("1 file with %d bytes was restored", w.Bytes)
	}
	return fmt.Sprintf("%d files with %d bytes were restored", w.Count, w.Bytes)
}

// Close gives up the directory, which stays as it is.
func (w *Writer) Close() error { return w.root.Close() }

func tooLarge(limit int64) error {
	return probes.Because(probes.TooLarge, fmt.Errorf("the backup does not fit: %d bytes may be written to the scratch directory", limit))
}

// Enough reports whether the sample that was asked for is restored.
func (w *Writer) Enough() bool { return w.task.Sample > 0 && w.Bytes >= w.task.Sample }

// Local returns the path of a name inside the directory, or the flaw that it
// leads outside.
func Local(name string) (string, error) {
	clean := strings.TrimSuffix(name, "/")
	if clean == "." || clean == "" || clean == "./" {
		return ".", nil
	}
	if !filepath.IsLocal(clean) {
		return "", job.Flawed(job.Unsafe, "%.80q would be restored outside of its place", name)
	}
	return path.Clean(clean), nil
}

// Directory makes a directory.
func (w *Writer) Directory(name string) error {
	local, err := Local(name)
	if err != nil || local == "." {
		return err
	}
	return w.escaped(name, w.root.MkdirAll(local, 0o700))
}

// Link makes a symbolic link. It is never followed.
func (w *Writer) Link(name, target string) error {
	local, err := Local(name)
	if err != nil {
		return err
	}
	if err := w.parent(local); err != nil {
		return err
	}
	_ = w.root.Remove(local)
	w.Count++
	return w.escaped(name, w.root.Symlink(target, local))
}

// Hard makes a hard link to something that was restored before.
func (w *Writer) Hard(name, target string) error {
	local, err := Local(name)
	if err != nil {
		return err
	}
	to, err := Local(target)
	if err != nil {
		return err
	}
	if err := w.parent(local); err != nil {
		return err
	}
	_ = w.root.Remove(local)
	w.Count++
	return w.escaped(name, w.root.Link(to, local))
}

// Found counts a file that a program has restored into the directory, and whose
// content was compared there.
func (w *Writer) Found(name string, modified time.Time, size int64) {
	w.Count++
	w.Bytes += size
	w.assert(name, modified, size)
}

// Skip counts what is not restored, such as a device.
func (w *Writer) Skip() { w.Skipped++ }

func (w *Writer) parent(local string) error {
	if dir := path.Dir(local); dir != "." {
		return w.escaped(local, w.root.MkdirAll(dir, 0o700))
	}
	return nil
}

// escaped turns the refusal of the root into a flaw: a link that was restored
// before leads outside.
func (w *Writer) escaped(name string, err error) error {
	if err != nil && strings.Contains(err.Error(), "escapes from parent") {
		return job.Flawed(job.Unsafe, "%.80q would be restored outside of its place, through a link", name)
	}
	return err
}

// File restores a file and proves it.
func (w *Writer) File(ctx context.Context, e Entry, r io.Reader) error {
	local, err := Local(e.Name)
	if err != nil {
		return err
	}
	if e.Size > 0 && w.Bytes+e.Size > w.limit {
		return tooLarge(w.limit)
	}
	start := time.Now()
	sum, size, err := w.write(ctx, local, r)
	w.Duration += time.Since(start)
	if err != nil {
		return err
	}
	w.Count++
	w.Bytes += size
	if err := w.prove(ctx, local, e, sum); err != nil {
		return err
	}
	w.assert(local, e.Modified, size)
	return w.compare(ctx, local, e, sum, size)
}

func (w *Writer) write(ctx context.Context, local string, r io.Reader) (sum []byte, size int64, err error) {
	if err := w.parent(local); err != nil {
		return nil, 0, err
	}
	_ = w.root.Remove(local) // a later member of the same name wins
	file, err := w.root.OpenFile(local, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, w.escaped(local, err)
	}
	defer file.Close()
	digest := sha256.New()
	size, err = io.Copy(io.MultiWriter(file, digest), &limited{ctx: ctx, r: r, left: w.limit - w.Bytes, limit: w.limit})
	if err == nil {
		err = file.Sync()
	}
	idle.Forget(file)
	return digest.Sum(nil), size, err
}

// prove reads a file back.
func (w *Writer) prove(ctx context.Context, local string, e Entry, written []byte) error {
	file, err := w.root.Open(local)
	if err != nil {
		return err
	}
	defer file.Close()
	digest := sha256.New()
	targets := []io.Writer{digest}
	var own hash.Hash
	if e.Hash != nil {
		own = e.Hash()
		targets = append(targets, own)
	}
	if _, err := io.Copy(io.MultiWriter(targets...), &limited{ctx: ctx, r: file, left: 1 << 62}); err != nil {
		return err
	}
	if !bytes.Equal(digest.Sum(nil), written) {
		return probes.Because(probes.Unavailable, fmt.Errorf("the scratch directory does not keep what is written to it: %s", local))
	}
	if own != nil && !bytes.Equal(own.Sum(nil), e.Sum) {
		return job.Flawed(job.Damaged, "%.80q does not have the checksum that the backup tells, once it is restored", e.Name)
	}
	return nil
}

// compare compares a file with its source, if that has not changed since.
func (w *Writer) compare(ctx context.Context, local string, e Entry, sum []byte, size int64) error {
	if w.task.Source == "" || w.files == nil {
		return nil
	}
	for _, name := range w.sources(local) {
		info, err := w.files.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if !sameSecond(info.ModTime(), e.Modified) {
			return nil // it has changed since, or nobody knows
		}
		file, err := w.files.Open(name)
		if err != nil {
			return nil //nolint:nilerr // the source is not what is judged
		}
		defer file.Close()
		digest := sha256.New()
		if _, err := io.Copy(digest, &limited{ctx: ctx, r: file, left: 1 << 62}); err != nil {
			return ctx.Err() // the source is not what is judged
		}
		if !bytes.Equal(digest.Sum(nil), sum) {
			return job.Flawed(job.Mismatch, "%.80q was restored with %d bytes that are not those of its source, which was not changed since", e.Name, size)
		}
		w.Compared++
		return nil
	}
	return nil
}

// sameSecond compares the time of a file with what an archive tells of it: some
// producers cut the fraction off, and others round it.
func sameSecond(file, told time.Time) bool {
	told = told.Truncate(time.Second)
	return file.Truncate(time.Second).Equal(told) || file.Round(time.Second).Equal(told)
}

// sources are where a restored file may have come from: an archive may name it
// from the root of the host on, from the directory, or from inside of it; and a
// tree may hold the whole path below a name of the host.
func (w *Writer) sources(local string) []string {
	source := path.Clean(w.task.Source)
	list := []string{path.Join(source, local)}
	if _, below, found := strings.Cut("/"+local, source+"/"); found {
		list = append(list, path.Join(source, below))
	}
	for rest := strings.TrimPrefix(source, "/"); rest != ""; {
		if below, ok := strings.CutPrefix(local, rest+"/"); ok {
			list = append(list, path.Join(source, below))
		}
		_, after, ok := strings.Cut(rest, "/")
		if !ok {
			break
		}
		rest = after
	}
	return list
}

// assert notes what of the assertions a file fulfils.
func (w *Writer) assert(local string, modified time.Time, size int64) {
	for i, pattern := range w.task.Assert.Required {
		if !w.required[i] && size > 0 && Matches(pattern, local) {
			w.required[i] = true
		}
	}
	if canary := w.task.Assert.Canary; canary != "" && Matches(canary, local) && modified.After(w.canary) {
		w.canary = modified
	}
}

// Matches matches a pattern with a path below what was restored, or one without a
// slash with its last part.
func Matches(pattern, local string) bool {
	if !strings.Contains(pattern, "/") {
		local = path.Base(local)
	}
	match, err := doublestar.Match(strings.TrimPrefix(pattern, "/"), local)
	return err == nil && match
}

// Assertions returns what of the assertions does not hold.
func (w *Writer) Assertions() error {
	a := w.task.Assert
	switch i := slices.Index(w.required, false); {
	case w.Count < a.MinFiles:
		return job.Flawed(job.Unasserted, "%d files were restored, and at least %d are demanded", w.Count, a.MinFiles)
	case w.Bytes < a.MinBytes:
		return job.Flawed(job.Unasserted, "%d bytes were restored, and at least %d are demanded", w.Bytes, a.MinBytes)
	case i >= 0:
		return job.Flawed(job.Unasserted, "nothing that was restored matches %.80q and has content", a.Required[i])
	case a.Canary != "" && w.canary.IsZero():
		return job.Flawed(job.Unasserted, "the canary %.80q was not restored", a.Canary)
	case a.Canary != "" && w.task.RPO > 0 && w.at.Sub(w.canary) > w.task.RPO:
		return job.Flawed(job.Unasserted, "the canary was last changed at %s, longer before the backup than the objective of %s", w.canary.UTC().Format(time.RFC3339), w.task.RPO)
	}
	return nil
}

// limited ends a stream with its context, and with an error at its limit.
type limited struct {
	ctx         context.Context //nolint:containedctx // io.Reader has no other way
	r           io.Reader
	left, limit int64
}

func (l *limited) Read(b []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := l.r.Read(b)
	l.left -= int64(n)
	if l.left < 0 && (err == nil || errors.Is(err, io.EOF)) {
		err = tooLarge(l.limit)
	}
	return n, err
}
