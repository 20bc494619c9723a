package files

import (
	"archive/zip"
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
	"hygiene_exporter/probes/backup/stream"
)

// restore restores the newest backup into the scratch directory, and loads it
// into its engine where that is asked for.
func (l *location) restore(ctx context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}}
	load := task.Loads()
	if load {
		task.Restore.Sample = 0 // a part cannot be loaded
	}
	w, err := restore.New(l.host.Files, task.Restore, task.Point.At, task.Point.Size)
	if err != nil {
		out.Err = err
		return out
	}
	defer func() { _ = w.Close() }()
	session := engine.New(l.host, task.Restore, task.Point.At)
	defer func() {
		if err := session.Close(); err != nil {
			out.Note("what the engine wrote could not be removed: %v", err)
		}
	}()
	for _, unit := range task.Units {
		r := &restorer{location: l, writer: w, out: &out}
		err := r.unit(ctx, unit.ID)
		if changed := l.unchanged(ctx, unit); changed != nil {
			err = changed
		}
		out.Err = worse(out.Err, err, unit.ID)
		out.Bytes += unit.Bytes
		if load && out.Err == nil {
			out.Err = worse(nil, r.load(ctx, session, task.Restore.Scratch), unit.ID)
		}
	}
	if out.Err == nil {
		out.Err = w.Assertions()
	}
	if load && out.Err == nil {
		out.Err = session.Assert(ctx)
	}
	out.Duration, out.RestoredBytes = w.Duration, w.Bytes
	out.Size, out.Files = job.Of(w.Bytes), job.Of(w.Count)
	out.Note("%s", w.Told())
	if w.Skipped > 0 {
		out.Note("%d devices and the like were left out", w.Skipped)
	}
	if task.Restore.Source != "" {
		out.Note("%d files were compared with the source", w.Compared)
	}
	out.Noted(session.Notes...)
	out.Judged(session.Tools...)
	switch {
	case w.Enough():
		out.Size, out.Files = job.Count{}, job.Count{}
	case out.Err == nil:
		out.Reached = append(out.Reached, job.Structure, job.Read)
	}
	if out.Err == nil {
		out.Reached = append(out.Reached, task.Proves(load)...)
		for _, unit := range task.Units {
			out.Units[unit.ID] = nil
		}
	}
	return out
}

// A restorer restores one unit.
type restorer struct {
	*location
	writer *restore.Writer
	out    *job.Outcome

	kind     content.Type // of what was restored
	restored string       // relative path of it, if it is one thing that an engine loads
}

func (r *restorer) unit(ctx context.Context, name string) error {
	info, err := r.host.Files.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return r.directory(ctx, name)
	}
	f := r.file(ctx, name, job.Read)
	if f.err != nil {
		return f.err // what is not whole is not restored: a part of it proves nothing
	}
	r.out.Judged(f.tools...)
	file, err := r.host.Files.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	head := make([]byte, content.HeadSize)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	base, at := path.Base(name), info.ModTime()
	switch kind := content.Detect(head[:n]); {
	case stream.Detect(head[:n]) != nil:
	case kind == content.Zip:
		archive, err := openZip(file, info.Size())
		if err != nil {
			return err
		}
		return r.zip(ctx, archive)
	case kind == content.SevenZip:
		return r.sevenZip(ctx, name)
	case string(head[:min(n, 5)]) == "PGDMP", kind == content.Tar && path.Base(string(firstMember(head))) == "toc.dat":
		return r.script(ctx, name, base+".sql", at)
	}
	return r.unpack(ctx, name, func(in io.Reader) error {
		return r.stream(ctx, strings.TrimSuffix(base, extension(base)), at, in)
	})
}

// extension returns the extension of a compressed file.
func extension(base string) string {
	if stream.Named(base) != nil {
		return path.Ext(base)
	}
	return ""
}

