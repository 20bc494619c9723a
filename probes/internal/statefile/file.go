package statefile

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"

	"github.com/google/renameio/v2"

	"hygiene_exporter/probes"
)

var _ probes.State = (*File)(nil)

// A File is the state of one owner: <name>.json, and <name>.previous.json with
// the generation before. It may be used concurrently.
//
// What is damaged, of a newer version or of another host is renamed to
// <name>.damaged-1, <name>.newer-1 or <name>.foreign-1 (or the next number that
// is free) with a notice. An owner that can migrate asks for its newest version
// first.
type File struct {
	store *Store
	name  string

	mu     sync.Mutex
	vetted bool              // what is on disk may be replaced
	held   *generation       // the newest value, as long as it is not on disk
	saved  [sha256.Size]byte // of the value on disk, once this process wrote one
}

// Load replaces the value that v points to by the newest saved one, and reports
// whether there was one. Otherwise it leaves v alone. A value of an older
// version is not decoded; it stays on disk as the previous generation of the
// next Save. An error means that there may be a value, but it cannot be read.
func (f *File) Load(version int, v any) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	newest := f.held
	if newest == nil && f.store.dir != "" {
		var err error
		if newest, _, err = f.vet(version); err != nil {
			return false, fmt.Errorf("state of %s: %w", f.name, err)
		}
	}
	if newest == nil || newest.Schema != version {
		return false, nil
	}
	value := reflect.New(reflect.TypeOf(v).Elem())
	if err := json.Unmarshal(newest.Data, value.Interface()); err != nil {
		return false, fmt.Errorf("state of %s, version %d: %w", f.name, version, err)
	}
	reflect.ValueOf(v).Elem().Set(value.Elem())
	return true, nil
}

// Save replaces the saved value, atomically and durably; an unchanged value is
// not written again. After an error the file holds what it held before, and the
// new value is kept in memory: Load returns it, and the next Save writes.
func (f *File) Save(version int, v any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.save(version, v)
	f.store.wrote(f.name, err)
	if err != nil {
		return fmt.Errorf("state of %s: %w", f.name, err)
	}
	return nil
}

func (f *File) save(version int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", version, data))
	if f.held == nil && sum == f.saved && f.exists() {
		return nil
	}
	next := &generation{
		Schema: version, MachineID: f.store.machine, SavedAt: f.store.now().UTC(), Data: data,
	}
	f.held = next
	if f.store.dir == "" {
		return nil
	}
	if err := f.protect(version); err != nil {
		return err
	}
	if err := f.write(next); err != nil {
		return err
	}
	f.held, f.saved = nil, sum
	return nil
}

// protect makes sure, once, that writing destroys nothing that another version
// or a person could still read.
func (f *File) protect(version int) error {
	if f.vetted {
		return nil
	}
	_, unmoved, unread := f.vet(version)
	if unread != nil {
		unmoved = f.setAside(f.current(), &unusable{"unreadable", unread})
	}
	f.vetted = unmoved == nil
	return unmoved
}

// write makes a new generation. The file is complete and on disk before the
// generations move, and there is a readable one at every moment.
func (f *File) write(g *generation) error {
	text, err := g.encode()
	if err != nil {
		return err
	}
	pending, err := renameio.NewPendingFile(f.current(), renameio.WithTempDir(f.store.dir))
	if err != nil {
		return err
	}
	defer func() { _ = pending.Cleanup() }() // does nothing once it has replaced the file
	if _, err := pending.Write(text); err != nil {
		return err
	}
	if err := pending.Sync(); err != nil {
		return err
	}
	if err := f.rotate(); err != nil {
		return err
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return f.store.syncDir()
}

// rotate makes the current generation the previous one too, by a hard link, or
// by renaming it where the file system has no links: then the previous one is
// all there is until the next rename.
func (f *File) rotate() error {
	link := filepath.Join(f.store.dir, "."+f.name+".link")
	_ = os.Remove(link)
	err := os.Link(f.current(), link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return os.Rename(f.current(), f.previous())
	}
	defer func() { _ = os.Remove(link) }() // renaming to another link of the same file leaves both
	return os.Rename(link, f.previous())
}

func (f *File) current() string  { return filepath.Join(f.store.dir, f.name+".json") }
func (f *File) previous() string { return filepath.Join(f.store.dir, f.name+".previous.json") }

func (f *File) exists() bool {
	_, err := os.Lstat(f.current())
	return err == nil
}
