// Package zchunk reads zchunk files, in which dnf5 keeps the metadata of
// repositories. The format is that of zchunk_format.txt of the zchunk project:
// a header with the checksum and the length of each chunk, then chunks that are
// compressed one by one.
package zchunk

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes"
)

// Magic is how a file of this format begins.
const Magic = "\x00ZCK1"

// Bounds of what a file may make the reader keep in memory.
const (
	maxHeader = 64 << 20
	maxChunk  = 256 << 20
)

// The bits of the flags.
const (
	flagStreams  = 1
	flagOptional = 2
	flagSource   = 4 // each chunk also has the checksum of its content
)

// checksums are the types of checksums by their numbers.
var checksums = []struct {
	size int
	new  func() hash.Hash
}{
	{sha1.Size, sha1.New},
	{sha256.Size, sha256.New},
	{sha512.Size, sha512.New},
	{16, sha512.New}, // SHA-512 cut to 128 bits
}

type chunk struct {
	stream         uint64
	checksum       []byte
	length, source uint64
}

// A Reader reads the content of stream 1, which is all there is in most files.
type Reader struct {
	file     io.Reader
	zstd     *zstd.Decoder // nil if the chunks are not compressed
	newHash  func() hash.Hash
	chunks   []chunk
	stored   []byte // the chunk at hand as it is in the file
	content  []byte // and its content
	unread   []byte
	finished error
}

// NewReader reads the header of a file and checks it against its checksum.
func NewReader(r io.Reader) (*Reader, error) {
	header, sumType, err := readHeader(r)
	if err != nil {
		return nil, damaged(err)
	}
	z := &Reader{file: r}
	if err := z.parse(header, checksums[sumType].size); err != nil {
		return nil, damaged(err)
	}
	return z, nil
}

// readHeader reads the lead and what it announces, without the lead.
func readHeader(r io.Reader) ([]byte, uint64, error) {
	lead := &recorder{r: r}
	magic := lead.bytes(uint64(len(Magic)))
	sumType := lead.integer()
	if lead.err == nil && (string(magic) != Magic || sumType >= uint64(len(checksums))) {
		return nil, 0, fmt.Errorf("magic %q and checksum type %d", magic, sumType)
	}
	size := lead.integer()
	if lead.err != nil {
		return nil, 0, lead.err
	}
	sum := checksums[sumType]
	want := lead.bytes(uint64(sum.size))
	seen := lead.seen[:len(lead.seen)-len(want)]
	if lead.err != nil {
		return nil, 0, lead.err
	}
	if size > maxHeader {
		return nil, 0, fmt.Errorf("a header of %d bytes", size)
	}
	header, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil || uint64(len(header)) < size {
		return nil, 0, errors.Join(err, fmt.Errorf("a header of %d bytes ends after %d", size, len(header)))
	}
	h := sum.new()
	h.Write(seen)
	h.Write(header)
	if !bytes.Equal(h.Sum(nil)[:sum.size], want) {
		return nil, 0, errors.New("the header does not match its checksum")
	}
	return header, sumType, nil
}

// parse reads the preface and the index. The signatures behind it are not
// checked.
func (z *Reader) parse(header []byte, sumSize int) error {
	p := &recorder{r: bytes.NewReader(header)}
	p.bytes(uint64(sumSize)) // of all data; the chunks have their own
	flags := p.integer()     // four bytes in the description, a number like others in all files
	if p.err != nil {
		return p.err
	}
	if flags&^(flagStreams|flagOptional|flagSource) != 0 {
		return fmt.Errorf("unknown flags %#x", flags)
	}
	compression := p.integer()
	if flags&flagOptional != 0 {
		for range p.count(p.integer()) {
			p.integer() // type
			p.bytes(p.integer())
		}
	}
	p.integer() // size of the index
	chunkSum := p.integer()
	count := p.integer()
	if p.err == nil && chunkSum >= uint64(len(checksums)) {
		return fmt.Errorf("checksum type %d of chunks", chunkSum)
	}
	if p.err != nil {
		return p.err
	}
	sum := checksums[chunkSum]
	z.newHash = sum.new
	for i := range p.count(count) {
		c := chunk{stream: 1}
		if flags&flagStreams != 0 {
			c.stream = p.integer()
		}
		c.checksum = p.bytes(uint64(sum.size))
		if flags&flagSource != 0 {
			p.bytes(uint64(sum.size))
		}
		c.length, c.source = p.integer(), p.integer()
		if p.err == nil && (c.length > maxChunk || c.source > maxChunk) {
			return fmt.Errorf("chunk %d has %d bytes", i, c.source)
		}
		z.chunks = append(z.chunks, c)
	}
	if p.err != nil || len(z.chunks) == 0 {
		return errors.Join(p.err, errors.New("the header ends within its index"))
	}
	return z.open(compression)
}

