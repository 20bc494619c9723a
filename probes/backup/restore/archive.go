package restore

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"

	"hygiene_exporter/probes/backup/job"
)

// Tar restores the members of an archive. An archive that asks for something
// outside of its place is refused as a whole.
func (w *Writer) Tar(ctx context.Context, r io.Reader) error {
	return w.TarBelow(ctx, r, "", nil)
}

// TarBelow is like Tar with a directory for all that is in the archive, and with
// a function, unless it is nil, that completes what the archive says of a file,
// such as by its checksum.
func (w *Writer) TarBelow(ctx context.Context, r io.Reader, dir string, complete func(*Entry)) error {
	archive := tar.NewReader(r)
	for !w.Enough() {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, tar.ErrHeader):
			return job.Flawed(job.Truncated, "the archive ends or breaks behind %d members", w.Count)
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return err
		}
		if header.Name, err = below(dir, header.Name); err != nil {
			return err
		}
		if err := w.member(ctx, header, archive, complete, dir); err != nil {
			return err
		}
	}
	return nil
}

// below puts a name into a directory, which it must not leave.
func below(dir, name string) (string, error) {
	if dir == "" {
		return name, nil
	}
	local, err := Local(name)
	return path.Join(dir, local), err
}

func (w *Writer) member(ctx context.Context, header *tar.Header, r io.Reader, complete func(*Entry), dir string) error {
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		entry := Entry{Name: header.Name, Modified: header.ModTime, Size: header.Size}
		if complete != nil {
			complete(&entry)
		}
		err := w.File(ctx, entry, r)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return job.Flawed(job.Truncated, "the archive ends within %.80q", header.Name)
		}
		return err
	case tar.TypeDir:
		return w.Directory(header.Name)
	case tar.TypeSymlink:
		return w.Link(header.Name, header.Linkname)
	case tar.TypeLink:
		target, err := below(dir, header.Linkname)
		if err != nil {
			return err
		}
		return w.Hard(header.Name, target)
	}
	w.Skip()
	return nil
}
