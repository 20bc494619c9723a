package restic

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// A shard is one directory of packs as it was listed.
type shard struct {
	modified time.Time
	packs    []job.Pack
}

// see looks at a repository on a file system, before restic does: what is
// missing or forbidden there costs restic a minute of trying again.
func (r *repository) see(ctx context.Context, sight *job.Sight) error {
	if r.local == "" {
		sight.Units = shares()
		return nil
	}
	info, err := r.host.Files.Stat(path.Join(r.local, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return probes.Because(probes.NotFound, fmt.Errorf("there is no repository of restic at %s", r.local))
	}
	if err != nil {
		return err
	}
	sight.Devices = device.Of(r.host.Files, info)
	for _, dir := range []string{"snapshots", "index", "keys"} {
		entries, err := r.host.Files.ReadDir(path.Join(r.local, dir))
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && dir == "keys" && len(entries) == 0:
			return job.Flawed(job.Incomplete, "the repository lacks its %s", dir)
		case err != nil:
			return err
		}
	}
	if err := r.files(ctx, "keys"); err != nil {
		return err
	}
	packs, err := r.packs(ctx)
	if err != nil {
		return err
	}
	for id, group := range job.ByDay(packs, firstDigit) {
		sight.Units = append(sight.Units, group.Unit(id))
	}
	slices.SortFunc(sight.Units, func(a, b job.Unit) int { return cmp.Compare(b.ID, a.ID) })
	return nil
}

// packs lists the packs. A directory that has not changed is not listed again.
func (r *repository) packs(ctx context.Context) ([]job.Pack, error) {
	dirs, err := r.host.Files.ReadDir(path.Join(r.local, "data"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, job.Flawed(job.Incomplete, "the repository lacks its data")
	}
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	shards, all := map[string]shard{}, []job.Pack(nil)
	for _, entry := range dirs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dir := path.Join(r.local, "data", entry.Name())
		info, err := r.host.Files.Stat(dir)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			continue
		}
		known, there := r.shards[entry.Name()]
		if !there || !known.modified.Equal(info.ModTime()) {
			if known, err = r.shard(dir, info); err != nil {
				return nil, err
			}
		}
		shards[entry.Name()] = known
		all = append(all, known.packs...)
	}
	r.shards = shards
	return all, nil
}

func (r *repository) shard(dir string, info fs.FileInfo) (shard, error) {
	s := shard{modified: info.ModTime()}
	entries, err := r.host.Files.ReadDir(dir)
	for _, entry := range entries {
		file, err := entry.Info()
		if err != nil || !fullID.MatchString(entry.Name()) {
			continue // just removed, or just being written under another name
		}
		s.packs = append(s.packs, job.Pack{Name: path.Join(dir, entry.Name()), Bytes: file.Size(), Modified: file.ModTime()})
	}
	return s, err
}

var fullID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// firstDigit is that of the hash of a pack.
func firstDigit(p job.Pack) string { return path.Base(p.Name)[:1] }

// read reads the packs of units, or shares of what is behind a server.
func (r *repository) read(ctx context.Context, task job.Task, out *job.Outcome) error {
	if r.local == "" {
		return r.readShares(ctx, task, out)
	}
	packs, err := r.packs(ctx)
	if err != nil {
		return err
	}
	list := job.ByDay(packs, firstDigit)
	defer out.Judged(job.Tool{Name: "builtin sha256"})
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) { return r.group(ctx, list[u.ID]) })
}

func (r *repository) group(ctx context.Context, g job.Packs) (read int64, worst error) {
	for _, p := range g {
		n, err := r.compare(ctx, p.Name)
		read += n
		worst = job.Worse(worst, err)
		if ctx.Err() != nil {
			break
		}
	}
	return read, worst
}

// compare reads a file and compares its content with its name.
func (r *repository) compare(ctx context.Context, name string) (int64, error) {
	file, err := r.host.Files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // pruned meanwhile; whether it is needed, restic checks
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	digest := sha256.New()
	n, err := io.Copy(digest, job.Interruptible(ctx, file))
	idle.Forget(file)
	short := path.Base(path.Dir(name)) + "/" + path.Base(name)[:min(16, len(path.Base(name)))]
	switch sum := hex.EncodeToString(digest.Sum(nil)); {
	case err != nil:
		return n, err
	case n == 0:
		return n, job.Flawed(job.Truncated, "the file %s of the repository is empty", short)
	case sum != path.Base(name):
		return n, job.Flawed(job.Damaged, "the file %s of the repository does not have the content that its name tells", short)
	}
	return n, nil
}

// metadata compares everything but the packs with its name. It is small.
func (r *repository) metadata(ctx context.Context) error {
	if r.local == "" {
		return nil
	}
	var worst error
	for _, dir := range []string{"keys", "snapshots", "index"} {
		worst = job.Worse(worst, r.files(ctx, dir))
	}
	return worst
}

// files compares the files of a directory with their names.
func (r *repository) files(ctx context.Context, dir string) error {
	entries, err := r.host.Files.ReadDir(path.Join(r.local, dir))
	if err != nil {
		return err
	}
	var worst error
	for _, entry := range entries {
		if !fullID.MatchString(entry.Name()) {
			continue
		}
		_, err := r.compare(ctx, path.Join(r.local, dir, entry.Name()))
		worst = job.Worse(worst, err)
	}
	return worst
}

// parts is how many shares a repository behind a server is read in. restic takes
// the packs by the first byte of their names, at most 256; each share costs a
// check of everything else, too.
const parts = 32

func shares() []job.Unit {
	var list []job.Unit
	for i := range parts {
		list = append(list, job.Unit{ID: fmt.Sprintf("%d/%d", i+1, parts), Bytes: 1})
	}
	return list
}

func (r *repository) readShares(ctx context.Context, task job.Task, out *job.Outcome) error {
	out.Judged(r.judge(ctx))
	return out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) {
		checked, err := r.pipe(ctx, "restic-check-subset", u.ID)
		if err == nil {
			err = failed(checked)
		}
		return u.Bytes, err
	})
}
