package content

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"hygiene_exporter/probes/backup/job"
)

const (
	tarBlock  = 512
	tarRecord = 20 * tarBlock // what tar(1) writes at once
)

// tarArchive reads an archive to its end mark and looks at what follows. The
// format has no checksum of its content and no count of its members: an archive
// that was cut between two of them is recognised by its missing end mark alone.
func tarArchive(r *bufio.Reader, info *Info) error {
	tail := &tailReader{r: r}
	archive := tar.NewReader(tail)
	info.Files, info.Size = 0, 0
	sparse, buffer := false, make([]byte, bufferSize)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tarFlaw(err, info)
		}
		info.Files++
		info.Size += header.Size // with its holes, which are never read
		if sparse = isSparse(header); sparse {
			continue // to read it would be to read its holes
		}
		// Without its own buffer, io.Discard reads 8 KiB at a time.
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, archive, buffer); err != nil {
			return tarFlaw(err, info)
		}
		tail.zeros = 0 // those are of the member
	}
	if tail.zeros < 2*tarBlock {
		return job.Flawed(job.Truncated, "the end mark of the tar archive is missing behind %d members", info.Files)
	}
	return tarTail(r, tail, sparse, info)
}

// isSparse reports whether a member has holes.
func isSparse(header *tar.Header) bool {
	if header.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func tarFlaw(err error, info *Info) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return job.Flawed(job.Truncated, "the tar archive ends within member %d", max(info.Files, 1))
	case errors.Is(err, tar.ErrHeader):
		return job.Flawed(job.Damaged, "the header behind member %d of the tar archive is damaged", info.Files)
	}
	return err
}

// tarTail judges what follows the end mark: the padding of the last record. An
// archive whose end became zeros has more of them than any record.
// Behind a member with holes nobody can tell which zeros are whose.
func tarTail(r *bufio.Reader, tail *tailReader, sparse bool, info *Info) error {
	padding, rest, err := padding(r)
	switch {
	case err != nil:
		return err
	case rest > 0:
		return job.Flawed(job.Damaged, "%d bytes follow the end mark of the tar archive behind %d members; tar does not restore what is in them", rest, info.Files)
	case !sparse && !plausible(tail.n+padding, tail.zeros+padding):
		return job.Flawed(job.Truncated, "the tar archive ends in %d zero bytes behind %d members, more than any padding: its end was lost", tail.zeros+padding, info.Files)
	case info.Files == 0:
		return job.Flawed(job.Empty, "the tar archive has no members")
	}
	return nil
}

// plausible reports whether so many zeros at the end are the end mark and the
// padding to a whole record of some usual size.
func plausible(size, zeros int64) bool {
	if zeros < 2*tarBlock+tarRecord {
		return true
	}
	for record := int64(32 << 10); record <= 1<<20; record *= 2 {
		if size%record == 0 && zeros < 2*tarBlock+record {
			return true
		}
	}
	return false
}

// padding counts the zeros that follow, and what is left behind them.
func padding(r *bufio.Reader) (zeros, rest int64, err error) {
	for {
		b, err := r.Peek(bufferSize)
		n := len(b)
		if trimmed := bytes.TrimLeft(b, "\x00"); len(trimmed) > 0 {
			zeros += int64(n - len(trimmed))
			if _, err := r.Discard(n - len(trimmed)); err != nil {
				return zeros, 0, err
			}
			rest, err := io.Copy(io.Discard, r)
			return zeros, rest, err
		}
		zeros += int64(n)
		if _, err := r.Discard(n); err != nil {
			return zeros, 0, err
		}
		if errors.Is(err, io.EOF) {
			return zeros, 0, nil
		}
		if err != nil {
			return zeros, 0, err
		}
	}
}

// tailReader counts what is read, and the zeros at its end.
type tailReader struct {
	r     io.Reader
	n     int64
	zeros int64
}

func (t *tailReader) Read(b []byte) (int, error) {
	n, err := t.r.Read(b)
	t.n += int64(n)
	if kept := len(bytes.TrimRight(b[:n], "\x00")); kept > 0 {
		t.zeros = int64(n - kept)
	} else {
		t.zeros += int64(n)
	}
	return n, err
}

// tarChecksum reports whether a block carries the checksum of a tar header.
func tarChecksum(b []byte) bool {
	field := bytes.Trim(b[148:156], " \x00")
	want, err := strconv.ParseInt(string(field), 8, 64)
	if err != nil || len(field) == 0 {
		return false
	}
	var sum int64
	for i, c := range b[:tarBlock] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		sum += int64(c)
	}
	return sum == want
}
