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

const lists = "/var/lib/dpkg/info"

// Packages knows which package of dpkg owns a program, by the lists of files
// that dpkg keeps. The database of rpm needs rpm itself to be read, so there
// nothing is known. It is used by one goroutine at a time.
type Packages struct {
	files   *rootfs.FS
	origins map[string]Origin
	stamp   time.Time // of the database when it was read
}

// NewPackages returns an empty table. It touches nothing.
func NewPackages(files *rootfs.FS) *Packages {
	return &Packages{files: files, origins: map[string]Origin{}}
}

// Learn looks up the origin of programs that are not known yet, all in one
// reading, and of all of them again after a package was installed or removed.
func (p *Packages) Learn(ctx context.Context, programs []string) error {
	info, err := p.files.Stat("/var/lib/dpkg/status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.ModTime().Equal(p.stamp) || len(p.origins) > 10_000 {
		clear(p.origins)
		p.stamp = info.ModTime()
	}
	wanted := map[string][]string{} // by every name that a list may have
	for _, program := range programs {
		if _, known := p.origins[program]; !known && program != "" {
			for _, name := range aliases(program) {
				wanted[name] = append(wanted[name], program)
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	found, err := p.search(ctx, wanted)
	if err != nil {
		return err
	}
	for _, programs := range wanted {
		for _, program := range programs {
			p.origins[program] = Origin{found[program], true}
		}
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

// search reads all lists, and returns the package of each wanted program.
func (p *Packages) search(ctx context.Context, wanted map[string][]string) (map[string]string, error) {
	entries, err := p.files.ReadDir(lists)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), ".list")
		if !ok {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.scan(path.Join(lists, entry.Name()), func(line []byte) {
			for _, program := range wanted[string(line)] {
				found[program], _, _ = strings.Cut(name, ":")
			}
		}); err != nil {
			return nil, err
		}
	}
	return found, nil
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
