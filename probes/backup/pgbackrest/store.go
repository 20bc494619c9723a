package pgbackrest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// A store is where a repository lies. Names are relative to it.
type store interface {
	// list calls each for every file below a directory, with its name relative
	// to that. A directory that is missing is fs.ErrNotExist.
	list(ctx context.Context, dir string, each func(name string, f stored)) error
	// raw hands on a file as it lies there.
	raw(ctx context.Context, name string, read func(io.Reader) error) error
	// plain hands on a file that describes things, decrypted.
	plain(ctx context.Context, name, pass string, read func(io.Reader) error) error
}

// stored is what a store knows of a file.
type stored struct {
	size     int64
	modified time.Time
}

// A directory is a store of this host, which is read without pgBackRest.
type directory struct {
	host probes.Host
	root string
}

func (d *directory) list(ctx context.Context, dir string, each func(string, stored)) error {
	return d.walk(ctx, dir, "", each)
}

func (d *directory) walk(ctx context.Context, dir, below string, each func(string, stored)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := d.host.Files.ReadDir(path.Join(d.root, dir, below))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(below, entry.Name())
		if entry.IsDir() {
			if err := d.walk(ctx, dir, name, each); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() { // else it is gone
			each(name, stored{info.Size(), info.ModTime()})
		}
	}
	return nil
}

func (d *directory) raw(ctx context.Context, name string, read func(io.Reader) error) error {
	file, err := d.host.Files.Open(path.Join(d.root, name))
	if err != nil {
		return err
	}
	defer file.Close()
	defer idle.Forget(file)
	return read(job.Interruptible(ctx, file))
}

func (d *directory) plain(ctx context.Context, name, pass string, read func(io.Reader) error) error {
	return d.raw(ctx, name, func(in io.Reader) error {
		begin := bufio.NewReader(in)
		if !begins(begin) {
			return read(begin)
		}
		plain, err := decrypt(begin, pass)
		if err != nil {
			return err
		}
		return read(plain)
	})
}

// begins reports whether something begins as what is encrypted does.
func begins(r *bufio.Reader) bool {
	head, err := r.Peek(len(salted))
	return err == nil && string(head) == salted
}

// sealed reports whether what a repository holds is encrypted, by a file of
// which there are two. Only the host of the repository need know it.
func sealed(ctx context.Context, s store, name string) (yes bool, err error) {
	for _, name := range []string{name, name + ".copy"} {
		err = s.raw(ctx, name, func(in io.Reader) error {
			yes = begins(bufio.NewReader(in))
			return nil
		})
		if yes || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return yes, err
		}
	}
	return false, nil
}

// A program is a store elsewhere, to which pgBackRest knows the way.
type program struct {
	host    probes.Host
	objects []string
}

func (p *program) list(ctx context.Context, dir string, each func(string, stored)) error {
	found := false
	err := p.pipe(ctx, "pgbackrest-ls", dir, func(in io.Reader) error {
		decoder := json.NewDecoder(in)
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return probes.Because(probes.Malformed, fmt.Errorf("pgbackrest printed no list: %w", err))
			}
			name, ok := token.(string)
			if !ok {
				continue
			}
			var f struct {
				Type string `json:"type"`
				Size int64  `json:"size"`
				Time int64  `json:"time"`
			}
			if err := decoder.Decode(&f); err != nil {
				return probes.Because(probes.Malformed, fmt.Errorf("pgbackrest printed no list: %w", err))
			}
			found = true
			if f.Type == "file" {
				each(name, stored{f.Size, time.Unix(f.Time, 0)})
			}
		}
	})
	if err == nil && !found {
		err = &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist} // it prints an empty document
	}
	return err
}

func (p *program) raw(ctx context.Context, name string, read func(io.Reader) error) error {
	return p.pipe(ctx, "pgbackrest-get-raw", name, read)
}

func (p *program) plain(ctx context.Context, name, _ string, read func(io.Reader) error) error {
	return p.pipe(ctx, "pgbackrest-get", name, read)
}

// pipe lets pgBackRest print into a reader.
func (p *program) pipe(ctx context.Context, entry, name string, read func(io.Reader) error) error {
	return job.Stream(func(to io.Writer) error {
		out, err := p.host.Pipes.Pipe(ctx, nil, to, entry, append(slices.Clone(p.objects), name)...)
		if probes.ReasonOf(err) == probes.NotFound {
			err = probes.Because(probes.Unsupported, errors.New("pgbackrest is not installed"))
		}
		return cmp.Or(err, failed(out))
	}, read)
}
