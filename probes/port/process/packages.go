package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// An Origin says where a program came from.
type Origin struct {
	Package string // empty if no package owns it
	Known   bool   // whether the lists of files could be read
}

// Packages knows which package of dpkg owns a program, by the lists of files
// that dpkg keeps. The database of rpm needs rpm itself to be read, so there
// nothing is known. It is used by one goroutine at a time.
type Packages struct {
	files   *rootfs.FS
	origins map[string]Origin
	stamp   time.Time // of the database when it was read
	reading *reading  // that is under way
}

// A reading goes through all lists once, in as many steps as it takes.
type reading struct {
	lists  []string
	wanted map[string][]string // programs by every name that a list may have
	found  map[string]string
}

const lists = "/var/lib/dpkg/info"

// NewPackages returns an empty table. It touches nothing.
func NewPackages(files *rootfs.FS) *Packages {
	return &Packages{files: files, origins: map[string]Origin{}}
}

// Learn looks up the origin of programs that are not known yet, all in one
// reading, and of all of them again after a package was installed or removed.
// There are thousands of lists: it returns soon after the context is done, and
// the next call goes on. It reports whether there is nothing left to read.
func (p *Packages) Learn(ctx context.Context, programs []string) (done bool, err error) {
	info, err := p.files.Stat("/var/lib/dpkg/status")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	if !info.ModTime().Equal(p.stamp) || len(p.origins) > 10_000 {
		clear(p.origins)
		p.stamp, p.reading = info.ModTime(), nil
	}
	if p.reading == nil {
		if p.reading, err = p.begin(programs); p.reading == nil {
			return true, err
		}
	}
	if err := p.read(ctx, p.reading); err != nil {
		p.reading = nil
		return true, err
	}
	if len(p.reading.lists) > 0 {
		return false, nil
	}
	for _, programs := range p.reading.wanted {
		for _, program := range programs {
			p.origins[program] = Origin{p.reading.found[program], true}
		}
	}
	p.reading = nil
	return true, nil
}

// begin prepares a reading; nil if there is nothing to look for.
func (p *Packages) begin(programs []string) (*reading, error) {
	r := &reading{wanted: map[string][]string{}, found: map[string]string{}}
	for _, program := range programs {
		if _, known := p.origins[program]; !known && program != "" {
			for _, name := range aliases(program) {
				r.wanted[name] = append(r.wanted[name], program)
			}
		}
	}
	if len(r.wanted) == 0 {
		return nil, nil
	}
	entries, err := p.files.ReadDir(lists)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".list") {
			r.lists = append(r.lists, entry.Name())
		}
	}
	return r, nil
}

// read goes on with a reading. A list that is gone belonged to a package that is
// being removed, and a later reading begins anew.
func (p *Packages) read(ctx context.Context, r *reading) error {
	for len(r.lists) > 0 && ctx.Err() == nil {
		list := r.lists[0]
		name, _, _ := strings.Cut(strings.TrimSuffix(list, ".list"), ":")
		err := p.scan(path.Join(lists, list), func(line []byte) {
			for _, program := range r.wanted[string(line)] {
				r.found[program] = name
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		r.lists = r.lists[1:]
	}
	return nil
}

// Of returns the origin of a program, as far as Learn has found it.
func (p *Packages) Of(program string) Origin { return p.origins[program] }

// aliases returns the names under which a list may have a file: on systems with
// a merged /usr, packages name either place.
func aliases(program string) []string {
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(program, "/usr"+dir) {
			return []string{program, strings.TrimPrefix(program, "/usr")}
		}
		if strings.HasPrefix(program, dir) {
			return []string{program, "/usr" + program}
		}
	}
	return []string{program}
}

func (p *Packages) scan(list string, each func(line []byte)) error {
	file, err := p.files.Open(list)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		each(bytes.TrimSpace(lines.Bytes()))
	}
	return lines.Err()
}
