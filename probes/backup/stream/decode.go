package stream

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A Decoder unpacks streams. It may be used by one goroutine at a time.
type Decoder struct {
	Commands probes.Commands
	Pipes    probes.Pipes
	tools    map[string]job.Tool // by name, with their versions
}

// A Result is what came of unpacking one stream.
type Result struct {
	Err   error // nil when the stream is whole; else a flaw, or why it cannot be told
	Tool  job.Tool
	Notes []string
}

// chunk is the size of buffers and pipes.
const chunk = 1 << 20

// File unpacks a file, which must be of the format, and hands what it holds to
// consume. Data behind the end of the stream is looked at: padding is a note,
// and so is anything that the restoring program ignores; what makes it fail is
// a flaw. The second error is that of consume. Where both fail, the
// second is often a consequence of the first.
func (d *Decoder) File(ctx context.Context, f *Format, file *os.File, size int64, consume func(io.Reader) error) (Result, error) {
	if f.end == nil {
		return d.Stream(ctx, f, file, consume)
	}
	at, err := f.end(file, size)
	switch {
	case job.IsFlaw(err):
		// The frames alone say that it is not whole. The program may know better
		// why, and the content too.
		result, consumed := d.Stream(ctx, f, file, consume)
		if result.Err == nil {
			result.Err = err
		}
		return result, consumed
	case err != nil:
		return unreadable(f, err), nil
	}
	if at.end == size {
		result, consumed := d.Stream(ctx, f, file, consume)
		result.Notes = append(result.Notes, at.notes()...)
		return result, consumed
	}
	padding, err := zeros(ctx, file, at.end, size)
	if err != nil {
		return unreadable(f, err), nil
	}
	result, consumed := d.Stream(ctx, f, io.NewSectionReader(file, 0, at.end), consume)
	result.Notes = append(result.Notes, at.notes()...)
	if padding {
		result.Notes = append(result.Notes, fmt.Sprintf("%d zero bytes follow the end of the %s stream; %s complains of them", size-at.end, f.Name, f.Name))
	} else if result.Err == nil {
		result.Err = job.Flawed(job.Damaged, "%d bytes that are no %s data follow the end of the stream", size-at.end, f.Name)
	}
	return result, consumed
}

// unreadable is the result for a stream that cannot be read to its end.
func unreadable(f *Format, err error) Result { return Result{Err: err, Tool: own(f)} }

// Stream unpacks a stream.
func (d *Decoder) Stream(ctx context.Context, f *Format, in io.Reader, consume func(io.Reader) error) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{Err: err}, err
	}
	tool, err := d.tool(ctx, f)
	switch {
	case err == nil:
		return d.pipe(ctx, f, tool, in, consume)
	case f.reader == nil:
		return Result{Err: probes.Because(probes.Unsupported, fmt.Errorf("a %s stream cannot be unpacked here: %w", f.Name, err))}, nil
	}
	return d.inside(ctx, f, in, consume)
}

// pipe lets the program unpack.
func (d *Decoder) pipe(ctx context.Context, f *Format, tool job.Tool, in io.Reader, consume func(io.Reader) error) (Result, error) {
	result := Result{Tool: tool}
	r, w, err := os.Pipe()
	if err != nil {
		result.Err = err
		return result, nil //nolint:nilerr // the error is that of the stream
	}
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, chunk) // fewer switches; without, it works too
	done := make(chan struct{})
	var (
		out    probes.Output
		runErr error
	)
	go func() {
		defer close(done)
		defer w.Close()
		out, runErr = d.Pipes.Pipe(ctx, in, w, f.Name)
	}()
	consumed := consume(r)
	_, _ = io.Copy(io.Discard, r) // the verdict on the stream needs its end
	r.Close()
	<-done
	switch {
	case runErr != nil:
		result.Err = runErr
	case out.ExitCode == 0, f.warning != 0 && out.ExitCode == f.warning:
		if text := message(out.Stderr); text != "" {
			result.Notes = append(result.Notes, f.Name+" says: "+text)
		}
	default:
		result.Err = f.judge(message(out.Stderr))
	}
	return result, consumed
}

// tool returns the program with its version, which is asked for once.
func (d *Decoder) tool(ctx context.Context, f *Format) (job.Tool, error) {
	if tool, known := d.tools[f.Name]; known {
		return tool, nil
	}
	out, err := d.Commands.Run(ctx, f.Name+"-version")
	if err != nil {
		return job.Tool{}, err
	}
	tool := job.Tool{Name: f.Name, Version: firstMatch(f, append(out.Stdout, out.Stderr...))}
	if d.tools == nil {
		d.tools = map[string]job.Tool{}
	}
	d.tools[f.Name] = tool
	return tool, nil
}