// stream restores what was unpacked: the members of an archive, or one file.
func (r *restorer) stream(ctx context.Context, base string, at time.Time, in io.Reader) error {
	buffered := bufio.NewReaderSize(in, 64<<10)
	head, err := buffered.Peek(content.HeadSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch r.kind = content.Detect(head); {
	case r.kind == content.Tar && path.Base(string(firstMember(head))) == "toc.dat":
		r.kind = content.PgDump // an archive for pg_restore alone
	case r.kind == content.Tar:
		return r.writer.Tar(ctx, buffered)
	}
	r.restored = base
	return r.writer.File(ctx, restore.Entry{Name: base, Modified: at, Size: -1}, buffered)
}

// script restores a dump of PostgreSQL to the commands that would load it.
func (r *restorer) script(ctx context.Context, name, base string, at time.Time) error {
	in, out := io.Pipe()
	failed := make(chan error, 1)
	go func() {
		tool, err := r.program.script(ctx, name, out)
		r.out.Judged(tool)
		out.CloseWithError(err) // which is EOF when it is nil
		failed <- err
	}()
	r.kind, r.restored = content.PgDump, base
	err := r.writer.File(ctx, restore.Entry{Name: base, Modified: at, Size: -1}, in)
	in.CloseWithError(err)
	if scripted := <-failed; scripted != nil && err == nil {
		err = scripted
	}
	return err
}

// zip restores the members of a zip archive, with the checksums it has of them.
func (r *restorer) zip(ctx context.Context, archive *zip.Reader) error {
	for _, member := range archive.File {
		switch mode := member.Mode(); {
		case r.writer.Enough():
			return nil
		case mode.IsDir():
			if err := r.writer.Directory(member.Name); err != nil {
				return err
			}
			continue
		case !mode.IsRegular():
			r.writer.Skip()
			continue
		}
		in, err := member.Open()
		if err != nil {
			return zipFlaw(member.Name, err)
		}
		err = r.writer.File(ctx, restore.Entry{
			Name: member.Name, Modified: member.Modified, Size: int64(min(member.UncompressedSize64, 1<<62)),
			Sum: crcBytes(member.CRC32), Hash: newCRC,
		}, in)
		in.Close()
		if err = zipFlaw(member.Name, err); err != nil {
			return err
		}
	}
	return nil
}

func newCRC() hash.Hash { return crc32.NewIEEE() }

func crcBytes(sum uint32) []byte {
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// sevenZip restores a 7z archive. 7z writes all members one behind the other,
// and its list says where each ends: so it never writes to the disk itself.
func (r *restorer) sevenZip(ctx context.Context, name string) error {
	list, err := r.program.commands.Run(ctx, "7z-list", name)
	if err != nil {
		return err
	}
	in, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := r.program.pipes.Pipe(ctx, nil, out, "7z-extract", name)
		out.CloseWithError(err)
	}()
	for _, member := range sevenZipMembers(string(list.Stdout)) {
		if err = r.sevenZipMember(ctx, member, in); err != nil {
			break
		}
	}
	in.CloseWithError(errors.New("enough"))
	<-ended // an error of it has cut a member short
	return err
}

func (r *restorer) sevenZipMember(ctx context.Context, member map[string]string, in io.Reader) error {
	if strings.HasPrefix(member["Attributes"], "D") || member["Folder"] == "+" {
		return r.writer.Directory(member["Path"])
	}
	size, err := strconv.ParseInt(member["Size"], 10, 64)
	if err != nil {
		return probes.Because(probes.Malformed, fmt.Errorf("7z tells no size of %.80q", member["Path"]))
	}
	entry := restore.Entry{Name: member["Path"], Size: size}
	entry.Modified, _ = time.Parse("2006-01-02 15:04:05", strings.SplitN(member["Modified"], ".", 2)[0])
	if sum, err := strconv.ParseUint(member["CRC"], 16, 32); err == nil {
		entry.Sum, entry.Hash = crcBytes(uint32(sum)), newCRC
	}
	body := &counter{r: io.LimitReader(in, size)}
	if err := r.writer.File(ctx, entry, body); err != nil {
		return err
	}
	if body.n < size {
		return job.Flawed(job.Truncated, "7z unpacks only %d of %d bytes of %.80q", body.n, size, entry.Name)
	}
	return nil
}

// sevenZipMembers reads the technical list of 7z: keys and values, a member a
// paragraph.
func sevenZipMembers(text string) []map[string]string {
	var list []map[string]string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		member := map[string]string{}
		for line := range strings.Lines(paragraph) {
			if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " = "); ok {
				member[key] = value
			}
		}
		if member["Path"] != "" {
			list = append(list, member)
		}
	}
	return list
}

// load loads what was restored into a real engine.
func (r *restorer) load(ctx context.Context, session *engine.Session, scratch string) error {
	if r.restored == "" {
		return probes.Because(probes.Unsupported, errors.New("no engine loads what was restored"))
	}
	return session.Load(ctx, r.kind, filepath.Join(scratch, r.restored))
}
