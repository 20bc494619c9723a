// Package decompress reads files in whichever of the usual compressions they
// are, told by their first bytes and not by their names. It keeps memory
// bounded, whatever the file claims about itself.
package decompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
	"github.com/ulikunitz/xz/lzma"

	"hygiene_exporter/probes"
)

// maxWindow is the largest dictionary that a file may ask for: what the highest
// level of xz and the long mode of zstd use.
const maxWindow = 128 << 20

// A format is told by how a file begins.
type format struct {
	magic string
	open  func(io.Reader) (io.ReadCloser, error)
}

func formats() []format {
	return []format{
		{"\x1f\x8b", func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
		{"BZh", func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(bzip2.NewReader(r)), nil }},
		{"\xfd7zXZ\x00", func(r io.Reader) (io.ReadCloser, error) {
			return nopCloser(xz.NewReader(r, maxWindow))
		}},
		{"\x5d\x00\x00", func(r io.Reader) (io.ReadCloser, error) {
			return nopCloser(lzma.ReaderConfig{DictCap: maxWindow}.NewReader(r))
		}},
		{"\x04\x22\x4d\x18", func(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(lz4.NewReader(r)), nil }},
		{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.ReadCloser, error) {
			d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
			return d.IOReadCloser(), nil
		}},
	}
}

func nopCloser[R io.Reader](r R, err error) (io.ReadCloser, error) { return io.NopCloser(r), err }

// New returns a reader of what r holds, decompressed if it is compressed. An
// error of the compression is malformed. Closing it does not close r.
func New(r io.Reader) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(6)
	if err != nil && len(head) == 0 && err != io.EOF { //nolint:errorlint // bufio returns it as it is
		return nil, err
	}
	for _, f := range formats() {
		if !bytes.HasPrefix(head, []byte(f.magic)) {
			continue
		}
		opened, err := f.open(buffered)
		if err != nil {
			return nil, malformed(err)
		}
		return &reader{opened}, nil
	}
	return io.NopCloser(buffered), nil
}

// A reader gives the errors of a compression their reason.
type reader struct{ io.ReadCloser }

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the contract of io.Reader
		err = malformed(err)
	}
	return n, err
}

func malformed(err error) error {
	return probes.Because(probes.Malformed, fmt.Errorf("damaged compression: %w", err))
}
