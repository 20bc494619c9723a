package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/internal/idle"
)

// Check does a task. Files are checked one by one: a bad one does not hide its
// neighbours.
func (l *location) Check(ctx context.Context, task job.Task) job.Outcome {
	switch task.Depth {
	case job.Structure, job.Read:
		return l.inspect(ctx, task)
	case job.Restored, job.Loaded, job.Asserted:
		return l.restore(ctx, task)
	}
	return job.Outcome{Err: probes.Because(probes.Unsupported, fmt.Errorf("files cannot be checked to the depth %s", task.Depth))}
}

// A finding is what came of checking one unit.
type finding struct {
	err         error
	read        bool // every byte was read
	size, files job.Count
	tools       []job.Tool
	notes       []string
}

// inspect checks the units of a task.
func (l *location) inspect(ctx context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}, Size: job.Of(0), Files: job.Of(0)}
	everything := true
	for _, unit := range task.Units {
		if ctx.Err() != nil || task.Bytes > 0 && out.Bytes >= task.Bytes {
			everything = false
			break
		}
		f := l.unit(ctx, unit.ID, task.Depth)
		if flaw := (*job.Flaw)(nil); errors.As(f.err, &flaw) && flaw.Reason == job.Empty {
			linger(ctx)
		}
		if err := l.unchanged(ctx, unit); err != nil {
			f = finding{err: err}
		}
		if f.err != nil && ctx.Err() != nil && !job.IsFlaw(f.err) {
			f.err = ctx.Err()
		}
		out.Err = worse(out.Err, f.err, unit.ID)
		if f.read || f.err != nil {
			out.Units[unit.ID] = f.err
		}
		if f.read {
			out.Bytes += unit.Bytes
		} else {
			everything = false
		}
		out.Judged(f.tools...)
		for _, note := range f.notes {
			out.Note("%s: %s", path.Base(unit.ID), note)
		}
		out.Size, out.Files = sum(out.Size, f.size), sum(out.Files, f.files)
	}
	if out.Err == nil && ctx.Err() != nil {
		out.Err = ctx.Err()
	}
	if everything && task.Depth == job.Structure {
		out.Reached = append(out.Reached, job.Read)
	}
	return out
}

// linger lets a truncation come to its end. Whoever writes over a large file
// empties it first, and for some milliseconds it is empty and does not seem to
// have changed: the kernel sets the time of a truncation last.
func linger(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(100 * time.Millisecond):
	}
}

// worse returns the error that counts, with the name of the unit that it is of.
func worse(have, err error, unit string) error {
	if err == nil {
		return have
	}
	return job.Worse(have, fmt.Errorf("%s: %w", path.Base(unit), err))
}

func sum(a, b job.Count) job.Count {
	if !a.Known || !b.Known {
		return job.Count{}
	}
	return job.Of(a.N + b.N)
}

// unchanged returns an error if a unit is not any more what it was when the
// backups were listed: a backup writes to it, or a rotation has taken it away.
// Whatever was read of it then says nothing.
func (l *location) unchanged(ctx context.Context, unit job.Unit) error {
	if unit.Stamp == "" {
		return nil
	}
	info, err := l.host.Files.Stat(unit.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return probes.Because(probes.NotFound, errors.New("it was there when the backups were listed, and is not any more"))
	}
	if err != nil {
		return err
	}
	now := stamp(info)
	if info.IsDir() {
		t, err := l.walk(ctx, unit.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return errChanged // something in it went while we looked
		}
		if err != nil {
			return err
		}
		now = t.stamp()
	}
	if now != unit.Stamp {
		return errChanged
	}
	return nil
}

var errChanged = probes.Because(probes.Locked, errors.New("it has changed since the backups were listed: a backup is writing to it"))

// unit checks a file or a directory.
func (l *location) unit(ctx context.Context, name string, depth job.Depth) finding {
	info, err := l.host.Files.Stat(name)
	switch {
	case err != nil:
		return finding{err: err}
	case info.IsDir():
		return l.directory(ctx, name, depth)
	}
	f := l.file(ctx, name, depth)
	if f.err == nil && f.read {
		notes, err := l.listed(ctx, name)
		f.err = err
		f.notes = append(f.notes, notes...)
	}
	return f
}

