package job_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

func TestUnlocked(t *testing.T) {
	busy := job.Busy("process 1 holds a lock")
	flaw := job.Flawed(job.Damaged, "damaged")
	for _, c := range []struct {
		name   string
		states []any // a string or an error, call by call
		found  error
		want   string
	}{
		{"good, and asked once", []any{"one"}, nil, "good"},
		{"a flaw of what nobody writes to", []any{"one", "one"}, flaw, "bad damaged"},
		{"a flaw of what was written to", []any{"one", "two"}, flaw, "unknown locked"},
		{"a flaw of what is being written", []any{"one", busy}, flaw, "unknown locked"},
		{"a flaw of what cannot be seen any more", []any{"one", fs.ErrPermission}, flaw, "unknown permission_denied"},
		{"nothing is checked while somebody writes", []any{busy}, errors.New("checked"), "unknown locked"},
		{"a failure without a cause, of what was written to", []any{"one", "two"}, probes.Because(probes.Unavailable, errors.New("ended")), "unknown locked"},
		{"a failure without a cause, of what nobody writes to", []any{"one", "one"}, probes.Because(probes.Unavailable, errors.New("ended")), "unknown unavailable"},
		{"an obstacle stays what it is", []any{"one"}, probes.Because(probes.Network, errors.New("down")), "unknown network"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := job.Unlocked(func() (string, error) {
				next := c.states[0]
				c.states = c.states[1:]
				if err, failed := next.(error); failed {
					return "", err
				}
				return next.(string), nil
			}, func(out *job.Outcome) error {
				out.Units["u"] = c.found
				return c.found
			})
			if got := answer(out.Err); got != c.want || len(c.states) > 0 {
				t.Errorf("got %q, want %q; %d more states", got, c.want, len(c.states))
			}
			if job.IsFlaw(c.found) && !job.IsFlaw(out.Err) && len(out.Units) > 0 {
				t.Errorf("something is said of the units: %v", out.Units)
			}
		})
	}
}

func TestReadUnits(t *testing.T) {
	network := probes.Because(probes.Network, errors.New("down"))
	for _, c := range []struct {
		name  string
		finds []error // unit by unit
		bytes int64   // of the task; each unit has 10
		stop  int     // the context ends with so many units; 0: never
		want  string
		read  int
	}{
		{name: "all", finds: []error{nil, nil, nil}, want: "good", read: 3},
		{name: "a flaw counts before an obstacle, and does not stop", finds: []error{fs.ErrPermission, job.Flawed(job.Truncated, "short"), nil}, want: "bad truncated", read: 3},
		{name: "the first obstacle counts", finds: []error{fs.ErrPermission, errors.New("other")}, want: "unknown permission_denied", read: 2},
		{name: "behind a network that is down nothing is tried", finds: []error{nil, network, nil}, want: "unknown network", read: 2},
		{name: "as much as may be read", finds: []error{nil, nil, nil}, bytes: 15, want: "good", read: 2},
		{name: "until it is interrupted", finds: []error{nil, nil, nil}, stop: 2, want: "unknown not_run", read: 1},
		{name: "a flaw is kept when it is interrupted", finds: []error{job.Flawed(job.Damaged, "x"), nil, nil}, stop: 2, want: "bad damaged", read: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			task := job.Task{Bytes: c.bytes}
			for i := range c.finds {
				task.Units = append(task.Units, job.Unit{ID: strconv.Itoa(i)})
			}
			out, n := job.Outcome{Units: map[string]error{}}, 0
			err := out.ReadUnits(ctx, task, func(job.Unit) (int64, error) {
				if n++; n == c.stop {
					cancel()
				}
				return 10, c.finds[n-1]
			})
			if got := answer(err); got != c.want || len(out.Units) != c.read {
				t.Errorf("got %q of %d, want %q of %d", got, len(out.Units), c.want, c.read)
			}
		})
	}
}

func TestStream(t *testing.T) {
	broken := errors.New("the program failed")
	unsafe := job.Flawed(job.Unsafe, "it leads outside")
	long := strings.Repeat("content", 10_000)
	for _, c := range []struct {
		name string
		fail error // of the program, behind what it writes
		read func(io.Reader) error
		want error
	}{
		{name: "all is read", read: func(r io.Reader) error { _, err := io.ReadAll(r); return err }},
		{name: "what is left over is thrown away", read: func(r io.Reader) error { _, err := io.ReadFull(r, make([]byte, 5)); return err }},
		{name: "enough is no error", read: func(io.Reader) error { return job.ErrEnough }},
		{name: "enough is no error, even if the rest would fail", fail: broken, read: func(io.Reader) error { return job.ErrEnough }},
		{name: "why the program failed counts before that its output breaks off", fail: broken, want: broken, read: func(r io.Reader) error {
			if _, err := io.Copy(io.Discard, r); err != nil {
				return job.Flawed(job.Truncated, "it breaks off")
			}
			return nil
		}},
		{name: "a failure behind the last byte counts", fail: broken, want: broken, read: func(r io.Reader) error { _, err := io.ReadFull(r, make([]byte, len(long))); return err }},
		{name: "what the reader finds counts before that the program cannot write on", want: unsafe, read: func(io.Reader) error { return unsafe }},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := job.Stream(func(w io.Writer) error {
				if _, err := io.Copy(w, strings.NewReader(long)); err != nil {
					return errors.New("broken pipe")
				}
				return c.fail
			}, c.read)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// host is a host with a name and one process.
type host struct{ name string }

func (h host) ReadFile(string, int64) ([]byte, error) { return []byte(h.name + "\n"), nil }

func (h host) Stat(path string) (fs.FileInfo, error) {
	if path == "/proc/1" {
		return nil, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: path, Err: os.ErrNotExist}
}

func TestDeparted(t *testing.T) {
	for _, c := range []struct {
		name, host string
		pid        int
		want       bool
	}{
		{"a process that is there", "web", 1, false},
		{"one that is gone", "web", 2, true},
		{"one that is gone, of this host with its domain", "web.example.org", 2, true},
		{"one of another host", "db", 2, false},
		{"one of a host whose name begins alike", "web2", 2, false},
		{"no number", "web", 0, false},
		{"no host", "", 2, false},
	} {
		if got := job.Departed(host{"web"}, c.host, c.pid); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if job.Departed(host{""}, "", 2) {
		t.Error("a host without a name knows of none")
	}
}

func TestInterruptible(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := job.Interruptible(ctx, bytes.NewReader(make([]byte, 10)))
	if n, err := r.Read(make([]byte, 4)); n != 4 || err != nil {
		t.Error(n, err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 4)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if diff := cmp.Diff("unknown not_run", answer(ctx.Err())); diff != "" {
		t.Error(diff)
	}
}
