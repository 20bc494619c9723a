package duplicity

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// status asks duplicity which sets there are behind a server.
func (t *target) status(ctx context.Context, sight *job.Sight) (sets, error) {
	environment, notes, err := t.environment()
	if err != nil {
		return nil, err
	}
	sight.Notes = append(sight.Notes, notes...)
	out, err := t.host.Commands.Run(ctx, "duplicity-status", t.place, environment)
	if err := explain(out, err); err != nil {
		return nil, err
	}
	list, stray, err := parseStatus(string(out.Stdout))
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0 && stray.orphaned > 0:
		return nil, job.Flawed(job.Incomplete, "there are %d sets, and none that they build on", stray.orphaned)
	case stray.orphaned > 0:
		sight.Notes = append(sight.Notes, fmt.Sprintf("%d sets are there whose full set is missing", stray.orphaned))
	}
	if stray.incomplete > 0 {
		sight.Notes = append(sight.Notes, fmt.Sprintf("%d sets are not finished: a backup runs, or was interrupted", stray.incomplete))
	}
	return list, nil
}

// setLine matches a set in what duplicity prints for programs.
var setLine = regexp.MustCompile(`^ (full|inc) (` + stamp + `) (\d{1,9}) (?:enc|noenc)$`)

// A strays counts the sets that are in no chain.
type strays struct{ orphaned, incomplete int }

// parseStatus reads the report of duplicity on its collection, as it logs it for
// programs. duplicity calls a chain complete also without its full set.
func parseStatus(text string) (sets, strays, error) {
	var list sets
	var stray strays
	told, previous := false, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "chain-") {
			previous = ""
		}
		word, number, _ := strings.Cut(line, " ")
		switch n, err := strconv.Atoi(number); {
		case word == "orphaned-sets-num" && err == nil:
			told, stray.orphaned = true, n
		case word == "incomplete-sets-num" && err == nil:
			stray.incomplete = n
		}
		m := setLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		volumes, err := strconv.Atoi(m[3])
		if err != nil {
			return nil, stray, err
		}
		s := &set{to: m[2], counted: max(volumes, 1), signatures: true}
		if m[1] == "inc" {
			if s.from = previous; s.from == "" {
				s.from = "an unknown instant"
			}
		}
		previous = s.to
		list = append(list, s)
	}
	if !told {
		return nil, stray, probes.Because(probes.Malformed, errors.New("duplicity printed no status of a collection"))
	}
	return list, stray, nil
}

// Statuses of duplicity.
const (
	hashMismatch = 21
	exception    = 30
	gpgFailed    = 31
)

// explain says why duplicity did not succeed.
func explain(out probes.Output, err error) error {
	if probes.ReasonOf(err) == probes.NotFound {
		return probes.Because(probes.Unsupported, errors.New("duplicity is not installed"))
	}
	if err != nil || out.ExitCode == 0 {
		return err
	}
	// The log for programs comes on the standard output, with a dot before what
	// continues a message.
	text := string(out.Stdout) + "\n" + string(out.Stderr)
	small := strings.ToLower(text)
	has := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(small, word) {
				return true
			}
		}
		return false
	}
	said := complaint(text)
	switch code := out.ExitCode; {
	case code == hashMismatch:
		return job.Flawed(job.Damaged, "duplicity: %s", said)
	case code == exception && has("keyerror:"):
		return job.Flawed(job.Incomplete, "duplicity misses a volume of a set")
	case code == exception && has("getpass.py"):
		return probes.Because(probes.Auth, errors.New("duplicity wants a password that nobody has set: FTP_PASSWORD in environment_file"))
	case code == gpgFailed && has("bad session key", "no secret key", "bad passphrase", "gpg: decryption failed: no"):
		return probes.Because(probes.Auth, errors.New("duplicity: the password does not fit, or there is no secret key"))
	case code == gpgFailed && has("manipulated", "no valid openpgp data", "invalid packet", "mdc", "unexpected", "zlib", "uncompressing"):
		return job.Flawed(job.Damaged, "duplicity: gpg cannot decrypt a file of the sets")
	case code == 4, code == 5, code == 6:
		return job.Flawed(job.Incomplete, "duplicity: %s", said)
	case code == 18, has("no such file or directory") && has("difftar"), has("does not start with a full", "no chain", "cannot be restored"):
		return job.Flawed(job.Incomplete, "duplicity: %s", said)
	case code == 51, has("permission denied", "operation not permitted"):
		return probes.Because(probes.PermissionDenied, fmt.Errorf("duplicity: %s", said))
	case code == 53, code == 35, has("no space left"):
		return probes.Because(probes.TooLarge, errors.New("duplicity: the scratch directory is full"))
	case has("authentication failed", "access denied", "invalid credentials", "login incorrect", "host key", "403", "401", "530 "):
		return probes.Because(probes.Auth, fmt.Errorf("duplicity: %s", said))
	case code == 38, has("connection refused", "no route to host", "name or service not known", "network is unreachable", "connection reset", "could not resolve"):
		return probes.Because(probes.Network, fmt.Errorf("duplicity: %s", said))
	case has("timed out", "timeout"):
		return probes.Because(probes.Timeout, fmt.Errorf("duplicity: %s", said))
	case code == 52:
		return probes.Because(probes.NotFound, fmt.Errorf("duplicity: %s", said))
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("duplicity ended with the status %d: %s", out.ExitCode, said))
}

// complaint returns the message of the first error in the log.
func complaint(text string) string {
	_, behind, found := strings.Cut("\n"+text, "\nERROR ")
	if !found {
		return last(text)
	}
	var words []string
	for i, line := range strings.Split(behind, "\n") {
		if i == 0 {
			continue // the number and the class of the error
		}
		rest, more := strings.CutPrefix(line, ". ")
		if !more {
			break
		}
		words = append(words, strings.TrimSpace(rest))
	}
	said := strings.Join(words, " ")
	return said[:min(len(said), 250)]
}
