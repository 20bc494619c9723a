package pgbackrest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // what pgBackRest has its checksums of
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// maxLine bounds a line of the files in which pgBackRest describes things.
const maxLine = 16 << 20

// errForeign says that a file is none of those; also when a wrong passphrase has
// made it so.
var errForeign = errors.New("it does not begin as a file of pgBackRest does")

// parseInfo reads a file in which pgBackRest describes things: sections of keys
// with JSON values, and at the end the checksum of all that as one JSON document.
// It calls each for every value. What it was told counts only if there is no
// error.
func parseInfo(r io.Reader, each func(section, key string, value []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	digest := sha1.New() //nolint:gosec // see above
	section, open, sum := "", "", ""
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		if first && line != "[backrest]" {
			return errForeign
		}
		if line == "" {
			continue
		}
		key, value, ok := split(line)
		switch {
		case !ok && strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			continue
		case !ok && !lines.Scan():
			return job.Flawed(job.Truncated, "it ends within the line %.60q", line)
		case !ok:
			return job.Flawed(job.Damaged, "its line %.60q cannot be", line)
		case section == "backrest" && key == "backrest-checksum":
			if err := json.Unmarshal([]byte(value), &sum); err != nil {
				return job.Flawed(job.Damaged, "its checksum cannot be read")
			}
			continue
		}
		begin := `,`
		if section != open {
			begin = `},`
			if open == "" {
				begin = `{`
			}
			begin += quote(section) + `:{`
			open = section
		}
		_, _ = io.WriteString(digest, begin+quote(key)+`:`+value)
		if err := each(section, key, []byte(value)); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, errCipher) && open != "": // the passphrase is the right one
		return job.Flawed(job.Damaged, "it cannot be decrypted to its end")
	case err != nil:
		return err
	}
	_, _ = io.WriteString(digest, `}}`)
	switch {
	case open == "":
		return job.Flawed(job.Truncated, "it is empty")
	case sum == "":
		return job.Flawed(job.Truncated, "it ends before its checksum")
	case sum != hex.EncodeToString(digest.Sum(nil)):
		return job.Flawed(job.Damaged, "it does not have its checksum")
	}
	return nil
}

// split cuts a line at the first equals sign behind which a JSON value stands:
// names of files may hold one.
func split(line string) (key, value string, ok bool) {
	for at := 0; ; {
		i := strings.IndexByte(line[at:], '=')
		if i < 0 {
			return "", "", false
		}
		at += i + 1
		if json.Valid([]byte(line[at:])) {
			return line[:at-1], line[at:], true
		}
	}
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// A backup is what backup.info says of one.
type backup struct {
	Label     string   `json:"-"`
	Type      string   `json:"backup-type"`
	Start     string   `json:"backup-archive-start"` // segment of the log; empty: taken of a stopped cluster
	Stop      string   `json:"backup-archive-stop"`
	LSN       string   `json:"backup-lsn-stop"`
	Error     bool     `json:"backup-error"` // pages did not have their checksums
	Size      int64    `json:"backup-info-size"`
	RepoDelta int64    `json:"backup-info-repo-size-delta"`
	Reference []string `json:"backup-reference"` // other backups that it needs
	Stopped   int64    `json:"backup-timestamp-stop"`
	Database  int      `json:"db-id"`
}

func (b backup) at() time.Time { return time.Unix(b.Stopped, 0).UTC() }

// needs lists the backups whose files it consists of, itself first.
func (b backup) needs() []string { return append([]string{b.Label}, b.Reference...) }

// A database is one that a repository is of. After an upgrade there are several.
type database struct {
	id      int
	system  uint64
	version string
}

// archive is the directory of its log.
func (d database) archive() string { return fmt.Sprintf("%s-%d", d.version, d.id) }

// A catalogue is what backup.info or archive.info says.
type catalogue struct {
	backups []backup // newest first
	current int
	history map[int]database
	pass    string // with which the manifests or the log are encrypted
}

// format is that of all that pgBackRest 2 has written so far.
const format = "5"

func (c *catalogue) add(section, key string, value []byte) error {
	bad := func(err error) error {
		if err != nil {
			return job.Flawed(job.Damaged, "what it says of %.60q cannot be read: %v", key, err)
		}
		return nil
	}
	switch section {
	case "backrest":
		if key == "backrest-format" && string(value) != format {
			return probes.Because(probes.Unsupported, fmt.Errorf("it has the format %.20s, and %s is known", value, format))
		}
	case "backup:current":
		b := backup{Label: key}
		if err := json.Unmarshal(value, &b); err != nil || !label.MatchString(key) || b.Stopped <= 0 {
			return bad(cmp.Or(err, errors.New("it is no backup")))
		}
		c.backups = append(c.backups, b)
	case "db":
		if key == "db-id" {
			return bad(json.Unmarshal(value, &c.current))
		}
	case "db:history":
		var id int
		var d struct {
			ID      uint64 `json:"db-id"`        // in archive.info
			System  uint64 `json:"db-system-id"` // in backup.info
			Version string `json:"db-version"`
		}
		if _, err := fmt.Sscanf(key, "%d", &id); err != nil {
			return bad(err)
		}
		if err := json.Unmarshal(value, &d); err != nil {
			return bad(err)
		}
		c.history[id] = database{id: id, system: cmp.Or(d.System, d.ID), version: d.Version}
	case "cipher":
		return bad(json.Unmarshal(value, &c.pass))
	}
	return nil
}

// catalogue reads a file of which there are two, as pgBackRest does: the second
// one counts when the first cannot be read.
func (r *repository) catalogue(ctx context.Context, s store, name string) (c catalogue, notes []string, err error) {
	var errs []error
	for _, name := range []string{name, name + ".copy"} {
		c := catalogue{history: map[int]database{}}
		err := s.plain(ctx, name, r.set.pass, func(in io.Reader) error { return parseInfo(in, c.add) })
		if err == nil {
			slices.SortStableFunc(c.backups, func(a, b backup) int { return cmp.Compare(b.Stopped, a.Stopped) })
			for _, err := range errs {
				notes = append(notes, err.Error()+"; its copy is whole")
			}
			return c, notes, nil
		}
		errs = append(errs, about(name, err))
	}
	for _, err := range errs {
		switch {
		case r.sealed && (errors.Is(err, errCipher) || errors.Is(err, errForeign)):
			return c, nil, probes.Because(probes.Auth, fmt.Errorf("%s: the passphrase is wrong", path.Base(name)))
		case !job.IsFlaw(err) && !errors.Is(err, fs.ErrNotExist):
			return c, nil, err
		}
	}
	return c, nil, errs[0]
}

// about adds the name of a file to what is wrong with it.
func about(name string, err error) error {
	var flaw *job.Flaw
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errForeign), errors.Is(err, errCipher):
		return &named{name, err, job.Flawed(job.Damaged, "%s: %v", name, err)}
	case errors.As(err, &flaw):
		return job.Flawed(flaw.Reason, "%s: %s", name, flaw.Text)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// A named error is both what happened and the flaw that it means.
type named struct {
	name  string
	cause error
	flaw  error
}

func (n *named) Error() string   { return n.flaw.Error() }
func (n *named) Unwrap() []error { return []error{n.flaw, n.cause} }
