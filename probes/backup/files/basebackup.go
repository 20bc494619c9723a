package files

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/internal/idle"
)

// A pgManifest is the backup_manifest of pg_basebackup, as the manual of
// PostgreSQL describes it.
type pgManifest struct {
	Files []struct {
		Path        string `json:"Path"`
		EncodedPath string `json:"Encoded-Path"`
		Size        int64  `json:"Size"`
		Algorithm   string `json:"Checksum-Algorithm"`
		Checksum    string `json:"Checksum"`
	} `json:"Files"`
	Checksum string `json:"Manifest-Checksum"`
}

// A pgFile is what the manifest says of a file.
type pgFile struct {
	size int64
	sum  []byte
	hash func() hash.Hash
	seen bool
}

const maxPgManifest = 128 << 20

// parsePgManifest reads a manifest strictly: with its own checksum, which covers
// all lines but the last.
func parsePgManifest(data []byte) (map[string]*pgFile, error) {
	var m pgManifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, job.Flawed(job.Damaged, "the manifest cannot be read: %v", err)
	}
	last := bytes.LastIndexByte(bytes.TrimRight(data, "\n"), '\n') + 1
	sum := sha256.Sum256(data[:last])
	if hex.EncodeToString(sum[:]) != m.Checksum {
		return nil, job.Flawed(job.Damaged, "the manifest does not have the checksum that it tells")
	}
	files := make(map[string]*pgFile, len(m.Files))
	for _, f := range m.Files {
		name := f.Path
		if f.EncodedPath != "" {
			raw, err := hex.DecodeString(f.EncodedPath)
			if err != nil {
				return nil, job.Flawed(job.Damaged, "the manifest has an unreadable path")
			}
			name = string(raw)
		}
		one := &pgFile{size: f.Size}
		switch f.Algorithm {
		case "CRC32C":
			one.hash = func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }
		case "SHA224", "SHA256", "SHA384", "SHA512":
			one.hash = algorithmOf(len(f.Checksum) / 2)
		case "", "NONE":
		default:
			return nil, probes.Because(probes.Unsupported, fmt.Errorf("the manifest uses the checksum %.20q", f.Algorithm))
		}
		var err error
		if one.sum, err = hex.DecodeString(f.Checksum); err != nil {
			return nil, job.Flawed(job.Damaged, "the manifest has an unreadable checksum")
		}
		if f.Algorithm == "CRC32C" {
			slices.Reverse(one.sum) // it is written as it lies in memory
		}
		files[name] = one
	}
	if len(files) == 0 {
		return nil, job.Flawed(job.Empty, "the manifest lists no file")
	}
	return files, nil
}

// baseBackup compares a base backup with its manifest: its files, or what is in
// its tar archives.
func (l *location) baseBackup(ctx context.Context, top string, depth job.Depth, t *tree, f *finding) {
	f.tools = []job.Tool{{Name: "builtin base_backup"}}
	data, err := l.host.Files.ReadFile(path.Join(top, "backup_manifest"), maxPgManifest)
	var files map[string]*pgFile
	if err == nil {
		files, err = parsePgManifest(data)
	}
	switch archives := tarNames(t); {
	case err != nil:
	case len(archives) == 0 && slices.ContainsFunc(slices.Collect(maps.Keys(t.names)), func(name string) bool { return strings.HasPrefix(name, "pg_wal.tar") }):
		err = errNoBase
	case len(archives) > 0:
		err = l.baseArchives(ctx, top, archives, files, f)
		f.read = true
	default:
		err = l.baseFiles(ctx, top, depth, files, f)
		f.read = depth == job.Read
	}
	f.err = err
	if err == nil {
		f.err = missing(files)
	}
	f.read = f.read && f.err == nil || job.IsFlaw(f.err)
}

var errNoBase = job.Flawed(job.Incomplete, "the base backup has no base.tar")

