// Package restic is the kind of backup that is a repository of restic.
//
// restic is only ever asked with --no-lock, so that a backup can begin at any
// time; what such a check finds wrong counts only if nobody wrote meanwhile. A
// repository on a file system is read without restic: each of its files is named
// by the SHA-256 of its content, which needs neither the password nor a lock, and
// names the file that is damaged.
package restic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "restic",
		Summary:  "A repository of restic, on a file system or behind a server; proven with restic 0.14 and 0.18.",
		Keys:     []string{"repository", "password_file", "environment_file", "snapshots"},
		Needs:    []string{"repository", "password_file"},
		Depths:   Depths(),
		Trees:    true,
		Commands: Commands(),
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			return New(host, Place{
				Repository:  o.Repository,
				Password:    func() (string, error) { return job.Password(host.Files, o.PasswordFile) },
				Environment: func() (map[string]string, error) { return job.Environment(host.Files, o.EnvironmentFile) },
				Counts:      func(s Snapshot) bool { return s.Matches(o.Snapshots) },
			})
		},
	}
}

// Depths lists what a repository can be checked by.
func Depths() []job.Depth {
	return []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted}
}

// A Place is where a repository is, and what is needed to read it.
type Place struct {
	Repository  string // as restic writes it
	Password    func() (string, error)
	Environment func() (map[string]string, error) // of which restic is given Variables
	Counts      func(Snapshot) bool               // whether a snapshot is one of the backup
}

// variables are those of the manual of restic ("Environment Variables") by which it
// is let into a storage, without those that make it run a program, as profiles of AWS
// and AZURE_FORCE_CLI_CREDENTIAL do.
var variables = regexp.MustCompile(`AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)` +
	`|RESTIC_AWS_ASSUME_ROLE_[A-Z_]+|RESTIC_REST_(?:USERNAME|PASSWORD)|AZURE_(?:ACCOUNT_(?:NAME|KEY|SAS)|ENDPOINT_SUFFIX)` +
	`|B2_ACCOUNT_(?:ID|KEY)|GOOGLE_(?:PROJECT_ID|APPLICATION_CREDENTIALS|ACCESS_TOKEN)|OS_[A-Z_]+|ST_(?:AUTH|USER|KEY)`)

// New returns the copy of a place. It touches nothing.
func New(host probes.Host, p Place) job.Copy {
	return &repository{host: host, place: p, local: local(p.Repository)}
}

// Commands lists what restic is asked. None takes a lock, keeps a cache, or
// writes to the repository. The password is what it reads from its input.
func Commands() []probes.Command {
	place := []*regexp.Regexp{regexp.MustCompile(`[A-Za-z0-9/.][^\x00\n]*`), job.Variables(variables)}
	id := regexp.MustCompile(`[0-9a-f]{8,64}`)
	command := func(name, help string, object *regexp.Regexp, args ...string) probes.Command {
		objects := slices.Clone(place)
		if object != nil {
			objects = append(objects, object)
		}
		argv := append([]string{"restic", "--repo", "{0}", "--password-file", "/dev/stdin", "--no-lock", "--no-cache"}, args...)
		return probes.Command{Entry: name, Argv: argv, Objects: objects, Environment: "{1}", Help: help}
	}
	return []probes.Command{
		{Entry: "restic-version", Argv: []string{"restic", "version"}, Help: "The version of restic."},
		command("restic-snapshots", "The snapshots of a repository of restic.", nil, "--json", "snapshots"),
		command("restic-locks", "Who holds a lock.", nil, "--quiet", "list", "locks"),
		command("restic-lock", "Whose a lock is, and since when.", id, "cat", "lock", "{2}"),
		command("restic-ls", "What a snapshot holds, which a test restore is compared with.", id, "--json", "ls", "{2}"),
		command("restic-check", "Whether the index, the packs and the trees fit together.", nil, "check"),
		command("restic-check-subset", "The same, and a share of the packs is read, for a repository behind a server.", regexp.MustCompile(`[0-9]{1,3}/[0-9]{1,3}`), "check", "--read-data-subset={2}"),
		command("restic-dump", "The content of a snapshot as an archive, for a test restore.", id, "--quiet", "dump", "--archive", "tar", "{2}", "/"),
	}
}

func validate(o job.Options) error {
	var errs []error
	for key, file := range map[string]string{"password_file": o.PasswordFile, "environment_file": o.EnvironmentFile} {
		if file != "" && !filepath.IsAbs(file) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", file)))
		}
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	if o.Repository != "" {
		if err := Valid(o.Repository); err != nil {
			errs = append(errs, probes.At("repository", err))
		}
	}
	return errors.Join(errs...)
}

// Valid says why a place cannot be that of a repository.
func Valid(place string) error {
	scheme, rest, server := strings.Cut(place, ":")
	switch {
	case path.IsAbs(place):
	case !server || scheme == "local":
		return fmt.Errorf("%.80q is neither an absolute path nor a place like sftp:user@host:/path", place)
	case secret(rest):
		// The place would be seen by everyone who may list processes.
		return errors.New("holds a password; set RESTIC_REST_PASSWORD in environment_file, or in the environment of the profile")
	}
	return nil
}

func secret(text string) bool {
	place, err := url.Parse(text)
	if err != nil || place.User == nil {
		return false
	}
	_, set := place.User.Password()
	return set
}

// local returns the directory of a repository on a file system; empty: it is
// behind a server.
func local(place string) string {
	if path.IsAbs(place) {
		return path.Clean(place)
	}
	return ""
}

