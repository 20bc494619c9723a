package walg

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// metadata is what files_metadata.json says of the files of a backup.
type metadata struct {
	Files map[string]struct {
		Skipped bool            `json:"IsSkipped"` // it has not changed since the backup before
		Corrupt json.RawMessage `json:"CorruptBlocks"`
	} `json:"Files"`
	Sets map[string][]string `json:"TarFileSets"` // what is in each archive
}

func (s *storage) metadata(b backup) (m metadata, err error) {
	if b.Bare {
		return m, nil
	}
	text, err := s.host.Files.ReadFile(path.Join(s.root, backupDir, b.name, "files_metadata.json"), maxMetadata)
	if errors.Is(err, fs.ErrNotExist) {
		if b.Version < 2 {
			return m, nil // as versions before wrote it
		}
		return m, job.Flawed(job.Incomplete, "the backup %s has lost files_metadata.json", b.name)
	}
	if err != nil {
		return m, err
	}
	return m, m.parse(b.name, text)
}

func (m *metadata) parse(of string, text []byte) error {
	if err := json.Unmarshal(text, m); err != nil {
		if strings.Contains(err.Error(), "unexpected end") {
			return job.Flawed(job.Truncated, "files_metadata.json of %s ends early", of)
		}
		return job.Flawed(job.Damaged, "files_metadata.json of %s cannot be read: %v", of, err)
	}
	return nil
}

// archives lists the archives of a backup, the one with the control file last:
// without it nobody starts what is only half restored.
func (s *storage) archives(b backup) (names []string, sizes map[string]int64, err error) {
	entries, err := s.host.Files.ReadDir(path.Join(s.root, backupDir, b.name, parts))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, job.Flawed(job.Incomplete, "the files of the backup %s are missing", b.name)
	}
	sizes = map[string]int64{}
	control := ""
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.Contains(entry.Name(), ".tar") {
			continue
		}
		sizes[entry.Name()] = info.Size()
		if strings.HasPrefix(entry.Name(), "pg_control.tar") {
			control = entry.Name()
			continue
		}
		names = append(names, entry.Name())
	}
	if err == nil && control == "" {
		return nil, nil, job.Flawed(job.Incomplete, "the backup %s has lost its pg_control", b.name)
	}
	return append(names, control), sizes, err
}

// structure demands that all archives are there of a backup and of those that it
// is an increment of, and the log that it needs.
func (s *storage) structure(ctx context.Context, backups []backup, task job.Task, out *job.Outcome) error {
	chain, err := chainOf(backups, task.Point.ID)
	if err != nil {
		return err
	}
	for i, b := range chain {
		m, err := s.metadata(b)
		if err != nil {
			return err
		}
		if i == 0 {
			out.Size = job.Of(b.Uncompressed)
			if len(m.Files) > 0 {
				out.Files = job.Of(int64(len(m.Files)))
			}
		}
		if err := s.complete(b, m); err != nil {
			return err
		}
	}
	l, err := s.logs(ctx, backups)
	if err != nil {
		return err
	}
	return l.Demand(chain[0].first, chain[0].last, out)
}

func (s *storage) complete(b backup, m metadata) error {
	_, sizes, err := s.archives(b)
	if err != nil {
		return err
	}
	var lost []string
	for name := range m.Sets {
		if _, there := sizes[name]; !there {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		return job.Flawed(job.Incomplete, "the backup %s has lost %d archives, such as %s", b.name, len(lost), slices.Min(lost))
	}
	for name, size := range sizes {
		if size == 0 {
			return job.Flawed(job.Truncated, "the archive %s of the backup %s is empty", name, b.name)
		}
	}
	for name, f := range m.Files {
		if text := string(f.Corrupt); text != "" && text != "null" {
			return job.Flawed(job.Reported, "when the backup %s was made, pages of %.80q did not have their checksums", b.name, name)
		}
	}
	return nil
}

// readUnits reads backups and batches of the log.
func (s *storage) readUnits(ctx context.Context, backups []backup, task job.Task, out *job.Outcome) error {
	l, err := s.logs(ctx, backups)
	if err != nil {
		return err
	}
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) {
		if strings.HasPrefix(u.ID, "log ") {
			return l.Read(ctx, u.ID, out)
		}
		i := slices.IndexFunc(backups, func(b backup) bool { return b.name == u.ID })
		if i < 0 {
			return 0, nil // it has expired meanwhile
		}
		return s.readBackup(ctx, backups[i], out)
	})
}

