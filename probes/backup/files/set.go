package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
)

// A set is one backup: some files, or a directory.
type set struct {
	id    string
	items []item
}

// sets puts files together to backups, the newest first.
func (l *location) sets(found []item) []set {
	byID := map[string]*set{}
	var order []string
	for _, one := range found {
		id := l.setOf(one)
		if byID[id] == nil {
			byID[id] = &set{id: id}
			order = append(order, id)
		}
		byID[id].items = append(byID[id].items, one)
	}
	var list []set
	for _, id := range order {
		list = append(list, *byID[id])
	}
	slices.SortStableFunc(list, func(a, b set) int {
		return cmp.Or(b.at().Compare(a.at()), cmp.Compare(b.id, a.id))
	})
	return list
}

// setOf names the backup that an item belongs to. What the expression does not
// match is a backup of its own.
func (l *location) setOf(one item) string {
	switch {
	case l.options.Set == directory:
		return path.Dir(one.path)
	case l.options.Set == all:
		return strings.Join(l.options.Paths, " ")
	case l.set != nil:
		if match := l.set.FindString(one.path); match != "" {
			return match
		}
	}
	return one.path
}

// at is the time of the data: a set is as old as its oldest part.
func (s set) at() time.Time {
	var oldest time.Time
	for _, one := range s.items {
		if at := one.at(); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest
}

func (i item) at() time.Time {
	if i.tree != nil {
		return i.tree.at(i.info.ModTime())
	}
	return i.info.ModTime()
}

// changed reports whether something of the set was written within a time.
func (s set) changed(now time.Time, within time.Duration) bool {
	for _, one := range s.items {
		last := latest(one.info)
		if one.tree != nil && one.tree.changed.After(last) {
			last = one.tree.changed
		}
		if age := now.Sub(last); age >= 0 && age < within {
			return true
		}
	}
	return false
}

// latest is the last change of a file, also one that kept its time of
// modification.
func latest(info fs.FileInfo) time.Time {
	at := info.ModTime()
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		if changed := time.Unix(stat.Ctim.Unix()); changed.After(at) {
			at = changed
		}
	}
	return at
}

func (s set) point() job.Point {
	p := job.Point{ID: s.id, At: s.at()}
	for _, unit := range s.units() {
		p.Units = append(p.Units, unit.ID)
	}
	return p
}

func (s set) units() []job.Unit {
	var units []job.Unit
	for _, one := range s.items {
		unit := job.Unit{ID: one.path, Bytes: one.info.Size(), Stamp: stamp(one.info)}
		if one.tree != nil {
			unit.Bytes, unit.Stamp = one.tree.bytes, one.tree.stamp()
		}
		units = append(units, unit)
	}
	slices.SortFunc(units, func(a, b job.Unit) int { return cmp.Compare(a.ID, b.ID) })
	return units
}

// stamp changes whenever the content of a file may have: the kernel sets the
// time of change, and nobody else can.
func stamp(info fs.FileInfo) string {
	id := identify(info)
	return fmt.Sprintf("%d.%d.%d.%d.%d", id.device, id.inode, info.Size(), id.changed.Unix(), id.changed.Nanosecond())
}

type identity struct {
	device, inode uint64
	changed       time.Time
}

func identify(info fs.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{changed: info.ModTime()}
	}
	return identity{stat.Dev, stat.Ino, time.Unix(stat.Ctim.Unix())}
}

// A tree is what is known of a directory without reading its files.
type tree struct {
	files   int64
	bytes   int64
	newest  time.Time // modification of a file
	changed time.Time // last change of anything
	digest  uint64
	names   map[string]bool // at the top
}

// at is the time of the data of a directory: that of its newest file.
func (t *tree) at(own time.Time) time.Time {
	if t.newest.IsZero() {
		return own
	}
	return t.newest
}

func (t *tree) stamp() string { return fmt.Sprintf("%d.%d.%x", t.files, t.bytes, t.digest) }

// walk looks at everything below a directory. Links are not followed.
func (l *location) walk(ctx context.Context, top string) (*tree, error) {
	t := &tree{names: map[string]bool{}}
	digest := fnv.New64a()
	err := l.each(ctx, top, func(name string, info fs.FileInfo) error {
		if path.Dir(name) == top {
			t.names[path.Base(name)] = true
		}
		if at := latest(info); at.After(t.changed) {
			t.changed = at
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		t.files++
		t.bytes += info.Size()
		if info.ModTime().After(t.newest) {
			t.newest = info.ModTime()
		}
		fmt.Fprintf(digest, "%s\x00%s\x00", name, stamp(info))
		return nil
	})
	t.digest = digest.Sum64()
	return t, err
}

// each visits everything below a directory, in the order of names.
func (l *location) each(ctx context.Context, top string, visit func(string, fs.FileInfo) error) error {
	entries, err := l.host.Files.ReadDir(top)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(top, entry.Name())
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a program that copies gives files their names at the end
		}
		if err != nil {
			return err
		}
		if err := visit(name, info); err != nil {
			return err
		}
		if entry.IsDir() {
			if err := l.each(ctx, name, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// devices names the disks that the files lie on.
func (l *location) devices(found []item) []string {
	var list []string
	known := map[uint64]bool{}
	for _, one := range found {
		id := identify(one.info)
		if known[id.device] {
			continue
		}
		known[id.device] = true
		for _, name := range device.Of(l.host.Files, one.info) {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}
