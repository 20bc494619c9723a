package borg

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// segments lists the segments, the newest first. Borg never changes one: it
// writes another, and removes the old one.
func (r *Repository) segments(ctx context.Context) ([]job.Unit, error) {
	data := path.Join(r.local, "data")
	dirs, err := r.host.Files.ReadDir(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, job.Flawed(job.Incomplete, "the repository lacks its data")
	}
	if err != nil {
		return nil, err
	}
	var units []job.Unit
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		files, err := r.host.Files.ReadDir(path.Join(data, dir.Name()))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			info, err := file.Info()
			if _, bad := strconv.Atoi(file.Name()); err != nil || bad != nil {
				continue
			}
			units = append(units, job.Unit{
				ID: path.Join(dir.Name(), file.Name()), Bytes: info.Size(),
				Stamp: info.ModTime().UTC().Format(time.RFC3339Nano),
			})
		}
	}
	slices.SortFunc(units, func(a, b job.Unit) int { return cmp.Compare(index(b.ID), index(a.ID)) })
	return units, nil
}

// index is the number of a segment.
func index(id string) int {
	n, err := strconv.Atoi(path.Base(id))
	if err != nil {
		return -1
	}
	return n
}

// magic begins a segment of Borg 1.
const magic = "BORG_SEG"

// Tags of the entries of a segment.
const (
	tagPut    = 0
	tagDelete = 1
	tagCommit = 2
)

const (
	entryHead = 9        // checksum, size and tag
	keySize   = 32       // of a chunk
	maxEntry  = 20 << 20 // what Borg accepts of a chunk, and its head
)

// checkSegment compares every entry of a segment with its checksum. It returns
// how many bytes it read.
func checkSegment(r io.Reader) (int64, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	head := make([]byte, len(magic))
	n, err := io.ReadFull(in, head)
	at := int64(n)
	switch {
	case errors.Is(err, io.EOF):
		return at, job.Flawed(job.Truncated, "it is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return at, job.Flawed(job.Truncated, "it ends within its beginning")
	case err != nil:
		return at, err
	case string(head) != magic:
		return at, job.Flawed(job.Damaged, "it does not begin as a segment does")
	}
	for {
		n, err := checkEntry(in)
		at += n
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if flaw := (*job.Flaw)(nil); errors.As(err, &flaw) {
			return at, job.Flawed(flaw.Reason, "its entry before the byte %d %s", at, flaw.Text)
		}
		if err != nil {
			return at, err
		}
	}
}

// checkEntry reads one entry; io.EOF says that there is none.
func checkEntry(in io.Reader) (int64, error) {
	var head [entryHead]byte
	n, err := io.ReadFull(in, head[:])
	read := int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return read, job.Flawed(job.Truncated, "is not whole")
	}
	if err != nil {
		return read, err
	}
	sum, size, tag := binary.LittleEndian.Uint32(head[0:]), binary.LittleEndian.Uint32(head[4:]), head[8]
	least := map[byte]uint32{tagPut: entryHead + keySize, tagDelete: entryHead + keySize, tagCommit: entryHead}
	if low, known := least[tag]; !known || size < low || size > maxEntry+low || tag != tagPut && size != low {
		return read, job.Flawed(job.Damaged, "has a head that cannot be")
	}
	digest := crc32.NewIEEE()
	_, _ = digest.Write(head[4:])
	body, err := io.CopyN(digest, in, int64(size-entryHead))
	read += body
	switch {
	case errors.Is(err, io.EOF):
		return read, job.Flawed(job.Truncated, "is not whole")
	case err != nil:
		return read, err
	case digest.Sum32() != sum:
		return read, job.Flawed(job.Damaged, "does not have its checksum")
	}
	return read, nil
}

func (r *Repository) segment(ctx context.Context, id string) (int64, error) {
	file, err := r.host.Files.Open(path.Join(r.local, "data", id))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // compacted meanwhile; whether it is needed, borg tells
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	n, err := checkSegment(job.Interruptible(ctx, file))
	idle.Forget(file)
	if flaw := (*job.Flaw)(nil); errors.As(err, &flaw) {
		err = job.Flawed(flaw.Reason, "the segment %s: %s", id, flaw.Text)
	}
	return n, err
}

// locks says who holds a lock, and which locks nobody holds any more. It reads
// the list that Borg keeps beside the repository.
func (r *Repository) locks() (busy string, notes []string, err error) {
	var holders []string
	entries, err := r.host.Files.ReadDir(path.Join(r.local, "lock.exclusive"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	for _, entry := range entries {
		holders = append(holders, entry.Name()) // host.process-thread
	}
	data, err := r.host.Files.ReadFile(path.Join(r.local, "lock.roster"), 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", nil, err
	}
	holders = append(holders, roster(data)...)
	slices.Sort(holders)
	for _, holder := range slices.Compact(holders) {
		if r.gone(holder) {
			notes = append(notes, fmt.Sprintf("%s holds a lock, and is gone; \"borg break-lock\" removes it", holder))
			continue
		}
		busy = holder + " holds a lock"
	}
	return busy, notes, nil
}

// roster reads the list of locks.
func roster(data []byte) []string {
	var lists map[string][][]any
	if json.Unmarshal(data, &lists) != nil {
		return nil // none, or just being written
	}
	var holders []string
	for _, list := range lists {
		for _, h := range list {
			if len(h) != 3 {
				continue
			}
			host, named := h[0].(string)
			pid, numbered := h[1].(float64)
			thread, threaded := h[2].(float64)
			if named && numbered && threaded {
				holders = append(holders, fmt.Sprintf("%s.%d-%x", host, int64(pid), int64(thread)))
			}
		}
	}
	return holders
}

// gone reports whether the holder of a lock was a process of this host that is
// no more. Borg names a host by its name and the number of its network card.
func (r *Repository) gone(holder string) bool {
	at := strings.LastIndexByte(holder, '.')
	if at < 0 {
		return false
	}
	host, _, _ := strings.Cut(holder[:at], "@")
	number, _, _ := strings.Cut(holder[at+1:], "-")
	pid, err := strconv.Atoi(number)
	return err == nil && job.Departed(r.host.Files, host, pid)
}
