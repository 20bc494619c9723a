// Package files is the kind of backup that lies about as files: archives, dumps
// and directories, found by patterns. It judges each by what it holds, and
// restores it for a test.
package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
	"hygiene_exporter/probes/internal/rootfs"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "files",
		Summary:  "Archives, dumps and directories as files.",
		Keys:     []string{"paths", "exclude", "set", "content", "manifest", "settle"},
		Needs:    []string{"paths"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Loaded, job.Asserted},
		Trees:    true,
		Commands: slices.Concat(stream.Commands(), programs(), engine.Commands()),
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return open(host, o) },
	}
}

// Local returns the kind for files that the agent itself has restored or downloaded:
// they are on its own file system, wherever that of the host is. want is what they
// must hold, as in the option content; Check takes their Units.
func Local(host probes.Host, want string) job.Copy {
	if !host.Files.Own() {
		host.Files = rootfs.New(rootfs.Paths{})
	}
	return Kind().Open(host, job.Options{Content: want, Settle: 1})
}

// Units returns a unit for each path.
func Units(paths []string) []job.Unit {
	var list []job.Unit
	for _, name := range paths {
		list = append(list, job.Unit{ID: name})
	}
	return list
}

// The words for how files make a backup.
const (
	each      = "each"
	directory = "directory"
	all       = "all"
)

func validate(o job.Options) error {
	var errs []error
	for i, name := range o.Paths {
		at := fmt.Sprintf("paths[%d]", i)
		switch {
		case !filepath.IsAbs(name):
			errs = append(errs, probes.At(at, fmt.Errorf("%.80q is not an absolute path", name)))
		case !doublestar.ValidatePattern(name):
			errs = append(errs, probes.At(at, fmt.Errorf("%.80q is not a valid pattern", name)))
		}
	}
	for i, pattern := range o.Exclude {
		if !doublestar.ValidatePattern(pattern) {
			errs = append(errs, probes.At(fmt.Sprintf("exclude[%d]", i), fmt.Errorf("%.80q is not a valid pattern", pattern)))
		}
	}
	if o.Content != "" && !slices.Contains(content.Types(), content.Type(o.Content)) {
		errs = append(errs, probes.At("content", fmt.Errorf("%.40q is not one of %v", o.Content, content.Types())))
	}
	if _, err := ParseSet(o.Set); err != nil {
		errs = append(errs, probes.At("set", err))
	}
	if strings.Contains(o.Manifest, "/") {
		errs = append(errs, probes.At("manifest", fmt.Errorf("%.80q must be the name of a file beside the backup, not a path", o.Manifest)))
	}
	return errors.Join(errs...)
}

// ParseSet returns the expression that names a set; nil for the words.
func ParseSet(set string) (*regexp.Regexp, error) {
	if slices.Contains([]string{"", each, directory, all}, set) {
		return nil, nil
	}
	expression, err := regexp.Compile(set)
	if err != nil || regexp.QuoteMeta(set) == set {
		return nil, fmt.Errorf("%.80q is neither each, directory or all nor a regular expression", set)
	}
	return expression, nil
}

// location is one place with such files.
type location struct {
	host    probes.Host
	options job.Options
	want    content.Type
	set     *regexp.Regexp
	settle  time.Duration
	decoder *stream.Decoder
	program *program
	now     func() time.Time
}

func open(host probes.Host, o job.Options) *location {
	set, _ := ParseSet(o.Set) // it was validated
	l := &location{
		host: host, options: o, want: content.Type(o.Content), set: set,
		decoder: &stream.Decoder{Commands: host.Commands, Pipes: host.Pipes},
		program: &program{commands: host.Commands, pipes: host.Pipes},
		now:     time.Now,
	}
	if l.want == "" {
		l.want = content.Any
	}
	l.settle = cmp.Or(time.Duration(o.Settle), 5*time.Minute)
	return l
}

// maxFiles bounds what one copy may hold.
const maxFiles = 200_000

