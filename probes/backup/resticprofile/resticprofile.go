// Package resticprofile is the kind of backup that resticprofile makes: a profile
// of its configuration says where the repository of restic is, how it is opened
// and which snapshots count. The repository is checked as one of restic; what
// resticprofile says in its status file counts as evidence.
//
// resticprofile is never run, and neither is any command that stands in its
// configuration: whoever may write there would then be whoever the agent is.
package resticprofile

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restic"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "resticprofile",
		Summary:  "A repository of restic as a profile of resticprofile describes it; its configuration by the documentation only.",
		Keys:     []string{"config_file", "profile", "password_file", "snapshots"},
		Needs:    []string{"config_file"},
		Depths:   restic.Depths(),
		Trees:    true,
		Commands: restic.Commands(),
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return &backup{host: host, options: o} },
	}
}

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"config_file": o.ConfigFile, "password_file": o.PasswordFile} {
		if value != "" && !path.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

// A backup is one copy: the repository of a profile.
type backup struct {
	host    probes.Host
	options job.Options

	mu         sync.Mutex
	profile    string // as it was last read
	repository job.Copy
}

// read reads a file and those that it includes.
func (b *backup) read() (*configuration, error) {
	name := b.options.ConfigFile
	c := &configuration{file: name, budget: 1000}
	hostname, err := b.host.Files.ReadFile("/proc/sys/kernel/hostname", 1<<10)
	if err != nil {
		return nil, err
	}
	known := map[string]string{
		"Profile.Name": b.name(), "Hostname": strings.TrimSpace(string(hostname)), "ConfigDir": path.Dir(name),
	}
	files := []string{name}
	for i := 0; i < len(files); i++ {
		if i > maxFiles {
			return nil, malformed("%s includes too many files", name)
		}
		data, err := b.host.Files.ReadFile(files[i], maxFile)
		if err != nil {
			return nil, fmt.Errorf("the configuration of resticprofile: %w", err)
		}
		one, err := decode(files[i], data, known)
		if err != nil {
			return nil, err
		}
		// Only the first file includes others.
		for _, pattern := range texts(one["includes"]) {
			if i > 0 {
				break
			}
			more, err := b.match(pattern)
			if err != nil {
				return nil, err
			}
			files = append(files, more...)
		}
		c.all = merger{}.merge(c.all, one)
	}
	c.second = text(c.all["version"]) == "2"
	return c, nil
}

func (b *backup) name() string { return cmp.Or(b.options.Profile, "default") }

// match returns the files of a pattern beside the configuration.
func (b *backup) match(pattern string) ([]string, error) {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(b.options.ConfigFile), pattern)
	}
	entries, err := b.host.Files.ReadDir(path.Dir(pattern))
	if err != nil {
		return nil, fmt.Errorf("what the configuration of resticprofile includes: %w", err)
	}
	var files []string
	for _, entry := range entries {
		name := path.Join(path.Dir(pattern), entry.Name())
		if match, err := path.Match(path.Base(pattern), entry.Name()); err == nil && match && name != b.options.ConfigFile {
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return nil, probes.Because(probes.NotFound, fmt.Errorf("%s includes %.80q, and there is no such file", b.options.ConfigFile, pattern))
	}
	return files, nil
}