func missing(files map[string]*pgFile) error {
	var names []string
	for name, f := range files {
		if !f.seen {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return job.Flawed(job.Incomplete, "%d files of the manifest are missing, such as %.80q", len(names), names[0])
}

// unlisted reports whether a file need not be in the manifest: what
// pg_verifybackup leaves out too.
func unlisted(rel string) bool {
	return strings.HasPrefix(rel, "pg_wal/") ||
		slices.Contains([]string{"backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal"}, rel)
}

// baseFiles compares the files of a plain base backup.
func (l *location) baseFiles(ctx context.Context, top string, depth job.Depth, files map[string]*pgFile, f *finding) error {
	err := l.each(ctx, top, func(name string, info fs.FileInfo) error {
		rel := strings.TrimPrefix(name, top+"/")
		if info.Mode()&fs.ModeSymlink != 0 && path.Dir(rel) == "pg_tblspc" {
			return l.tablespace(ctx, name, rel, depth, files)
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		return l.baseFile(ctx, name, rel, info, depth, files)
	})
	if err != nil || depth != job.Read {
		return err
	}
	tool, out, err := l.program.run(ctx, "pg_verifybackup", top)
	if probes.ReasonOf(err) == probes.Unsupported {
		return nil // the agent itself has compared everything but the log
	}
	if err == nil && out.ExitCode != 0 {
		err = job.Flawed(job.Damaged, "pg_verifybackup: %.200s", firstLine(out.Stderr))
	}
	f.tools = append(f.tools, tool)
	return err
}

// tablespace looks at a table space, to which a link leads.
func (l *location) tablespace(ctx context.Context, name, rel string, depth job.Depth, files map[string]*pgFile) error {
	place, err := l.host.Files.Resolve(name)
	if err != nil {
		return err
	}
	return l.each(ctx, place, func(inside string, info fs.FileInfo) error {
		if !info.Mode().IsRegular() {
			return nil
		}
		return l.baseFile(ctx, inside, path.Join(rel, strings.TrimPrefix(inside, place)), info, depth, files)
	})
}

func (l *location) baseFile(ctx context.Context, name, rel string, info fs.FileInfo, depth job.Depth, files map[string]*pgFile) error {
	want := files[rel]
	switch {
	case want == nil && unlisted(rel):
		return nil
	case want == nil:
		return job.Flawed(job.Mismatch, "%.80q is not in the manifest", rel)
	case unlisted(rel):
	case info.Size() < want.size:
		return job.Flawed(job.Truncated, "%.80q has %d bytes and should have %d", rel, info.Size(), want.size)
	case info.Size() != want.size:
		return job.Flawed(job.Mismatch, "%.80q has %d bytes and should have %d", rel, info.Size(), want.size)
	}
	want.seen = true
	if depth != job.Read || want.hash == nil || unlisted(rel) {
		return nil
	}
	sum, err := l.digest(ctx, name, want.hash)
	if err == nil && !bytes.Equal(sum, want.sum) {
		err = job.Flawed(job.Damaged, "%.80q does not have the checksum of the manifest", rel)
	}
	return err
}

// tarNames returns the archives of a base backup in the tar format.
func tarNames(t *tree) []string {
	var names []string
	for name := range t.names {
		if base, _, ok := strings.Cut(name, ".tar"); ok && base != "" && base != "pg_wal" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// baseArchives compares what is in the archives of a base backup.
func (l *location) baseArchives(ctx context.Context, top string, archives []string, files map[string]*pgFile, f *finding) error {
	if !slices.ContainsFunc(archives, func(name string) bool { return strings.HasPrefix(name, "base.tar") }) {
		return errNoBase
	}
	for _, name := range archives {
		prefix, _, _ := strings.Cut(name, ".tar")
		if prefix == "base" {
			prefix = ""
		} else {
			prefix = path.Join("pg_tblspc", prefix)
		}
		if err := l.baseArchive(ctx, path.Join(top, name), prefix, files, f); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (l *location) baseArchive(ctx context.Context, name, prefix string, files map[string]*pgFile, f *finding) error {
	checked := l.file(ctx, name, job.Read) // its form, first
	f.tools = append(f.tools, checked.tools...)
	if checked.err != nil {
		return checked.err
	}
	return l.unpack(ctx, name, func(r io.Reader) error {
		archive := tar.NewReader(r)
		for {
			header, err := archive.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			rel := path.Join(prefix, header.Name)
			want := files[rel]
			if header.Typeflag != tar.TypeReg || want == nil {
				continue
			}
			want.seen = true
			if want.hash == nil {
				continue
			}
			digest := want.hash()
			if _, err := io.Copy(digest, archive); err != nil {
				return err
			}
			if header.Size != want.size || !bytes.Equal(digest.Sum(nil), want.sum) {
				return job.Flawed(job.Damaged, "%.80q does not have the size and checksum of the manifest", rel)
			}
		}
	})
}

// unpack hands on what is in a file that may be compressed.
func (l *location) unpack(ctx context.Context, name string, consume func(io.Reader) error) error {
	file, err := l.host.Files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	defer idle.Forget(file)
	head := make([]byte, stream.HeadSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	format := stream.Detect(head[:n])
	if format == nil {
		return consume(job.Interruptible(ctx, file))
	}
	result, err := l.decoder.File(ctx, format, file, info.Size(), consume)
	if job.IsFlaw(result.Err) || err == nil {
		return result.Err
	}
	return err
}
