// Package pgbackrest is the kind of backup that is a repository of pgBackRest.
//
// A repository on a file system is read without pgBackRest: its manifests hold
// the size and the checksum of every file as it lies there, and the name of each
// segment of the log holds that of the segment. What lies elsewhere is read
// through "pgbackrest repo-get". Neither takes a lock, writes a log or asks the
// database, so that a backup can begin at any time. "pgbackrest verify" is not
// used: it ends with 0 whatever it finds, and reads everything each time.
package pgbackrest

import (
	"bytes"
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
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/stream"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "pgbackrest",
		Summary:  "A stanza of pgBackRest in one of its repositories, with the log behind the newest backup; proven with pgBackRest 2.45.",
		Keys:     []string{"stanza", "config_file", "repository"},
		Needs:    []string{"stanza"},
		Log:      true,
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Loaded, job.Asserted},
		Commands: slices.Concat(commands(), stream.Commands(), engine.Commands()),
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &repository{host: host, options: o, decoder: stream.Decoder{Commands: host.Commands, Pipes: host.Pipes}}
		},
	}
}

var (
	stanza = regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_.-]*`)
	number = regexp.MustCompile(`[0-9]{1,3}`)
	label  = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?$`)
)

// commands lists what pgBackRest is asked. None locks or logs. The first object
// names the configuration; pgBackRest looks for it itself when that says nothing.
func commands() []probes.Command {
	objects := []*regexp.Regexp{regexp.MustCompile(`--config=/[^\x00\n]*|--log-timestamp`), stanza, number}
	command := func(name, help string, object *regexp.Regexp, args ...string) probes.Command {
		argv := []string{
			"pgbackrest", "{0}", "--stanza={1}", "--repo={2}",
			"--log-level-file=off", "--log-level-console=off", "--log-level-stderr=warn",
		}
		return probes.Command{Entry: name, Argv: append(argv, args...), Objects: append(slices.Clone(objects), object), Help: help}
	}
	inside := regexp.MustCompile(`(archive|backup)/[^\x00\n]*`)
	restore := command("pgbackrest-restore", "Restores a backup into a directory of the agent, for a test.", regexp.MustCompile(`[0-9DFI_-]+`),
		"--set={3}", "--reset-pg1-host", "--pg1-path={4}/data", "--tablespace-map-all={4}/tablespaces", "--lock-path={4}/lock", "--spool-path={4}/spool",
		"--type=none", "--archive-mode=off", "restore")
	restore.Objects = append(restore.Objects, regexp.MustCompile(`/[^\x00\n=]*`))
	return []probes.Command{
		{Entry: "pgbackrest-version", Argv: []string{"pgbackrest", "version"}, Help: "The version of pgBackRest."},
		command("pgbackrest-ls", "What lies in a repository that is no directory of this host.", inside, "--recurse", "--output=json", "repo-ls", "{3}"),
		command("pgbackrest-get", "A description of backups, decrypted, from such a repository.", inside, "repo-get", "{3}"),
		command("pgbackrest-get-raw", "A file of such a repository, to compare it with its checksum.", inside, "--raw", "repo-get", "{3}"),
		restore,
	}
}

func validate(o job.Options) error {
	var errs []error
	if o.ConfigFile != "" && !path.IsAbs(o.ConfigFile) {
		errs = append(errs, probes.At("config_file", fmt.Errorf("%.80q is not an absolute path", o.ConfigFile)))
	}
	if o.Stanza != "" && stanza.FindString(o.Stanza) != o.Stanza {
		errs = append(errs, probes.At("stanza", fmt.Errorf("%.80q cannot be the name of a stanza", o.Stanza)))
	}
	if o.Repository != "" && (number.FindString(o.Repository) != o.Repository || strings.Trim(o.Repository, "0") == "") {
		errs = append(errs, probes.At("repository", fmt.Errorf("%.80q is not the number of a repository, such as 2 for repo2", o.Repository)))
	}
	return errors.Join(errs...)
}

type repository struct {
	host    probes.Host
	options job.Options
	decoder stream.Decoder // of Check
	set     settings
	sealed  bool // the repository is encrypted
}

func (r *repository) number() string { return cmp.Or(r.options.Repository, "1") }

// objects are those with which every command begins.
func (r *repository) objects() []string {
	config := "--log-timestamp" // which says nothing
	if r.options.ConfigFile != "" {
		config = "--config=" + r.options.ConfigFile
	}
	return []string{config, r.options.Stanza, r.number()}
}

// A view is what a repository holds at one moment.
type view struct {
	store    store
	catalog  catalogue // of backups
	archives catalogue // of the log
	notes    []string
}

// open finds the repository and reads its two lists.
func (r *repository) open(ctx context.Context) (*repository, *view, error) {
	set, err := r.configuration()
	if err != nil {
		return nil, nil, err
	}
	now := &repository{host: r.host, options: r.options, decoder: r.decoder, set: set}
	v := &view{store: &program{r.host, r.objects()}}
	if set.local() {
		v.store = &directory{r.host, set.path}
		if _, err := r.host.Files.Stat(path.Join(set.path, "backup", r.options.Stanza)); errors.Is(err, fs.ErrNotExist) {
			return now, nil, probes.Because(probes.NotFound, fmt.Errorf("the repository %s has no stanza %s", set.path, r.options.Stanza))
		}
	}
	if now.sealed, err = sealed(ctx, v.store, now.backupPath("backup.info")); err != nil {
		return now, nil, err
	}
	var notes []string
	if v.catalog, v.notes, err = now.catalogue(ctx, v.store, now.backupPath("backup.info")); err != nil {
		return now, nil, now.missing(err)
	}
	if v.archives, notes, err = now.catalogue(ctx, v.store, path.Join("archive", r.options.Stanza, "archive.info")); err != nil {
		return now, nil, now.missing(err)
	}
	v.notes = append(v.notes, notes...)
	return now, v, v.fits()
}

