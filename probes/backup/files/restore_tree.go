package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// directory restores a directory: a dump by pg_restore, anything else by copying
// it, with the checksums of its manifest if it has one.
func (r *restorer) directory(ctx context.Context, top string) error {
	f := r.location.directory(ctx, top, job.Read)
	if f.err != nil {
		return f.err
	}
	r.out.Judged(f.tools...)
	t, err := r.walk(ctx, top)
	if err != nil {
		return err
	}
	if t.names["toc.dat"] {
		info, err := r.host.Files.Stat(path.Join(top, "toc.dat"))
		if err != nil {
			return err
		}
		return r.script(ctx, top, path.Base(top)+".sql", info.ModTime())
	}
	if t.names["PG_VERSION"] || len(tarNames(t)) > 0 && t.names["backup_manifest"] {
		r.kind, r.restored = content.BaseBackup, "."
		return r.baseBackup(ctx, top, t)
	}
	return r.copyTree(ctx, top, "", nil)
}

// copyTree copies what is in a directory, below another one.
func (r *restorer) copyTree(ctx context.Context, top, into string, manifest map[string]*pgFile) error {
	err := r.each(ctx, top, func(name string, info fs.FileInfo) error {
		return r.copy(ctx, name, path.Join(into, strings.TrimPrefix(name, top+"/")), info, manifest)
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

var errEnough = errors.New("enough was restored")

// copy copies one thing, with the checksum that a manifest tells.
func (r *restorer) copy(ctx context.Context, name, rel string, info fs.FileInfo, manifest map[string]*pgFile) error {
	switch {
	case r.writer.Enough():
		return errEnough
	case info.IsDir():
		return r.writer.Directory(rel)
	case info.Mode()&fs.ModeSymlink != 0 && path.Dir(rel) == "pg_tblspc" && r.kind == content.BaseBackup:
		place, err := r.host.Files.Resolve(name)
		if err != nil {
			return err
		}
		return r.copyTree(ctx, place, rel, manifest) // a table space, which lies elsewhere
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := r.host.Files.Readlink(name)
		if err != nil {
			return err
		}
		return r.writer.Link(rel, target)
	case !info.Mode().IsRegular():
		r.writer.Skip()
		return nil
	}
	file, err := r.host.Files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	entry := restore.Entry{Name: rel, Modified: info.ModTime(), Size: info.Size()}
	complete(manifest)(&entry)
	return r.writer.File(ctx, entry, file)
}

// complete adds the checksum that a manifest tells of a file.
func complete(manifest map[string]*pgFile) func(*restore.Entry) {
	return func(e *restore.Entry) {
		name := path.Clean(e.Name)
		if listed := manifest[name]; listed != nil && listed.hash != nil && !unlisted(name) {
			e.Sum, e.Hash = listed.sum, listed.hash
		}
	}
}

// baseBackup restores a base backup so that it can be started: files as they
// are, archives to the places of their files.
func (r *restorer) baseBackup(ctx context.Context, top string, t *tree) error {
	var manifest map[string]*pgFile
	if t.names["backup_manifest"] {
		data, err := r.host.Files.ReadFile(path.Join(top, "backup_manifest"), maxPgManifest)
		if err != nil {
			return err
		}
		if manifest, err = parsePgManifest(data); err != nil {
			return err
		}
	}
	archives := tarNames(t)
	if len(archives) == 0 {
		return r.copyTree(ctx, top, "", manifest)
	}
	for name := range t.names {
		if strings.HasPrefix(name, "pg_wal.tar") {
			archives = append(archives, name)
		}
	}
	for _, name := range archives {
		dir, _, _ := strings.Cut(name, ".tar")
		switch dir {
		case "base":
			dir = ""
		case "pg_wal":
		default:
			dir = path.Join("pg_tblspc", dir)
		}
		err := r.unpack(ctx, path.Join(top, name), func(in io.Reader) error {
			return r.writer.TarBelow(ctx, in, dir, complete(manifest))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
