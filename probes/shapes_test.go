package probes_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/host"
	"hygiene_exporter/probes/internal/command"
	"hygiene_exporter/probes/internal/memory"
)

// A shape is one way in which a probe can work. The contract is judged by all
// of them, and not by the probe that happened to be written first. The world of
// a shape is a directory.
type shape struct {
	name   string // of the probe whose problem it is
	object string
	rule   string
	specs  func() []probes.Spec

	spoil  func(t *testing.T) // makes the object broken
	mend   func(t *testing.T) // makes it good again
	remove func(t *testing.T) // takes it away
	slow   time.Duration      // how long after that a probe may need to notice
}

// section is the configuration of a test probe.
type section struct {
	probes.Settings
	build func(probes.Host) probes.Probe
}

func (s *section) New(h probes.Host) (probes.Probe, error) { return s.build(h), nil }

// runFunc is a probe that is a function.
type runFunc func(ctx context.Context) (probes.Result, error)

func (f runFunc) Run(ctx context.Context) (probes.Result, error) { return f(ctx) }

// spec returns the Spec of a test probe with one metric, and that metric.
func spec(name, suffix string, every time.Duration, build func(probes.Host, *probes.Metric) probes.Probe) probes.Spec {
	m := &probes.Metric{
		Name:   "hygiene_" + name + "_" + suffix,
		Help:   "What the test says of the object.",
		Labels: []string{"object"},
	}
	return probes.Spec{
		Name: name, Summary: "A shape of probe.", Metrics: []*probes.Metric{m},
		Config: func() probes.Config {
			return &section{probes.DefaultSettings(every), func(h probes.Host) probes.Probe { return build(h, m) }}
		},
	}
}

// world is a directory with one file, whose content is the state of an object.
type world struct{ path string }

func newWorld(t *testing.T) world {
	w := world{filepath.Join(t.TempDir(), "object")}
	w.write(t, "good")
	return w
}

func (w world) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(w.path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// shapeOf fills in what the shapes have in common.
func (w world) shapeOf(name string, specs ...probes.Spec) shape {
	return shape{
		name: name, object: w.path,
		rule:   "hygiene_" + name + "_broken == 1",
		specs:  func() []probes.Spec { return specs },
		spoil:  func(t *testing.T) { w.write(t, "broken") },
		mend:   func(t *testing.T) { w.write(t, "good") },
		remove: func(t *testing.T) { os.Remove(w.path) },
	}
}

// gone reports whether the object is missing from a directory that can be read.
func (w world) gone(h probes.Host) bool {
	entries, err := h.Files.ReadDir(filepath.Dir(w.path))
	return err == nil && len(entries) == 0
}

func isBroken(text []byte) float64 {
	if bytes.HasPrefix(text, []byte("broken")) {
		return 1
	}
	return 0
}

// shapes returns the six shapes.
func shapes(t *testing.T) []shape {
	return []shape{slowTool(t), poll(t), stream(t), memories(t), event(t), helper(t)}
}

var anyPath = []*regexp.Regexp{regexp.MustCompile(`^/[^\n]+$`)}

// slowTool is a probe whose tool is dear: it asks only once a minute, on a
// schedule that a restart does not reset, and repeats the last answer in
// between.
func slowTool(t *testing.T) shape {
	w := newWorld(t)
	const pause = time.Minute
	s := spec("slow", "broken", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		return runFunc(func(ctx context.Context) (r probes.Result, err error) {
			var last struct {
				At     time.Time
				Broken float64
				Asked  int
			}
			if w.gone(h) {
				r.Gone(w.path)
				return r, nil
			}
			if _, err := h.State.Load(1, &last); err != nil {
				return r, err
			}
			if time.Since(last.At) >= pause {
				out, err := h.Commands.Run(ctx, "look", w.path)
				if err != nil {
					return r, err
				}
				last.At, last.Broken, last.Asked = time.Now(), isBroken(out.Stdout), last.Asked+1
				if err := h.State.Save(1, last); err != nil {
					return r, err
				}
			}
			r.Add(m, last.Broken, w.path)
			return r, nil
		})
	})
	s.Commands = []probes.Command{{Entry: "look", Argv: []string{"cat", "{0}"}, Help: "The state of the object.", Objects: anyPath}}
	shape := w.shapeOf("slow", s)
	shape.slow = pause
	return shape
}

// poll looks once a second.
func poll(t *testing.T) shape {
	w := newWorld(t)
	return w.shapeOf("poll", spec("poll", "broken", time.Second, func(h probes.Host, m *probes.Metric) probes.Probe {
		return runFunc(func(context.Context) (r probes.Result, err error) {
			if w.gone(h) {
				r.Gone(w.path)
				return r, nil
			}
			text, err := h.Files.ReadFile(w.path, 100)
			if err != nil {
				r.Fault(w.path, err)
				return r, nil
			}
			r.Add(m, isBroken(text), w.path)
			return r, nil
		})
	}))
}

