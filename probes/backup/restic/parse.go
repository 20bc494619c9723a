package restic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// document returns the JSON of an output: some versions print a line of progress
// before it.
func document(out []byte) []byte {
	for len(out) > 0 && out[0] != '[' && out[0] != '{' {
		_, after, found := bytes.Cut(out, []byte("\n"))
		if !found {
			return nil
		}
		out = after
	}
	return out
}

var shortID = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// A Snapshot is what restic says of one.
type Snapshot struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	Paths    []string  `json:"paths"`
	Tags     []string  `json:"tags"`
	Summary  *struct {
		Bytes int64 `json:"total_bytes_processed"`
		Files int64 `json:"total_files_processed"`
	} `json:"summary"` // since restic 0.17
}

// Matches reports whether a tag, a path or the host matches a pattern; an empty
// one matches all.
func (s Snapshot) Matches(pattern string) bool {
	return pattern == "" || slices.ContainsFunc(slices.Concat(s.Tags, s.Paths, []string{s.Hostname}), func(name string) bool {
		match, err := doublestar.Match(pattern, name)
		return err == nil && match
	})
}

// parseSnapshots reads the list of snapshots, and keeps those that count; newest
// first.
func parseSnapshots(out []byte, counts func(Snapshot) bool) ([]job.Point, error) {
	var list []Snapshot
	if err := json.Unmarshal(document(out), &list); err != nil {
		return nil, probes.Because(probes.Malformed, fmt.Errorf("restic printed no list of snapshots: %w", err))
	}
	var points []job.Point
	for _, s := range list {
		if !shortID.MatchString(s.ID) || s.Time.IsZero() {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("restic told of a snapshot %.40q without an identity or a time", s.ID))
		}
		if !counts(s) {
			continue
		}
		p := job.Point{ID: s.ID, At: s.Time}
		if s.Summary != nil {
			p.Size, p.Files = job.Of(s.Summary.Bytes), job.Of(s.Summary.Files)
		}
		points = append(points, p)
	}
	slices.SortStableFunc(points, func(a, b job.Point) int { return b.At.Compare(a.At) })
	return points, nil
}

// A holder is who holds a lock.
type holder struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	PID       int       `json:"pid"`
}

func parseLock(out []byte) (holder, error) {
	var h holder
	err := json.Unmarshal(document(out), &h)
	if err == nil && h.Time.IsZero() {
		err = errors.New("it has no time")
	}
	if err != nil {
		return h, probes.Because(probes.Malformed, fmt.Errorf("restic printed no lock: %w", err))
	}
	return h, nil
}

// failed says why restic did not succeed: by its status as far as that tells,
// and by what it complains of otherwise. Only what shows that data is damaged or
// missing makes a flaw.
func failed(out probes.Output) error {
	text := string(out.Stderr)
	switch out.ExitCode {
	case 0:
		return nil
	case 10:
		return because(probes.NotFound, text)
	case 11:
		return because(probes.Locked, text)
	case 12:
		return because(probes.Auth, text)
	case 130:
		return because(probes.NotRun, text)
	}
	if err := complaint(text + "\n" + string(out.Stdout)); err != nil {
		return err
	}
	if strings.Contains(text, "repository contains errors") {
		return job.Flawed(job.Damaged, "restic finds errors in the repository")
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("restic ended with the status %d: %s", out.ExitCode, last(text)))
}

func because(reason probes.Reason, text string) error {
	return probes.Because(reason, errors.New(last(text)))
}

// A symptom is what lines of restic mean.
type symptom struct {
	words  []string // one of which a line holds, in small letters
	reason probes.Reason
}

// symptoms lists what keeps restic from looking. The first that fits counts.
func symptoms() []symptom {
	return []symptom{
		{[]string{"already locked"}, probes.Locked},
		{[]string{"permission denied", "operation not permitted"}, probes.PermissionDenied},
		{[]string{"wrong password", "resolving password failed", "401 unauthorized", "403 forbidden", "access denied", "accessdenied", "invalidaccesskeyid", "signaturedoesnotmatch", "access key id you provided", "request signature we calculated", "host key verification failed", ") is empty"}, probes.Auth},
		{[]string{"connection refused", "dial tcp", "no such host", "network is unreachable", "no route to host", "connection reset", "broken pipe", "tls:", "x509:", "bad gateway", "service unavailable", "internal server error", "ssh command exited", "unable to start the sftp session"}, probes.Network},
		{[]string{"i/o timeout", "deadline exceeded", "timed out"}, probes.Timeout},
		{[]string{"bucket does not exist", "unable to open config file", "is there a repository"}, probes.NotFound},
		{[]string{"input/output error", "stale file handle", "cannot allocate memory", "out of memory"}, probes.Unavailable},
		{[]string{"unsupported repository version", "unknown flag", "unknown command"}, probes.Unsupported},
	}
}

// A wound is what lines of restic say of the data.
type wound struct {
	words  []string
	reason job.FlawReason
}

func wounds() []wound {
	return []wound{
		{[]string{"unexpected file size", "unexpected eof", "): eof"}, job.Truncated},
		{[]string{": does not exist", "not found in repository", "not found in index", "no such file or directory"}, job.Incomplete},
		{[]string{"ciphertext verification failed", "invalid data returned", "is damaged", "hash mismatch", "does not match", "unmarshal:", "contains errors: ", "invalid character", "decrypting blob", "wrong hash", "decode tree", "was not found"}, job.Damaged},
	}
}

func holds(line string, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) })
}

// symptomOf returns what a line in small letters says keeps restic from looking.
func symptomOf(line string) (probes.Reason, bool) {
	i := slices.IndexFunc(symptoms(), func(s symptom) bool { return holds(line, s.words) })
	if i < 0 {
		return "", false
	}
	return symptoms()[i].reason, true
}

// complaint finds out what the lines of restic say. A flaw counts more than what
// kept restic from looking elsewhere; a line that tells of an obstacle is none.
func complaint(text string) error {
	var obstacle error
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		small := strings.ToLower(line)
		if strings.Contains(small, "retrying after") || strings.Contains(small, "non-critical") {
			continue
		}
		if reason, found := symptomOf(small); found {
			if obstacle == nil {
				obstacle = probes.Because(reason, fmt.Errorf("restic: %.200s", line))
			}
			if reason == probes.NotFound || reason == probes.Auth {
				return obstacle // the lines that follow explain it
			}
			continue
		}
		if i := slices.IndexFunc(wounds(), func(w wound) bool { return holds(small, w.words) }); i >= 0 {
			return job.Flawed(wounds()[i].reason, "restic: %.200s", line)
		}
	}
	return obstacle
}

// obstacle finds out why restic tries again and again: the last such line tells.
// No flaw is among it.
func obstacle(text string) error {
	for _, line := range slices.Backward(strings.Split(text, "\n")) {
		_, why, again := strings.Cut(line, "retrying after")
		if !again {
			continue
		}
		if reason, found := symptomOf(strings.ToLower(why)); found {
			return probes.Because(reason, fmt.Errorf("restic: %.200s", strings.TrimSpace(line)))
		}
		break
	}
	return nil
}

// hints are the lines of a check that tell of what is odd and no flaw.
func hints(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "additional files were found") || strings.Contains(line, "run `restic") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

func last(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	line := lines[len(lines)-1]
	if len(line) > 200 {
		line = line[:200]
	}
	return line
}
