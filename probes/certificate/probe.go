package certificate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/internal/rootfs"
)

// memoryVersion is that of what the probe remembers.
const memoryVersion = 1

// place is what is remembered of a file that held certificates.
type place struct {
	Mount string `json:"mount"` // the mount point it was on
}

// probe looks at the files of all sources.
type probe struct {
	config *Config
	host   probes.Host

	memory *memory.Memory[place]
	loaded bool
	files  map[string]*file // by path
	run    uint64
	size   int // samples of the last run
}

func newProbe(c *Config, host probes.Host) *probe {
	return &probe{config: c, host: host, files: map[string]*file{}}
}

// scan is one run.
type scan struct {
	*probe
	now    time.Time
	result probes.Result
	mounts mounts
	seen   map[string]bool // paths that this run has dealt with
	closed []string        // directories and files that could not be searched
	counts map[string]tally
}

// Run looks at every file of every source.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	p.run++
	s := &scan{
		probe: p, now: time.Now(), seen: map[string]bool{}, counts: map[string]tally{},
		mounts: mounts{files: p.host.Files, known: map[string]string{}},
	}
	s.result.Samples = make([]probes.Sample, 0, p.size+p.size/8)
	if err := p.remember(); err != nil {
		s.result.Fault(probes.HostObject, fmt.Errorf("what was seen earlier is not known: %w", err))
	}
	for i := range p.config.Sources {
		if err := s.source(ctx, &p.config.Sources[i]); err != nil {
			return probes.Result{}, err
		}
	}
	s.absent()
	for _, name := range findings() {
		count := s.counts[name]
		s.result.Add(findingCounts, float64(count[pass]), name, "pass")
		s.result.Add(findingCounts, float64(count[fail]), name, "fail")
		s.result.Add(findingCounts, float64(count[unknown]), name, "unknown")
	}
	p.size = len(s.result.Samples)
	maps.DeleteFunc(p.files, func(_ string, f *file) bool { return f.run != p.run })
	if p.loaded {
		_ = p.memory.Save() // the host counts failed writes, and the next run tries again
	}
	return s.result, nil
}

// remember loads the memory, once it can be.
func (p *probe) remember() error {
	if p.loaded {
		return nil
	}
	p.memory = memory.New[place](p.host.State, memoryVersion)
	err := p.memory.Load()
	p.loaded = err == nil
	return err
}

// source looks at the files of one source. Of a file that several sources name,
// the first has the word.
func (s *scan) source(ctx context.Context, source *Source) error {
	found, err := find(ctx, s.host.Files, source, s.config.MaxFiles)
	if err != nil {
		return err
	}
	states := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(found.faults)) {
		s.fault(name, found.faults[name])
		s.closed = append(s.closed, name)
		states["fault"]++
	}
	for _, c := range found.candidates {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !s.seen[c.path] {
			s.seen[c.path] = true
			states[s.look(source, c)]++
		}
	}
	success := 1.0
	if states["fault"] > 0 {
		success = 0
	}
	s.result.Add(sourceSuccess, success, source.Name)
	for _, state := range sourceObjects.Values["state"] {
		s.result.Add(sourceObjects, float64(states[state]), source.Name, state)
	}
	return nil
}

func (s *scan) fault(object string, err error) {
	s.seen[object] = true
	s.result.Fault(object, err)
}

// look looks at one file and returns its state.
func (s *scan) look(source *Source, c candidate) string {
	f, err := read(s.host.Files, c.path, s.config.MaxFileSize, s.files[c.path])
	known := s.knows(c.path)
	switch {
	case errors.Is(err, rootfs.ErrNotRegular) && !c.explicit && !known:
		return "ignored" // a directory, a FIFO or a device that a pattern happens to match
	case err != nil:
		s.fault(c.path, err)
		return "fault"
	}
	s.describe(source, c.path, f)
	if f.err != nil || len(f.bundle.Certificates) == 0 && len(f.bundle.Errors) == 0 {
		return s.empty(c, known)
	}
	s.report(source, c.path, f)
	if len(f.bundle.Certificates) > 0 {
		s.memory.Saw(c.path, place{s.mounts.of(path.Dir(c.path))}, s.now)
	}
	if len(f.bundle.Errors) > 0 {
		s.fault(c.path, probes.Because(probes.Malformed, errors.Join(f.bundle.Errors[:min(3, len(f.bundle.Errors))]...)))
		return "fault"
	}
	return "ok"
}

// describe makes the facts of a file anew if the file or its key has changed.
func (s *scan) describe(source *Source, name string, f *file) {
	before := f.key
	if len(f.bundle.Certificates) > 0 {
		f.key = s.findKey(name, f.bundle, before)
	}
	if s.files[name] != f || !f.key.same(before) {
		f.facts = source.describe(name, f.bundle, f.key, s.config.TrustStoreSize)
		s.files[name] = f
	}
	f.run = s.run
}

func (s *scan) knows(name string) bool {
	object, known := s.memory.Object(name)
	return known && object.Removed.IsZero()
}

// empty deals with a file without certificates. That is nothing special in a
// directory, but not if the file is named, or held certificates before.
func (s *scan) empty(c candidate, known bool) string {
	switch {
	case known:
		s.fault(c.path, probes.Because(probes.Malformed, errors.New("holds no certificate any more")))
	case c.explicit:
		s.fault(c.path, probes.Because(probes.Malformed, bundle.ErrNone))
	default:
		return "ignored"
	}
	return "fault"
}

// report adds what is known of a file.
func (s *scan) report(source *Source, object string, f *file) {
	for name, count := range f.facts.verdicts {
		sum := s.counts[name]
		for i := range sum {
			sum[i] += count[i]
		}
		s.counts[name] = sum
	}
	if f.facts.trustStore {
		source.count(&s.result, object, f.bundle, s.now)
		return
	}
	s.result.Samples = append(s.result.Samples, f.facts.samples...)
}

// absent deals with what was there before and is not now: it was removed, or it
// cannot be seen.
func (s *scan) absent() {
	for _, name := range s.memory.Present() {
		if s.seen[name] {
			continue
		}
		if err := s.hidden(name); err != nil {
			s.fault(name, err)
			continue
		}
		s.memory.Removed(name, s.now)
	}
	for _, name := range s.memory.Gone(s.now) {
		if !s.seen[name] {
			s.result.Gone(name)
		}
	}
}

// hidden returns why an object that was not seen may still exist; nil if it was
// deliberately removed, from the host or from the configuration.
func (s *scan) hidden(name string) error {
	if !slices.ContainsFunc(s.config.Sources, func(source Source) bool { return source.covers(name) }) {
		return nil
	}
	for _, dir := range s.closed {
		if strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") {
			return probes.Because(probes.Unavailable, fmt.Errorf("%s cannot be searched", dir))
		}
	}
	object, _ := s.memory.Object(name)
	if mount := object.Detail.Mount; mount != "" && s.mounts.of(mount) != mount {
		return probes.Because(probes.Unavailable, fmt.Errorf("the file system that was mounted on %s is not there", mount))
	}
	_, err := s.host.Files.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotDirectory):
		return nil
	case err != nil:
		return err
	}
	return probes.Because(probes.Unsupported, errors.New("is there, and is no file that can be read"))
}
