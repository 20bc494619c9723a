// Package duplicity is the kind of backup that duplicity makes: full sets of
// volumes, and chains of incremental ones, each of which needs all before it.
//
// duplicity takes its lock beside the cache of the user, which is left alone: it
// gets a directory of its own for all that it keeps, so that a backup can begin at
// any time. Volumes on a file system are read without duplicity, and compared with
// the SHA-1 that the manifest of their set tells. "duplicity cleanup" is never run.
package duplicity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "duplicity",
		Summary:  "Full and incremental sets of duplicity, on a file system or behind a server; proven with duplicity 0.8.22.",
		Keys:     []string{"repository", "password_file", "archive_dir", "environment_file"},
		Needs:    []string{"repository"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Trees:    true,
		Commands: commands(),
		Check:    validate,
		Open:     open,
	}
}

// variables are those of the manual of duplicity ("ENVIRONMENT VARIABLES", and what
// its storages need) by which it is let into a storage.
var variables = regexp.MustCompile(`FTP_PASSWORD|BACKEND_PASSWORD|AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)` +
	`|AZURE_(?:ACCOUNT_NAME|ACCOUNT_KEY|CONNECTION_STRING)|GS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)` +
	`|(?:SWIFT|OS)_[A-Z_]+|CLOUDFILES_(?:USERNAME|APIKEY|AUTHURL)|DPBX_ACCESS_TOKEN`)

// done are the variables whose work options of the job do.
var done = regexp.MustCompile(`PASSPHRASE|SIGN_PASSPHRASE`)

// commands lists what duplicity and gpg are asked. What they keep goes to
// directories that are removed afterwards.
func commands() []probes.Command {
	place := regexp.MustCompile(`[A-Za-z0-9+/][^\x00\n]*`)
	absolute := regexp.MustCompile(`/[^\x00\n]*`)
	instant := regexp.MustCompile(`[0-9]{8}T[0-9]{6}Z`)
	environment := job.Variables(variables)
	list := []probes.Command{
		{Entry: "duplicity-version", Argv: []string{"duplicity", "--version"}, Help: "The version of duplicity."},
		{
			Entry: "duplicity-manifest", Objects: []*regexp.Regexp{absolute, absolute},
			Argv: []string{"gpg", "--homedir", ".", "--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase-file", "{0}", "--decrypt", "{1}"},
			Help: "The manifest of a set of duplicity, which tells the checksums of its volumes.",
		},
		{
			Entry: "duplicity-status", Objects: []*regexp.Regexp{place, environment}, Environment: "{1}", Through: []string{"env", "HOME=."},
			Argv: []string{"duplicity", "collection-status", "--dry-run", "--num-retries=1", "--archive-dir", ".", "--log-fd=1", "-v0", "{0}"},
			Help: "The sets behind a server, by their names; nothing of them is fetched.",
		},
	}
	for _, encrypted := range []bool{true, false} {
		// {0}: where the sets are; {1}: the scratch directory; {2}: of when; {3}: the environment.
		objects, suffix, more := []*regexp.Regexp{place, absolute, instant, environment}, "-plain", []string{"--no-encryption"}
		var secrets map[string]string
		if encrypted {
			objects, suffix, more = append(objects, absolute), "", nil
			secrets = map[string]string{"PASSPHRASE": "{4}"}
		}
		command := func(name, help string, args ...string) {
			argv := append([]string{"duplicity"}, args[:1]...)
			argv = append(append(argv, more...), "--time={2}", "--archive-dir={1}", "--tempdir={1}", "--log-fd=1", "-v0")
			list = append(list, probes.Command{
				Entry: "duplicity-" + name + suffix, Argv: append(argv, args[1:]...), Objects: objects, Help: help,
				Through: []string{"env", "HOME=."}, Secrets: secrets, Environment: "{3}",
			})
		}
		command("list", "What a set holds, which a test restore is compared with.", "list-current-files", "{0}")
		command("restore", "Restores a set, for a test restore and to read sets behind a server.", "restore", "{0}", "{1}/restored")
	}
	return list
}

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"password_file": o.PasswordFile, "archive_dir": o.ArchiveDir, "environment_file": o.EnvironmentFile} {
		if value != "" && !filepath.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	place, err := url.Parse(o.Repository)
	switch {
	case o.Repository == "", path.IsAbs(o.Repository):
	case err != nil || place.Scheme == "":
		errs = append(errs, probes.At("repository", errors.New("is neither an absolute path nor a URL of duplicity such as sftp://user@host/path")))
	case place.Scheme == "file" && !path.IsAbs(place.Path):
		errs = append(errs, probes.At("repository", fmt.Errorf("%.80q holds no absolute path", o.Repository)))
	case place.User != nil:
		if _, set := place.User.Password(); set {
			// The place would be seen by everyone who may list processes.
			errs = append(errs, probes.At("repository", errors.New("holds a password; set FTP_PASSWORD in environment_file")))
		}
	}
	return errors.Join(errs...)
}

