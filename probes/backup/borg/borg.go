// Package borg is the kind of backup that is a repository of Borg 1, on a file
// system of this host or behind SSH.
//
// borg is asked with --bypass-lock, so that a backup can begin at any time; what
// it then finds wrong counts only if nobody wrote meanwhile. "borg check" is not
// used: it locks backups out. Instead every entry of every segment is compared
// with its checksum here, which needs neither the key nor a lock, and borg reads
// the newest archive to its end. Behind SSH no segment can be seen: borg reads
// one archive after the other.
package borg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "borg",
		Summary:  "A repository of Borg, on a file system or behind SSH; proven with Borg 1.2.",
		Keys:     []string{"repository", "password_file", "key_directory", "ssh_command", "snapshots"},
		Needs:    []string{"repository", "password_file"},
		Depths:   Depths(),
		Trees:    true,
		Commands: Commands(),
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			password := func() (string, error) { return job.Password(host.Files, o.PasswordFile) }
			return New(host, Place{Repository: o.Repository, Password: password, Keys: o.KeyDirectory, Archives: o.Snapshots, Shell: o.SSHCommand})
		},
	}
}

// Depths lists what a repository can be checked by.
func Depths() []job.Depth {
	return []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted}
}

// A Place is where a repository is, and what is needed to read it.
type Place struct {
	Repository string // absolute path, or ssh://[user@]host[:port]/path
	Password   func() (string, error)
	Keys       string // directory with the key file; empty: the key is in the repository
	Archives   string // pattern of the names that count; empty: all
	Shell      string // with which ssh is started; see SafeShell
	Program    string // what borg is called on the server
}

// SafeShell reports whether a command that leads to the server is one that the
// agent may run though it stands in the configuration of another program: ssh
// with options that only name it a server, a user or a file.
func SafeShell(command string) bool { return shell.MatchString(command) }

var (
	plain   = regexp.MustCompile(`/[^\x00\n:]*|ssh://[A-Za-z0-9._@\[][^\x00\n ]*`)
	keys    = regexp.MustCompile(`keys|/[^\x00\n]*`)
	word    = `[A-Za-z0-9._/~@%:,+-]+`
	option  = `(?:BatchMode|ConnectTimeout|ConnectionAttempts|Compression|HostKeyAlias|IdentitiesOnly|IdentityFile|Port|ServerAliveCountMax|ServerAliveInterval|StrictHostKeyChecking|TCPKeepAlive|User|UserKnownHostsFile)`
	shell   = regexp.MustCompile(`^(?:/usr/bin/)?ssh(?: +(?:-[46CTq]+|-[ilp] *` + word + `|-o *` + option + `[= ]` + word + `))*$`)
	program = regexp.MustCompile(`[A-Za-z0-9._/][A-Za-z0-9._/-]*`)
	archive = regexp.MustCompile(`[^\x00\n:/-][^\x00\n:/]*(?::[^\x00\n:/]+)*`)
)

// lingering starts a command and ends a moment after it: when the way to the
// server and its last words end at once, borg does not read the words.
const lingering = `sh -c '"$@"; s=$?; sleep 0.2; exit $s' -`

const (
	defaultShell   = "ssh -oBatchMode=yes -oConnectTimeout=10"
	defaultProgram = "borg"
	defaultKeys    = "keys" // in a directory that is removed: there is none
)

