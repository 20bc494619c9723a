// Package rpmdb reads which packages rpm has installed, from the database files
// of every rpm that is in use: SQLite (Fedora 33, RHEL 9, Amazon Linux 2023 and
// later), ndb (SUSE) and the hash files of Berkeley DB (RHEL 8, Amazon Linux 2
// and earlier). Files are opened for reading only; no lock is taken, no
// write-ahead log touched and no rpm run, so that it works without root and
// beside an rpm that is at work.
package rpmdb

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/lock"
	"hygiene_exporter/probes/patch/sqlite"
	"hygiene_exporter/probes/patch/updates"
)

// directories are the places where distributions keep the database.
var directories = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm"}

// formats are the names of its file, newest first: an upgrade may leave the
// older ones behind.
var formats = []struct {
	file string
	read func(*rootfs.FS, string, func([]byte) error) error
}{
	{"rpmdb.sqlite", readSQLite},
	{"Packages.db", readNDB},
	{"Packages", readBDB},
}

// A Database is where the host keeps its packages, found by Find.
type Database struct {
	Path string // of the file
	read func(*rootfs.FS, string, func([]byte) error) error
}

// Find returns the database of the host, and fs.ErrNotExist if it has none.
func Find(files *rootfs.FS) (Database, error) {
	for _, directory := range directories {
		for _, format := range formats {
			path := directory + "/" + format.file
			switch info, err := files.Stat(path); {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return Database{}, err
			case info.Mode().IsRegular() && info.Size() > 0:
				return Database{Path: path, read: format.read}, nil
			}
		}
	}
	return Database{}, fmt.Errorf("no database of rpm: %w", fs.ErrNotExist)
}

// State tells whether the database has changed since; it is the same as long as
// neither its file nor its log has.
func (d Database) State(files *rootfs.FS) (string, error) { return sqlite.State(files, d.Path) }

// Packages reads all packages. Keys, which rpm keeps as packages of the name
// gpg-pubkey, are left out. A header that cannot be read hides no other: the
// packages that could be read come with the error.
func (d Database) Packages(files *rootfs.FS) ([]Package, error) {
	for range attempts {
		before, err := d.State(files)
		if err != nil {
			return nil, err
		}
		packages, err := d.once(files)
		if after, stateErr := d.State(files); stateErr == nil && after == before && !errors.Is(err, sqlite.ErrChanging) {
			return packages, err
		}
	}
	return nil, fmt.Errorf("%s: %w", d.Path, sqlite.ErrChanging)
}

// attempts is how often a database that changes under the reader is read.
const attempts = 3

func (d Database) once(files *rootfs.FS) ([]Package, error) {
	var packages []Package
	var bad error
	failed := 0
	names := names{}
	err := d.read(files, d.Path, func(blob []byte) error {
		p, err := parseHeader(blob)
		switch {
		case err != nil:
			failed++
			bad = err
		case p.Name != "gpg-pubkey":
			packages = append(packages, names.share(p))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", d.Path, err)
	case failed > 0:
		return packages, fmt.Errorf("%s: %d of %d packages cannot be read, one of them: %w", d.Path, failed, failed+len(packages), bad)
	}
	return packages, nil
}

// names keeps one copy of the strings that many packages have.
type names map[string]string

func (n names) share(p Package) Package {
	for _, s := range []*string{&p.Arch, &p.Vendor, &p.SourceRPM, &p.Module, &p.Release, &p.Version} {
		if known, ok := n[*s]; ok {
			*s = known
		} else {
			n[*s] = *s
		}
	}
	return p
}

func readSQLite(files *rootfs.FS, path string, each func([]byte) error) error {
	return sqlite.Once(files, path, "Packages", func(row sqlite.Row) error {
		blob, ok := row.Value("blob").([]byte)
		if !ok {
			return probes.Because(probes.Malformed, fmt.Errorf("row %d holds no header", row.ID))
		}
		return each(blob)
	})
}

// A Cache remembers the packages as long as the database does not change. The
// zero value is ready to use.
type Cache struct {
	path, state string
	packages    []Package
	err         error
}

// Packages returns the packages of the host, as Database.Packages does, and a
// text that changes whenever they do. While the database is being written, the
// packages of the time before come with the error.
func (c *Cache) Packages(files *rootfs.FS) ([]Package, string, error) {
	d, err := Find(files)
	if err != nil {
		return nil, "", err
	}
	state, err := d.State(files)
	if err != nil {
		return nil, "", err
	}
	state = d.Path + state
	if c.state == state && c.packages != nil {
		return c.packages, state, c.err
	}
	packages, err := d.Packages(files)
	if errors.Is(err, sqlite.ErrChanging) {
		return c.packages, c.state, err
	}
	c.path, c.state, c.packages, c.err = d.Path, state, packages, err
	return packages, state, err
}

// Busy tells whether rpm is changing what is installed: it holds a lock then.
func (c *Cache) Busy(files *rootfs.FS) updates.Truth {
	if c.path == "" {
		return updates.Unknown
	}
	return lock.Held(files, path.Dir(c.path)+"/.rpm.lock")
}