// missing tells a stanza that lost its lists from one that never was.
func (r *repository) missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) && r.set.local() {
		return job.Flawed(job.Incomplete, "the stanza %s lacks backup.info or archive.info, without which nothing can be restored", r.options.Stanza)
	}
	return err
}

func (r *repository) backupPath(name string) string {
	return path.Join("backup", r.options.Stanza, name)
}

// fits returns a flaw if the backups are of another database than the log.
func (v *view) fits() error {
	b, a := v.catalog.history[v.catalog.current], v.archives.history[v.archives.current]
	if b.id != a.id || b.system != a.system || b.version != a.version {
		return job.Flawed(job.Mismatch, "the backups are of the database %d of version %s, and the log is of %d of version %s", b.system, b.version, a.system, a.version)
	}
	return nil
}

// Look lists the backups and the log.
func (r *repository) Look(ctx context.Context) (job.Sight, error) {
	r, v, err := r.open(ctx)
	if err != nil {
		return job.Sight{}, err
	}
	sight := job.Sight{
		Media: r.set.media(), Encrypted: map[bool]string{true: "yes", false: "no"}[r.sealed], Notes: v.notes,
		Tools: []job.Tool{r.reader(ctx)},
	}
	if info, err := r.host.Files.Stat(r.set.path); r.set.local() && err == nil {
		sight.Devices = device.Of(r.host.Files, info)
	}
	if sight.Busy, err = r.running(); err != nil {
		return sight, err
	}
	logs, err := r.logs(ctx, v, v.catalog.backups)
	if err != nil {
		return sight, err
	}
	for _, b := range v.catalog.backups {
		sight.Points = append(sight.Points, job.Point{
			ID: b.Label, At: b.at(), Type: b.Type, Size: job.Of(b.Size), Units: v.unitsOf(b, logs),
		})
		sight.Units = append(sight.Units, shares(b)...)
	}
	sight.Units = append(sight.Units, logs.units()...)
	if len(v.catalog.backups) > 0 {
		b := v.catalog.backups[0]
		if archive := logs.archives[b.Database]; archive != nil {
			sight.Log, _ = archive.After(b.Stop, time.Now().Add(-settle)) // of a gap, the structure tells
		}
	}
	return sight, nil
}

// reader is who reads the repository.
func (r *repository) reader(ctx context.Context) job.Tool {
	if r.set.local() {
		return job.Tool{Name: "builtin pgbackrest", Version: "format " + format}
	}
	return r.tool(ctx)
}

var version = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

func (r *repository) tool(ctx context.Context) job.Tool {
	tool := job.Tool{Name: "pgbackrest"}
	if out, err := r.host.Commands.Run(ctx, "pgbackrest-version"); err == nil {
		tool.Version = version.FindString(string(out.Stdout))
	}
	return tool
}

// running says whether a backup or an expiry holds its lock, which the kernel
// tells without taking it.
func (r *repository) running() (string, error) {
	held, err := cluster.Held(r.host, r.set.locks, r.options.Stanza+"-backup*.lock")
	if held == "" || err != nil {
		return "", err
	}
	return "a backup or an expiry of the stanza " + r.options.Stanza + " is running", nil
}

// Check does a task.
func (r *repository) Check(ctx context.Context, task job.Task) job.Outcome {
	var (
		now *repository
		v   *view
	)
	return job.Unlocked(func() (state string, err error) {
		if now, v, err = r.open(ctx); err != nil {
			return "", err
		}
		for _, b := range v.catalog.backups {
			state += b.Label + "\n" // what an expiry removes is not missing
		}
		return state, nil
	}, func(out *job.Outcome) error {
		out.Judged(now.reader(ctx))
		switch task.Depth {
		case job.Structure:
			return now.structure(ctx, v, task, out)
		case job.Read:
			return now.read(ctx, v, task, out)
		case job.Restored, job.Loaded, job.Asserted:
			return now.restore(ctx, v, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a repository of pgBackRest is not checked by %s", task.Depth))
	})
}

// failed says why pgBackRest did not succeed, by the number of its error.
func failed(out probes.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := firstError(out.Stderr)
	reason, known := map[int]probes.Reason{
		50: probes.Locked, 49: probes.Network, 102: probes.Network, 103: probes.Unavailable,
	}[out.ExitCode]
	switch {
	case strings.Contains(text, "terminated unexpectedly [255]"): // which is how ssh ends when it reaches nobody
		return probes.Because(probes.Network, fmt.Errorf("pgbackrest: %s", text))
	case known:
		return probes.Because(reason, fmt.Errorf("pgbackrest: %s", text))
	case strings.Contains(text, "Permission denied"):
		return probes.Because(probes.PermissionDenied, fmt.Errorf("pgbackrest: %s", text))
	case out.ExitCode == 55:
		return &fs.PathError{Op: "pgbackrest", Path: text, Err: fs.ErrNotExist}
	case out.ExitCode == 95:
		return fmt.Errorf("%w: pgbackrest: %s", errCipher, text)
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("pgbackrest ended with the status %d: %s", out.ExitCode, text))
}

// firstError is the first line in which pgBackRest complains, cut to a length.
func firstError(stderr []byte) string {
	for line := range bytes.Lines(stderr) {
		if bytes.Contains(line, []byte("ERROR:")) {
			return strings.TrimSpace(string(line[:min(len(line), 300)]))
		}
	}
	return strings.TrimSpace(string(stderr[:min(len(stderr), 300)]))
}
