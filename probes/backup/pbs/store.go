package pbs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

const (
	manifestName = "index.json.blob"
	maxManifest  = 16 << 20
	maxIndex     = 1 << 30
	maxSnapshots = 100_000
)

// Look lists the snapshots. A manifest that has not changed is not read again.
func (s *store) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk", Tools: []job.Tool{{Name: "builtin pbs"}}}
	info, err := s.host.Files.Stat(path.Join(s.root, ".chunks"))
	if errors.Is(err, fs.ErrNotExist) {
		return sight, probes.Because(probes.NotFound, fmt.Errorf("there is no datastore at %s", s.root))
	}
	if err != nil {
		return sight, err
	}
	sight.Devices = device.Of(s.host.Files, info)
	list, broken, err := s.list(ctx)
	if err != nil {
		return sight, err
	}
	flaw := fill(&sight, list)
	_, all, _ := newest(list)
	for _, one := range all {
		sight.Units = append(sight.Units, job.Unit{ID: one.id(), Bytes: max(one.size, 1), Stamp: one.at.UTC().Format(time.RFC3339)})
	}
	if flaw == nil {
		flaw = broken
	}
	return sight, flaw
}

// list returns the snapshots of the groups that count. The second error is that
// of the first whose manifest is bad.
func (s *store) list(ctx context.Context) (list []snapshot, broken, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[string]known{}
	for _, kind := range types() {
		groups, err := s.host.Files.ReadDir(path.Join(s.place(), kind))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		for _, entry := range groups {
			group := path.Join(kind, entry.Name())
			if !entry.IsDir() || !counts(s.options.Snapshots, group) {
				continue
			}
			if err := s.group(ctx, group, fresh, &list, &broken); err != nil {
				return nil, nil, err
			}
		}
	}
	s.manifests = fresh
	return list, broken, nil
}

func (s *store) group(ctx context.Context, group string, fresh map[string]known, list *[]snapshot, broken *error) error {
	entries, err := s.host.Files.ReadDir(s.dir(group))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		at, err := time.Parse(time.RFC3339, entry.Name())
		if err != nil || !entry.IsDir() {
			continue
		}
		if len(*list) >= maxSnapshots {
			return probes.Because(probes.TooLarge, fmt.Errorf("more than %d snapshots", maxSnapshots))
		}
		one, err := s.describe(snapshot{group: group, at: at}, fresh)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // just being removed
		case err != nil && !job.IsFlaw(err):
			return err
		case err != nil && *broken == nil:
			*broken = err
		}
		*list = append(*list, one)
	}
	return nil
}

// describe reads the manifest of a snapshot.
func (s *store) describe(one snapshot, fresh map[string]known) (snapshot, error) {
	dir := s.dir(one.id())
	info, err := s.host.Files.Stat(path.Join(dir, manifestName))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.host.Files.Stat(dir); err != nil {
			return one, err
		}
		return one, nil // it has no manifest: it is not complete
	}
	if err != nil {
		return one, err
	}
	if have, there := s.manifests[dir]; there && have.changed.Equal(info.ModTime()) {
		fresh[dir] = have
		return have.snapshot, nil
	}
	m, err := s.manifest(one.id())
	one.complete = true
	if err != nil {
		return one, err
	}
	one.crypt = true
	for _, file := range m.Files {
		one.files++
		one.size += file.Size
		one.crypt = one.crypt && (file.Crypt == "encrypt" || file.Name == "catalog.pcat1.didx")
	}
	one.verified, one.checked = m.Unprotected.Verify.State, upidTime(m.Unprotected.Verify.UPID)
	fresh[dir] = known{changed: info.ModTime(), snapshot: one}
	return one, nil
}

// manifest reads the manifest of a snapshot.
func (s *store) manifest(id string) (manifest, error) {
	raw, err := s.host.Files.ReadFile(path.Join(s.dir(id), manifestName), maxManifest)
	if err != nil {
		return manifest{}, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		err = fmt.Errorf("the manifest of %s: %w", id, err)
	}
	return m, err
}

// verifiedChunks are the chunks that were read in a task: snapshots share most of
// them.
type verifiedChunks struct {
	seen  map[uint64]bool // by the beginning of the digest
	bytes int64           // that were read
}

// maxChunks bounds how many are remembered.
const maxChunks = 500_000

func (v *verifiedChunks) add(digest [sha256.Size]byte) (known bool) {
	id := binary.LittleEndian.Uint64(digest[:])
	if v.seen[id] {
		return true
	}
	if v.seen == nil || len(v.seen) >= maxChunks {
		v.seen = map[uint64]bool{}
	}
	v.seen[id] = true
	return false
}

