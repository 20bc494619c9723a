package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
)

// A log is a write-ahead log up to its last committed transaction.
type log struct {
	file     io.ReaderAt
	pageSize int64
	pages    map[uint32]int64 // number of a page → where its newest content is
}

const (
	logHeader   = 32
	frameHeader = 24
)

// readLog indexes the frames of a log. Frames that a checkpoint has left behind
// have another salt, and frames that are half written another checksum: both end
// the log, and frames after the last commit do not count. A log without any
// commit is nil.
func readLog(file io.ReaderAt, size int64) (*log, error) {
	header := make([]byte, logHeader)
	if _, err := file.ReadAt(header, 0); errors.Is(err, io.EOF) {
		return nil, nil // it has just been made
	} else if err != nil {
		return nil, fmt.Errorf("write-ahead log: %w", err)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	switch magic := binary.BigEndian.Uint32(header); magic {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return nil, malformed("write-ahead log: magic %#x", magic)
	}
	l := &log{file: file, pageSize: int64(binary.BigEndian.Uint32(header[8:])), pages: map[uint32]int64{}}
	if l.pageSize < 512 || l.pageSize > 65536 || l.pageSize&(l.pageSize-1) != 0 {
		return nil, malformed("write-ahead log: page size %d", l.pageSize)
	}
	sum := checksum(order, [2]uint32{}, header[:24])
	if sum != [2]uint32{binary.BigEndian.Uint32(header[24:]), binary.BigEndian.Uint32(header[28:])} {
		return nil, nil // half written: nothing has been committed to it
	}
	return l, l.index(order, sum, header[16:24], size)
}

func (l *log) index(order binary.ByteOrder, sum [2]uint32, salt []byte, size int64) error {
	frame := make([]byte, frameHeader+l.pageSize)
	pending := map[uint32]int64{}
	for at := int64(logHeader); at+int64(len(frame)) <= size; at += int64(len(frame)) {
		if _, err := l.file.ReadAt(frame, at); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("write-ahead log: %w", err)
		}
		sum = checksum(order, checksum(order, sum, frame[:8]), frame[frameHeader:])
		if string(frame[8:16]) != string(salt) ||
			sum != [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])} {
			break
		}
		pending[binary.BigEndian.Uint32(frame)] = at + frameHeader
		if binary.BigEndian.Uint32(frame[4:]) != 0 { // the last frame of a transaction
			maps.Copy(l.pages, pending)
			clear(pending)
		}
	}
	return nil
}

// page fills in a page, if the log holds it.
func (l *log) page(number uint32, page []byte) (bool, error) {
	at, ok := l.pages[number]
	if !ok {
		return false, nil
	}
	if _, err := l.file.ReadAt(page, at); err != nil {
		return true, fmt.Errorf("write-ahead log: page %d: %w", number, err)
	}
	return true, nil
}

// checksum goes on with the checksum of the log over whole pairs of words.
func checksum(order binary.ByteOrder, sum [2]uint32, data []byte) [2]uint32 {
	for ; len(data) >= 8; data = data[8:] {
		sum[0] += order.Uint32(data) + sum[1]
		sum[1] += order.Uint32(data[4:]) + sum[0]
	}
	return sum
}