// A repository is one copy. Its fields behind mu are shared by Look and Check.
type repository struct {
	host  probes.Host
	place Place
	local string

	mu     sync.Mutex
	tool   job.Tool
	shards map[string]shard // of the packs, by directory
}

// run asks restic about the repository. What it prints goes to out, as it comes
// and with the lowest priority; without one it is returned.
func (r *repository) run(ctx context.Context, out io.Writer, entry string, objects ...string) (probes.Output, error) {
	password, err := r.place.Password()
	if err != nil {
		return probes.Output{}, err
	}
	environment, err := r.place.Environment()
	if err != nil {
		return probes.Output{}, err
	}
	given, _ := job.Assignments(environment, variables)
	objects = append([]string{r.place.Repository, given}, objects...)
	printed, err := r.host.Pipes.Pipe(ctx, strings.NewReader(password), out, entry, objects...)
	switch {
	case probes.ReasonOf(err) == probes.NotFound:
		return printed, probes.Because(probes.Unsupported, errors.New("restic is not installed"))
	case err != nil && ctx.Err() != nil:
		// It tries again for a quarter of an hour, and says why.
		return printed, cmp.Or(obstacle(string(printed.Stderr)), err)
	}
	return printed, err
}

// judge returns restic with its version.
func (r *repository) judge(ctx context.Context) job.Tool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tool.Version == "" {
		r.tool.Name = "restic"
		if out, err := r.host.Commands.Run(ctx, "restic-version"); err == nil {
			r.tool.Version = version.FindString(string(out.Stdout))
		}
	}
	return r.tool
}

var version = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// Look lists the snapshots and the packs.
func (r *repository) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Encrypted: "yes", Media: media(r.place.Repository)}
	if deadline, limited := ctx.Deadline(); limited && r.local == "" {
		// What restic says of a server that it cannot reach counts more than that
		// time is over.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/5))
		defer cancel()
	}
	sight.Notes = r.withheld()
	if err := r.see(ctx, &sight); err != nil {
		return sight, err
	}
	points, err := r.snapshots(ctx)
	if err != nil && len(points) == 0 {
		return sight, err
	}
	sight.Points = points
	sight.Tools = []job.Tool{r.judge(ctx)}
	busy, notes, locked := r.locks(ctx)
	sight.Busy, sight.Notes = busy, append(sight.Notes, notes...)
	return sight, errors.Join(err, locked)
}

// withheld tells people of variables that restic is not given.
func (r *repository) withheld() []string {
	environment, err := r.place.Environment()
	if err != nil {
		return nil // restic cannot be asked, and says why
	}
	_, others := job.Assignments(environment, variables)
	return job.Withheld("restic", others, done)
}

// done are the variables whose work options of the job do.
var done = regexp.MustCompile(`RESTIC_(?:REPOSITORY|PASSWORD)(?:_FILE|_COMMAND)?`)

// media is what a repository lies on.
func media(place string) string {
	scheme, _, server := strings.Cut(place, ":")
	switch {
	case path.IsAbs(place) || !server:
		return "disk"
	case slices.Contains([]string{"s3", "b2", "azure", "gs", "swift"}, scheme):
		return "object_storage"
	}
	return "server"
}

// snapshots lists the snapshots that count, newest first. With an error there may
// be some: those beside one that is damaged.
func (r *repository) snapshots(ctx context.Context) ([]job.Point, error) {
	out, err := r.run(ctx, nil, "restic-snapshots")
	if err == nil {
		err = failed(out)
	}
	if err != nil {
		return nil, err
	}
	points, err := parseSnapshots(out.Stdout, r.place.Counts)
	if err != nil {
		return nil, err
	}
	// restic before 0.17 says so, leaves the snapshot out, and ends with 0.
	return points, complaint(string(out.Stderr))
}

// Check does a task.
func (r *repository) Check(ctx context.Context, task job.Task) job.Outcome {
	state := func() (string, error) { return r.writers(ctx) }
	return job.Unlocked(state, func(out *job.Outcome) error {
		switch task.Depth {
		case job.Structure:
			return r.structure(ctx, task, out)
		case job.Read:
			return r.read(ctx, task, out)
		case job.Restored, job.Asserted:
			return r.restore(ctx, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a repository of restic is not checked by %s", task.Depth))
	})
}

// writers returns what changes when somebody has written, or the error that
// somebody is writing now.
func (r *repository) writers(ctx context.Context) (string, error) {
	busy, _, err := r.locks(ctx)
	if err != nil {
		return "", err
	}
	if busy != "" {
		return "", job.Busy("%s", busy)
	}
	out, err := r.run(ctx, nil, "restic-snapshots")
	return string(out.Stdout), err
}

// structure lets restic check what it can without reading the data, and demands
// that the snapshot holds something.
func (r *repository) structure(ctx context.Context, task job.Task, out *job.Outcome) error {
	if err := r.metadata(ctx); err != nil {
		return err
	}
	checked, err := r.pipe(ctx, "restic-check")
	if err != nil {
		return err
	}
	if err := failed(checked); err != nil {
		return err
	}
	out.Judged(r.judge(ctx))
	for _, hint := range hints(string(checked.Stdout) + "\n" + string(checked.Stderr)) {
		out.Note("%s", hint)
	}
	list, err := r.list(ctx, task.Point.ID)
	if err != nil {
		return err
	}
	out.Size, out.Files = job.Of(list.Bytes), job.Of(list.Files)
	if list.Files == 0 {
		return job.Flawed(job.Empty, "the snapshot %s holds no file", task.Point.ID)
	}
	return nil
}