// readBackup reads the archives of a backup to their ends, and compares what is
// in them with the list.
func (s *storage) readBackup(ctx context.Context, b backup, out *job.Outcome) (read int64, worst error) {
	if b.err != nil {
		return 0, b.err
	}
	m, err := s.metadata(b)
	if err == nil {
		err = s.complete(b, m)
	}
	if err != nil {
		return 0, err
	}
	names, sizes, err := s.archives(b)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		members := map[string]bool{}
		err := s.archive(ctx, b, name, out, func(in io.Reader) error {
			return job.Stream(func(to io.Writer) error {
				_, err := content.Check(io.TeeReader(in, to), content.Tar)
				return err
			}, func(in io.Reader) error { return list(in, members) })
		})
		if err == nil {
			err = demand(name, m.Sets[name], members)
		}
		read += sizes[name]
		if worst = job.Worse(worst, err); ctx.Err() != nil {
			break
		}
	}
	return read, worst
}

// list adds the members of an archive. What is wrong with it, another tells.
func list(in io.Reader, members map[string]bool) error {
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil //nolint:nilerr // see above
		}
		members[inside(header.Name)] = true
	}
}

func demand(name string, want []string, members map[string]bool) error {
	for _, member := range want {
		if !members[inside(member)] {
			return job.Flawed(job.Incomplete, "the archive %s lacks %.80q", name, member)
		}
	}
	return nil
}

// inside is a name below the data directory: WAL-G writes it with a slash.
func inside(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// archive hands on an archive as it was before it was packed.
func (s *storage) archive(ctx context.Context, b backup, name string, out *job.Outcome, consume func(io.Reader) error) error {
	place := path.Join(s.root, backupDir, b.name, parts, name)
	err := cluster.Unpack(ctx, s.host, place, func(tool job.Tool) { out.Judged(tool) }, consume)
	if flaw, ok := errors.AsType[*job.Flaw](err); ok {
		return job.Flawed(flaw.Reason, "the archive %s of %s: %s", name, b.name, flaw.Text)
	}
	return err
}

// restore restores a full backup, and lets a server recover it where that is
// asked for.
func (s *storage) restore(ctx context.Context, backups []backup, task job.Task, out *job.Outcome) error {
	if err := s.structure(ctx, backups, task, out); err != nil {
		return err
	}
	chain, err := chainOf(backups, task.Point.ID)
	if err != nil {
		return err
	}
	b := chain[0]
	if len(chain) > 1 {
		return probes.Because(probes.Unsupported, errors.New("an increment is restored by WAL-G only"))
	}
	task.Restore.Sample = 0
	w, err := restore.New(s.host.Files, task.Restore, b.Finished, job.Of(b.Uncompressed))
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	err = s.unpackAll(ctx, b, w, out)
	out.Duration, out.RestoredBytes, out.Bytes = w.Duration, w.Bytes, w.Bytes
	if err != nil {
		return err
	}
	out.Note("%d files with %d bytes were restored", w.Count, w.Bytes)
	if err := w.Assertions(); err != nil {
		return err
	}
	if task.Loads() {
		l, err := s.logs(ctx, backups)
		if err != nil {
			return err
		}
		if err := l.Recover(ctx, task, task.Restore.Scratch, b.first, out); err != nil {
			return err
		}
	}
	out.Reached = append(append(out.Reached, job.Structure), task.Proves(task.Loads())...)
	return nil
}

// unpackAll restores all archives of a backup, and demands what its list names.
func (s *storage) unpackAll(ctx context.Context, b backup, w *restore.Writer, out *job.Outcome) error {
	m, err := s.metadata(b)
	if err != nil {
		return err
	}
	names, _, err := s.archives(b)
	if err != nil {
		return err
	}
	for _, name := range names {
		members := map[string]bool{}
		err := s.archive(ctx, b, name, out, func(in io.Reader) error { return unpack(ctx, in, w, members) })
		if err == nil {
			err = demand(name, m.Sets[name], members)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unpack(ctx context.Context, in io.Reader, w *restore.Writer, members map[string]bool) error {
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader):
			return job.Flawed(job.Truncated, "it ends or breaks behind %d members", len(members))
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err
		}
		if strings.Contains("/"+header.Name+"/", "/../") {
			return job.Flawed(job.Unsafe, "%.80q would be restored outside of its place", header.Name)
		}
		name := inside(header.Name)
		members[name] = true
		switch header.Typeflag {
		case tar.TypeDir:
			err = w.Directory(name)
		case tar.TypeSymlink:
			err = probes.Because(probes.Unsupported, fmt.Errorf("%.80q is a link to elsewhere, such as of a table space", name))
		case tar.TypeReg:
			err = w.File(ctx, restore.Entry{Name: name, Modified: header.ModTime, Size: header.Size}, archive)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = job.Flawed(job.Truncated, "it ends within %.80q", name)
			}
		default:
			w.Skip()
		}
		if err != nil {
			return err
		}
	}
}