// Commands lists what borg is asked. The passphrase is what it reads from its
// input. What it keeps on the side goes to a directory that is removed when it
// has ended.
func Commands() []probes.Command {
	objects := []*regexp.Regexp{plain, keys, shell, program, archive}
	command := func(name, help string, n int, args ...string) probes.Command {
		through := []string{
			"env", "BORG_BASE_DIR=.", "BORG_PASSPHRASE_FD=0", "BORG_KEYS_DIR={1}", "BORG_RSH=" + lingering + " {2}", "BORG_REMOTE_PATH={3}",
			"BORG_RELOCATED_REPO_ACCESS_IS_OK=yes", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes",
		}
		return probes.Command{Entry: name, Through: through, Argv: append([]string{"borg", "--bypass-lock"}, args...), Objects: objects[:n], Help: help}
	}
	return []probes.Command{
		{Entry: "borg-version", Argv: []string{"borg", "--version"}, Help: "The version of Borg."},
		command("borg-list", "The archives of a repository of Borg.", 4, "list", "--json", "{0}"),
		command("borg-list-archive", "What an archive holds, which a test restore is compared with.", 5, "list", "--json-lines", "{0}::{4}"),
		command("borg-extract", "Reads an archive to its end, and writes nothing.", 5, "extract", "--dry-run", "{0}::{4}"),
		command("borg-export", "The content of an archive, for a test restore.", 5, "export-tar", "{0}::{4}", "-"),
	}
}

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"password_file": o.PasswordFile, "key_directory": o.KeyDirectory} {
		if value != "" && !path.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	if o.Repository != "" {
		if _, err := Normal(o.Repository); err != nil {
			errs = append(errs, probes.At("repository", err))
		}
	}
	if o.SSHCommand != "" && !SafeShell(o.SSHCommand) {
		errs = append(errs, probes.At("ssh_command", fmt.Errorf("%.80q is not ssh with options for the server, the user, keys and known hosts alone", o.SSHCommand)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

var scp = regexp.MustCompile(`^((?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9._-]*):(\S+)$`)

// Normal returns the place of a repository as an absolute path or in the form
// that begins with ssh://; that like user@host:path is turned into it.
func Normal(place string) (string, error) {
	whole := regexp.MustCompile(`\A(?:` + plain.String() + `)\z`)
	if m := scp.FindStringSubmatch(place); m != nil && !strings.HasPrefix(m[2], "//") {
		switch {
		case strings.HasPrefix(m[2], "/"):
		case strings.HasPrefix(m[2], "~"):
			m[2] = "/" + m[2]
		default:
			m[2] = "/./" + m[2]
		}
		place = "ssh://" + m[1] + m[2]
	}
	switch {
	case !path.IsAbs(place) && !strings.HasPrefix(place, "ssh://"):
		return "", fmt.Errorf("%.80q is neither an absolute path nor a place like ssh://user@host/path", place)
	case path.IsAbs(place) && strings.Contains(place, ":"):
		return "", fmt.Errorf("%.80q may hold no colon", place)
	case !whole.MatchString(place):
		return "", fmt.Errorf("%.80q is no place that borg can be told", place)
	}
	return place, nil
}

// A Repository is one copy. Look may be called while Check is busy.
type Repository struct {
	host  probes.Host
	place Place
	local string // directory of a repository on a file system; empty: behind SSH

	mu   sync.Mutex
	tool job.Tool
	id   string
}

// ID is what Borg calls the repository, in hexadecimal digits; it is known behind
// a Look that has listed the archives.
func (r *Repository) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// New returns the copy of a place. It touches nothing.
func New(host probes.Host, p Place) *Repository {
	r := &Repository{host: host, place: p}
	if normal, err := Normal(p.Repository); err == nil {
		r.place.Repository = normal
	}
	if path.IsAbs(p.Repository) {
		r.local = path.Clean(p.Repository)
	}
	return r
}

// run asks borg about the repository. What it prints goes to out, as it comes and
// with the lowest priority; without one it is returned.
func (r *Repository) run(ctx context.Context, out io.Writer, entry string, objects ...string) (probes.Output, error) {
	var password string
	if r.place.Password != nil {
		var err error
		if password, err = r.place.Password(); err != nil {
			return probes.Output{}, err
		}
	}
	dir := defaultKeys
	if r.place.Keys != "" {
		// borg would make a directory that is missing.
		if _, err := r.host.Files.ReadDir(r.place.Keys); err != nil {
			return probes.Output{}, fmt.Errorf("the directory with the key: %w", err)
		}
		dir = r.place.Keys
	}
	shown, err := r.view()
	if err != nil {
		return probes.Output{}, err
	}
	defer shown.remove()
	with := []string{shown.place(r.place.Repository), dir, or(r.place.Shell, defaultShell), or(r.place.Program, defaultProgram)}
	printed, err := r.host.Pipes.Pipe(ctx, strings.NewReader(password), out, entry, append(with, objects...)...)
	printed = shown.told(printed)
	if err != nil {
		return printed, err
	}
	return printed, failed(printed)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// judge returns borg with its version, or that it is not installed.
func (r *Repository) judge(ctx context.Context) (job.Tool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tool.Version != "" {
		return r.tool, nil
	}
	out, err := r.host.Commands.Run(ctx, "borg-version")
	if probes.ReasonOf(err) == probes.NotFound {
		return r.tool, probes.Because(probes.Unsupported, errors.New("borg is not installed"))
	}
	if err != nil {
		return r.tool, err
	}
	r.tool = job.Tool{Name: "borg", Version: number.FindString(string(out.Stdout))}
	return r.tool, nil
}
