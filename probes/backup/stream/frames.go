package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes/backup/job"
)

// frames is what the headers of frames and blocks say of a stream.
type frames struct {
	end       int64 // where the last frame ends
	count     int
	unchecked int // frames without a checksum of their content
	name      string
}

func (f frames) notes() []string {
	if f.unchecked > 0 {
		return []string{fmt.Sprintf("%d of %d %s frames have no checksum: a changed byte in them cannot be noticed", f.unchecked, f.count, f.name)}
	}
	return nil
}

// A walker reads the headers of a stream and jumps over what is between them.
type walker struct {
	r    io.ReaderAt
	size int64
	at   int64
	name string
}

// take returns the next n bytes, of which there must be so many.
func (w *walker) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	if w.at+n > w.size {
		return nil, w.short()
	}
	if _, err := w.r.ReadAt(b, w.at); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, w.short()
		}
		return nil, err
	}
	w.at += n
	return b, nil
}

func (w *walker) skip(n int64) error {
	if w.at+n > w.size {
		return w.short()
	}
	w.at += n
	return nil
}

func (w *walker) short() error {
	return job.Flawed(job.Truncated, "the %s stream ends too early: a frame that begins before byte %d is not complete", w.name, w.size)
}

// magic returns the next four bytes without going on; zero when there are none.
func (w *walker) magic() (uint32, error) {
	if w.at+4 > w.size {
		return 0, nil
	}
	b, err := w.take(4)
	if err != nil {
		return 0, err
	}
	w.at -= 4
	return binary.LittleEndian.Uint32(b), nil
}

// skippable jumps over a skippable frame, which zstd and lz4 share.
func (w *walker) skippable() error {
	b, err := w.take(8)
	if err != nil {
		return err
	}
	return w.skip(int64(binary.LittleEndian.Uint32(b[4:])))
}

// zstdFrames walks over the frames of RFC 8878.
func zstdFrames(r io.ReaderAt, size int64) (frames, error) {
	w := &walker{r: r, size: size, name: "zstd"}
	f := frames{name: "zstd"}
	for {
		magic, err := w.magic()
		switch {
		case err != nil:
			return f, err
		case magic&0xfffffff0 == 0x184d2a50:
			err = w.skippable()
		case magic == 0xfd2fb528:
			var checked bool
			if checked, err = w.zstdFrame(); err == nil && !checked {
				f.unchecked++
			}
			f.count++
		default:
			return f, nil
		}
		if err != nil {
			return f, err
		}
		f.end = w.at
	}
}

// zstdFrame jumps over a frame and reports whether it has a checksum.
func (w *walker) zstdFrame() (checked bool, err error) {
	head, err := w.take(5)
	if err != nil {
		return false, err
	}
	descriptor := head[4]
	fields := []int64{0, 1, 2, 4}[descriptor&3] // dictionary
	single := descriptor&0x20 != 0
	if !single {
		fields++ // window
	}
	switch descriptor >> 6 {
	case 0:
		if single {
			fields++
		}
	case 1:
		fields += 2
	case 2:
		fields += 4
	case 3:
		fields += 8
	}
	if err := w.skip(fields); err != nil {
		return false, err
	}
	for last := false; !last; {
		b, err := w.take(3)
		if err != nil {
			return false, err
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		last = header&1 != 0
		length := int64(header >> 3)
		switch header >> 1 & 3 {
		case 1: // one byte, repeated
			length = 1
		case 3:
			return false, job.Flawed(job.Damaged, "the zstd stream is damaged: a block before byte %d has a reserved type", w.at)
		}
		if err := w.skip(length); err != nil {
			return false, err
		}
	}
	if checked = descriptor&4 != 0; checked {
		err = w.skip(4)
	}
	return checked, err
}

// lz4Frames walks over the frames of the LZ4 frame format, and of its legacy
// form.
func lz4Frames(r io.ReaderAt, size int64) (frames, error) {
	w := &walker{r: r, size: size, name: "lz4"}
	f := frames{name: "lz4"}
	for {
		magic, err := w.magic()
		switch {
		case err != nil:
			return f, err
		case magic&0xfffffff0 == 0x184d2a50:
			err = w.skippable()
		case magic == 0x184d2204:
			var checked bool
			if checked, err = w.lz4Frame(); err == nil && !checked {
				f.unchecked++
			}
			f.count++
		case magic == 0x184c2102:
			f.count++
			f.unchecked++
			err = w.lz4Legacy()
		default:
			return f, nil
		}
		if err != nil {
			return f, err
		}
		f.end = w.at
	}
}

func (w *walker) lz4Frame() (checked bool, err error) {
	head, err := w.take(6)
	if err != nil {
		return false, err
	}
	flags := head[4]
	fields := int64(1) // header checksum
	if flags&0x08 != 0 {
		fields += 8 // content size
	}
	if flags&0x01 != 0 {
		fields += 4 // dictionary
	}
	if err := w.skip(fields); err != nil {
		return false, err
	}
	for {
		b, err := w.take(4)
		if err != nil {
			return false, err
		}
		length := binary.LittleEndian.Uint32(b)
		if length == 0 {
			break
		}
		blocks := int64(length & 0x7fffffff)
		if flags&0x10 != 0 {
			blocks += 4 // block checksum
		}
		if err := w.skip(blocks); err != nil {
			return false, err
		}
	}
	if checked = flags&0x04 != 0; checked {
		err = w.skip(4)
	}
	return checked || flags&0x10 != 0, err
}

// lz4Legacy jumps over blocks until something else begins. The legacy form has
// no end mark: it ends where the file or the next frame does.
func (w *walker) lz4Legacy() error {
	const biggest = 8<<20 + 8<<20/255 + 16 // what a block of 8 MiB can become
	if err := w.skip(4); err != nil {
		return err
	}
	for w.at < w.size {
		length, err := w.magic()
		if err != nil {
			return err
		}
		if length == 0 || length > biggest {
			return nil
		}
		if err := w.skip(4 + int64(length)); err != nil {
			return err
		}
	}
	return nil
}