// judge turns what a program complains of into a flaw.
func (f *Format) judge(text string) error {
	for _, c := range f.complaints {
		if !c.text.MatchString(text) {
			continue
		}
		if c.reason == "" {
			return probes.Because(probes.Unsupported, fmt.Errorf("%s cannot judge it: %s", f.Name, text))
		}
		return job.Flawed(c.reason, "the %s stream is not whole: %s", f.Name, text)
	}
	return job.Flawed(job.Damaged, "the %s stream is damaged: %s", f.Name, text)
}

// message returns the first line of a complaint, without what names the stream.
func message(stderr []byte) string {
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimSpace(line)
		for _, noise := range []string{"gzip: stdin: ", "bzip2: ", "xz: ", "zstd: ", "lzip: ", "(stdin): ", "(stdin) ", `/*stdin*\ : `, `/*stdin*\: `} {
			line = strings.TrimPrefix(line, noise)
		}
		if line != "" {
			return line
		}
	}
	return ""
}

func firstMatch(f *Format, text []byte) string {
	if match := f.version.FindSubmatch(text); match != nil {
		return string(bytes.TrimRight(match[1], "."))
	}
	return ""
}

// own is the tool for what the agent itself has found.
func own(f *Format) job.Tool { return job.Tool{Name: "builtin " + f.Name} }

// inside unpacks with the package's own reader.
func (d *Decoder) inside(ctx context.Context, f *Format, in io.Reader, consume func(io.Reader) error) (Result, error) {
	result := Result{Tool: own(f)}
	buffered := bufio.NewReaderSize(&interruptible{ctx, in}, chunk)
	watch := &watched{}
	r, err := f.reader(buffered)
	if err != nil {
		result.Err = f.judgeInside(err)
		return result, nil
	}
	if z, ok := r.(*gzip.Reader); ok {
		r = &members{gzip: z, in: buffered, note: func(text string) { result.Notes = append(result.Notes, text) }}
		z.Multistream(false)
	}
	if closer, ok := r.(*zstd.Decoder); ok {
		defer closer.Close()
	}
	watch.r = r
	consumed := consume(watch)
	_, _ = io.Copy(io.Discard, watch)
	result.Err = f.judgeInside(watch.err)
	return result, consumed
}

func (f *Format) judgeInside(err error) error {
	var structural bzip2.StructuralError
	var corrupt flate.CorruptInputError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return job.Flawed(job.Truncated, "the %s stream ends too early", f.Name)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrUnknownDictionary):
		return probes.Because(probes.Unsupported, fmt.Errorf("the built-in reader cannot judge the %s stream: %w", f.Name, err))
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &structural), errors.As(err, &corrupt):
		return job.Flawed(job.Damaged, "the %s stream is damaged: %v", f.Name, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case f.Name == "zstd" && probes.ReasonOf(err) == probes.Other:
		return job.Flawed(job.Damaged, "the zstd stream is damaged: %v", err)
	}
	return err
}

// watched remembers the error of a reader, which a consumer may ignore.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(b)
	w.err = err
	return n, err
}

// interruptible ends a stream when its context does.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// members reads gzip members one after the other, as gzip(1) does: zeros behind
// the last are padding of a tape, and anything else is ignored with a warning.
type members struct {
	gzip *gzip.Reader
	in   *bufio.Reader
	note func(string)
	end  bool
}

func (m *members) Read(b []byte) (int, error) {
	for !m.end {
		n, err := m.gzip.Read(b)
		if n > 0 || !errors.Is(err, io.EOF) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}

func (m *members) next() error {
	head, err := m.in.Peek(2)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		m.end = true
	case len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b:
		if err := m.gzip.Reset(m.in); err != nil {
			return err
		}
		m.gzip.Multistream(false)
	case head[0] == 0:
		m.end = true
		if n, all := skipZeros(m.in); !all {
			m.note("gzip ignores what follows the end of the stream")
		} else {
			m.note(fmt.Sprintf("%d zero bytes follow the end of the gzip stream", n))
		}
	case err == nil || errors.Is(err, io.EOF):
		m.end = true
		m.note("gzip ignores what follows the end of the stream")
	default:
		return err
	}
	return nil
}

func skipZeros(r *bufio.Reader) (n int64, all bool) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return n, errors.Is(err, io.EOF)
		}
		if b != 0 {
			return n, false
		}
		n++
	}
}

// zeros reports whether a part of a file holds nothing but zeros.
func zeros(ctx context.Context, r io.ReaderAt, from, to int64) (bool, error) {
	_, all := skipZeros(bufio.NewReaderSize(&interruptible{ctx, io.NewSectionReader(r, from, to-from)}, chunk))
	return all, ctx.Err()
}
