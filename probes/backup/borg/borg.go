// Package borg is the kind of backup that is a repository of Borg 1.
//
// borg is asked with --bypass-lock, so that a backup can begin at any time; what
// it then finds wrong counts only if nobody wrote meanwhile. "borg check" is not
// used: it locks backups out. Instead every entry of every segment is compared
// with its checksum here, which needs neither the key nor a lock, and borg reads
// the newest archive to its end.
package borg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/device"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "borg",
		Summary:  "A repository of Borg on a file system; proven with Borg 1.2.",
		Keys:     []string{"repository", "password_file", "snapshots"},
		Needs:    []string{"repository", "password_file"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Commands: commands(),
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return &repository{host: host, options: o} },
	}
}

// commands lists what borg is asked. What it keeps on the side goes to a
// directory that is removed when it has ended.
func commands() []probes.Command {
	objects := []*regexp.Regexp{regexp.MustCompile(`/[^\x00\n:]*`), plain, regexp.MustCompile(`[A-Za-z0-9._@+][A-Za-z0-9._@+:-]*`)}
	command := func(name, help string, n int, args ...string) probes.Command {
		argv := []string{
			"env", "BORG_BASE_DIR=.", "BORG_PASSCOMMAND=cat {1}", "BORG_RELOCATED_REPO_ACCESS_IS_OK=yes",
			"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes", "borg", "--bypass-lock",
		}
		return probes.Command{Entry: name, Argv: append(argv, args...), Objects: objects[:n], Help: help}
	}
	return []probes.Command{
		{Entry: "borg-version", Argv: []string{"borg", "--version"}, Help: "The version of Borg."},
		command("borg-list", "The archives of a repository of Borg.", 2, "list", "--json", "{0}"),
		command("borg-list-archive", "What an archive holds, which a test restore is compared with.", 3, "list", "--json-lines", "{0}::{2}"),
		command("borg-extract", "Reads the newest archive to its end, and writes nothing.", 3, "extract", "--dry-run", "{0}::{2}"),
		command("borg-export", "The content of an archive, for a test restore.", 3, "export-tar", "{0}::{2}", "-"),
	}
}

