package pgbackrest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"hygiene_exporter/probes/backup/job"
)

// A file is what a manifest says of one.
type file struct {
	Name      string `json:"-"` // such as pg_data/PG_VERSION
	Size      int64  `json:"size"`
	Sum       string `json:"checksum"`
	Stored    *int64 `json:"repo-size"` // as it lies in the repository; absent: as large as the file
	StoredSum string `json:"rck"`       // of that; absent in what older versions made, and where it is the same
	Reference string `json:"reference"` // backup in which it lies; absent: the one of the manifest
	Bundle    int    `json:"bni"`       // file that holds several; 0: a file of its own
	Offset    int64  `json:"bno"`       // within that
	Blocks    int64  `json:"bim"`       // size of the map of blocks; 0: it lies there as a whole
}

func (f file) stored() int64 {
	if f.Stored != nil {
		return *f.Stored
	}
	return f.Size
}

// A manifest is what stands in it beside the files.
type manifest struct {
	label     string
	extension string // of stored files
	bundled   bool   // empty files are then stored nowhere
	pass      string // with which the files are encrypted
}

// place is where a file lies, below the directory of the stanza; empty: nowhere.
func (m *manifest) place(f file) string {
	where := f.Reference
	if where == "" {
		where = m.label
	}
	switch {
	case f.Bundle > 0:
		return path.Join(where, "bundle", fmt.Sprint(f.Bundle))
	case m.bundled && f.Size == 0:
		return ""
	}
	return path.Join(where, f.Name+m.extension)
}

// extensions maps the ways of compressing to what names end with.
func extensions() map[string]string {
	return map[string]string{"none": "", "gz": ".gz", "bz2": ".bz2", "lz4": ".lz4", "zst": ".zst"}
}

func (m *manifest) add(section, key string, value []byte, each func(file) error) error {
	var err error
	switch {
	case section == "backup" && key == "backup-label":
		err = json.Unmarshal(value, &m.label)
	case section == "backup" && key == "backup-bundle":
		err = json.Unmarshal(value, &m.bundled)
	case section == "cipher":
		err = json.Unmarshal(value, &m.pass)
	case section == "backup:option" && key == "option-compress" && string(value) == "true" && m.extension == "":
		m.extension = ".gz" // what versions did that knew no other way
	case section == "backup:option" && key == "option-compress-type":
		var kind string
		err = json.Unmarshal(value, &kind)
		known := false
		if m.extension, known = extensions()[kind]; !known && err == nil {
			err = fmt.Errorf("it does not know the compression %.40q", kind)
		}
	case section == "target:file":
		f := file{Name: key}
		if err = json.Unmarshal(value, &f); err == nil {
			if f.Size < 0 || f.stored() < 0 || f.Offset < 0 || f.Reference != "" && !label.MatchString(f.Reference) {
				return job.Flawed(job.Damaged, "what it says of %.80q cannot be", key)
			}
			return each(f)
		}
	}
	if err != nil {
		return job.Flawed(job.Damaged, "what it says of %.80q cannot be read: %v", key, err)
	}
	return nil
}

// manifest reads that of a backup, and calls each for its files. When it is
// damaged, pgBackRest takes its copy.
func (r *repository) manifest(ctx context.Context, v *view, of string, each func(*manifest, file) error) (notes []string, err error) {
	var errs []error
	for _, name := range []string{"backup.manifest", "backup.manifest.copy"} {
		// Twice: files count only if all of it is whole, and may be too many to keep.
		name = r.backupPath(path.Join(of, name))
		m := &manifest{}
		read := func(each func(file) error) error {
			return about(name, v.store.plain(ctx, name, v.catalog.pass, func(in io.Reader) error {
				return parseInfo(in, func(section, key string, value []byte) error { return m.add(section, key, value, each) })
			}))
		}
		if err = read(func(file) error { return nil }); err == nil && m.label != of {
			err = job.Flawed(job.Mismatch, "%s: it is the manifest of %.60q", name, m.label)
		}
		if err == nil {
			for _, err := range errs {
				notes = append(notes, err.Error()+"; its copy is whole")
			}
			return notes, read(func(f file) error { return each(m, f) })
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = job.Flawed(job.Incomplete, "%s is missing", name)
		}
		if !job.IsFlaw(err) {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, errs[0]
}

// structure demands that all files of a backup and all of the log that it needs
// are there, with the sizes that the manifest tells.
func (r *repository) structure(ctx context.Context, v *view, task job.Task, out *job.Outcome) error {
	b, err := v.find(task.Point.ID)
	if err != nil {
		return err
	}
	there := map[string]int64{}
	for _, of := range b.needs() {
		if _, err := v.find(of); err != nil {
			return job.Flawed(job.Incomplete, "the backup %s needs %s, which is not kept", b.Label, of)
		}
		err := v.store.list(ctx, r.backupPath(of), func(name string, f stored) { there[path.Join(of, name)] = f.size })
		if errors.Is(err, fs.ErrNotExist) {
			return job.Flawed(job.Incomplete, "the files of the backup %s are missing", of)
		}
		if err != nil {
			return err
		}
	}
	var files, size int64
	notes, err := r.manifest(ctx, v, b.Label, func(m *manifest, f file) error {
		files++
		size += f.Size
		return m.compare(f, there)
	})
	out.Noted(append(notes, r.unfinished(ctx, v)...)...)
	if err != nil {
		return err
	}
	out.Size, out.Files = job.Of(size), job.Of(files)
	if files == 0 {
		return job.Flawed(job.Empty, "the backup %s holds no file", b.Label)
	}
	if b.Error {
		return job.Flawed(job.Reported, "when the backup %s was made, pages of the database did not have their checksums", b.Label)
	}
	return r.continuity(ctx, v, b, out)
}

// compare compares the size of a file with what lies in the repository.
func (m *manifest) compare(f file, there map[string]int64) error {
	place := m.place(f)
	if place == "" {
		return nil
	}
	size, found := there[place]
	want := f.Offset + f.stored()
	switch {
	case !found:
		return job.Flawed(job.Incomplete, "%s is missing", place)
	case size < want:
		return job.Flawed(job.Truncated, "%s has %d bytes and should have %d", place, size, want)
	case size != want && f.Bundle == 0:
		return job.Flawed(job.Damaged, "%s has %d bytes and should have %d", place, size, want)
	}
	return nil
}

// unfinished tells of backups that were begun and not ended. The next backup
// resumes or removes them.
func (r *repository) unfinished(_ context.Context, v *view) []string {
	if !r.set.local() {
		return nil
	}
	entries, err := r.host.Files.ReadDir(path.Join(r.set.path, "backup", r.options.Stanza))
	if err != nil {
		return nil
	}
	var notes []string
	for _, entry := range entries {
		if _, err := v.find(entry.Name()); entry.IsDir() && err != nil && label.MatchString(entry.Name()) {
			notes = append(notes, fmt.Sprintf("the backup %s was begun and has not ended", entry.Name()))
		}
	}
	return notes
}

// find returns a backup by its label.
func (v *view) find(of string) (backup, error) {
	for _, b := range v.catalog.backups {
		if b.Label == of {
			return b, nil
		}
	}
	return backup{}, fmt.Errorf("the backup %.80s is gone: %w", strings.ToValidUTF8(of, "?"), fs.ErrNotExist)
}
