package kopia

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// each decodes a list, one element after the other.
func each[T any](list *json.Decoder, do func(T) error) error {
	first, err := list.Token()
	if err != nil {
		return err
	}
	if first != json.Delim('[') {
		return errors.New("it is no list")
	}
	for list.More() {
		var element T
		if err := list.Decode(&element); err != nil {
			return err
		}
		if err := do(element); err != nil {
			return err
		}
	}
	_, err = list.Token()
	return err
}

// A snapshot is one, as Kopia tells of it.
type snapshot struct {
	ID     string `json:"id"`
	Source struct {
		Host string `json:"host"`
		User string `json:"userName"`
		Path string `json:"path"`
	} `json:"source"`
	Start      time.Time         `json:"startTime"`
	Incomplete string            `json:"incomplete"` // why it is not finished
	Tags       map[string]string `json:"tags"`
	Root       struct {
		Object  string `json:"obj"`
		Summary struct {
			Size    int64 `json:"size"`
			Files   int64 `json:"files"`
			Links   int64 `json:"symlinks"`
			Failed  int64 `json:"numFailed"`
			Ignored int64 `json:"numIgnoredErrors"`
			Errors  []struct {
				Path  string `json:"path"`
				Error string `json:"error"`
			} `json:"errors"`
		} `json:"summ"`
	} `json:"rootEntry"`
}

func (s snapshot) source() string {
	return s.Source.User + "@" + s.Source.Host + ":" + s.Source.Path
}

// matches reports whether a pattern fits what a snapshot is of.
func (s snapshot) matches(pattern string) bool {
	names := []string{s.source(), s.Source.Host, s.Source.Path}
	for key, value := range s.Tags {
		names = append(names, value, strings.TrimPrefix(key, "tag:")+":"+value)
	}
	return pattern == "" || slices.ContainsFunc(names, func(name string) bool {
		match, err := doublestar.Match(pattern, name)
		return err == nil && match
	})
}

func (s snapshot) point() job.Point {
	return job.Point{ID: s.ID, At: s.Start, Size: job.Of(s.Root.Summary.Size), Files: job.Of(s.Root.Summary.Files)}
}

// whole says what is missing of a snapshot by its own account. Kopia makes one
// also of a source that it could not read all of.
func (s snapshot) whole() error {
	sum := s.Root.Summary
	switch {
	case sum.Failed > 0 && len(sum.Errors) > 0:
		return job.Flawed(job.Reported, "%d entries could not be read when the snapshot was made, the first being %.80q: %.160s", sum.Failed, sum.Errors[0].Path, sum.Errors[0].Error)
	case sum.Failed > 0:
		return job.Flawed(job.Reported, "%d entries could not be read when the snapshot was made", sum.Failed)
	case sum.Files == 0:
		return job.Flawed(job.Empty, "the snapshot %s holds no file", s.ID)
	}
	return nil
}

// A listing is the snapshots that count, newest first.
type listing struct{ complete, incomplete []snapshot }

var objectID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (l *listing) read(list *json.Decoder, pattern string) error {
	err := each(list, func(s snapshot) error {
		switch {
		case s.Start.IsZero():
			return fmt.Errorf("a snapshot %.40q has no time", s.ID)
		case !s.matches(pattern):
		case s.Incomplete != "":
			l.incomplete = append(l.incomplete, s)
		case !objectID.MatchString(s.ID):
			return fmt.Errorf("%.40q is no identity of a snapshot", s.ID)
		default:
			l.complete = append(l.complete, s)
		}
		return nil
	})
	newest := func(a, b snapshot) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(l.complete, newest)
	slices.SortFunc(l.incomplete, newest)
	return err
}

// notes tells of what a person should know of the list.
func (l *listing) notes() []string {
	var notes []string
	sources := map[string]bool{}
	for _, s := range l.complete {
		sources[s.source()] = true
	}
	if len(sources) > 1 {
		names := slices.Sorted(maps.Keys(sources))
		notes = append(notes, fmt.Sprintf("snapshots of %d sources count, and the newest of any of them is judged: %s", len(names), strings.Join(names[:min(len(names), 5)], ", ")))
	}
	if len(l.incomplete) > 0 && (len(l.complete) == 0 || l.incomplete[0].Start.After(l.complete[0].Start)) {
		s := l.incomplete[0]
		notes = append(notes, fmt.Sprintf("the backup of %s that began at %s is not finished: %s", s.source(), s.Start.UTC().Format(time.RFC3339), s.Incomplete))
	}
	return notes
}

// A status is what Kopia tells of a repository.
type status struct {
	Format struct {
		Encryption string `json:"encryption"`
	} `json:"contentFormat"`
	Retention struct {
		Mode   string        `json:"mode"`
		Period time.Duration `json:"period"`
	} `json:"blobRetention"`
}

