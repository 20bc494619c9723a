package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// An unusable generation is set aside under a name that says why.
type unusable struct {
	kind string // damaged, newer, foreign, unreadable
	why  error
}

func (u *unusable) Error() string { return u.kind + ": " + u.why.Error() }

// vet looks at what is on disk, sets aside what cannot be used, and returns the
// generation to use, if there is one. It says what could not be moved out of
// the way, and why the current generation could not be read.
func (f *File) vet(version int) (use *generation, unmoved, unread error) {
	use, err := f.examine(f.current(), version)
	var bad *unusable
	switch {
	case err == nil:
		return use, nil, nil
	case errors.As(err, &bad):
		if unmoved = f.setAside(f.current(), bad); bad.kind != "damaged" {
			return nil, unmoved, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	use, err = f.examine(f.previous(), version)
	switch {
	case err == nil:
		f.store.notice(fmt.Sprintf("state of %s: the newest generation is missing or damaged, the one of %s is used",
			f.name, use.SavedAt.Format(time.RFC3339)))
	case errors.As(err, &bad):
		unmoved = errors.Join(unmoved, f.setAside(f.previous(), bad))
	case !errors.Is(err, fs.ErrNotExist):
		f.store.notice(fmt.Sprintf("state of %s: %v", f.name, err))
	}
	return use, unmoved, nil
}

// examine reads one generation. The error is an *unusable, or the operating
// system's.
func (f *File) examine(path string, version int) (*generation, error) {
	g, err := read(path)
	var damaged damage
	switch {
	case errors.As(err, &damaged):
		return nil, &unusable{"damaged", damaged.error}
	case err != nil:
		return nil, err
	case g.MachineID != "" && f.store.machine != "" && g.MachineID != f.store.machine:
		return nil, &unusable{"foreign", fmt.Errorf("saved by the machine %.40q", g.MachineID)}
	case g.Schema > version:
		return nil, &unusable{"newer", fmt.Errorf("saved in version %d of its format, and this agent reads %d", g.Schema, version)}
	}
	return g, nil
}

// setAside renames a generation to the first name of its kind that is free.
func (f *File) setAside(path string, bad *unusable) error {
	f.vetted, f.saved = false, [len(f.saved)]byte{}
	for n := 1; ; n++ {
		aside := filepath.Join(f.store.dir, fmt.Sprintf("%s.%s-%d", f.name, bad.kind, n))
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(path, aside); err != nil {
			f.store.notice(fmt.Sprintf("state of %s is %v, and cannot be set aside", f.name, bad))
			return err
		}
		f.store.notice(fmt.Sprintf("state of %s is %v; it was set aside as %s", f.name, bad, aside))
		return nil
	}
}
