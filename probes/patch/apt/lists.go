package apt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/decompress"
	"hygiene_exporter/probes/patch/apt/deb822"
)

// maxRelease is the largest release file that is read.
const maxRelease = 16 << 20

// extensions are those of the compressions in which apt keeps its lists.
func extensions() []string { return []string{"", ".lz4", ".zst", ".gz", ".xz", ".bz2", ".lzma"} }

// A lists directory is where apt keeps what it has fetched.
type lists struct {
	dir   string
	files map[string]bool // names that are there
}

func openLists(t *tracked, dir string) (*lists, error) {
	entries, err := t.list(dir)
	l := &lists{dir: dir, files: map[string]bool{}}
	for _, entry := range entries {
		l.files[entry.Name()] = true
	}
	return l, err
}

// locate finds a stored file of a source in whichever compression; empty means
// that there is none. Before version 2 apt did not encode suites.
func (l *lists) locate(s *source, name string) string {
	for _, stored := range []string{s.stored(name), storedName(s.base() + name)} {
		for _, extension := range extensions() {
			if l.files[stored+extension] {
				return path.Join(l.dir, stored+extension)
			}
		}
	}
	return ""
}

// repository finds what apt has stored of a source. What is missing or cannot
// be read is its error.
func (l *lists) repository(t *tracked, s *source) *repository {
	r := &repository{source: s}
	for _, name := range []string{"InRelease", "Release"} {
		if r.releaseFile = l.locate(s, name); r.releaseFile != "" {
			r.unsigned = name == "Release" && l.locate(s, "Release.gpg") == "" || s.local()
			break
		}
	}
	var errs []error
	if r.releaseFile != "" {
		errs = append(errs, r.readRelease(t))
	}
	for _, c := range s.components {
		for _, architecture := range c.architectures {
			r.addIndex(t, l, c.name, architecture, true)
		}
		if c.all && !slices.Contains(c.architectures, "all") {
			r.addIndex(t, l, c.name, "all", false)
		}
	}
	if r.releaseFile == "" && len(r.indexes) == 0 && !s.medium() {
		errs = append(errs, probes.Because(probes.NotFound, fmt.Errorf("apt has fetched nothing of it (%s)", s.place)))
	}
	for _, name := range r.missing {
		errs = append(errs, probes.Because(probes.NotFound, fmt.Errorf("apt has not fetched %s (%s)", name, s.place)))
	}
	r.err = errors.Join(errs...)
	return r
}

// medium reports whether the source is a disc, which nothing refreshes.
func (s source) medium() bool { return strings.HasPrefix(s.uri, "cdrom:") }

// local reports whether the source is on this host, where apt fetches nothing.
func (s source) local() bool {
	return strings.HasPrefix(s.uri, "file:") || strings.HasPrefix(s.uri, "copy:")
}

// readRelease reads the release file, and when apt last touched it: it sets the
// modification time to that of the server, so only the change time of the inode
// tells when it last knew that the file is current.
func (r *repository) readRelease(t *tracked) error {
	err := t.stream(r.releaseFile, func(file io.Reader) error {
		plain, err := decompress.New(file)
		if err != nil {
			return err
		}
		defer plain.Close()
		data, err := io.ReadAll(io.LimitReader(plain, maxRelease))
		r.release = parseRelease(data)
		return err
	})
	if info, statErr := t.files.Lstat(r.releaseFile); statErr == nil {
		r.refreshed = changeTime(info)
	}
	if info, statErr := t.files.Stat(r.releaseFile); statErr == nil {
		r.modified = info.ModTime()
	}
	return err
}

// addIndex finds an index. One that the release file does not know, or knows to
// be empty, need not be there.
func (r *repository) addIndex(t *tracked, l *lists, component, architecture string, wanted bool) {
	name := "Packages"
	if !r.flat() {
		name = component + "/binary-" + architecture + "/Packages"
	} else if architecture == "all" || slices.ContainsFunc(r.indexes, func(i *index) bool { return i.component == component }) {
		return // a flat repository has one index for all architectures
	}
	if architecture == "all" && !wanted && !r.all {
		return
	}
	stored := l.locate(r.source, name)
	if stored == "" {
		if r.packages[name] || r.packages["./"+name] {
			r.missing = append(r.missing, name)
		}
		return
	}
	i := &index{repository: r, component: component, architecture: architecture, path: stored}
	if slices.ContainsFunc(r.indexes, func(known *index) bool { return known.path == stored }) {
		return // two entries name the same
	}
	if info, err := t.files.Stat(stored); err == nil {
		i.modified = info.ModTime()
	}
	r.indexes = append(r.indexes, i)
}

// scan calls each for every stanza of the index, until ctx is done.
func (i *index) scan(ctx context.Context, t *tracked, each func(s deb822.Stanza)) error {
	return t.stream(i.path, func(file io.Reader) error {
		plain, err := decompress.New(file)
		if err != nil {
			return err
		}
		defer plain.Close()
		scanner := deb822.NewScanner(plain)
		for n := 0; scanner.Next(); n++ {
			if n%1024 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			each(scanner.Stanza())
		}
		return scanner.Err()
	})
}

// nameOf returns the name of the package of a stanza, which is nearly always
// in its first field.
func nameOf(s deb822.Stanza) []byte {
	if name, ok := s.First("Package"); ok {
		return name
	}
	var found []byte
	s.Fields(func(name, value []byte) bool {
		if strings.EqualFold(string(name), "package") {
			found = value
		}
		return found == nil
	})
	return found
}

// identity returns version and architecture of a stanza.
func identity(s deb822.Stanza) (version, architecture []byte) {
	s.Fields(func(name, value []byte) bool {
		switch string(name) {
		case "Version":
			version = value
		case "Architecture":
			architecture = value
		}
		return version == nil || architecture == nil
	})
	return version, architecture
}

// available adds the versions of known packages that an index lists.
func (p *packages) available(ctx context.Context, t *tracked, i *index) error {
	return i.scan(ctx, t, func(s deb822.Stanza) {
		named, known := p.byName[string(nameOf(s))] // does not allocate
		if !known {
			return
		}
		text, architecture := identity(s)
		of := ofArch(named, p.architecture(string(architecture)))
		if of == nil || len(text) == 0 {
			return
		}
		v, fresh := of.at(string(text))
		if fresh {
			v.fill(s)
		}
		if !slices.Contains(v.indexes, i) {
			v.indexes = append(v.indexes, i)
		}
	})
}
