package pbs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"

	"hygiene_exporter/probes/backup/job"
)

// What files begin with, by the chapter on file formats of the manual of Proxmox
// Backup.
const (
	plainMagic         = "\x42\xab\x38\x07\xbe\x83\x70\xa1"
	packedMagic        = "\x31\xb9\x58\x42\x6f\xb6\xa3\x7f"
	encryptedMagic     = "\x7b\x67\x85\xbe\x22\x2d\x4c\xf0"
	packedEncryptMagic = "\xe6\x59\x1b\xbf\x0b\xbf\xd8\x0b"
	fixedMagic         = "\x2f\x7f\x41\xed\x91\xfd\x0f\xcd"
	dynamicMagic       = "\x1c\x91\x4e\xa5\x19\xba\xb3\xcd"
)

const (
	magicSize     = 8
	plainHeader   = magicSize + 4            // with the CRC
	cryptHeader   = plainHeader + 16 + 16    // with the vector and the tag
	indexHeader   = 4096                     // one page
	maxBlob       = 128<<20 + cryptHeader    // what the program itself accepts
	checksumAt    = magicSize + 16 + 8       // behind the identity and the time
	sizeAt        = checksumAt + sha256.Size // of a fixed index
	dynamicRecord = 8 + sha256.Size
)

// unblob checks a blob, and returns what is in it; nil when that is encrypted.
func unblob(raw []byte) (content []byte, encrypted bool, err error) {
	if len(raw) < plainHeader {
		return nil, false, job.Flawed(job.Truncated, "it has only %d bytes", len(raw))
	}
	start := plainHeader
	magic := string(raw[:magicSize])
	switch magic {
	case plainMagic, packedMagic:
	case encryptedMagic, packedEncryptMagic:
		start, encrypted = cryptHeader, true
	default:
		return nil, false, job.Flawed(job.Mismatch, "it does not begin like a blob")
	}
	if len(raw) < start {
		return nil, encrypted, job.Flawed(job.Truncated, "it has only %d bytes", len(raw))
	}
	if crc32.ChecksumIEEE(raw[start:]) != binary.LittleEndian.Uint32(raw[magicSize:]) {
		return nil, encrypted, job.Flawed(job.Damaged, "its checksum does not fit")
	}
	switch {
	case encrypted:
		return nil, true, nil
	case magic == plainMagic:
		return raw[start:], false, nil
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlob))
	if err != nil {
		return nil, false, err
	}
	defer decoder.Close()
	content, err = decoder.DecodeAll(raw[start:], nil)
	if err != nil {
		return nil, false, job.Flawed(job.Damaged, "it cannot be unpacked: %v", err)
	}
	return content, false, nil
}

// A manifest is what a snapshot consists of.
type manifest struct {
	Files []struct {
		Name  string `json:"filename"`
		Size  int64  `json:"size"`
		Sum   string `json:"csum"`
		Crypt string `json:"crypt-mode"`
	} `json:"files"`
	Unprotected struct {
		Verify struct {
			State string `json:"state"`
			UPID  string `json:"upid"`
		} `json:"verify_state"`
	} `json:"unprotected"`
}

// parseManifest reads index.json.blob.
func parseManifest(raw []byte) (manifest, error) {
	var m manifest
	content, encrypted, err := unblob(raw)
	switch {
	case err != nil:
		return m, err
	case encrypted:
		return m, job.Flawed(job.Mismatch, "it is encrypted, which manifests never are")
	}
	if err := json.Unmarshal(content, &m); err != nil {
		return m, job.Flawed(job.Damaged, "it is no JSON: %v", err)
	}
	if len(m.Files) == 0 {
		return m, job.Flawed(job.Empty, "it names no file")
	}
	return m, nil
}

// A piece is one chunk of an index.
type piece struct {
	digest [sha256.Size]byte
	size   int64
}

// parseIndex reads the head and the records of an index, and calls each for
// every chunk. It returns the size of all and the checksum of the records.
func parseIndex(raw []byte, each func(piece) error) (size int64, sum string, err error) {
	if len(raw) < indexHeader {
		return 0, "", job.Flawed(job.Truncated, "the index has only %d bytes", len(raw))
	}
	records := raw[indexHeader:]
	digest := sha256.Sum256(records)
	sum = hex.EncodeToString(digest[:])
	if !bytes.Equal(digest[:], raw[checksumAt:checksumAt+sha256.Size]) {
		return 0, sum, job.Flawed(job.Damaged, "the checksum of the index does not fit")
	}
	switch string(raw[:magicSize]) {
	case fixedMagic:
		size, err = fixedIndex(raw, records, each)
	case dynamicMagic:
		size, err = dynamicIndex(records, each)
	default:
		err = job.Flawed(job.Mismatch, "it does not begin like an index")
	}
	return size, sum, err
}

func fixedIndex(raw, records []byte, each func(piece) error) (int64, error) {
	size := int64(binary.LittleEndian.Uint64(raw[sizeAt:]))
	chunk := int64(binary.LittleEndian.Uint64(raw[sizeAt+8:]))
	if size < 0 || chunk <= 0 || chunk > maxBlob || int64(len(records)) != (size+chunk-1)/chunk*sha256.Size {
		return 0, job.Flawed(job.Truncated, "the index does not have a record for each chunk")
	}
	for at := int64(0); len(records) > 0; records = records[sha256.Size:] {
		p := piece{digest: [sha256.Size]byte(records), size: min(chunk, size-at)}
		if err := each(p); err != nil {
			return size, err
		}
		at += p.size
	}
	return size, nil
}

func dynamicIndex(records []byte, each func(piece) error) (int64, error) {
	if len(records)%dynamicRecord != 0 {
		return 0, job.Flawed(job.Truncated, "the last record of the index is cut off")
	}
	var at int64
	for ; len(records) > 0; records = records[dynamicRecord:] {
		end := int64(binary.LittleEndian.Uint64(records))
		if end <= at || end-at > maxBlob {
			return at, job.Flawed(job.Damaged, "the records of the index are not in order")
		}
		if err := each(piece{digest: [sha256.Size]byte(records[8:]), size: end - at}); err != nil {
			return at, err
		}
		at = end
	}
	return at, nil
}