func (s *status) read(d *json.Decoder) error { return d.Decode(s) }

func (s *status) encrypted() string {
	switch s.Format.Encryption {
	case "":
		return ""
	case "NONE":
		return "no"
	}
	return "yes"
}

// protected is until when nobody can delete what was written at an instant.
func (s *status) protected(at time.Time) time.Time {
	if s.Retention.Mode == "" || s.Retention.Period <= 0 {
		return time.Time{}
	}
	return at.Add(s.Retention.Period)
}

// failed says why Kopia did not succeed. It has but one status for all failures.
func failed(out probes.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := string(out.Stderr)
	if err := complaint(text); err != nil {
		return err
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("kopia ended with the status %d: %s", out.ExitCode, last(text)))
}

// A meaning is what words in a line of Kopia mean.
type meaning[R any] struct {
	reason R
	words  []string // in small letters, one of which a line holds
}

// obstacles lists what keeps Kopia from looking.
func obstacles() []meaning[probes.Reason] {
	return []meaning[probes.Reason]{
		{probes.PermissionDenied, []string{"permission denied", "operation not permitted"}},
		{probes.Auth, []string{"invalid repository password", "password prompt error", "access denied", "accessdenied", "invalidaccesskeyid", "invalid access key", "signaturedoesnotmatch", "request signature we calculated", "access key id you provided", "unable to authenticate", "host key", "401 unauthorized", "403 forbidden"}},
		{probes.Network, []string{"connection refused", "dial tcp", "no such host", "network is unreachable", "no route to host", "connection reset", "broken pipe", "x509:", "tls:", "bad gateway", "service unavailable"}},
		{probes.Timeout, []string{"i/o timeout", "deadline exceeded", "timed out"}},
		{probes.NotFound, []string{"cannot access storage path", "unable to read format blob: error getting kopia.repository blob: blob not found", "repository is not connected", "bucket does not exist", "no such bucket"}},
		{probes.Unsupported, []string{"unknown long flag", "expected command but got", "is too old", "unsupported", "upgrade"}},
		{probes.Unavailable, []string{"input/output error", "stale file handle", "cannot allocate memory", "no space left"}},
	}
}

// wounds lists what shows that data is damaged or missing.
func wounds() []meaning[job.FlawReason] {
	return []meaning[job.FlawReason]{
		{job.Truncated, []string{"invalid length", "invalid blob offset or length", "unexpected eof"}},
		{job.Incomplete, []string{"missing blob", "blob not found", "object not found", "content not found", "missing pack"}},
		{job.Damaged, []string{"message authentication failed", "invalid checksum", "invalid format blob", "unable to decrypt", "error decrypting", "decrypt:", "malformed", "corrupted", "invalid content", "invalid character", "unexpected content error"}},
	}
}

// complaint finds out what the lines of Kopia say. A line that tells of an
// obstacle shows no damage, and a flaw counts more than an obstacle elsewhere.
func complaint(text string) error {
	var obstacle error
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		small := strings.ToLower(line)
		fits := func(words []string) bool {
			return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(small, word) })
		}
		if i := slices.IndexFunc(obstacles(), func(m meaning[probes.Reason]) bool { return fits(m.words) }); i >= 0 {
			if obstacle == nil {
				obstacle = probes.Because(obstacles()[i].reason, fmt.Errorf("kopia: %.300s", line))
			}
			continue
		}
		if i := slices.IndexFunc(wounds(), func(m meaning[job.FlawReason]) bool { return fits(m.words) }); i >= 0 {
			return job.Flawed(wounds()[i].reason, "kopia: %.300s", line)
		}
	}
	return obstacle
}

// counted reads the counters of "content verify", which found something. nil: it
// did not get as far.
func counted(text string) error {
	_, line, found := strings.Cut(text, "verifyCounters:")
	if !found {
		return nil
	}
	line, _, _ = strings.Cut(line, "\n")
	var c struct {
		Missing   int64 `json:"missingPacks"`
		Truncated int64 `json:"truncatedPacks"`
		Corrupted int64 `json:"corruptedPacks"`
		Contents  int64 `json:"totalErrorCount"`
	}
	if json.Unmarshal([]byte(strings.TrimSpace(line)), &c) != nil {
		return nil //nolint:nilerr // it said nothing that can be counted
	}
	switch {
	case c.Missing > 0:
		return job.Flawed(job.Incomplete, "%d packs are missing, and with them %d contents that are needed", c.Missing, c.Contents)
	case c.Truncated > 0:
		return job.Flawed(job.Truncated, "%d packs are too short for %d contents that are needed", c.Truncated, c.Contents)
	case c.Corrupted > 0:
		return job.Flawed(job.Damaged, "%d packs are damaged", c.Corrupted)
	}
	return nil
}

func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	line := lines[len(lines)-1]
	return line[:min(len(line), 200)]
}
