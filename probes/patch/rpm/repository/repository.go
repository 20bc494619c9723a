// Package repository loads the metadata of one RPM repository from the directory
// in which a package manager keeps it.
package repository

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/decompress"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/repodata"
	"hygiene_exporter/probes/patch/rpm/zchunk"
)

// maxIndex is more than any repomd.xml has.
const maxIndex = 16 << 20

// A Repository is what the metadata says about the packages that are wanted.
type Repository struct {
	Index         repodata.Index
	Packages      []repodata.Package
	Advisories    []repodata.Advisory
	HasAdvisories bool // whether the publisher has any metadata of that kind
	Modules       repodata.Modules
	Total         int // packages that the repository has in all
}

// A Cache remembers the repositories that it loaded, so that an unchanged one
// costs a few calls of stat. The zero value is ready to use.
type Cache struct {
	loaded map[string]entry
	used   map[string]bool
}

type entry struct {
	state string
	read  Repository
	err   error
}

// Load returns the repository in a directory that holds a repomd.xml and its
// files. Which names are wanted must follow from key: for another key everything
// is read anew.
func (c *Cache) Load(files *rootfs.FS, dir, key string, wanted func(string) bool) (Repository, error) {
	state, err := stateOf(files, dir)
	if err != nil {
		return Repository{}, err
	}
	if c.loaded == nil {
		c.loaded = map[string]entry{}
		c.used = map[string]bool{}
	}
	key = dir + "\x00" + key
	c.used[key] = true
	if known, ok := c.loaded[key]; ok && known.state == state {
		return known.read, known.err
	}
	read, err := load(files, dir, wanted)
	if probes.ReasonOf(err) != probes.Malformed && err != nil {
		delete(c.loaded, key) // the next look may go better
		return read, err
	}
	c.loaded[key] = entry{state, read, err}
	return read, err
}

// Forget drops the repositories that were not asked for since the last call.
func (c *Cache) Forget() {
	for key := range c.loaded {
		if !c.used[key] {
			delete(c.loaded, key)
		}
	}
	clear(c.used)
}

// Refreshed returns when the metadata in a directory was last found to be
// current: package managers touch the index or primary when there is nothing
// new. It is zero if there is none.
func Refreshed(files *rootfs.FS, dir string) time.Time {
	entries, err := files.ReadDir(dir)
	if err != nil {
		return time.Time{}
	}
	var last time.Time
	for _, e := range entries {
		info, err := files.Stat(dir + "/" + e.Name())
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if changed := changeTime(info); changed.After(last) {
			last = changed
		}
	}
	return last
}

// changeTime is when the inode was last changed, which cannot be set.
func changeTime(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}

func stateOf(files *rootfs.FS, dir string) (string, error) {
	entries, err := files.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, e := range entries {
		if info, err := files.Stat(dir + "/" + e.Name()); err == nil && info.Mode().IsRegular() {
			fmt.Fprintf(&text, "%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return text.String(), nil
}

func load(files *rootfs.FS, dir string, wanted func(string) bool) (Repository, error) {
	var r Repository
	var err error
	if r.Index, err = readIndex(files, dir); err != nil {
		return r, err
	}
	if err := r.readPackages(files, dir, wanted); err != nil {
		return r, err
	}
	advisories, err := open(files, dir, r.Index, "updateinfo", "updateinfo_zck")
	if err == nil {
		r.HasAdvisories = true
		err = readAll(advisories, func(content io.Reader) error {
			return repodata.ReadAdvisories(content, wanted, func(a repodata.Advisory) { r.Advisories = append(r.Advisories, a) })
		})
	}
	if err != nil && !errors.Is(err, errNotListed) {
		return r, fmt.Errorf("updateinfo: %w", err)
	}
	modules, err := open(files, dir, r.Index, "modules", "modules_zck")
	if err == nil {
		err = readAll(modules, func(content io.Reader) error {
			r.Modules, err = repodata.ReadModules(content)
			return err
		})
	}
	if err != nil && !errors.Is(err, errNotListed) {
		return r, fmt.Errorf("modules: %w", err)
	}
	return r, nil
}

// Archive reports whether the publisher gives security updates here, so that new
// metadata is to be expected again and again.
func (r Repository) Archive() bool {
	return slices.ContainsFunc(r.Advisories, func(a repodata.Advisory) bool { return a.Type == "security" })
}

func readIndex(files *rootfs.FS, dir string) (repodata.Index, error) {
	file, err := files.Open(dir + "/repomd.xml")
	if err != nil {
		return repodata.Index{}, err
	}
	defer file.Close()
	index, err := repodata.ParseIndex(io.LimitReader(file, maxIndex))
	if err != nil {
		return index, fmt.Errorf("%s: %w", dir, err)
	}
	return index, nil
}

// readPackages reads primary, or the database that yum keeps instead.
func (r *Repository) readPackages(files *rootfs.FS, dir string, wanted func(string) bool) error {
	keep := func(p repodata.Package) { r.Packages = append(r.Packages, p) }
	primary, err := open(files, dir, r.Index, "primary", "primary_zck")
	if err == nil {
		return readAll(primary, func(content io.Reader) error {
			r.Total, err = repodata.ReadPrimary(content, wanted, keep)
			return err
		})
	}
	if _, ok := r.Index.Files["primary_db"]; ok {
		if database, found := findDatabase(files, dir, r.Index); found {
			r.Total, err = repodata.ReadPrimaryDatabase(files, database, wanted, keep)
			return err
		}
	}
	return fmt.Errorf("primary: %w", err)
}

// errNotListed means that the index has no file of a type.
var errNotListed = errors.New("the index does not list it")

// open opens the first file of these types that is there. A file that the index
// lists and that was not downloaded is fs.ErrNotExist.
func open(files *rootfs.FS, dir string, index repodata.Index, types ...string) (io.ReadCloser, error) {
	err := errNotListed
	for _, kind := range types {
		listed, ok := index.Files[kind]
		if !ok {
			continue
		}
		file, openErr := files.Open(dir + "/" + listed.Name)
		if openErr == nil {
			return file, nil
		}
		err = openErr
	}
	return nil, err
}

func readAll(file io.ReadCloser, read func(io.Reader) error) error {
	defer file.Close()
	buffered := bufio.NewReader(file)
	if head, _ := buffered.Peek(len(zchunk.Magic)); string(head) == zchunk.Magic {
		content, err := zchunk.NewReader(buffered)
		if err != nil {
			return err
		}
		return read(content)
	}
	content, err := decompress.New(buffered)
	if err != nil {
		return err
	}
	defer content.Close()
	return read(content)
}

// findDatabase finds the SQLite form of primary, which yum unpacks.
func findDatabase(files *rootfs.FS, dir string, index repodata.Index) (string, bool) {
	name := index.Files["primary_db"].Name
	for _, path := range []string{"gen/primary_db.sqlite", trimCompression(name), "gen/" + trimCompression(name), "primary.sqlite"} {
		if info, err := files.Stat(dir + "/" + path); err == nil && info.Mode().IsRegular() {
			return dir + "/" + path, true
		}
	}
	return "", false
}

func trimCompression(name string) string {
	for _, suffix := range []string{".bz2", ".gz", ".xz", ".zst"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}
