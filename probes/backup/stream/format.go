// Package stream reads compressed streams to their very end, and tells a stream
// that is whole from one that is not. The judge is the program that would be
// used to restore, where it is installed; otherwise the package's own reader,
// for gzip, bzip2 and zstd.
package stream

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"path"
	"regexp"
	"slices"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// HeadSize is how much of a stream Detect wants to see.
const HeadSize = 16

// A Format is one way of compressing.
type Format struct {
	Name string

	extensions []string
	magic      [][]byte
	version    *regexp.Regexp // finds the version in what the program says of itself
	complaints []complaint
	warning    int // exit status with which the program says that all data is there, but

	// end finds where the compressed data ends, without unpacking it. Nil: the
	// program itself copes with what follows.
	end func(r io.ReaderAt, size int64) (frames, error)
	// reader is the package's own; nil: there is none.
	reader func(io.Reader) (io.Reader, error)
}

// A complaint is how a program says what is wrong.
type complaint struct {
	text   *regexp.Regexp
	reason job.FlawReason // empty: the program cannot judge the stream
}

func says(text string, reason job.FlawReason) complaint {
	return complaint{regexp.MustCompile(`(?i)` + text), reason}
}

// formats lists what is known, with the messages of the versions that are
// named in the reference of backups. Programs are asked to read their standard
// input, so that a path never matters.
func formats() []*Format {
	return []*Format{
		{
			Name: "gzip", extensions: []string{".gz", ".tgz", ".taz"}, magic: [][]byte{{0x1f, 0x8b, 8}},
			version: regexp.MustCompile(`gzip ([0-9.]+)`), warning: 2,
			complaints: []complaint{
				says(`unexpected end of file`, job.Truncated),
				says(`not in gzip format`, job.Mismatch),
				says(`is encrypted`, ""),
			},
			reader: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		},
		{
			Name: "bzip2", extensions: []string{".bz2", ".tbz2", ".tbz"}, magic: [][]byte{[]byte("BZh")},
			version: regexp.MustCompile(`Version ([0-9.]+)`),
			complaints: []complaint{
				says(`ends unexpectedly`, job.Truncated),
				says(`is not a bzip2 file`, job.Mismatch),
			},
			reader: func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
		},
		{
			Name: "xz", extensions: []string{".xz", ".txz"}, magic: [][]byte{{0xfd, '7', 'z', 'X', 'Z', 0}},
			version: regexp.MustCompile(`([0-9]+\.[0-9.]+)`), warning: 2,
			complaints: []complaint{
				says(`unexpected end of input`, job.Truncated),
				says(`format not recognized`, job.Mismatch),
				says(`unsupported|memory usage limit|cannot allocate`, ""),
			},
		},
		{
			Name: "zstd", extensions: []string{".zst", ".zstd", ".tzst"}, magic: [][]byte{{0x28, 0xb5, 0x2f, 0xfd}},
			version: regexp.MustCompile(`v([0-9.]+)`), end: zstdFrames,
			complaints: []complaint{
				says(`premature end|unexpected end of file|truncated|incomplete`, job.Truncated),
				says(`too much memory|window size larger|memory required|dictionary`, ""),
			},
			reader: func(r io.Reader) (io.Reader, error) {
				return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
			},
		},
		{
			Name: "lz4", extensions: []string{".lz4", ".tlz4"}, magic: [][]byte{{0x04, 0x22, 0x4d, 0x18}, {0x02, 0x21, 0x4c, 0x18}},
			version: regexp.MustCompile(`v([0-9.]+)`), end: lz4Frames,
			complaints: []complaint{
				says(`unfinished stream|cannot read|unexpected end`, job.Truncated),
				says(`dictionary`, ""),
			},
		},
		{
			Name: "lzip", extensions: []string{".lz", ".tlz"}, magic: [][]byte{[]byte("LZIP")},
			version: regexp.MustCompile(`lzip ([0-9.]+)`),
			complaints: []complaint{
				says(`ends unexpectedly|truncated`, job.Truncated),
				says(`bad magic`, job.Mismatch),
				says(`version [0-9]+ member format not supported|invalid dictionary size`, ""),
			},
		},
	}
}

// Detect returns the format of a stream that begins like this, or nil.
func Detect(head []byte) *Format {
	for _, f := range formats() {
		if slices.ContainsFunc(f.magic, func(magic []byte) bool { return bytes.HasPrefix(head, magic) }) {
			return f
		}
	}
	return nil
}

// Named returns the format that the name of a file claims, or nil.
func Named(name string) *Format {
	extension := path.Ext(name)
	for _, f := range formats() {
		if slices.Contains(f.extensions, extension) {
			return f
		}
	}
	return nil
}

// Names lists the formats.
func Names() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.Name)
	}
	return names
}

// Commands lists the programs that are asked.
func Commands() []probes.Command {
	var list []probes.Command
	for _, f := range formats() {
		list = append(list,
			probes.Command{Entry: f.Name, Argv: []string{f.Name, "-dc"}, Help: "Unpacks a backup from its standard input and says whether it is whole."},
			probes.Command{Entry: f.Name + "-version", Argv: []string{f.Name, "--version"}, Help: "The version of the program that judged."},
		)
	}
	return list
}