// file checks one file.
func (l *location) file(ctx context.Context, name string, depth job.Depth) finding {
	file, err := l.host.Files.Open(name)
	if err != nil {
		return finding{err: err}
	}
	defer file.Close()
	idle.Forget(file) // what is read must come from the disk
	defer idle.Forget(file)
	info, err := file.Stat()
	if err != nil {
		return finding{err: err}
	}
	if info.Size() == 0 {
		return finding{err: job.Flawed(job.Empty, "the file is empty"), read: true}
	}
	head := make([]byte, content.HeadSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return finding{err: err}
	}
	head = head[:n]
	format, claimed := stream.Detect(head), stream.Named(name)
	if claimed != nil && (format == nil || format.Name != claimed.Name) {
		return finding{err: notClaimed(claimed.Name, head), read: true}
	}
	s := &subject{location: l, name: name, file: file, size: info.Size(), head: head, depth: depth, want: l.want}
	if s.want == content.Any && namedTar(name) {
		s.want = content.Tar
	}
	if format != nil {
		return s.packed(ctx, format)
	}
	return s.plain(ctx)
}

func notClaimed(name string, head []byte) error {
	if zeroed(head) {
		return job.Flawed(job.Damaged, "the file is named like %s data and begins with zeros", name)
	}
	return job.Flawed(job.Mismatch, "the file is named like %s data and begins with %.40q", name, head[:min(len(head), 40)])
}

