// Package sysfs reads attributes: small files of one value. An attribute that
// does not exist is empty, because kernels and modes differ in what they have;
// one that cannot be read is an error.
package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// limit is beyond what an attribute can hold: a page.
const limit = 64 << 10

// A Dir is a directory of attributes. It collects the errors of reading, so that
// a reader can ask for all that it needs and look once.
type Dir struct {
	files *rootfs.FS
	path  string
	err   error
}

// Open returns a directory. It touches nothing.
func Open(files *rootfs.FS, name string) *Dir { return &Dir{files: files, path: name} }

// Attr returns the trimmed content of an attribute, empty if there is none.
func (d *Dir) Attr(name string) string {
	data, err := d.files.ReadFile(path.Join(d.path, name), limit)
	switch {
	case err == nil:
		return strings.TrimSpace(string(data))
	case errors.Is(err, fs.ErrNotExist):
	// What a driver or mode has no value for.
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EOPNOTSUPP):
	default:
		d.err = errors.Join(d.err, err)
	}
	return ""
}

// Int returns a number; false if there is no such attribute.
func (d *Dir) Int(name string) (int, bool) {
	text := d.Attr(name)
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		d.err = errors.Join(d.err, probes.Because(probes.Malformed, fmt.Errorf("%s is %.40q, which is no number", name, text)))
		return 0, false
	}
	return n, true
}

// Has reports whether there is an entry of this name.
func (d *Dir) Has(name string) bool {
	_, err := d.files.Lstat(path.Join(d.path, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		d.err = errors.Join(d.err, err)
	}
	return err == nil
}

// Sub returns a directory below.
func (d *Dir) Sub(name string) *Dir { return Open(d.files, path.Join(d.path, name)) }

// Target returns the last element of where a link leads, empty if there is none.
func (d *Dir) Target(name string) string {
	target, err := d.files.Readlink(path.Join(d.path, name))
	if err != nil {
		return ""
	}
	return path.Base(target)
}

// Path returns where the directory is.
func (d *Dir) Path() string { return d.path }

// Files returns the file system.
func (d *Dir) Files() *rootfs.FS { return d.files }

// Err returns what could not be read so far.
func (d *Dir) Err() error { return d.err }

// Names lists the entries of a directory; none if it does not exist.
func Names(files *rootfs.FS, dir string) ([]string, error) {
	entries, err := files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}
