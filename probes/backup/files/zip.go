package files

import (
	"archive/zip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
)

// openZip opens an archive with the faster of the inflaters.
func openZip(r io.ReaderAt, size int64) (*zip.Reader, error) {
	archive, err := zip.NewReader(r, size)
	switch {
	case errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, job.Flawed(job.Truncated, "the directory at the end of the zip archive is missing or damaged")
	case err != nil && !errors.Is(err, zip.ErrInsecurePath):
		return nil, err
	}
	archive.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser { return flate.NewReader(r) })
	return archive, nil
}

// zip checks the directory of an archive, and at the depth Read its members.
func (s *subject) zip(ctx context.Context) finding {
	f := finding{tools: []job.Tool{{Name: "builtin zip"}}}
	archive, err := openZip(s.file, s.size)
	if err != nil {
		f.err, f.read = err, job.IsFlaw(err)
		return f
	}
	var size, files int64
	for _, member := range archive.File {
		if !member.FileInfo().IsDir() {
			files++
			size += int64(min(member.UncompressedSize64, 1<<62))
		}
	}
	f.size, f.files = job.Of(size), job.Of(files)
	switch {
	case len(archive.File) == 0:
		f.err, f.read = job.Flawed(job.Empty, "the zip archive has no members"), true
		return f
	case s.want != content.Any && s.want != content.Zip:
		f.err = s.zipContent(ctx, archive)
		f.read = f.err == nil || job.IsFlaw(f.err)
		return f
	case s.depth == job.Structure:
		return f
	}
	tool, notes, err := s.program.unzip(ctx, s.name)
	if probes.ReasonOf(err) == probes.Unsupported && tool.Name == "" {
		err = readMembers(ctx, archive, func(r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	} else {
		f.tools, f.notes = []job.Tool{tool}, notes
	}
	f.err, f.read = err, err == nil || job.IsFlaw(err)
	return f
}

// zipContent demands that the members hold what is wanted, to the end.
func (s *subject) zipContent(ctx context.Context, archive *zip.Reader) error {
	found := false
	err := readMembers(ctx, archive, func(r io.Reader) error {
		info, err := content.Check(r, content.Any)
		found = found || info.Type == s.want
		return err
	})
	if err == nil && !found {
		err = job.Flawed(job.Mismatch, "no member of the zip archive holds %s", s.want)
	}
	return err
}

// readMembers reads all members to their end.
func readMembers(ctx context.Context, archive *zip.Reader, read func(io.Reader) error) error {
	for _, member := range archive.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if member.FileInfo().IsDir() {
			continue
		}
		if member.Flags&1 != 0 {
			return probes.Because(probes.Auth, errors.New("the zip archive is encrypted"))
		}
		r, err := member.Open()
		if err == nil {
			err = read(r)
			r.Close()
		}
		if err = zipFlaw(member.Name, err); err != nil {
			return err
		}
	}
	return nil
}

func zipFlaw(name string, err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil, job.IsFlaw(err):
		return err
	case errors.Is(err, zip.ErrAlgorithm):
		return probes.Because(probes.Unsupported, err)
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &corrupt):
		return job.Flawed(job.Damaged, "the member %.80q of the zip archive is damaged", name)
	}
	return err
}

// sevenZip checks the headers at both ends of an archive, and at the depth Read
// lets 7z test its members.
func (s *subject) sevenZip(ctx context.Context) finding {
	f := finding{tools: []job.Tool{{Name: "builtin 7z"}}, files: job.Count{}, size: job.Count{}}
	if s.want != content.Any && s.want != content.SevenZip {
		f.err, f.read = job.Flawed(job.Mismatch, "it is a 7z archive, and not %s", s.want), true
		return f
	}
	if f.err = sevenZipHeaders(s.file, s.size); f.err != nil {
		f.read = job.IsFlaw(f.err)
		return f
	}
	if s.depth == job.Structure {
		return f
	}
	f = s.byProgram(s.program.sevenZip(ctx, s.name))
	f.size, f.files = job.Count{}, job.Count{}
	return f
}

// sevenZipHeaders checks the signature header of 32 bytes, which tells place,
// size and checksum of the header at the end; 7zFormat.txt describes them.
func sevenZipHeaders(r io.ReaderAt, size int64) error {
	const signature = 32
	head := make([]byte, signature)
	if _, err := r.ReadAt(head, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return job.Flawed(job.Truncated, "the 7z archive ends within its first header")
		}
		return err
	}
	if crc32.ChecksumIEEE(head[12:32]) != binary.LittleEndian.Uint32(head[8:]) {
		return job.Flawed(job.Damaged, "the first header of the 7z archive is damaged")
	}
	offset, length := int64(binary.LittleEndian.Uint64(head[12:])), int64(binary.LittleEndian.Uint64(head[20:]))
	switch {
	case length == 0:
		return job.Flawed(job.Empty, "the 7z archive has no members")
	case offset < 0 || length < 0 || offset > size || length > size || signature+offset+length > size:
		return job.Flawed(job.Truncated, "the 7z archive ends before the header that stands at its end")
	}
	digest := crc32.NewIEEE()
	if _, err := io.Copy(digest, io.NewSectionReader(r, signature+offset, length)); err != nil {
		return err
	}
	if digest.Sum32() != binary.LittleEndian.Uint32(head[28:]) {
		return job.Flawed(job.Damaged, "the last header of the 7z archive is damaged")
	}
	return nil
}
