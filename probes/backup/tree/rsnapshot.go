package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// Rsnapshot describes the trees of rsnapshot, which are known by its configuration
// and judged by its log, too: a tree gets the time of its run also when nothing
// could be copied.
func Rsnapshot() job.Kind {
	return job.Kind{
		Name:     "rsnapshot",
		Summary:  "The trees of rsnapshot, by its configuration and its log; proven with rsnapshot 1.4.",
		Keys:     []string{"config_file", "manifest"},
		Needs:    []string{"config_file"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Trees:    true,
		Commands: files.Kind().Commands,
		Check: func(o job.Options) error {
			if o.ConfigFile != "" && !filepath.IsAbs(o.ConfigFile) {
				return probes.At("config_file", fmt.Errorf("%.80q is not an absolute path", o.ConfigFile))
			}
			return nil
		},
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &generations{host: host, options: o, files: files.Kind().Open(host, job.Options{Manifest: o.Manifest})}
		},
	}
}

// generations are the trees of one configuration.
type generations struct {
	host    probes.Host
	options job.Options
	files   job.Copy // which checks one directory as a whole
}

const (
	maxConfig = 1 << 20
	maxLog    = 1 << 20 // of its end that is read
)

func (g *generations) configuration() (configuration, error) {
	return parseConfiguration(g.options.ConfigFile, func(name string) ([]byte, error) { return g.host.Files.ReadFile(name, maxConfig) })
}

// A generation is one tree.
type generation struct {
	level  string
	number int
	path   string
	at     time.Time
}

// Look lists the trees.
func (g *generations) Look(context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk", Tools: []job.Tool{{Name: "builtin rsnapshot", Version: "1"}}}
	c, err := g.configuration()
	if err != nil {
		return sight, err
	}
	info, err := g.host.Files.Stat(c.root)
	if errors.Is(err, fs.ErrNotExist) {
		return sight, probes.Because(probes.NotFound, fmt.Errorf("there is no snapshot_root %s", c.root))
	}
	if err != nil {
		return sight, err
	}
	sight.Devices = device.Of(g.host.Files, info)
	sight.Busy, sight.Notes = g.running(c)
	sight.Notes = append(sight.Notes, c.notes...)
	if info.Mode().Perm()&0o002 != 0 {
		sight.Notes = append(sight.Notes, fmt.Sprintf("everybody may write to %s", c.root))
	}
	list, err := g.list(c)
	if err != nil {
		return sight, err
	}
	sight.Notes = append(sight.Notes, gaps(c, list)...)
	for _, one := range list {
		sight.Points = append(sight.Points, job.Point{ID: one.path, At: one.at, Units: []string{one.path}})
		// How large a tree is stands nowhere: each counts alike for the coverage.
		sight.Units = append(sight.Units, job.Unit{ID: one.path, Bytes: 1, Stamp: one.at.UTC().String()})
	}
	if len(list) > 0 {
		if _, err := g.host.Files.ReadDir(list[0].path); err != nil {
			return sight, err
		}
	}
	return sight, nil
}

// running says who holds the lock of rsnapshot.
func (g *generations) running(c configuration) (busy string, notes []string) {
	if c.lock == "" {
		return "", nil
	}
	text, err := g.host.Files.ReadFile(c.lock, 1<<10)
	if err != nil {
		return "", nil // nobody does, or it is being removed
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return "", []string{fmt.Sprintf("the lock %s holds no process", c.lock)}
	}
	if _, err := g.host.Files.Stat(fmt.Sprintf("/proc/%d", pid)); probes.ReasonOf(err) == probes.NotFound {
		return "", []string{fmt.Sprintf("process %d holds the lock %s, and is gone: a run was interrupted", pid, c.lock)}
	}
	return fmt.Sprintf("rsnapshot runs as process %d", pid), nil
}

// list returns the trees that are kept, newest first.
func (g *generations) list(c configuration) ([]generation, error) {
	entries, err := g.host.Files.ReadDir(c.root)
	if err != nil {
		return nil, err
	}
	var list []generation
	for _, entry := range entries {
		name, number, found := strings.Cut(entry.Name(), ".")
		n, err := strconv.Atoi(number)
		if !entry.IsDir() || !found || err != nil || !slices.ContainsFunc(c.levels, func(l level) bool { return l.name == name && n >= 0 && n < l.keep }) {
			continue
		}
		place := path.Join(c.root, entry.Name())
		info, err := g.host.Files.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue // just turned
		}
		if err != nil {
			return nil, err
		}
		list = append(list, generation{name, n, place, info.ModTime()})
	}
	rank := func(x generation) int {
		return slices.IndexFunc(c.levels, func(l level) bool { return l.name == x.level })
	}
	slices.SortFunc(list, func(a, b generation) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.number, b.number))
	})
	return list, nil
}

// usual is how many distances it takes to know what is usual.
const usual = 3