// snapshot checks one snapshot against its manifest. Without chunks to remember
// it only demands that all are there; with them they are read.
func (s *store) snapshot(ctx context.Context, id string, chunks *verifiedChunks, out *job.Outcome) error {
	m, err := s.manifest(id)
	if errors.Is(err, fs.ErrNotExist) {
		return probes.Because(probes.NotFound, fmt.Errorf("%s is gone since it was listed", id))
	}
	if err != nil {
		return err
	}
	var worst error
	for _, file := range m.Files {
		if err := s.file(ctx, id, file.Name, file.Size, file.Sum, chunks, out); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			worst = job.Worse(worst, fmt.Errorf("%s: %w", file.Name, err))
		}
	}
	if job.IsFlaw(worst) {
		if _, err := s.host.Files.Stat(path.Join(s.dir(id), manifestName)); err != nil {
			return probes.Because(probes.NotFound, fmt.Errorf("%s was removed during the check", id))
		}
		return fmt.Errorf("%s: %w", id, worst)
	}
	return worst
}

func (s *store) file(ctx context.Context, id, name string, size int64, sum string, chunks *verifiedChunks, out *job.Outcome) error {
	if !filepath.IsLocal(name) || strings.Contains(name, "/") {
		return job.Flawed(job.Damaged, "the manifest names a file outside of the snapshot")
	}
	raw, err := s.host.Files.ReadFile(path.Join(s.dir(id), name), maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return job.Flawed(job.Incomplete, "it stands in the manifest and is missing")
	}
	if err != nil {
		return err
	}
	switch path.Ext(name) {
	case ".blob":
		return blob(raw, size, sum)
	case ".fidx", ".didx":
		return s.index(ctx, raw, size, sum, chunks, out)
	}
	return probes.Because(probes.Unsupported, errors.New("files of this kind are not known"))
}

func blob(raw []byte, size int64, sum string) error {
	if int64(len(raw)) < size {
		return job.Flawed(job.Truncated, "it has %d bytes instead of %d", len(raw), size)
	}
	if _, _, err := unblob(raw); err != nil {
		return err
	}
	if digest := sha256.Sum256(raw); hex.EncodeToString(digest[:]) != sum {
		return job.Flawed(job.Damaged, "it does not have the checksum in the manifest")
	}
	return nil
}

func (s *store) index(ctx context.Context, raw []byte, size int64, sum string, chunks *verifiedChunks, out *job.Outcome) error {
	var worst error
	missing := 0
	whole, own, err := parseIndex(raw, func(p piece) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := s.chunk(ctx, p, chunks, out)
		if errors.Is(err, fs.ErrNotExist) {
			missing++
			return nil
		}
		worst = job.Worse(worst, err)
		return nil
	})
	switch {
	case err != nil:
		return err
	case own != sum:
		return job.Flawed(job.Damaged, "the index does not have the checksum in the manifest")
	case whole != size:
		return job.Flawed(job.Truncated, "the index is of %d bytes instead of %d", whole, size)
	case missing > 0:
		return job.Flawed(job.Incomplete, "%d chunks are missing", missing)
	}
	return worst
}

// chunk checks one chunk: that it is there, or all of it.
func (s *store) chunk(ctx context.Context, p piece, chunks *verifiedChunks, out *job.Outcome) error {
	name := hex.EncodeToString(p.digest[:])
	place := path.Join(s.root, ".chunks", name[:4], name)
	if chunks == nil {
		info, err := s.host.Files.Stat(place)
		if err == nil && info.Size() < plainHeader {
			return job.Flawed(job.Truncated, "the chunk %.16s has only %d bytes", name, info.Size())
		}
		return err
	}
	if chunks.add(p.digest) {
		return nil
	}
	file, err := s.host.Files.Open(place)
	if err != nil {
		return err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxBlob+1))
	idle.Forget(file)
	chunks.bytes += int64(len(raw))
	if err != nil {
		return err
	}
	content, encrypted, err := unblob(raw)
	switch {
	case err != nil:
		return fmt.Errorf("the chunk %.16s: %w", name, err)
	case encrypted:
		out.Note("encrypted chunks are compared with their CRC only")
		return nil
	}
	if digest := sha256.Sum256(content); digest != p.digest {
		return job.Flawed(job.Damaged, "the chunk %.16s does not have the content that its name tells", name)
	}
	if int64(len(content)) != p.size {
		return job.Flawed(job.Damaged, "the chunk %.16s has %d bytes instead of %d", name, len(content), p.size)
	}
	return nil
}