var plain = regexp.MustCompile(`^/[A-Za-z0-9._/@-]+$`)

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"repository": o.Repository, "password_file": o.PasswordFile} {
		if value != "" && !path.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	if path.IsAbs(o.PasswordFile) && !plain.MatchString(o.PasswordFile) {
		// Borg takes a command that prints the password, and cuts it at blanks.
		errs = append(errs, probes.At("password_file", fmt.Errorf("%.80q may hold only letters, digits and ._/@-", o.PasswordFile)))
	}
	if strings.Contains(o.Repository, ":") {
		errs = append(errs, probes.At("repository", fmt.Errorf("%.80q may hold no colon", o.Repository)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

type repository struct {
	host    probes.Host
	options job.Options
}

// Look lists the archives and the segments.
func (r *repository) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "disk"}
	info, err := r.host.Files.Stat(path.Join(r.options.Repository, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return sight, probes.Because(probes.NotFound, fmt.Errorf("there is no repository of Borg at %s", r.options.Repository))
	}
	if err != nil {
		return sight, err
	}
	sight.Devices = device.Of(r.host.Files, info)
	if sight.Units, err = r.segments(ctx); err != nil {
		return sight, err
	}
	busy, notes, err := r.locks()
	if err != nil {
		return sight, err
	}
	sight.Busy, sight.Notes = busy, notes
	version, err := r.host.Commands.Run(ctx, "borg-version")
	if probes.ReasonOf(err) == probes.NotFound {
		return sight, probes.Because(probes.Unsupported, errors.New("borg is not installed"))
	}
	if err != nil {
		return sight, err
	}
	sight.Tools = []job.Tool{judge(version)}
	list, err := r.list(ctx)
	if err != nil {
		return sight, err
	}
	sight.Points, sight.Encrypted, err = parseArchives(list, r.options.Snapshots)
	return sight, err
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

func judge(version probes.Output) job.Tool {
	return job.Tool{Name: "borg", Version: number.FindString(string(version.Stdout))}
}

func (r *repository) list(ctx context.Context) ([]byte, error) {
	out, err := r.host.Commands.Run(ctx, "borg-list", r.options.Repository, r.options.PasswordFile)
	if err == nil {
		err = failed(out)
	}
	return out.Stdout, err
}

// parseArchives reads the list of archives. Borg 1 prints the time of its zone,
// which is UTC here.
func parseArchives(out []byte, pattern string) ([]job.Point, string, error) {
	var list struct {
		Archives []struct {
			Name  string `json:"name"`
			Start string `json:"start"`
		} `json:"archives"`
		Encryption struct {
			Mode string `json:"mode"`
		} `json:"encryption"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, "", probes.Because(probes.Malformed, fmt.Errorf("borg printed no list of archives: %w", err))
	}
	var points []job.Point
	for _, a := range list.Archives {
		at, err := time.Parse("2006-01-02T15:04:05.999999", a.Start)
		if err != nil || a.Name == "" {
			return nil, "", probes.Because(probes.Malformed, fmt.Errorf("borg told of the archive %.40q of %.40q", a.Name, a.Start))
		}
		if match, err := doublestar.Match(pattern, a.Name); pattern != "" && (err != nil || !match) || strings.Contains(a.Name, ".checkpoint") {
			continue // a checkpoint is what an interrupted backup left
		}
		points = append(points, job.Point{ID: a.Name, At: at})
	}
	slices.SortStableFunc(points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	encrypted := "yes"
	if mode := list.Encryption.Mode; mode == "none" || strings.HasPrefix(mode, "authenticated") {
		encrypted = "no"
	}
	return points, encrypted, nil
}

// failed says why borg did not succeed.
func failed(out probes.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := string(out.Stderr)
	line := strings.TrimSpace(text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:])
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	switch {
	case out.ExitCode == 127, has("No such file or directory: 'borg'"):
		return probes.Because(probes.Unsupported, errors.New("borg is not installed"))
	case out.ExitCode == 52, has("is incorrect", "exited with status", "returned non-zero exit status", "PasscommandFailure"):
		return probes.Because(probes.Auth, errors.New("borg: the passphrase is wrong, or its file cannot be read"))
	case has("Permission denied"):
		return probes.Because(probes.PermissionDenied, fmt.Errorf("borg: %.200s", line))
	case has("LockTimeout", "Failed to create/acquire the lock"):
		return probes.Because(probes.Locked, fmt.Errorf("borg: %.200s", line))
	case has("ObjectNotFound", "not found in repository", "missing chunk", "Missing segment", "No segment"), has("No such file") && has("/data/"):
		return job.Flawed(job.Incomplete, "borg: %.200s", first(text, "not found", "issing", "No segment", "No such file"))
	case has("IntegrityError", "integrity", "checksum mismatch", "corrupt", "Data integrity error", "Invalid segment", "Unpack", "not a valid"):
		return job.Flawed(job.Damaged, "borg: %.200s", first(text, "ntegrity", "mismatch", "orrupt", "not a valid"))
	case has("does not exist"):
		return probes.Because(probes.NotFound, fmt.Errorf("borg: %.200s", line))
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("borg ended with the status %d: %.200s", out.ExitCode, line))
}

// first returns the first line with one of the words.
func first(text string, words ...string) string {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(text)
}

// Check does a task.
func (r *repository) Check(ctx context.Context, task job.Task) job.Outcome {
	return job.Unlocked(r.state, func(out *job.Outcome) error {
		if version, err := r.host.Commands.Run(ctx, "borg-version"); err == nil {
			out.Judged(judge(version))
		}
		switch task.Depth {
		case job.Structure:
			return r.structure(ctx, task, out)
		case job.Read:
			return r.read(ctx, task, out)
		case job.Restored, job.Asserted:
			return r.restore(ctx, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a repository of Borg is not checked by %s", task.Depth))
	})
}

// state returns what every transaction changes, or the error that somebody is
// writing now.
func (r *repository) state() (string, error) {
	busy, _, err := r.locks()
	if err != nil {
		return "", err
	}
	if busy != "" {
		return "", job.Busy("%s", busy)
	}
	entries, err := r.host.Files.ReadDir(r.options.Repository)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name()) // index.N and hints.N count the transactions
	}
	return strings.Join(names, "\n"), err
}