// open prepares the decoder. The first entry of the index is the dictionary,
// which may be empty.
func (z *Reader) open(compression uint64) error {
	dictionary := z.chunks[0]
	z.chunks = z.chunks[1:]
	switch compression {
	case 0:
		_, err := z.read(dictionary)
		return err
	case 2:
	default:
		return fmt.Errorf("compression type %d", compression)
	}
	limit := zstd.WithDecoderMaxMemory(maxChunk)
	plain, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), limit)
	if err != nil {
		return err
	}
	z.zstd = plain
	content, err := z.read(dictionary)
	if err != nil || len(content) == 0 {
		return err
	}
	option := zstd.WithDecoderDictRaw(0, content)
	if bytes.HasPrefix(content, []byte{0x37, 0xa4, 0x30, 0xec}) {
		option = zstd.WithDecoderDicts(bytes.Clone(content))
	}
	z.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), limit, option)
	return err
}

// read reads the next chunk of the file and returns its content, which is valid
// until the next call.
func (z *Reader) read(c chunk) ([]byte, error) {
	if c.length == 0 {
		return nil, nil
	}
	if uint64(cap(z.stored)) < c.length {
		z.stored = make([]byte, c.length)
	}
	z.stored = z.stored[:c.length]
	if _, err := io.ReadFull(z.file, z.stored); err != nil {
		return nil, err
	}
	h := z.newHash()
	h.Write(z.stored)
	if !bytes.Equal(h.Sum(nil)[:len(c.checksum)], c.checksum) {
		return nil, errors.New("a chunk does not match its checksum")
	}
	if z.zstd == nil {
		return z.stored, nil
	}
	var err error
	z.content, err = z.zstd.DecodeAll(z.stored, z.content[:0])
	if err == nil && uint64(len(z.content)) != c.source {
		err = fmt.Errorf("a chunk has %d bytes and should have %d", len(z.content), c.source)
	}
	return z.content, err
}

// Read reads content.
func (z *Reader) Read(p []byte) (int, error) {
	for len(z.unread) == 0 && z.finished == nil {
		if len(z.chunks) == 0 {
			z.finished = io.EOF
			break
		}
		next := z.chunks[0]
		z.chunks = z.chunks[1:]
		content, err := z.read(next)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			z.finished = damaged(err)
		} else if next.stream == 1 {
			z.unread = content
		}
	}
	if len(z.unread) == 0 {
		return 0, z.finished
	}
	n := copy(p, z.unread)
	z.unread = z.unread[n:]
	return n, nil
}

// A recorder reads numbers and bytes, keeps what it read, and stops at the
// first error.
type recorder struct {
	r    io.Reader
	seen []byte
	err  error
}

func (r *recorder) bytes(n uint64) []byte {
	if r.err == nil && n > maxHeader {
		r.err = fmt.Errorf("%d bytes in the header", n)
	}
	if r.err != nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(r.r, int64(n)))
	if err == nil && uint64(len(data)) < n {
		err = io.ErrUnexpectedEOF
	}
	r.seen, r.err = append(r.seen, data...), err
	return data
}

// integer reads a number of seven bits a byte, the lowest first; the last byte
// has its top bit set.
func (r *recorder) integer() uint64 {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		b := r.bytes(1)
		if r.err != nil {
			return 0
		}
		n |= uint64(b[0]&0x7f) << shift
		if b[0] >= 0x80 {
			return n
		}
	}
	r.err = errors.New("a number without an end")
	return 0
}

// count bounds the turns of a loop: each one reads at least a byte.
func (r *recorder) count(n uint64) uint64 {
	if r.err != nil || n > maxHeader {
		r.err = errors.Join(r.err, fmt.Errorf("a count of %d", n))
		return 0
	}
	return n
}

func damaged(err error) error {
	return probes.Because(probes.Malformed, fmt.Errorf("zchunk: %w", err))
}