// stream reads its object a little at a time, goes on after a restart where it
// was, and knows only at the end. It keeps its last verdict meanwhile.
func stream(t *testing.T) shape {
	const budget, size = 64, 200
	w := newWorld(t)
	whole := func(state string) string { return state + string(bytes.Repeat([]byte("."), size)) }
	w.write(t, whole("good"))
	s := spec("stream", "broken", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		return runFunc(func(context.Context) (r probes.Result, err error) {
			var at struct {
				Offset         int64
				Broken, Judged float64
				Known          bool
			}
			if w.gone(h) {
				r.Gone(w.path)
				return r, nil
			}
			if _, err := h.State.Load(1, &at); err != nil {
				return r, err
			}
			file, err := h.Files.Open(w.path)
			if err != nil {
				return r, err
			}
			defer file.Close()
			piece := make([]byte, budget)
			n, err := file.ReadAt(piece, at.Offset)
			if at.Offset == 0 {
				at.Broken = isBroken(piece)
			}
			at.Offset += int64(n)
			if errors.Is(err, io.EOF) {
				at.Offset, at.Judged, at.Known = 0, at.Broken, true
			} else if err != nil {
				return r, err
			}
			if err := h.State.Save(1, at); err != nil {
				return r, err
			}
			if at.Known {
				r.Add(m, at.Judged, w.path)
			}
			return r, nil
		})
	})
	shape := w.shapeOf("stream", s)
	shape.spoil = func(t *testing.T) { w.write(t, whole("broken")) }
	shape.mend = func(t *testing.T) { w.write(t, whole("good")) }
	shape.slow = 2 * (size/budget + 1) * runEvery
	return shape
}

// event is two probes: one sees something happen, and the other demands that it
// happens again and again.
func event(t *testing.T) shape {
	const every = 20 * time.Minute
	w := newWorld(t)
	watch := spec("switchover", "active", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		last := ""
		return runFunc(func(context.Context) (r probes.Result, err error) {
			text, err := h.Files.ReadFile(w.path, 100)
			if err != nil {
				return r, err
			}
			if last != "" && last != string(text) {
				err = h.Events.Observe(probes.Event{Kind: "switchover", Object: "pair", At: time.Now()})
			}
			last = string(text)
			r.Add(m, 1, "pair")
			return r, err
		})
	})
	demand := spec("rehearsal", "deadline_timestamp_seconds", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		return runFunc(func(context.Context) (r probes.Result, err error) {
			var first time.Time // a deadline exists from the first look on
			if known, err := h.State.Load(1, &first); err != nil || !known {
				first = time.Now()
				if err := errors.Join(err, h.State.Save(1, first)); err != nil {
					return r, err
				}
			}
			if w.gone(h) {
				r.Gone("pair")
				return r, nil
			}
			for _, e := range h.Events.Observed("switchover") {
				first = e.At
			}
			r.AddTime(m, first.Add(every), "pair")
			return r, nil
		})
	})
	shape := w.shapeOf("rehearsal", watch, demand)
	shape.object = "pair"
	shape.rule = "hygiene_rehearsal_deadline_timestamp_seconds <= time()"
	shape.spoil = func(*testing.T) { time.Sleep(every) }
	shape.mend = func(t *testing.T) { w.write(t, time.Now().String()) }
	shape.slow = 2 * runEvery
	return shape
}

// helper asks a command that needs root through the protocol of the root
// helper, although the test may be root itself.
func helper(t *testing.T) shape {
	w := newWorld(t)
	var commands probes.Commands
	s := spec("helped", "broken", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		return runFunc(func(ctx context.Context) (r probes.Result, err error) {
			if w.gone(h) {
				r.Gone(w.path)
				return r, nil
			}
			out, err := commands.Run(ctx, "secret", w.path)
			if err != nil {
				r.Fault(w.path, err)
				return r, nil
			}
			r.Add(m, isBroken(out.Stdout), w.path)
			return r, nil
		})
	})
	s.Commands = []probes.Command{{Entry: "secret", Argv: []string{"cat", "{0}"}, Help: "The state of the object.", Objects: anyPath, Privileged: true}}
	broker, err := command.New(command.Options{Specs: []probes.Spec{s}, Own: true, Socket: serveHelper(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	commands = broker.For("helped")
	return w.shapeOf("helped", s)
}

// serveHelper runs a root helper and returns its socket.
func serveHelper(t *testing.T, s probes.Spec) string {
	dir, err := os.MkdirTemp("", "helper") // a socket address is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "helper.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { host.ServeHelper(ctx, listener, []probes.Spec{s}, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() { cancel(); served.Wait() })
	return path
}

// memories remembers each object that it saw, so that it can say of one that it
// is gone and not just silent.
func memories(t *testing.T) shape {
	w := newWorld(t)
	return w.shapeOf("memories", spec("memories", "broken", runEvery, func(h probes.Host, m *probes.Metric) probes.Probe {
		known := memory.New[string](h.State, 1)
		loaded := false
		return runFunc(func(context.Context) (r probes.Result, err error) {
			if !loaded {
				if err := known.Load(); err != nil {
					return r, err
				}
				loaded = true
			}
			dir := filepath.Dir(w.path)
			entries, err := h.Files.ReadDir(dir)
			if err != nil {
				return r, err
			}
			now, there := time.Now(), map[string]bool{}
			for _, entry := range entries {
				path := filepath.Join(dir, entry.Name())
				there[path] = true
				text, err := h.Files.ReadFile(path, 100)
				if err != nil {
					r.Fault(path, err)
					continue
				}
				known.Saw(path, "", now)
				r.Add(m, isBroken(text), path)
			}
			for _, path := range known.Present() {
				if !there[path] {
					known.Removed(path, now)
				}
			}
			for _, path := range known.Gone(now) {
				r.Gone(path)
			}
			return r, known.Save()
		})
	}))
}
