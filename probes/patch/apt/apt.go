// Package apt reads what dpkg has installed and what apt would install, from
// their files alone: it runs no program, takes no lock and changes nothing. It
// selects candidates by the rules of apt_preferences(5), and promises to agree
// with "apt-get dist-upgrade".
package apt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/apt/aptconf"
	"hygiene_exporter/probes/patch/updates"
)

// Name is that of the manager in metrics.
const Name = "apt"

// A Reader is the updates.Reader of apt.
type Reader struct {
	files *rootfs.FS
	last  *view // what the last run saw, with what it read
}

// New returns a reader. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files} }

// Read implements updates.Reader.
func (r *Reader) Read(ctx context.Context) (updates.Manager, error) {
	if r.last == nil || !r.last.tracked.unchanged() {
		v, err := look(ctx, track(r.files))
		if err != nil {
			return updates.Manager{Name: Name}, err
		}
		r.last = v
	}
	m := r.last.manager
	m.Busy = r.last.busy()
	return m, nil
}

// A view is all that the files say, in one moment.
type view struct {
	tracked    *tracked
	conf       *aptconf.Tree
	dpkg       database
	native     string
	foreign    []string
	confBroken bool
	incomplete []error

	packages     *packages
	repositories []*repository
	policy       *policy
	machine      string
	plan         *plan

	manager updates.Manager
}

// look reads everything. An error means that it cannot be told what is
// installed.
func look(ctx context.Context, t *tracked) (*view, error) {
	v := &view{tracked: t, conf: aptconf.New()}
	err := v.readConf()
	v.confBroken = err != nil
	v.complain(err)
	v.dpkg.status = v.conf.File("Dir::State::status")
	if err := v.dpkg.read(t); err != nil {
		return nil, err
	}
	if !v.dpkg.found {
		return nil, probes.ErrNotApplicable
	}
	v.readArchitectures()
	v.packages = v.dpkg.packages(v.native)
	if err := v.readRepositories(); err != nil {
		return nil, err
	}
	v.readPolicy()
	for _, i := range v.indexes() {
		if err := v.packages.available(ctx, t, i); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			i.repository.err = errors.Join(i.repository.err, err)
		}
	}
	v.machine = v.readMachine()
	if err := v.search(ctx); err != nil {
		return nil, err
	}
	v.plan = v.resolve()
	v.manager = v.summarize(ctx)
	return v, nil
}

// complain notes what could not be read.
func (v *view) complain(err error) {
	if err != nil {
		v.incomplete = append(v.incomplete, err)
	}
}

// readConf reads apt.conf.d and apt.conf, in the order in which apt does.
func (v *view) readConf() error {
	depth := 0
	var include func(string) error
	include = func(name string) error {
		if depth > 10 {
			return fmt.Errorf("%s is included too deep", name)
		}
		depth++
		defer func() { depth-- }()
		read := func(name string, data []byte) error { return v.conf.Read(string(data), include) }
		if strings.HasSuffix(name, "/") {
			return v.tracked.each(name, []string{"", ".conf"}, read)
		}
		data, err := v.tracked.config(name)
		if err != nil {
			return err
		}
		return named(name, read(name, data))
	}
	return malformed(errors.Join(include(v.conf.File("Dir::Etc::parts")+"/"), include(v.conf.File("Dir::Etc::main"))))
}

// malformed gives an error of a text its reason; one of the system has its own.
func malformed(err error) error {
	var system *fs.PathError
	if err == nil || errors.As(err, &system) {
		return err
	}
	return probes.Because(probes.Malformed, err)
}

// readArchitectures finds the native architecture and the foreign ones.
func (v *view) readArchitectures() {
	v.native = v.conf.Find("APT::Architecture", v.dpkg.native())
	if configured := v.conf.List("APT::Architectures"); len(configured) > 0 {
		v.foreign = configured
	} else {
		data, err := v.tracked.config(path.Join(path.Dir(v.dpkg.status), "arch"))
		v.complain(err)
		v.foreign = strings.Fields(string(data))
	}
	v.foreign = slices.DeleteFunc(v.foreign, func(a string) bool { return a == v.native })
}

// readRepositories finds what is configured, and what apt has stored of it.
func (v *view) readRepositories() error {
	s := &sources{native: v.native, foreign: v.foreign}
	main := v.conf.File("Dir::Etc::sourcelist")
	data, err := v.tracked.config(main)
	if err == nil {
		err = named(main, s.readFile(main, data))
	}
	v.complain(err)
	v.complain(v.tracked.each(v.conf.File("Dir::Etc::sourceparts"), []string{".list", ".sources"}, s.readFile))
	l, err := openLists(v.tracked, v.conf.File("Dir::State::lists"))
	if err != nil {
		return err
	}
	for _, source := range s.list {
		source.forever = source.forever || !v.conf.Bool("Acquire::Check-Valid-Until", true)
		v.repositories = append(v.repositories, l.repository(v.tracked, source))
	}
	v.guessRefreshes()
	return nil
}

// guessRefreshes says of repositories of which apt leaves no trace that they
// were refreshed when the others were, for apt refreshes all of them at once.
func (v *view) guessRefreshes() {
	stamp := path.Join(v.conf.File("Dir::State"), "periodic/update-success-stamp") // there with update-notifier
	v.tracked.note(stamp)
	var newest time.Time
	if info, err := v.tracked.files.Stat(stamp); err == nil {
		newest = info.ModTime()
	}
	for _, r := range v.repositories {
		if !r.unsigned && r.refreshed.After(newest) {
			newest = r.refreshed
		}
	}
	for _, r := range v.repositories {
		if r.unsigned {
			r.traceless = newest.IsZero()
			if newest.After(r.refreshed) {
				r.refreshed = newest
			}
		}
	}
}

func (v *view) indexes() []*index {
	var all []*index
	for _, r := range v.repositories {
		all = append(all, r.indexes...)
	}
	return all
}

// readPolicy reads the preferences.
func (v *view) readPolicy() {
	main := v.conf.File("Dir::Etc::preferences")
	data, err := v.tracked.config(main)
	v.complain(err)
	pins, err := readPins(main, data)
	v.complain(named(main, err))
	v.complain(v.tracked.each(v.conf.File("Dir::Etc::preferencesparts"), []string{"", ".pref"}, func(name string, data []byte) error {
		more, err := readPins(name, data)
		pins = append(pins, more...)
		return err
	}))
	release := v.conf.Find("APT::Default-Release", "")
	v.policy = newPolicy(v.native, release, pins, v.indexes())
	if release != "" && !v.knowsRelease(release) {
		v.complain(probes.Because(probes.Malformed, fmt.Errorf("APT::Default-Release is %.40q, which no source is; apt refuses to work", release)))
	}
}

func (v *view) knowsRelease(name string) bool {
	p := newPattern(name)
	return len(name) > 2 && name[1] == '=' || p.matches("now") || slices.ContainsFunc(v.repositories, func(r *repository) bool {
		return p.matches(r.suiteName()) || p.matches(r.codename) || p.matches(r.version)
	})
}

// readMachine returns the identity that phased updates depend on.
func (v *view) readMachine() string {
	if id := v.conf.Find("APT::Machine-ID", ""); id != "" {
		return id
	}
	file := path.Join(v.conf.File("Dir::Etc"), "../machine-id")
	if v.conf.Find("Dir::Etc::machine-id", "") != "" {
		file = v.conf.File("Dir::Etc::machine-id")
	}
	data, err := v.tracked.config(file)
	v.complain(err)
	id, _, _ := strings.Cut(string(data), "\n")
	return id
}
