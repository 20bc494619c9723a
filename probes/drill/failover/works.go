package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/redundancy/group"
)

// works looks whether everything works, again and again: the program of the
// configuration passes, and a multipath device can be read.
type works struct {
	machine *Machine
	plan    Plan
	check   []string
	device  string // of a multipath device
	size    int64
	hanging chan error // a reading that has not returned
	next    int64      // where to read next, in parts of the device

	times   int           // how often everything worked
	longest time.Duration // that it took
}

func newWorks(m *Machine, d drill.Drill, p Plan) (*works, error) {
	w := &works{machine: m, plan: p, check: d.Run.Check}
	kind, name, _ := strings.Cut(p.Object, "/")
	if kind != group.Multipath {
		return w, nil
	}
	names, err := filepath.Glob(filepath.Join(m.Sys, "block", "dm-*", "dm", "name"))
	if err != nil {
		return nil, err
	}
	for _, file := range names {
		text, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(text)) != name {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		sectors, err := os.ReadFile(filepath.Join(dir, "size"))
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(sectors)), 10, 64)
		w.device, w.size = filepath.Join(m.Dev, filepath.Base(dir)), n*512
		return w, err
	}
	return nil, fmt.Errorf("%s is no block device", p.Object)
}

// once returns why not everything works.
func (w *works) once(ctx context.Context) error {
	start := time.Now()
	if w.device != "" {
		if err := w.read(ctx); err != nil {
			return fmt.Errorf("%s cannot be read: %w", w.device, err)
		}
	}
	if len(w.check) > 0 {
		if err := drill.Check(ctx, w.machine.Run, w.check); err != nil {
			return err
		}
	}
	w.times++
	w.longest = max(w.longest, time.Since(start))
	return nil
}

const (
	block = 4096 // a multiple of the blocks of all disks
	spots = 16   // places of the device that are read, one after the other
	reads = 8    // at once, so that every path has its turn
)

// readTimeout is how long a reading may take. One that hangs in the kernel
// stays there until a path is back, and no other is begun meanwhile.
const readTimeout = 5 * time.Second

// read reads some blocks of the device, past all caches.
func (w *works) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if w.hanging == nil {
		done := make(chan error, 1)
		w.hanging = done
		from := w.next
		w.next += reads
		go func() { done <- readAt(w.device, w.size, from) }()
	}
	select {
	case err := <-w.hanging:
		w.hanging = nil
		return err
	case <-ctx.Done():
		return errors.New("a reading does not return")
	}
}

func readAt(device string, size, from int64) error {
	fd, err := unix.Open(device, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	buffer, err := unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Munmap(buffer) }()
	for i := from; i < from+reads; i++ {
		at := size / spots * (i % spots) / block * block
		if n, err := unix.Pread(fd, buffer, at); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("at byte %d", at))
		}
	}
	return nil
}

// served counts the readings that paths have served.
func (m *Machine) served(names []string) (total uint64) {
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(m.Sys, "block", name, "stat"))
		fields := strings.Fields(string(text))
		if err != nil || len(fields) == 0 {
			continue
		}
		n, _ := strconv.ParseUint(fields[0], 10, 64)
		total += n
	}
	return total
}
