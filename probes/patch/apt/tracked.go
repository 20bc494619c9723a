package apt

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"syscall"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// maxConfig is the largest configuration file that is read.
const maxConfig = 8 << 20

// A tracked file system remembers what was read of it, so that one can tell
// whether all of it is still the same. What does not exist counts as read too.
type tracked struct {
	files *rootfs.FS
	seen  map[string]stamp
	begun time.Time
}

// A stamp tells one content of a file or directory from another.
type stamp struct {
	there   bool
	inode   uint64
	size    int64
	changed time.Time // of the inode, which no program can set
}

func track(files *rootfs.FS) *tracked {
	return &tracked{files: files, seen: map[string]stamp{}, begun: time.Now()}
}

// coarse is how far the clock of a file system may be behind.
const coarse = 2 * time.Second

// unchanged reports whether everything that was read is as it was. A change so
// shortly before the reading that a second one could look the same is not
// believed.
func (t *tracked) unchanged() bool {
	for name, was := range t.seen {
		if t.stamp(name) != was || was.changed.After(t.begun.Add(-coarse)) {
			return false
		}
	}
	return true
}

func (t *tracked) stamp(name string) stamp {
	info, err := t.files.Stat(name)
	if err != nil {
		return stamp{}
	}
	s := stamp{there: true, size: info.Size(), changed: changeTime(info)}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// changeTime returns when the inode was last changed.
func changeTime(info fs.FileInfo) time.Time {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(sys.Ctim.Unix())
	}
	return info.ModTime()
}

// note remembers a path before it is read.
func (t *tracked) note(name string) {
	if _, known := t.seen[name]; !known {
		t.seen[name] = t.stamp(name)
	}
}

// open opens a file.
func (t *tracked) open(name string) (*os.File, error) {
	t.note(name)
	return t.files.Open(name)
}

// config reads a file of the configuration; one that does not exist is empty.
func (t *tracked) config(name string) ([]byte, error) {
	t.note(name)
	data, err := t.files.ReadFile(name, maxConfig)
	if errors.Is(err, fs.ErrNotExist) || name == "/dev/null" {
		return nil, nil
	}
	return data, err
}

// list lists a directory; one that does not exist is empty.
func (t *tracked) list(name string) ([]fs.DirEntry, error) {
	t.note(name)
	entries, err := t.files.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) || name == "/dev/null" {
		return nil, nil
	}
	return entries, err
}

var partName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*$`)

// parts lists the files of a directory of configuration that apt would read,
// by their extension; "" means none.
func (t *tracked) parts(dir string, extensions ...string) ([]string, error) {
	dir = path.Clean(dir)
	entries, err := t.list(dir)
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || !partName.MatchString(name) {
			continue
		}
		for _, extension := range extensions {
			if path.Ext(name) == extension {
				names = append(names, path.Join(dir, name))
			}
		}
	}
	return names, err
}

// each calls a function with the content of every part of a directory. The
// errors of all are joined, and each names its file.
func (t *tracked) each(dir string, extensions []string, read func(name string, data []byte) error) error {
	names, err := t.parts(dir, extensions...)
	errs := []error{err}
	for _, name := range names {
		data, err := t.config(name)
		if err == nil {
			err = named(name, read(name, data))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// reader opens a stream that is tracked.
func (t *tracked) stream(name string, read func(io.Reader) error) error {
	file, err := t.open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return named(name, read(file))
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
