package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hygiene_exporter/probes/internal/rootfs"
)

// Constants of rpm's ndb (lib/backend/ndb/rpmpkg.c). All numbers are in little
// endian. Pages of slots come first, then blobs in units of 16 bytes.
const (
	ndbMagic      = 'R' | 'p'<<8 | 'm'<<16 | 'P'<<24
	slotMagic     = 'S' | 'l'<<8 | 'o'<<16 | 't'<<24
	blobMagic     = 'B' | 'l'<<8 | 'b'<<16 | 'S'<<24
	ndbPage       = 4096
	ndbSlot       = 16
	ndbUnit       = 16
	ndbBlobHeader = 16
)

// maxHeader is more than the header of any package.
const maxHeader = 256 << 20

// readNDB calls each with every header of an ndb database. rpm writes blobs
// before the slots that name them, and a slot fits in one write.
func readNDB(files *rootfs.FS, path string, each func([]byte) error) error {
	file, err := files.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return walkNDB(file, info.Size(), each)
}

func walkNDB(file io.ReaderAt, size int64, each func([]byte) error) error {
	page := make([]byte, ndbPage)
	if _, err := file.ReadAt(page[:32], 0); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if binary.LittleEndian.Uint32(page) != ndbMagic {
		return malformed("not an ndb database")
	}
	if version := binary.LittleEndian.Uint32(page[4:]); version != 0 {
		return malformed("version %d of ndb", version)
	}
	pages := int64(binary.LittleEndian.Uint32(page[12:]))
	if pages*ndbPage > size {
		return malformed("%d pages of slots in %d bytes", pages, size)
	}
	var blob []byte
	for n := range pages {
		if _, err := file.ReadAt(page, n*ndbPage); err != nil {
			return fmt.Errorf("slots: %w", err)
		}
		slots := page
		if n == 0 {
			slots = page[2*ndbSlot:] // where the header is
		}
		for ; len(slots) >= ndbSlot; slots = slots[ndbSlot:] {
			if binary.LittleEndian.Uint32(slots) != slotMagic {
				return malformed("page %d holds no slots", n)
			}
			index, offset := binary.LittleEndian.Uint32(slots[4:]), int64(binary.LittleEndian.Uint32(slots[8:]))
			if index == 0 || offset == 0 {
				continue // free
			}
			var err error
			if blob, err = readBlob(file, blob, index, offset*ndbUnit); err != nil {
				return err
			}
			if err := each(blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBlob reads one blob into a buffer that may be reused.
func readBlob(file io.ReaderAt, buffer []byte, index uint32, at int64) ([]byte, error) {
	head := make([]byte, ndbBlobHeader)
	if _, err := file.ReadAt(head, at); err != nil {
		return nil, fmt.Errorf("package %d: %w", index, err)
	}
	length := binary.LittleEndian.Uint32(head[12:])
	if binary.LittleEndian.Uint32(head) != blobMagic || binary.LittleEndian.Uint32(head[4:]) != index || length > maxHeader {
		return nil, malformed("package %d: its header is not where its slot says", index)
	}
	if uint32(cap(buffer)) < length {
		// A damaged length must not cost memory that the file does not have.
		if _, err := file.ReadAt(head[:1], at+ndbBlobHeader+max(int64(length), 1)-1); err != nil {
			return nil, fmt.Errorf("package %d: %w", index, errors.Join(err, malformed("%d bytes", length)))
		}
		buffer = make([]byte, length)
	}
	buffer = buffer[:length]
	if _, err := file.ReadAt(buffer, at+ndbBlobHeader); err != nil {
		return nil, fmt.Errorf("package %d: %w", index, err)
	}
	return buffer, nil
}
