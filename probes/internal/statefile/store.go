// Package statefile is the durable memory of the agent: one JSON file for each
// owner. A crash, a full disk or a damaged sector costs at most the newest
// generation of one file, and nothing that this version of the agent cannot
// read is ever overwritten.
package statefile

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Options describe a Store.
type Options struct {
	Dir       string           // empty: nothing outlives the process
	MachineID string           // the host that the state is about; empty: unknown
	Now       func() time.Time // nil: time.Now
}

// A Store holds the state files of one agent. It may be used concurrently.
type Store struct {
	dir     string
	machine string
	now     func() time.Time

	mu       sync.Mutex
	files    map[string]*File
	notices  []string
	failures uint64
	failing  map[string]bool // files whose last write failed
}

// Open opens the directory, which it creates when it is missing, and removes
// what a killed agent left half written. The Store is usable in any case: with
// an error it keeps everything in memory.
func Open(o Options) (*Store, error) {
	s := &Store{dir: o.Dir, machine: o.MachineID, now: o.Now, files: map[string]*File{}, failing: map[string]bool{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.dir == "" {
		s.notice("no state directory: what the agent remembers is lost when it stops")
		return s, nil
	}
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = s.removeLeftovers()
	}
	if err != nil {
		s.notice(fmt.Sprintf("state directory %s cannot be used: what the agent remembers is lost when it stops", s.dir))
		s.dir = ""
		return s, fmt.Errorf("state directory: %w", err)
	}
	return s, nil
}

// File returns the state of one owner, whose name is a part of a file name. The
// same name is the same File.
func (s *Store) File(name string) *File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[name] == nil {
		s.files[name] = &File{store: s, name: name}
	}
	return s.files[name]
}

// WriteFailures counts the calls of Save that failed.
func (s *Store) WriteFailures() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures
}

// Notices says, in words for a person, what was set aside, replaced by an older
// generation, or is in memory only. Each is told once.
func (s *Store) Notices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.notices)
}

func (s *Store) notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.notices, text) {
		s.notices = append(s.notices, text)
	}
}

// Failing reports whether the last write of some file failed, so that the disk
// is behind what the agent knows.
func (s *Store) Failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.failing) > 0
}

// wrote notes how the write of a file ended.
func (s *Store) wrote(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failures++
		s.failing[name] = true
		return
	}
	delete(s.failing, name)
}

// leftover matches the temporary names used while a file is written.
var leftover = regexp.MustCompile(`^\..+\.(json\d+|link)$`)

// leftoverAge protects the files that another process is just writing, such as
// a second agent that somebody starts by hand.
const leftoverAge = time.Minute

func (s *Store) removeLeftovers() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !leftover.MatchString(entry.Name()) || s.now().Sub(info.ModTime()) < leftoverAge {
			continue
		}
		// A leftover that stays does no harm, and the next start tries again.
		_ = os.Remove(filepath.Join(s.dir, entry.Name()))
	}
	return nil
}

// syncDir makes the renames in the directory durable.
func (s *Store) syncDir() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