func zeroed(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// A subject is an open file that is being checked.
type subject struct {
	*location
	name  string
	file  *os.File
	size  int64
	head  []byte
	depth job.Depth
	want  content.Type
}

// namedTar reports whether the name of a file says that it is a tar archive,
// compressed or not.
func namedTar(name string) bool {
	extension := path.Ext(name)
	if stream.Named(name) == nil || path.Ext(strings.TrimSuffix(name, extension)) == ".tar" {
		return strings.HasSuffix(strings.TrimSuffix(name, extension), ".tar") || extension == ".tar"
	}
	return slices.Contains([]string{".tgz", ".taz", ".tbz", ".tbz2", ".txz", ".tlz", ".tlz4", ".tzst"}, extension)
}

// packed checks a compressed file and what is in it.
func (s *subject) packed(ctx context.Context, format *stream.Format) finding {
	return s.unpacked(ctx, func(consume func(io.Reader) error) (stream.Result, error) {
		return s.decoder.File(ctx, format, s.file, s.size, consume)
	})
}

// unpacked puts together what is said of a compressed stream and of what is in
// it.
func (s *subject) unpacked(ctx context.Context, unpack func(consume func(io.Reader) error) (stream.Result, error)) finding {
	f := finding{read: true}
	var (
		info content.Info
		tool *job.Tool
	)
	result, err := unpack(func(r io.Reader) error {
		var err error
		info, tool, err = s.content(ctx, r)
		return err
	})
	f.notes = append(result.Notes, info.Notes...)
	if result.Tool.Name != "" {
		f.tools = append(f.tools, result.Tool)
	}
	if tool != nil {
		f.tools = append(f.tools, *tool)
	}
	switch {
	case result.Err != nil && !job.IsFlaw(result.Err) && !job.IsFlaw(err):
		f.err, f.read = result.Err, false // it could not be unpacked
	case result.Err != nil && job.IsFlaw(result.Err):
		f.err = result.Err
	default:
		f.err = err
	}
	f.size, f.files = job.Of(info.Size), job.Of(info.Files)
	return f
}

// content checks an unpacked stream: by pg_restore what only that can judge.
func (s *subject) content(ctx context.Context, r io.Reader) (content.Info, *job.Tool, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(5)
	if err != nil && !errors.Is(err, io.EOF) {
		return content.Info{}, nil, err
	}
	if string(head) == "PGDMP" && (s.want == content.Any || s.want == content.PgDump) {
		counted := &counter{r: in}
		tool, err := s.program.pgRestoreStream(ctx, counted)
		return content.Info{Type: content.PgDump, Size: counted.n, Files: 1}, &tool, err
	}
	info, err := content.Check(in, s.want)
	return info, nil, err
}

// plain checks a file that is not compressed as a whole.
func (s *subject) plain(ctx context.Context) finding {
	kind := content.Detect(s.head)
	if kind == content.Any && (s.want == content.Any) && s.depth == job.Structure && !zeroed(s.head) {
		return finding{size: job.Of(s.size), files: job.Of(1), notes: []string{"nothing is known of the form of the file"}}
	}
	switch kind {
	case content.Zip:
		return s.zip(ctx)
	case content.SevenZip:
		return s.sevenZip(ctx)
	case content.SQLite:
		return s.sqlite(ctx)
	case content.PgDump:
		if string(s.head[:5]) == "PGDMP" {
			return s.byProgram(s.program.pgRestore(ctx, s.name))
		}
	}
	info, err := content.Check(io.NewSectionReader(s.file, 0, s.size), s.want)
	f := finding{
		err: err, read: true, size: job.Of(info.Size), files: job.Of(info.Files), notes: info.Notes,
		tools: []job.Tool{{Name: "builtin " + string(kind)}},
	}
	if err != nil && !job.IsFlaw(err) {
		f.read = false
	}
	if err == nil {
		s.second(ctx, info, &f)
	}
	return f
}

// second asks the program that would restore, where the agent alone has found
// nothing wrong and cannot see all.
func (s *subject) second(ctx context.Context, info content.Info, f *finding) {
	var (
		tool job.Tool
		err  error
	)
	switch info.Type {
	case content.Redis:
		tool, err = s.program.redis(ctx, s.name)
	case content.Etcd:
		tool, err = s.program.etcd(ctx, s.name)
	case content.Tar:
		if path.Base(string(firstMember(s.head))) != "toc.dat" {
			return
		}
		tool, err = s.program.pgRestore(ctx, s.name)
	default:
		return
	}
	switch {
	case err == nil, job.IsFlaw(err):
		f.err = err
		f.tools = append(f.tools, tool)
	default:
		f.notes = append(f.notes, "only the agent itself has judged it: "+err.Error())
		if info.Type == content.Tar {
			f.err, f.read = err, false // tar alone says nothing about a dump
		}
	}
}

func firstMember(head []byte) []byte {
	name := head[:min(len(head), 100)]
	for i, c := range name {
		if c == 0 {
			return name[:i]
		}
	}
	return name
}

// byProgram is the finding where a program alone judges.
func (s *subject) byProgram(tool job.Tool, err error) finding {
	f := finding{err: err, read: err == nil || job.IsFlaw(err), size: job.Of(s.size), files: job.Of(1)}
	if tool.Name != "" {
		f.tools = []job.Tool{tool}
	}
	if s.want != content.Any && s.want != content.PgDump && content.Detect(s.head) == content.PgDump {
		f.err = job.Flawed(job.Mismatch, "it holds a dump of PostgreSQL and not %s", s.want)
	}
	return f
}

// sqlite lets SQLite check the database, opened so that nothing is written
// beside it.
func (s *subject) sqlite(ctx context.Context) finding {
	if s.want != content.Any && s.want != content.SQLite {
		return finding{err: job.Flawed(job.Mismatch, "it holds an SQLite database and not %s", s.want), read: true}
	}
	f := finding{size: job.Of(s.size), files: job.Of(1), tools: []job.Tool{{Name: "builtin sqlite"}}}
	if f.err = content.SQLiteHeader(s.head[:min(len(s.head), 100)], s.size); f.err != nil {
		f.read = true
		return f
	}
	if s.depth == job.Structure {
		return f
	}
	return s.byProgram(s.program.sqlite(ctx, s.name))
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
