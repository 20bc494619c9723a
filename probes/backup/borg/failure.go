package borg

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A symptom is what keeps borg from looking: words, one of which a line of it
// holds.
type symptom struct {
	words  []string
	reason probes.Reason
}

// symptoms lists them. The first that fits counts, before any wound: what cannot
// be reached says nothing of the data.
func symptoms() []symptom {
	return []symptom{
		{[]string{"is incorrect", "passcommand supplied", "No key file for repository", "can not acquire a passphrase", "No key entry found"}, probes.Auth},
		// Of ssh: a line of the server names a path instead.
		{[]string{"Permission denied (", "Host key verification failed", "Too many authentication failures"}, probes.Auth},
		{[]string{"Permission denied", "Repository path not allowed", "Operation not permitted"}, probes.PermissionDenied},
		{[]string{"Failed to create/acquire the lock", "LockTimeout"}, probes.Locked},
		{[]string{"timed out"}, probes.Timeout},
		{[]string{"Connection refused", "Could not resolve hostname", "No route to host", "Network is unreachable", "Connection reset"}, probes.Network},
		{[]string{"command not found", "borg: not found", "No such file or directory: 'borg'", "'borg': No such file", "Borg server is too old", "newer version is required", "Unsupported payload type"}, probes.Unsupported},
		{[]string{"Is borg working on the server", "Connection closed by remote host"}, probes.Network},
		{[]string{"Input/output error", "Stale file handle", "Cannot allocate memory", "MemoryError"}, probes.Unavailable},
	}
}

// A wound is what lines of borg say of the data.
type wound struct {
	words  []string
	reason job.FlawReason
}

func wounds() []wound {
	return []wound{
		{[]string{"ObjectNotFound", "not found in repository", "missing chunk", "Missing segment", "No segment"}, job.Incomplete},
		{[]string{"IntegrityError", "ntegrity", "checksum mismatch", "orrupt", "Invalid segment", "Unpack", "not a valid"}, job.Damaged},
	}
}

// failed says why borg did not succeed.
func failed(out probes.Output) error {
	if out.ExitCode == 0 {
		return nil
	}
	text := strings.TrimSpace(string(out.Stderr))
	for _, s := range symptoms() {
		if line, found := find(text, s.words); found {
			return probes.Because(s.reason, fmt.Errorf("borg: %.200s", line))
		}
	}
	switch {
	case out.ExitCode == 127:
		return probes.Because(probes.Unsupported, errors.New("borg is not installed"))
	case out.ExitCode == 52:
		return probes.Because(probes.Auth, errors.New("borg: the passphrase is wrong"))
	case strings.Contains(text, "No such file") && strings.Contains(text, "/data/"):
		return job.Flawed(job.Incomplete, "borg: %.200s", last(text))
	}
	for _, w := range wounds() {
		if line, found := find(text, w.words); found {
			return job.Flawed(w.reason, "borg: %.200s", line)
		}
	}
	if line, found := find(text, []string{"does not exist"}); found {
		return probes.Because(probes.NotFound, fmt.Errorf("borg: %.200s", line))
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("borg ended with the status %d: %.200s", out.ExitCode, last(text)))
}

// find returns the first line with one of the words.
func find(text string, words []string) (string, bool) {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
			return strings.TrimSpace(line), true
		}
	}
	return "", false
}

// last returns the last line, or that of the exception when borg tells of itself
// behind it.
func last(text string) string {
	text, _, _ = strings.Cut(text, "\n\nPlatform: ")
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}