// gaps tells of trees that should be there and are not.
func gaps(c configuration, list []generation) []string {
	var notes []string
	for _, l := range c.levels {
		var kept []generation
		for _, one := range list {
			if one.level == l.name {
				kept = append(kept, one)
			}
		}
		slices.SortFunc(kept, func(a, b generation) int { return cmp.Compare(a.number, b.number) })
		for i, one := range kept {
			if one.number != i {
				notes = append(notes, fmt.Sprintf("%s.%d is missing, and %s.%d is there: the level was turned without a tree to take over", l.name, i, l.name, one.number))
				break
			}
		}
		var distances []time.Duration
		for i := 1; i < len(kept); i++ {
			distances = append(distances, kept[i-1].at.Sub(kept[i].at))
		}
		if len(distances) < usual {
			continue
		}
		sorted := slices.Sorted(slices.Values(distances))
		median := sorted[len(sorted)/2]
		for i, d := range distances {
			if d > 2*median {
				notes = append(notes, fmt.Sprintf("of %s nothing was kept between %s and %s; the usual distance is %s", l.name, kept[i+1].at.UTC().Format(time.RFC3339), kept[i].at.UTC().Format(time.RFC3339), median.Round(time.Second)))
				break
			}
		}
	}
	return notes
}

// Check checks trees as directories of files, and what rsnapshot says of them.
// While rsnapshot turns them, nothing found counts.
func (g *generations) Check(ctx context.Context, task job.Task) job.Outcome {
	c, err := g.configuration()
	if err != nil {
		return job.Outcome{Err: err}
	}
	state := func() (string, error) {
		if busy, _ := g.running(c); busy != "" {
			return "", job.Busy("%s", busy)
		}
		list, err := g.list(c)
		return fmt.Sprint(list), err
	}
	return job.Unlocked(state, func(out *job.Outcome) error {
		*out = turned(g.files.Check(ctx, task.Unstamped()))
		out.Judged(job.Tool{Name: "builtin rsnapshot"})
		if out.Err != nil || task.Point.ID == "" {
			return out.Err
		}
		return g.reported(c, task.Point, out)
	})
}

// turned makes sure that a tree which rsnapshot has moved during a check is not
// taken for one that is not there.
func turned(out job.Outcome) job.Outcome {
	moved := func(err error) error {
		if err != nil && !job.IsFlaw(err) && probes.ReasonOf(err) == probes.NotFound {
			return job.Busy("rsnapshot turned the trees: %v", err)
		}
		return err
	}
	out.Err = moved(out.Err)
	for id, err := range out.Units {
		out.Units[id] = moved(err)
	}
	return out
}

// reported says what is wrong with a tree by the configuration and the log.
func (g *generations) reported(c configuration, p job.Point, out *job.Outcome) error {
	for _, point := range c.points {
		place := path.Join(p.ID, c.expected(point))
		_, err := g.host.Files.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			return job.Flawed(job.Incomplete, "%s lacks what is copied of %.80q", path.Base(p.ID), point.source)
		}
		if err != nil {
			return err
		}
	}
	if shared, seen := g.shared(p.ID); shared > 0 {
		out.Note("%d of the first %d files of %s share their content with other trees: what damages one damages all", shared, seen, path.Base(p.ID))
	}
	runs, err := g.runs(c)
	if err != nil {
		return err
	}
	if runs == nil {
		out.Note("rsnapshot writes no log, so that nobody knows whether all was copied")
		return nil
	}
	name, _, _ := strings.Cut(path.Base(p.ID), ".")
	if name != c.levels[0].name || c.syncFirst {
		return nil // it was turned here, and what made it is long ago
	}
	made, broken := of(runs, name, p.At)
	switch {
	case broken != nil && strings.HasSuffix(p.ID, ".0"):
		return job.Flawed(job.Incomplete, "the run of %s was interrupted while it copied to %s", broken.begin.UTC().Format(time.RFC3339), path.Base(p.ID))
	case made == nil || made.begin.Before(p.At.Add(-2*day)):
		out.Note("the log does not tell of the run that made %s", path.Base(p.ID))
	case made.failed != "":
		return job.Flawed(job.Reported, "rsnapshot says of the run of %s: %.200s", made.begin.UTC().Format(time.RFC3339), made.failed)
	case made.warned != "":
		out.Note("rsnapshot says of the run of %s: %.200s", made.begin.UTC().Format(time.RFC3339), made.warned)
	}
	return nil
}

const day = 24 * time.Hour

// runs reads the end of the log. nil: there is none.
func (g *generations) runs(c configuration) ([]run, error) {
	if c.log == "" {
		return nil, nil
	}
	file, err := g.host.Files.Open(c.log)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-maxLog), maxLog))
	runs := parseLog(string(text), time.Local)
	if runs == nil {
		runs = []run{}
	}
	return runs, err
}

// fewFiles is how many files are looked at for links.
const fewFiles = 1000

// shared counts files that have other names, too.
func (g *generations) shared(top string) (shared, seen int) {
	dirs := []string{top}
	for len(dirs) > 0 && seen < fewFiles {
		dir := dirs[0]
		dirs = dirs[1:]
		entries, err := g.host.Files.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() {
				dirs = append(dirs, path.Join(dir, entry.Name()))
				continue
			}
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			seen++
			if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
				shared++
			}
		}
	}
	return shared, seen
}
