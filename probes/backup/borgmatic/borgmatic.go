// Package borgmatic is the kind of backup that borgmatic makes: its configuration
// says where the repository of Borg is, which archives count, how it is opened,
// and which databases are dumped into it. The repository is checked as one of
// Borg; what borgmatic has checked itself counts as evidence.
//
// borgmatic is never run, and neither is any command that stands in its
// configuration: whoever may write there would then be whoever the agent is.
package borgmatic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "borgmatic",
		Summary:  "A repository of Borg as a configuration of borgmatic describes it; proven with borgmatic 1.7.",
		Keys:     []string{"config_file", "repository", "password_file", "key_directory", "ssh_command", "snapshots"},
		Needs:    []string{"config_file"},
		Depths:   borg.Depths(),
		Trees:    true,
		Commands: borg.Commands(),
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return &backup{host: host, options: o} },
	}
}

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"config_file": o.ConfigFile, "password_file": o.PasswordFile, "key_directory": o.KeyDirectory} {
		if value != "" && !path.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	if o.SSHCommand != "" && !borg.SafeShell(o.SSHCommand) {
		errs = append(errs, probes.At("ssh_command", fmt.Errorf("%.80q is not ssh with options for the server, the user, keys and known hosts alone", o.SSHCommand)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

// A backup is one copy: one repository of a configuration.
type backup struct {
	host    probes.Host
	options job.Options

	mu         sync.Mutex
	config     config // as it was last read
	place      borg.Place
	repository *borg.Repository // nil: it was never read
}

// open reads the configuration. It does so each time: it may have changed.
func (b *backup) open() (config, *borg.Repository, error) {
	c, err := read(b.host.Files, b.options.ConfigFile)
	if err != nil {
		return c, nil, err
	}
	p, err := c.place(b.host.Files, b.options)
	if err != nil {
		return c, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.repository == nil || !same(p, b.place) || c.passphrase != b.config.passphrase || c.passcommand != b.config.passcommand {
		b.place, b.repository = p, borg.New(b.host, p)
	}
	b.config = c
	return c, b.repository, nil
}

// same compares all but how the password is found.
func same(a, b borg.Place) bool {
	return a.Repository == b.Repository && a.Keys == b.Keys && a.Archives == b.Archives && a.Shell == b.Shell && a.Program == b.Program
}

// place is where the repository is that the options choose.
func (c config) place(files Files, o job.Options) (borg.Place, error) {
	chosen, err := c.choose(o.Repository)
	if err != nil {
		return borg.Place{}, err
	}
	p := borg.Place{Archives: c.archives, Shell: c.ssh, Program: c.remote, Keys: o.KeyDirectory, Password: c.password(files, o)}
	if p.Repository, err = borg.Normal(chosen.path); err != nil {
		return p, malformed("%s: %w", c.file, err)
	}
	if o.Snapshots != "" {
		p.Archives = o.Snapshots
	}
	if o.SSHCommand != "" {
		p.Shell = o.SSHCommand
	}
	if p.Shell != "" && !borg.SafeShell(p.Shell) {
		return p, probes.Because(probes.Unsupported, fmt.Errorf("%s: the ssh_command %.80q is not run: name one of ssh with options for the server, the user, keys and known hosts alone", c.file, p.Shell))
	}
	if p.Keys == "" {
		// It is where keys lie by default, whether or not this one has any there.
		if _, err := files.ReadDir(c.keys); err == nil {
			p.Keys = c.keys
		}
	}
	return p, nil
}

// choose returns the repository of a label or a path.
func (c config) choose(name string) (place, error) {
	var names []string
	for _, r := range c.repositories {
		normal, err := borg.Normal(r.path)
		if name != "" && (name == r.label || name == r.path || err == nil && name == normal) {
			return r, nil
		}
		if r.label != "" {
			names = append(names, r.label)
		} else {
			names = append(names, r.path)
		}
	}
	switch {
	case name != "":
		return place{}, malformed("%s has no repository %.80q, but %s", c.file, name, strings.Join(names, ", "))
	case len(c.repositories) > 1:
		return place{}, malformed("%s has %d repositories: give the job a copy for each, with its label or path as repository; they are %s", c.file, len(names), strings.Join(names, ", "))
	}
	return c.repositories[0], nil
}

// credential is how newer versions name a file with a secret.
var credential = regexp.MustCompile(`^\{credential +file +["']?(/[^"'{}]+)["']?\}$`)

// password finds the passphrase of the repository. A command is not run, but one
// that only prints a file is understood.
func (c config) password(files Files, o job.Options) func() (string, error) {
	file := o.PasswordFile
	if printed, is := job.PrintedFile(c.passcommand); is && file == "" {
		file = printed
	}
	if m := credential.FindStringSubmatch(strings.TrimSpace(c.passphrase)); m != nil && file == "" {
		file = m[1]
	}
	switch {
	case file != "":
		return func() (string, error) { return job.Password(files, file) }
	case c.passcommand != "" || strings.HasPrefix(c.passphrase, "{credential "):
		err := probes.Because(probes.Auth, fmt.Errorf("%s has the passphrase from a command, which is not run: name its file under password_file", c.file))
		return func() (string, error) { return "", err }
	}
	return func() (string, error) { return c.passphrase, nil }
}

// Look reads the configuration, and lists the archives of the repository.
func (b *backup) Look(ctx context.Context) (job.Sight, error) {
	c, repository, err := b.open()
	if err != nil {
		return job.Sight{}, err
	}
	sight, err := repository.Look(ctx)
	evidence, notes := c.evidence(b.host.Files, repository.ID())
	sight.Evidence = append(sight.Evidence, evidence...)
	sight.Notes = slices.Concat(sight.Notes, c.about(), notes)
	return sight, err
}

// about says what the configuration tells of the backup.
func (c config) about() []string {
	notes := slices.Clone(c.notes)
	if len(c.sources) > 0 {
		notes = append(notes, "it is made of "+strings.Join(c.sources, ", "))
	}
	if len(c.databases) > 0 {
		var names []string
		for _, d := range c.databases {
			names = append(names, d.String())
		}
		notes = append(notes, "it holds dumps of "+strings.Join(names, ", "))
	}
	if len(c.keep) > 0 {
		notes = append(notes, "borgmatic keeps "+strings.Join(c.keep, ", "))
	}
	return notes
}

func (d database) String() string { return strings.TrimSuffix(d.hook, "_databases") + " " + d.name }

// Check lets the repository be checked, and demands that the newest archive holds
// a dump of each database that is configured.
func (b *backup) Check(ctx context.Context, task job.Task) job.Outcome {
	c, repository, err := b.open()
	if err != nil {
		return job.Outcome{Err: err}
	}
	out := repository.Check(ctx, task)
	if out.Err == nil && task.Depth == job.Structure {
		out.Err = c.dumped(ctx, repository, task.Point.ID)
	}
	return out
}

// dumped demands the dumps of the databases.
func (c config) dumped(ctx context.Context, repository *borg.Repository, archive string) error {
	if len(c.databases) == 0 {
		return nil
	}
	missing, empty := slices.Clone(c.databases), map[database]bool{}
	err := repository.Entries(ctx, archive, func(name string, size int64) {
		missing = slices.DeleteFunc(missing, func(d database) bool {
			if !d.at(name) {
				return false
			}
			empty[d] = size == 0
			return size > 0
		})
	})
	switch {
	case err != nil:
		return err
	case len(missing) == 0:
		return nil
	case empty[missing[0]]:
		return job.Flawed(job.Empty, "the dump of the database %s in the archive %s is empty", missing[0], archive)
	}
	return job.Flawed(job.Incomplete, "the archive %s holds no dump of the database %s", archive, missing[0])
}

// at reports whether a path of an archive is that of a dump of the database, or
// within it: …/postgresql_databases/localhost/name.
func (d database) at(name string) bool {
	parts := strings.Split(name, "/")
	i := slices.Index(parts, d.hook)
	if i < 0 || len(parts) < i+3 {
		return false
	}
	return d.name == "all" || parts[i+2] == d.name
}

// Files is where the configuration and what it names is read.
type Files interface {
	job.Files
	ReadDir(path string) ([]fs.DirEntry, error)
}
