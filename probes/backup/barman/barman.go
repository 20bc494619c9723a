// Package barman is the kind of backup that is a server of Barman.
//
// What Barman keeps is read without it: its catalogue is files, a base backup is
// compared with the manifest of PostgreSQL in it, and the records of the log have
// their checksums. Barman itself takes locks, writes logs, asks the database, and
// runs as its own user only; so that a backup can begin at any time, it is not
// asked.
package barman

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/cluster"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "barman",
		Summary:  "A server of Barman, with the log behind the newest backup; proven with Barman 3.4.",
		Keys:     []string{"server", "config_file"},
		Needs:    []string{"server"},
		Log:      true,
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Loaded, job.Asserted},
		Commands: files.Kind().Commands,
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &server{
				host: host, options: o,
				files: files.Kind().Open(host, job.Options{}),
			}
		},
	}
}

var name = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

func validate(o job.Options) error {
	var errs []error
	if o.ConfigFile != "" && !path.IsAbs(o.ConfigFile) {
		errs = append(errs, probes.At("config_file", fmt.Errorf("%.80q is not an absolute path", o.ConfigFile)))
	}
	if o.Server != "" && (!name.MatchString(o.Server) || o.Server == "barman" || o.Server == "all") {
		errs = append(errs, probes.At("server", fmt.Errorf("%.80q cannot be the name of a server", o.Server)))
	}
	return errors.Join(errs...)
}

type server struct {
	host    probes.Host
	options job.Options
	files   job.Copy // which checks a base backup, by its manifest if it has one
}

// A view is what Barman keeps at one moment.
type view struct {
	set     settings
	backups []backup // that have ended; newest first
	notes   []string
}

// open reads the catalogue.
func (s *server) open() (*view, error) {
	set, err := s.configuration()
	if err != nil {
		return nil, err
	}
	v := &view{set: set}
	entries, err := s.host.Files.ReadDir(set.base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, probes.Because(probes.NotFound, fmt.Errorf("there are no backups of the server %s at %s", s.options.Server, set.base))
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() && identifier.MatchString(entry.Name()) {
			s.add(v, entry.Name())
		}
	}
	slices.SortFunc(v.backups, func(a, b backup) int { return cmp.Compare(b.id, a.id) })
	return v, nil
}

// add adds a backup, or a note if it is none that can be restored.
func (s *server) add(v *view, id string) {
	b := backup{id: id, dir: path.Join(v.set.base, id)}
	text, err := s.host.Files.ReadFile(path.Join(b.dir, "backup.info"), maxInfo)
	if err == nil {
		err = b.parse(string(text))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = job.Flawed(job.Incomplete, "it lacks its backup.info, without which Barman does not know it")
	}
	b.err = err
	switch {
	case err != nil:
		if b.end.IsZero() {
			b.end, _ = time.ParseInLocation("20060102T150405", id, time.UTC)
		}
	case b.status == "FAILED":
		v.notes = append(v.notes, fmt.Sprintf("the backup %s has failed: %.120s", id, b.failure))
		return
	case b.status != "DONE" && b.status != "WAITING_FOR_WALS":
		v.notes = append(v.notes, fmt.Sprintf("the backup %s was begun and has not ended: %.40s", id, b.status))
		return
	}
	v.backups = append(v.backups, b)
}

// Look lists the backups and the log.
func (s *server) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk", Tools: []job.Tool{tool()}, Encrypted: "no"}
	v, err := s.open()
	if err != nil {
		return sight, err
	}
	sight.Notes = v.notes
	if info, err := s.host.Files.Stat(v.set.base); err == nil {
		sight.Devices = device.Of(s.host.Files, info)
	}
	held, err := cluster.Held(s.host, v.set.locks, "."+s.options.Server+"-backup.lock")
	if err != nil {
		return sight, err
	}
	if held != "" {
		sight.Busy = "a backup of the server " + s.options.Server + " is running"
	}
	l, notes, err := s.logs(ctx, v)
	if err != nil {
		return sight, err
	}
	sight.Notes = append(sight.Notes, notes...)
	for _, b := range v.backups {
		sight.Points = append(sight.Points, b.point(l))
		sight.Units = append(sight.Units, b.unit())
	}
	sight.Units = append(sight.Units, l.Units()...)
	if len(v.backups) > 0 && v.backups[0].err == nil {
		sight.Log = l.Reached(v.backups[0].endWAL)
	}
	return sight, nil
}

// tool is who judges: the layout is the one that Barman has had since version 1.
func tool() job.Tool { return job.Tool{Name: "builtin barman", Version: "layout 1"} }

// Check does a task.
func (s *server) Check(ctx context.Context, task job.Task) job.Outcome {
	var v *view
	return job.Unlocked(func() (state string, err error) {
		if v, err = s.open(); err != nil {
			return "", err
		}
		if held, err := cluster.Held(s.host, v.set.locks, "."+s.options.Server+"-[0-9]*T[0-9]*.lock"); held != "" || err != nil {
			return "", cmp.Or(err, job.Busy("a backup is being made or removed: %s is held", held))
		}
		for _, b := range v.backups {
			state += b.id + " " + b.status + "\n"
		}
		return state, nil
	}, func(out *job.Outcome) error {
		out.Judged(tool())
		switch task.Depth {
		case job.Structure:
			return s.structure(ctx, v, task, out)
		case job.Read:
			return s.read(ctx, v, task, out)
		case job.Restored, job.Loaded, job.Asserted:
			return s.restore(ctx, v, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a server of Barman is not checked by %s", task.Depth))
	})
}

// find returns a backup by its name.
func (v *view) find(id string) (backup, error) {
	for _, b := range v.backups {
		if b.id == id {
			return b, b.err
		}
	}
	return backup{}, fmt.Errorf("the backup %.80s is gone: %w", strings.ToValidUTF8(id, "?"), fs.ErrNotExist)
}
