package duplicity

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"path"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// structure demands that all that a set needs is there.
func (t *target) structure(ctx context.Context, all sets, id string, out *job.Outcome) error {
	s := all.find(id)
	if s == nil {
		return job.Busy("the set of %s was removed", id)
	}
	chain := all.chain(s)
	if !chain[0].full() {
		return job.Flawed(job.Incomplete, "the set of %s needs that of %s, which is missing", chain[0].to, chain[0].from)
	}
	out.Judged(job.Tool{Name: "builtin duplicity"})
	if t.local == "" {
		return nil // what stands in the manifests, only a restore can tell
	}
	var refused error
	read, files := 0, job.Of(0)
	for _, one := range chain {
		m, err := t.manifest(ctx, one)
		if err != nil && probes.ReasonOf(err) == probes.Auth && !job.IsFlaw(err) {
			refused = err
			continue
		}
		if err == nil {
			err = one.complete(m)
		}
		if err != nil {
			return err
		}
		read++
		files = job.Count{N: files.N + m.files.N, Known: files.Known && m.files.Known}
	}
	switch {
	case refused != nil && read > 0:
		return job.Flawed(job.Damaged, "the manifest of one set cannot be decrypted with the password of the others")
	case refused != nil:
		return refused
	case files.Known && files.N == 0:
		return job.Flawed(job.Empty, "no set holds a file")
	}
	return nil
}

// complete compares the volumes that are there with the manifest.
func (s *set) complete(m manifest) error {
	for n := 1; n <= len(m.sums); n++ {
		v, there := s.volumes[n]
		switch {
		case !there:
			return job.Flawed(job.Incomplete, "the set of %s lacks the volume %d of %d", s.to, n, len(m.sums))
		case v.bytes == 0:
			return job.Flawed(job.Truncated, "the volume %s is empty", v.name)
		}
	}
	if extra := len(s.volumes) - len(m.sums); extra > 0 {
		return job.Flawed(job.Mismatch, "the set of %s has %d volumes that its manifest does not tell of", s.to, extra)
	}
	return nil
}

// read compares volumes with their checksums. What is behind a server, duplicity
// has to restore for that.
func (t *target) read(ctx context.Context, all sets, task job.Task, out *job.Outcome) error {
	if t.local == "" {
		return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return t.readSet(ctx, u.ID, out) })
	}
	out.Judged(job.Tool{Name: "builtin sha1"})
	if s := all.find(task.Point.ID); s != nil {
		// What is missing can not be read, and would not be missed.
		if err := t.structure(ctx, all, task.Point.ID, out); job.IsFlaw(err) {
			return job.Worse(out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return t.volume(ctx, all, u, map[*set]manifest{}) }), err)
		}
	}
	known := map[*set]manifest{}
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return t.volume(ctx, all, u, known) })
}

// volume compares a volume with the checksum that the manifest of its set tells.
func (t *target) volume(ctx context.Context, all sets, u job.Unit, known map[*set]manifest) (int64, error) {
	s, n := all.of(u.ID)
	if s == nil {
		return 0, nil // removed meanwhile; whether it is needed, the structure tells
	}
	m, there := known[s]
	if !there {
		var err error
		if m, err = t.manifest(ctx, s); err != nil {
			return 0, err
		}
		known[s] = m
	}
	sum := m.sums[n]
	if sum == nil {
		return 0, job.Flawed(job.Mismatch, "the manifest of %s does not tell of the volume %d", s.to, n)
	}
	file, err := t.host.Files.Open(path.Join(t.local, u.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	digest := sha1.New() // the manifest tells no other
	read, err := io.Copy(digest, job.Interruptible(ctx, file))
	idle.Forget(file)
	switch {
	case err != nil:
		return read, err
	case read == 0:
		return 0, job.Flawed(job.Truncated, "the volume %s is empty", u.ID)
	case !bytes.Equal(digest.Sum(nil), sum):
		return read, job.Flawed(job.Damaged, "the volume %s has the SHA-1 %.8s…, and its manifest tells of %.8s…", u.ID, hex.EncodeToString(digest.Sum(nil)), hex.EncodeToString(sum))
	}
	return read, nil
}