// A target is one copy.
type target struct {
	host    probes.Host
	options job.Options
	place   string // as duplicity is told
	local   string // directory; empty: it is behind a server
}

func open(host probes.Host, o job.Options) job.Copy {
	t := &target{host: host, options: o, place: o.Repository}
	switch place, err := url.Parse(o.Repository); {
	case path.IsAbs(o.Repository):
		t.local = path.Clean(o.Repository)
	case err == nil && place.Scheme == "file":
		t.local = path.Clean(place.Path)
	}
	if t.local != "" {
		t.place = "file://" + t.local
	}
	return t
}

// environment returns what duplicity is given of the file with variables, and notes of
// what it is not given.
func (t *target) environment() (string, []string, error) {
	values, err := job.Environment(t.host.Files, t.options.EnvironmentFile)
	if err != nil {
		return "", nil, err
	}
	given, others := job.Assignments(values, variables)
	return given, job.Withheld("duplicity", others, done), nil
}

// Look lists the sets.
func (t *target) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk"}
	sets, err := t.sets(ctx, &sight)
	if err != nil {
		return sight, err
	}
	sight.Points = sets.points()
	sight.Notes = append(sight.Notes, sets.notes()...)
	if t.local != "" {
		sight.Units = sets.units()
		sight.Encrypted = sets.encrypted()
	} else {
		for _, p := range sight.Points {
			sight.Units = append(sight.Units, job.Unit{ID: p.ID, Bytes: 1})
		}
	}
	tool, err := t.judge(ctx)
	if t.local != "" && err != nil {
		tool, err = job.Tool{Name: "builtin names", Version: "1"}, nil
	}
	sight.Tools = []job.Tool{tool}
	return sight, err
}

// sets lists the sets on a file system by the names of their files, and those
// behind a server by what duplicity tells.
func (t *target) sets(ctx context.Context, sight *job.Sight) (sets, error) {
	if t.local == "" {
		sight.Media = media(t.place)
		return t.status(ctx, sight)
	}
	// duplicity would make a directory that is not there.
	info, err := t.host.Files.Stat(t.local)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, probes.Because(probes.NotFound, fmt.Errorf("there is no directory %s", t.local))
	}
	if err != nil {
		return nil, err
	}
	sight.Devices = device.Of(t.host.Files, info)
	entries, err := t.host.Files.ReadDir(t.local)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // just removed
		}
		if info.Mode().IsRegular() {
			files = append(files, file{entry.Name(), info.Size(), info.ModTime()})
		}
	}
	return parseNames(files), nil
}

// media is what sets behind a server lie on.
func media(place string) string {
	scheme, _, _ := strings.Cut(place, ":")
	for _, storage := range []string{"s3", "boto3", "b2", "azure", "gs", "swift"} {
		if strings.HasPrefix(scheme, storage) {
			return "object_storage"
		}
	}
	return "server"
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// judge returns duplicity with its version.
func (t *target) judge(ctx context.Context) (job.Tool, error) {
	out, err := t.host.Commands.Run(ctx, "duplicity-version")
	if probes.ReasonOf(err) == probes.NotFound {
		err = probes.Because(probes.Unsupported, errors.New("duplicity is not installed"))
	}
	return job.Tool{Name: "duplicity", Version: number.FindString(string(out.Stdout))}, err
}

// Check does a task.
func (t *target) Check(ctx context.Context, task job.Task) job.Outcome {
	var now sets
	state := func() (string, error) {
		var err error
		now, err = t.sets(ctx, &job.Sight{})
		return now.state(), err
	}
	return job.Unlocked(state, func(out *job.Outcome) error {
		switch task.Depth {
		case job.Structure:
			return t.structure(ctx, now, task.Point.ID, out)
		case job.Read:
			return t.read(ctx, now, task, out)
		case job.Restored, job.Asserted:
			return t.restore(ctx, now, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("sets of duplicity are not checked by %s", task.Depth))
	})
}
