package probetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// A World is a host in memory around a directory: nothing it holds reaches the
// real one. What a probe asks of it is counted.
type World struct {
	Root string // the directory that is the file system of the host
	// Programs answers commands, by entry. Others are not installed.
	Programs map[string]probes.Output
	// Broken makes everything but files fail with this error.
	Broken error

	mu     sync.Mutex
	asked  int
	saved  map[int]json.RawMessage
	events []probes.Event
}

// Host returns what a probe may touch of the world.
func (w *World) Host() probes.Host {
	return probes.Host{
		Files:       rootfs.New(rootfs.Paths{Root: w.Root}),
		Credentials: rootfs.New(rootfs.Paths{Root: filepath.Join(w.Root, "run/credentials")}),

		Commands: commands{w},
		Pipes:    commands{w},
		Dial:     w.dial,
		Netlink:  netlink{w},
		Mapper:   mapper{w},
		State:    state{w},
		Events:   events{w},
		Log:      slog.New(slog.DiscardHandler),
	}
}

// Asked returns how often a probe asked for something that is no file.
func (w *World) Asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked
}

// ask counts a question, and refuses it in a broken world.
func (w *World) ask() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.Broken
}

func (w *World) dial(_ context.Context, network, address string) (net.Conn, error) {
	if err := w.ask(); err != nil {
		return nil, err
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("nobody listens on %s", address)}
}

type commands struct{ *World }

func (c commands) Run(_ context.Context, entry string, _ ...string) (probes.Output, error) {
	if err := c.ask(); err != nil {
		return probes.Output{}, err
	}
	out, known := c.Programs[entry]
	if !known {
		return probes.Output{}, probes.Because(probes.NotFound, fmt.Errorf("%s is not installed", entry))
	}
	return out, nil
}

// Pipe answers like Run: what the program prints goes to out, if there is one. It
// reads nothing.
func (c commands) Pipe(ctx context.Context, _ io.Reader, w io.Writer, entry string, objects ...string) (probes.Output, error) {
	out, err := c.Run(ctx, entry, objects...)
	if err != nil || w == nil {
		return out, err
	}
	if _, err := w.Write(out.Stdout); err != nil {
		return probes.Output{}, err
	}
	out.Stdout = nil
	return out, nil
}

type netlink struct{ *World }

func (n netlink) Dump(context.Context, probes.NetlinkRequest, func(probes.NetlinkMessage) error) error {
	return n.ask()
}

type mapper struct{ *World }

func (m mapper) Status(context.Context, string) ([]probes.MappedTarget, error) {
	if err := m.ask(); err != nil {
		return nil, err
	}
	return nil, probes.Because(probes.PermissionDenied, errors.New("the device mapper may not be asked"))
}

// state goes through JSON, as on disk.
type state struct{ *World }

func (s state) Load(version int, v any) (bool, error) {
	if err := s.ask(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, known := s.saved[version]
	if !known {
		return false, nil
	}
	return true, json.Unmarshal(data, v)
}

func (s state) Save(version int, v any) error {
	if err := s.ask(); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = map[int]json.RawMessage{version: data}
	return nil
}

type events struct{ *World }

func (e events) Observe(event probes.Event) error {
	if err := e.ask(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events = append(e.events, event)
	return nil
}

func (e events) Observed(kind string) (of []probes.Event) {
	if e.ask() != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.events {
		if event.Kind == kind {
			of = append(of, event)
		}
	}
	return of
}