// open returns the repository of the profile, and the profile.
func (b *backup) open() (job.Copy, map[string]any, error) {
	c, err := b.read()
	if err != nil {
		return nil, nil, err
	}
	profile, err := c.profile(b.name(), 0)
	if err != nil {
		return nil, nil, err
	}
	place, err := b.place(profile)
	if err != nil {
		return nil, nil, fmt.Errorf("%s, profile %s: %w", c.file, b.name(), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	environment, err := place.Environment()
	if err != nil {
		return nil, nil, err
	}
	if now := fmt.Sprint(profile, environment); b.repository == nil || now != b.profile {
		b.profile, b.repository = now, restic.New(b.host, place)
	}
	return b.repository, profile, nil
}

// place is where the repository of a profile is.
func (b *backup) place(profile map[string]any) (restic.Place, error) {
	env, err := b.environment(profile)
	if err != nil {
		return restic.Place{}, err
	}
	where := cmp.Or(text(profile["repository"]), env["RESTIC_REPOSITORY"])
	if file := cmp.Or(text(profile["repository-file"]), env["RESTIC_REPOSITORY_FILE"]); file != "" && where == "" {
		data, err := b.host.Files.ReadFile(b.beside(file), maxFile)
		if err != nil {
			return restic.Place{}, fmt.Errorf("the repository-file: %w", err)
		}
		where = strings.TrimSpace(string(data))
	}
	where = strings.TrimPrefix(where, "local:")
	switch {
	case where == "":
		return restic.Place{}, malformed("it names no repository")
	case strings.Contains(where, "$"):
		return restic.Place{}, probes.Because(probes.Unsupported, errors.New("the repository is made of variables of the environment of resticprofile, which the agent does not know"))
	}
	if err := restic.Valid(where); err != nil {
		return restic.Place{}, probes.Because(probes.Unsupported, fmt.Errorf("the repository: %w", err))
	}
	return restic.Place{
		Repository: where, Password: b.password(profile, env), Counts: b.counts(profile),
		Environment: func() (map[string]string, error) { return env, nil },
	}, nil
}

// environment is what resticprofile gives restic: of the files of env-file in their
// order, and of env above them.
func (b *backup) environment(profile map[string]any) (map[string]string, error) {
	env := map[string]string{}
	for _, file := range texts(profile["env-file"]) {
		values, err := job.Environment(b.host.Files, b.beside(file))
		if err != nil {
			return nil, fmt.Errorf("the env-file: %w", err)
		}
		maps.Copy(env, values)
	}
	for name, value := range mapping(profile["env"]) {
		env[strings.ToUpper(name)] = text(value)
	}
	return env, nil
}

// beside returns the path of a file that is named beside the configuration.
func (b *backup) beside(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(path.Dir(b.options.ConfigFile), name)
}

// password finds the password of the repository. A command is not run, but one
// that only prints a file is understood.
func (b *backup) password(profile map[string]any, env map[string]string) func() (string, error) {
	file := b.options.PasswordFile
	for _, name := range []string{text(profile["password-file"]), env["RESTIC_PASSWORD_FILE"]} {
		if file == "" && name != "" {
			file = b.beside(name)
		}
	}
	command := cmp.Or(text(profile["password-command"]), env["RESTIC_PASSWORD_COMMAND"])
	if printed, is := job.PrintedFile(command); is && file == "" {
		file = printed
	}
	return func() (string, error) {
		switch {
		case file != "":
			return job.Password(b.host.Files, file)
		case env["RESTIC_PASSWORD"] != "":
			return env["RESTIC_PASSWORD"], nil
		case command != "":
			return "", probes.Because(probes.Auth, errors.New("the profile has the password from a command, which is not run: name its file under password_file"))
		}
		return "", probes.Because(probes.Auth, errors.New("the profile names no password: name its file under password_file"))
	}
}

// counts tells the snapshots of the profile from those of others in the same
// repository: by the host and the tags that it gives them.
func (b *backup) counts(profile map[string]any) func(restic.Snapshot) bool {
	if pattern := b.options.Snapshots; pattern != "" {
		return func(s restic.Snapshot) bool { return s.Matches(pattern) }
	}
	section := mapping(profile["backup"])
	host, tags := text(section["host"]), []string{}
	for _, several := range texts(section["tag"]) {
		for tag := range strings.SplitSeq(several, ",") {
			if tag = strings.TrimSpace(tag); tag != "" && tag != "true" && tag != "false" {
				tags = append(tags, tag)
			}
		}
	}
	return func(s restic.Snapshot) bool {
		if host != "" && host != "true" && host != "false" && s.Hostname != host {
			return false
		}
		return !slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(s.Tags, tag) })
	}
}

// Look reads the profile, and lists the snapshots of the repository.
func (b *backup) Look(ctx context.Context) (job.Sight, error) {
	repository, profile, err := b.open()
	if err != nil {
		return job.Sight{}, err
	}
	sight, err := repository.Look(ctx)
	section := mapping(profile["backup"])
	if sources := texts(section["source"]); len(sources) > 0 {
		sight.Notes = append(sight.Notes, "it is made of "+strings.Join(sources, ", "))
	}
	if file := text(profile["status-file"]); file != "" {
		evidence, notes := b.status(b.beside(file), mapping(profile["check"]))
		sight.Evidence, sight.Notes = append(sight.Evidence, evidence...), append(sight.Notes, notes...)
	}
	return sight, err
}

// status reads what resticprofile says of its last runs.
func (b *backup) status(file string, check map[string]any) ([]job.Evidence, []string) {
	data, err := b.host.Files.ReadFile(file, maxFile)
	if err != nil {
		return nil, []string{fmt.Sprintf("the status file of resticprofile cannot be read: %v", err)}
	}
	runs, err := parseStatus(data, b.name())
	if err != nil {
		return nil, []string{fmt.Sprintf("%s: %v", file, err)}
	}
	var evidence []job.Evidence
	var notes []string
	for _, name := range []string{"backup", "check", "retention", "forget", "prune"} {
		run, known := runs[name]
		switch {
		case !known || run.Time.IsZero():
		case !run.Success:
			notes = append(notes, fmt.Sprintf("the last %s of resticprofile failed at %s: %.200s", name, run.Time.UTC().Format(time.RFC3339), run.Error))
		case name == "check":
			depth := job.Structure
			if text(check["read-data"]) == "true" {
				depth = job.Read
			}
			evidence = append(evidence, job.Evidence{Depth: depth, At: run.Time, Tool: job.Tool{Name: "resticprofile"}})
		}
	}
	return evidence, notes
}

// A run is what the status file says of the last run of one command.
type run struct {
	Success bool      `json:"success"`
	Time    time.Time `json:"time"`
	Error   string    `json:"error"`
}

func parseStatus(data []byte, profile string) (map[string]run, error) {
	var status struct {
		Profiles map[string]map[string]run `json:"profiles"`
	}
	if err := json.Unmarshal(data, &status); err != nil {
		return nil, fmt.Errorf("it is no status file of resticprofile: %w", err)
	}
	return status.Profiles[profile], nil
}

// Check lets the repository be checked.
func (b *backup) Check(ctx context.Context, task job.Task) job.Outcome {
	repository, _, err := b.open()
	if err != nil {
		return job.Outcome{Err: err}
	}
	return repository.Check(ctx, task)
}
