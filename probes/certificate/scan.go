package certificate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/certificate/bundle"
	"hygiene_exporter/probes/certificate/store"
	"hygiene_exporter/probes/internal/rootfs"
)

// scan is one run over the files.
type scan struct {
	*probe
	now         time.Time
	result      probes.Result
	mounts      mounts
	seen        map[string]bool            // files and objects that this run has dealt with
	broken      map[string]bool            // those of them with a fault
	closed      []string                   // directories and files that could not be searched
	listings    map[string]map[string]bool // of the names in directories; nil for one that cannot be listed
	present     []*file                    // those that could be read, in order
	sum         tally                      // of all checks
	authorities authorities                // that lie in them, or that are trusted
}

func newScan(p *probe, now time.Time) *scan {
	s := &scan{
		probe: p, now: now, seen: map[string]bool{}, broken: map[string]bool{}, listings: map[string]map[string]bool{},
		mounts:      mounts{files: p.host.Files, known: map[string]string{}},
		authorities: authorities{bySubject: map[string][]*signer{}, strict: len(p.config.Trust) > 0},
	}
	s.result.Samples = make([]probes.Sample, 0, p.size+p.size/8)
	return s
}

// The states of a file.
const (
	stateOK      = "ok"
	stateFault   = "fault"
	stateIgnored = "ignored"
)

// source looks at the files of one source. Of a file that several sources name,
// the first has the word.
func (s *scan) source(ctx context.Context, source *Source) error {
	found, err := find(ctx, s.host.Files, source, s.config.MaxFiles)
	if err != nil {
		return err
	}
	states := map[string]int{}
	passwords, err := s.passwords(source)
	if err != nil {
		s.fault(source.PasswordsFile, err)
		states[stateFault]++
	}
	for _, name := range slices.Sorted(maps.Keys(found.faults)) {
		s.fault(name, found.faults[name])
		s.closed = append(s.closed, name)
		states[stateFault]++
	}
	for i := 0; i < len(found.candidates); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := found.candidates[i]
		if s.seen[c.path] {
			continue
		}
		s.seen[c.path] = true
		state, references := s.look(source, c, passwords)
		states[state]++
		for _, reference := range references {
			if len(found.candidates) < s.config.MaxFiles && !source.excludes(reference.path) { // a kubeconfig can name any number
				found.candidates = append(found.candidates, reference)
			}
		}
	}
	success := 1.0
	if states[stateFault] > 0 {
		success = 0
	}
	s.result.Add(sourceSuccess, success, source.Name)
	for _, state := range sourceObjects.Values["state"] {
		s.result.Add(sourceObjects, float64(states[state]), source.Name, state)
	}
	return nil
}

func (s *scan) fault(object string, err error) {
	s.seen[object], s.broken[object] = true, true
	s.result.Fault(object, err)
}

// look looks at one file and returns its state, and the files that it names.
func (s *scan) look(source *Source, c candidate, passwords []string) (state string, references []candidate) {
	f, err := s.read(c.path, passwords)
	known := s.knows(c.path)
	switch {
	case errors.Is(err, rootfs.ErrNotRegular) && !c.explicit && !known:
		return stateIgnored, nil // a directory, a FIFO or a device that a pattern happens to match
	case err != nil:
		s.fault(c.path, err)
		return stateFault, nil
	}
	s.describe(source, f)
	if f.err != nil {
		return s.empty(c, known, f), nil
	}
	return s.report(c, f), f.references
}

// describe makes the facts of a file anew if the file or its key has changed.
func (s *scan) describe(source *Source, f *file) {
	before := f.key
	for i := range f.parts {
		p := &f.parts[i]
		key := s.keyOf(f, p)
		if p.slots == nil {
			s.intern(p)
			p.policy = s.policyOf(source, p.object, decisive(p.bundle.Certificates))
			p.describe(s.config.TrustStoreSize)
			p.judgeKey(key)
		}
		if p.object == f.name && !key.same(before) {
			f.key = key
			p.judgeKey(key)
		}
		for j := range p.bundle.Certificates {
			if c := &p.bundle.Certificates[j]; c.CA {
				s.authorities.add(c, path.Dir(f.name))
			}
		}
	}
	if s.files[f.name] != f {
		f.owner = s.policyOf(source, f.name, bundle.Certificate{}).owner
		s.files[f.name] = f
	}
	f.run = s.run
}

// policyOf returns the policy for an object, one for all that have the same.
func (s *scan) policyOf(source *Source, object string, leaf bundle.Certificate) *policy {
	made := s.config.policyOf(source, object, leaf)
	known, ok := s.policies[made]
	if !ok {
		known = &made
		s.policies[made] = known
	}
	return known
}

// decisive returns the certificate by which the policy of a part is chosen: its
// leaf, or else the first.
func decisive(certificates []bundle.Certificate) bundle.Certificate {
	for _, c := range certificates {
		if !c.CA {
			return c
		}
	}
	if len(certificates) > 0 {
		return certificates[0]
	}
	return bundle.Certificate{}
}

func (s *scan) knows(name string) bool {
	object, known := s.memory.Object(name)
	return known && object.Removed.IsZero()
}

// empty deals with a file without certificates. That is nothing special in a
// directory, but not if the file is named, held certificates before, is a store,
// or is called like one and is nothing that anybody knows.
func (s *scan) empty(c candidate, known bool, f *file) string {
	switch {
	case known:
		s.fault(c.path, probes.Because(probes.Malformed, errors.New("holds no certificate any more")))
	case c.explicit, errors.Is(f.err, store.ErrEmpty), f.kind == store.Unknown && promises(c.path):
		s.fault(c.path, probes.Because(probes.Malformed, f.err))
	default:
		s.result.Observe(c.path)
		return stateIgnored
	}
	return stateFault
}

// report says what is there of a file, and what is wrong with it as a file.
func (s *scan) report(c candidate, f *file) string {
	state := stateOK
	at := place{Mount: s.mounts.of(path.Dir(c.path)), File: c.from}
	if len(f.errs) > 0 {
		s.fault(c.path, joined(f.errs))
		state = stateFault
	} else {
		s.result.Observe(c.path)
	}
	if f.holds() {
		s.memory.Saw(c.path, at, s.now)
	}
	at.File = c.path
	for i := range f.parts {
		p := &f.parts[i]
		s.note(c.path, p.object, at)
		if len(p.bundle.Errors) > 0 {
			s.fault(p.object, joined(p.bundle.Errors))
			state = stateFault
		}
	}
	for _, list := range f.lists {
		s.note(c.path, objectOf(c.path, list.Name), at)
	}
	s.present = append(s.present, f)
	return state
}

// note records that an object of a file is there.
func (s *scan) note(name, object string, at place) {
	if object == name {
		return
	}
	s.seen[object] = true
	s.memory.Saw(object, at, s.now)
	s.result.Observe(object)
}

// shownErrors is how many errors of one object are told.
const shownErrors = 3

// joined makes one error of several, with the reason of the first, on one line.
func joined(errs []error) error {
	var told []string
	for _, err := range errs {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !slices.Contains(told, line) {
				told = append(told, line)
			}
		}
	}
	if more := len(told) - shownErrors; more > 0 {
		told = append(told[:shownErrors], fmt.Sprintf("and %d more", more))
	}
	return probes.Because(probes.ReasonOf(errs[0]), errors.New(strings.Join(told, "; ")))
}
