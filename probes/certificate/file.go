package certificate

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"hygiene_exporter/probes/certificate/store"
	"hygiene_exporter/probes/internal/rootfs"
)

var errNotDirectory = error(syscall.ENOTDIR)

// An identity tells one content of a file from another without reading it. The
// time of the last change of the inode cannot be set by a program, so it also
// tells a rewrite that restores size and modification time.
type identity struct {
	device, inode  uint64
	size           int64
	modified, done syscall.Timespec
}

func identify(info fs.FileInfo) (identity, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, false
	}
	device := uint64(stat.Dev) //nolint:unconvert // it has 32 bits on some architectures
	return identity{device, stat.Ino, stat.Size, stat.Mtim, stat.Ctim}, true
}

// settled is how old a change must be when a file is read. The clock of a file
// system is coarse: a second change right after the first could bear the same
// time.
const settled = 2 * time.Second

// A file is what was read of one file, and when.
type file struct {
	identity  identity
	trusted   bool     // as long as the identity stays, so does the content
	passwords []string // with which it was read

	parts      []part
	crls       []store.CRL
	references []string
	errs       []error // of the file as a whole
	err        error   // bundle.ErrNone, store.ErrEmpty or nil
	key        privateKey
	run        uint64 // the last run that looked at it
}

// read reads a file, unless what is known of it still holds. An error of reading
// is never remembered: it can go away without a trace on the file itself.
func (s *scan) read(name string, passwords []string) (*file, error) {
	files, known := s.host.Files, s.files[name]
	info, err := files.Stat(name)
	if err != nil {
		return nil, err
	}
	id, ok := identify(info)
	if ok && known != nil && known.trusted && known.identity == id && slices.Equal(known.passwords, passwords) {
		return known, nil
	}
	data, err := files.ReadFile(name, s.config.MaxFileSize)
	if err != nil {
		return nil, err
	}
	content, err := store.Parse(data, store.Options{Passwords: passwords})
	return &file{
		identity: id, passwords: passwords,
		trusted: ok && time.Since(time.Unix(id.done.Unix())) > settled,
		parts:   parts(name, content), crls: content.CRLs, references: references(name, content),
		errs: fileErrors(content, passwords), err: err,
	}, nil
}

// mounts finds out on which mount point a path lies. It lives for one run.
type mounts struct {
	files *rootfs.FS
	known map[string]string // of directories
}

// of returns the mount point of an existing directory: the highest directory of
// the same device above it. It is empty when that cannot be found out.
func (m *mounts) of(dir string) string {
	if point, ok := m.known[dir]; ok {
		return point
	}
	point := m.climb(dir)
	m.known[dir] = point
	return point
}

func (m *mounts) climb(dir string) string {
	if dir == "/" {
		return "/"
	}
	here, err := m.device(dir)
	if err != nil {
		return ""
	}
	above, err := m.device(path.Dir(dir))
	switch {
	case err != nil:
		return ""
	case above != here:
		return dir
	}
	return m.of(path.Dir(dir))
}

func (m *mounts) device(dir string) (uint64, error) {
	resolved, err := m.files.Resolve(dir)
	if err != nil {
		return 0, err
	}
	info, err := m.files.Stat(resolved)
	if err != nil {
		return 0, err
	}
	id, ok := identify(info)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return id.device, nil
}