// Look finds the files and puts them together to backups.
func (l *location) Look(ctx context.Context) (job.Sight, error) {
	found, err := l.find(ctx)
	sight := job.Sight{Media: "disk"}
	if len(found) == 0 {
		return sight, err
	}
	sets := l.sets(found)
	now := l.now()
	for _, s := range sets {
		if s.changed(now, l.settle) {
			sight.Notes = append(sight.Notes, s.id+" has changed a moment ago, and is taken for unfinished")
			continue
		}
		sight.Points = append(sight.Points, s.point())
		sight.Units = append(sight.Units, s.units()...)
	}
	sight.Devices = l.devices(found)
	if err == nil && len(sight.Points) > 0 {
		err = l.readable(sight.Points[0])
	}
	return sight, err
}

// readable reports whether the newest backup could be opened, so that a missing
// right is known long before a check needs it.
func (l *location) readable(p job.Point) error {
	for _, name := range p.Units {
		info, err := l.host.Files.Stat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			_, err = l.host.Files.ReadDir(name)
		} else {
			var file fs.File
			if file, err = l.host.Files.Open(name); err == nil {
				err = file.Close()
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// An item is a file, or a directory that is a backup as a whole.
type item struct {
	path string
	info fs.FileInfo
	tree *tree // of a directory
}

// find returns what the patterns match. What could not be searched is an error,
// beside what was found until then.
func (l *location) find(ctx context.Context) ([]item, error) {
	var (
		found []item
		errs  []error
		seen  = map[identity]bool{}
	)
	add := func(name string, info fs.FileInfo) error {
		id := identify(info)
		if seen[id] || l.excluded(name) || isManifest(path.Base(name), l.options.Manifest) {
			return nil
		}
		if len(found) >= maxFiles {
			return probes.Because(probes.TooLarge, fmt.Errorf("more than %d files", maxFiles))
		}
		seen[id] = true
		one := item{path: name, info: info}
		if info.IsDir() {
			var err error
			if one.tree, err = l.walk(ctx, name); err != nil {
				return err
			}
		}
		found = append(found, one)
		return nil
	}
	for _, pattern := range l.options.Paths {
		errs = append(errs, l.match(ctx, path.Clean(pattern), add))
	}
	return found, errors.Join(errs...)
}

// match calls add with everything that a pattern matches.
func (l *location) match(ctx context.Context, pattern string, add func(string, fs.FileInfo) error) error {
	base, rest := doublestar.SplitPattern(pattern)
	if !strings.ContainsAny(pattern, `*?[{\`) {
		info, err := l.host.Files.Stat(pattern)
		if err != nil {
			return err
		}
		return add(pattern, info)
	}
	if _, err := l.host.Files.Stat(base); err != nil {
		return err
	}
	return doublestar.GlobWalk(&hostFS{ctx, l.host, base}, rest, func(name string, entry fs.DirEntry) error {
		name = path.Join(base, name)
		info, err := l.host.Files.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // a link that leads nowhere, or a file that is just being rotated
		case err != nil:
			return err
		case !info.Mode().IsRegular() && !info.IsDir():
			return nil
		}
		return add(name, info)
	}, doublestar.WithFailOnIOErrors())
}

func (l *location) excluded(name string) bool {
	return slices.ContainsFunc(l.options.Exclude, func(pattern string) bool {
		match, err := doublestar.Match(pattern, name)
		return err == nil && match
	})
}

// hostFS is a directory of the host as an fs.FS, for doublestar.
type hostFS struct {
	ctx  context.Context //nolint:containedctx // fs.FS has no other way
	host probes.Host
	base string
}

func (h *hostFS) Open(name string) (fs.File, error) {
	return h.host.Files.Open(path.Join(h.base, name))
}

func (h *hostFS) Stat(name string) (fs.FileInfo, error) {
	return h.host.Files.Stat(path.Join(h.base, name))
}

func (h *hostFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := h.ctx.Err(); err != nil {
		return nil, err
	}
	return h.host.Files.ReadDir(path.Join(h.base, name))
}
