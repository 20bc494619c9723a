package restore

import (
	"archive/tar"
	"context"
	"errors"
	"io"

	"hygiene_exporter/probes/backup/job"
)

// Tar restores the members of an archive. An archive that asks for something
// outside of its place is refused as a whole.
func (w *Writer) Tar(ctx context.Context, r io.Reader) error {
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
		if err := w.member(ctx, header, archive); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) member(ctx context.Context, header *tar.Header, r io.Reader) error {
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		err := w.File(ctx, Entry{Name: header.Name, Modified: header.ModTime, Size: header.Size}, r)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return job.Flawed(job.Truncated, "the archive ends within %.80q", header.Name)
		}
		return err
	case tar.TypeDir:
		return w.Directory(header.Name)
	case tar.TypeSymlink:
		return w.Link(header.Name, header.Linkname)
	case tar.TypeLink:
		return w.Hard(header.Name, header.Linkname)
	}
	w.Skip()
	return nil
}
