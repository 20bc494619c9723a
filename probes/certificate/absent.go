package certificate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// absent deals with what was there before and is not now: it was removed, or it
// cannot be seen.
func (s *scan) absent() {
	for _, name := range s.memory.Present() {
		if s.seen[name] {
			continue
		}
		if err := s.hidden(name, 0); err != nil {
			s.fault(name, err)
			continue
		}
		s.memory.Removed(name, s.now)
	}
	for _, name := range s.memory.Gone(s.now) {
		if !s.seen[name] {
			s.result.Gone(name)
		}
	}
}

// hidden returns why an object that was not seen may still exist; nil if it was
// deliberately removed, from the host or from the configuration. An entry of a
// store, and what a kubeconfig names, exists as long as its file may hold it.
func (s *scan) hidden(object string, depth int) error {
	remembered, _ := s.memory.Object(object)
	if file := remembered.Detail.File; file != "" && depth < 3 {
		if s.broken[file] {
			return probes.Because(probes.Unavailable, fmt.Errorf("%s cannot be read to its end", file))
		}
		if !s.seen[file] {
			return s.hidden(file, depth+1)
		}
	}
	if !slices.ContainsFunc(s.config.Sources, func(source Source) bool { return source.covers(object) }) {
		return nil
	}
	for _, dir := range s.closed {
		if strings.HasPrefix(object, strings.TrimSuffix(dir, "/")+"/") {
			return probes.Because(probes.Unavailable, fmt.Errorf("%s cannot be searched", dir))
		}
	}
	if mount := remembered.Detail.Mount; mount != "" && s.mounts.of(mount) != mount {
		return probes.Because(probes.Unavailable, fmt.Errorf("the file system that was mounted on %s is not there", mount))
	}
	_, err := s.host.Files.Lstat(object)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotDirectory):
		return nil
	case err != nil:
		return err
	}
	return probes.Because(probes.Unsupported, errors.New("is there, and is no file that can be read"))
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
