package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"hygiene_exporter/probes"
)

// Unlocked does a check that takes no lock, so that a backup can begin at any
// time.
//
// state returns what every backup changes, such as the list of what there is, or
// an error made with Busy while somebody is writing: then nothing is checked. Who
// looks without a lock sees half of what is written meanwhile, so a flaw that
// check finds counts only if the state is still the same behind it, and so does a
// failure that nobody can explain. Otherwise the outcome is unknown: locked, and
// nothing is said of the units.
func Unlocked(state func() (string, error), check func(*Outcome) error) Outcome {
	out := Outcome{Units: map[string]error{}}
	before, err := state()
	if err != nil {
		out.Err = err
		return out
	}
	out.Err = check(&out)
	if out.Err == nil || !IsFlaw(out.Err) && probes.ReasonOf(out.Err) != probes.Unavailable {
		return out
	}
	after, err := state()
	if err == nil && after != before {
		err = Busy("the repository was written to during the check")
	}
	if err != nil {
		out.Err, out.Units, out.Reached = err, map[string]error{}, nil
	}
	return out
}

// Busy is the error of a check that must wait, and why.
func Busy(format string, args ...any) error {
	return probes.Because(probes.Locked, fmt.Errorf(format, args...))
}

// Files is where the agent reads what it knows of this host.
type Files interface {
	ReadFile(path string, limit int64) ([]byte, error)
	Stat(path string) (fs.FileInfo, error)
}

// Departed reports whether a process that left a lock is no more. It must have
// run on this host, whose name stands with the lock, with or without a domain; of
// the processes of other hosts nobody here knows.
func Departed(files Files, hostname string, pid int) bool {
	name, err := files.ReadFile("/proc/sys/kernel/hostname", 1<<10)
	own := strings.TrimSpace(string(name))
	if err != nil || own == "" || pid <= 0 || hostname != own && !strings.HasPrefix(hostname, own+".") {
		return false
	}
	_, err = files.Stat(fmt.Sprintf("/proc/%d", pid))
	return probes.ReasonOf(err) == probes.NotFound
}

// ErrEnough is what a reader of Stream returns when it needs no more.
var ErrEnough = errors.New("enough was read")

// Stream lets write write, such as a program its output, while read reads that
// as it comes. What read leaves over is read and thrown away, unless it returns
// ErrEnough, which is no error. When both fail, the first counts: that an output
// breaks off is the consequence of what its program ran into, and that a program
// cannot write on is the consequence of what its reader found.
func Stream(write func(io.Writer) error, read func(io.Reader) error) error {
	in, to := io.Pipe()
	var failed error
	ended := make(chan struct{})
	go func() {
		err := write(to)
		failed = err
		close(ended)           // before read can see it
		to.CloseWithError(err) // which is EOF when it is nil
	}()
	err := read(in)
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	select {
	case <-ended:
	default: // read gave up: that write then fails is the consequence
		in.CloseWithError(ErrEnough)
		<-ended
		failed = nil
	}
	switch {
	case errors.Is(err, ErrEnough):
		return nil
	case failed != nil:
		return failed
	}
	return err
}

// Interruptible returns a reader that fails once ctx is done.
func Interruptible(ctx context.Context, r io.Reader) io.Reader { return interruptible{ctx, r} }

type interruptible struct {
	ctx context.Context //nolint:containedctx // io.Reader has no other way
	r   io.Reader
}

func (i interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}
