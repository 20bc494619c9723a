package files

import (
	"context"
	"io"
	"io/fs"
	"path"

	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// directory checks a directory that is one backup, by what it holds.
func (l *location) directory(ctx context.Context, top string, depth job.Depth) finding {
	t, err := l.walk(ctx, top)
	if err != nil {
		return finding{err: err}
	}
	f := finding{size: job.Of(t.bytes), files: job.Of(t.files)}
	switch {
	case t.files == 0:
		f.err, f.read = job.Flawed(job.Empty, "the directory holds no file"), true
	case t.names["backup_manifest"] && (l.want == content.Any || l.want == content.BaseBackup):
		l.baseBackup(ctx, top, depth, t, &f)
	case l.want == content.BaseBackup && t.names["PG_VERSION"]:
		f.err, f.read = job.Flawed(job.Incomplete, "the base backup has no manifest"), true
	case t.names["toc.dat"] && (l.want == content.Any || l.want == content.PgDump):
		tool, err := l.program.pgRestore(ctx, top)
		f.err, f.read = err, err == nil || job.IsFlaw(err)
		if tool.Name != "" {
			f.tools = []job.Tool{tool}
		}
	case l.want == content.PgDump:
		f.err, f.read = job.Flawed(job.Incomplete, "the directory has no toc.dat, without which a dump cannot be restored"), true
	case l.want != content.Any:
		f.err, f.read = job.Flawed(job.Mismatch, "it is a directory, and does not hold %s", l.want), true
	case depth == job.Read:
		f.tools = []job.Tool{{Name: "builtin files"}}
		if f.err = l.readTree(ctx, top); f.err == nil {
			f.notes, f.err = l.listedTree(ctx, top)
		}
		f.read = f.err == nil || job.IsFlaw(f.err)
	}
	return f
}

// readTree reads every file of a directory.
func (l *location) readTree(ctx context.Context, top string) error {
	return l.each(ctx, top, func(name string, info fs.FileInfo) error {
		if !info.Mode().IsRegular() {
			return nil
		}
		file, err := l.host.Files.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		idle.Forget(file)
		defer idle.Forget(file)
		n, err := io.Copy(io.Discard, job.Interruptible(ctx, file))
		if err == nil && n < info.Size() {
			return job.Flawed(job.Truncated, "%s has fewer bytes than it should", path.Base(name))
		}
		return err
	})
}
