package stream

import (
	"bufio"
	"context"
	"errors"
	"io"

	"hygiene_exporter/probes/backup/job"
)

// ErrFile says that a stream can only be judged as a file, in which one can go
// back.
var ErrFile = errors.New("only a file of it can be judged")

// Forward is File for what can be read only once, such as an object of a bucket,
// and whose size is known.
func (d *Decoder) Forward(ctx context.Context, f *Format, in io.Reader, size int64, consume func(io.Reader) error) (Result, error) {
	if f.end == nil {
		return d.Stream(ctx, f, in, consume)
	}
	r, w := io.Pipe()
	var (
		at   frames
		err  error
		done = make(chan struct{})
	)
	go func() {
		defer close(done)
		at, err = f.end(&ahead{r: bufio.NewReaderSize(r, chunk)}, size)
		_, _ = io.Copy(io.Discard, r)
	}()
	both := io.TeeReader(in, w)
	result, consumed := d.Stream(ctx, f, both, consume)
	_, copied := io.Copy(io.Discard, both) // a program may stop reading before the end
	w.CloseWithError(copied)               // which is EOF when it is nil
	<-done
	switch {
	case copied != nil:
		return Result{Err: copied, Tool: result.Tool}, consumed
	case err == nil && at.end < size:
		result.Err = ErrFile // whether what follows is padding decides
	case result.Err == nil && job.IsFlaw(err):
		result.Err = err
	}
	if err == nil {
		result.Notes = append(result.Notes, at.notes()...)
	}
	return result, consumed
}

// ahead reads a stream at positions that only grow, but for what was last looked
// at.
type ahead struct {
	r    *bufio.Reader
	at   int64 // of what was last looked at
	last []byte
}

// ReadAt reads at a position.
func (a *ahead) ReadAt(p []byte, off int64) (int, error) {
	if back := off - a.at; back >= 0 && back < int64(len(a.last)) {
		n := copy(p, a.last[back:])
		a.last, a.at = append([]byte(nil), a.last[back:]...), off
		more := make([]byte, len(p)-n)
		read, err := io.ReadFull(a.r, more)
		a.last = append(a.last, more[:read]...)
		return n + copy(p[n:], more[:read]), short(err)
	}
	skip := off - a.at - int64(len(a.last))
	if skip < 0 {
		return 0, ErrFile
	}
	if _, err := io.CopyN(io.Discard, a.r, skip); err != nil {
		return 0, err
	}
	n, err := io.ReadFull(a.r, p)
	a.at, a.last = off, append([]byte(nil), p[:n]...)
	return n, short(err)
}

func short(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
