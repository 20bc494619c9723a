package certificate

import (
	"cmp"
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
	"hygiene_exporter/probes/certificate/store"
	"hygiene_exporter/probes/internal/memory"
	"hygiene_exporter/probes/internal/rootfs"
)

// memoryVersion is that of what the probe remembers.
const memoryVersion = 1

// place is what is remembered of a file that held certificates.
type place struct {
	Mount string `json:"mount"`          // the mount point it was on
	File  string `json:"file,omitempty"` // the store whose entry it is; empty for a file itself
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
	seen   map[string]bool // objects that this run has dealt with
	broken map[string]bool // those of them with a fault

	passwords map[string][]string // by source
	closed []string        // directories and files that could not be searched
	counts map[string]tally
}

// Run looks at every file of every source.
func (p *probe) Run(ctx context.Context) (probes.Result, error) {
	p.run++
	s := &scan{
		probe: p, now: time.Now(), seen: map[string]bool{}, broken: map[string]bool{}, passwords: map[string][]string{}, counts: map[string]tally{},
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
	if err := s.readPasswords(source); err != nil {
		s.fault(source.PasswordsFile, err)
		states["fault"]++
	}
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

// readPasswords reads the passwords of a source, anew in each run.
func (s *scan) readPasswords(source *Source) error {
	if source.PasswordsFile == "" {
		return nil
	}
	text, err := s.host.Files.ReadFile(source.PasswordsFile, maxPasswords)
	s.passwords[source.Name] = lines(text)
	return err
}

// maxPasswords bounds a file of passwords.
const maxPasswords = 64 << 10

func (s *scan) fault(object string, err error) {
	s.seen[object], s.broken[object] = true, true
	s.result.Fault(object, err)
}

// look looks at one file and returns its state.
func (s *scan) look(source *Source, c candidate) string {
	f, err := s.read(c.path, s.passwords[source.Name])
	known := s.knows(c.path)
	switch {
	case errors.Is(err, rootfs.ErrNotRegular) && !c.explicit && !known:
		return "ignored" // a directory, a FIFO or a device that a pattern happens to match
	case err != nil:
		s.fault(c.path, err)
		return "fault"
	}
	s.describe(source, c.path, f)
	if f.err != nil {
		return s.empty(c, known, f.err)
	}
	state := "ok"
	mount := s.mounts.of(path.Dir(c.path))
	s.memory.Saw(c.path, place{Mount: mount}, s.now)
	for i := range f.parts {
		if s.report(source, c.path, mount, &f.parts[i]) != nil {
			state = "fault"
		}
	}
	for _, crl := range f.crls {
		object := objectOf(c.path, crl.Name)
		s.result.AddTime(crlNextUpdate, crl.NextUpdate, object, source.Owner)
		s.note(c.path, object, mount)
	}
	if len(f.errs) > 0 {
		s.fault(c.path, joined(f.errs))
		state = "fault"
	}
	for _, reference := range f.references {
		if !s.seen[reference] {
			s.seen[reference] = true
			s.look(source, candidate{path: reference, explicit: true})
		}
	}
	return state
}

// shownErrors is how many errors of one object are told.
const shownErrors = 3

// joined makes one error of several, with the reason of the first.
func joined(errs []error) error {
	reason := probes.ReasonOf(errs[0])
	if reason == probes.Other {
		reason = probes.Malformed
	}
	return probes.Because(reason, errors.Join(errs[:min(shownErrors, len(errs))]...))
}

// describe makes the facts of a file anew if the file or its key has changed.
func (s *scan) describe(source *Source, name string, f *file) {
	before := f.key
	for _, part := range f.parts {
		if part.object == name {
			f.key = s.findKey(name, part.bundle, before)
		}
	}
	if s.files[name] != f || !f.key.same(before) {
		for i, part := range f.parts {
			f.parts[i].facts = source.describe(part.object, part.bundle, f.key, s.config.TrustStoreSize)
		}
		s.files[name] = f
	}
	f.run = s.run
}

func (s *scan) knows(name string) bool {
	object, known := s.memory.Object(name)
	return known && object.Removed.IsZero()
}

// empty deals with a file without certificates. That is nothing special in a
// directory, but not if the file is named, held certificates before, or is a
// store.
func (s *scan) empty(c candidate, known bool, err error) string {
	switch {
	case known:
		s.fault(c.path, probes.Because(probes.Malformed, errors.New("holds no certificate any more")))
	case c.explicit, errors.Is(err, store.ErrEmpty):
		s.fault(c.path, probes.Because(probes.Malformed, err))
	default:
		return "ignored"
	}
	return "fault"
}

// report adds what is known of a part of a file.
func (s *scan) report(source *Source, name, mount string, p *part) error {
	s.note(name, p.object, mount)
	for check, count := range p.facts.verdicts {
		sum := s.counts[check]
		for i := range sum {
			sum[i] += count[i]
		}
		s.counts[check] = sum
	}
	if p.facts.trustStore {
		source.count(&s.result, p.object, p.bundle, s.now)
	} else {
		s.result.Samples = append(s.result.Samples, p.facts.samples...)
	}
	if len(p.bundle.Errors) == 0 {
		return nil
	}
	err := joined(p.bundle.Errors)
	s.fault(p.object, err)
	return err
}

// note records that an object of a file is there.
func (s *scan) note(name, object, mount string) {
	s.seen[object] = true
	if object != name {
		s.memory.Saw(object, place{Mount: mount, File: name}, s.now)
	}
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
func (s *scan) hidden(object string) error {
	remembered, _ := s.memory.Object(object)
	name := cmp.Or(remembered.Detail.File, object)
	if name != object && s.seen[name] {
		if s.broken[name] {
			return probes.Because(probes.Unavailable, fmt.Errorf("%s cannot be read", name))
		}
		return nil // the store was read, and the entry is not in it
	}
	if !slices.ContainsFunc(s.config.Sources, func(source Source) bool { return source.covers(name) }) {
		return nil
	}
	for _, dir := range s.closed {
		if strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/") {
			return probes.Because(probes.Unavailable, fmt.Errorf("%s cannot be searched", dir))
		}
	}
	if mount := remembered.Detail.Mount; mount != "" && s.mounts.of(mount) != mount {
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
