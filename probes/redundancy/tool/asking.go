package tool

import (
	"context"
	"fmt"
	"strings"

	"hygiene_exporter/probes"
)

// An asking is one round of questions to a tool.
type asking struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the round
	host probes.Host
	// What the host has that the tool can tell of.
	present []string
}

// run runs a command and returns what it printed. Tools use their exit status
// in ways of their own, so that only one that printed nothing has failed.
func (a *asking) run(entry string, objects ...string) ([]byte, error) {
	out, err := a.host.Commands.Run(a.ctx, entry, objects...)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 && (len(out.Stdout) == 0 || denied(out.Stdout)) {
		return nil, complaint(entry, out)
	}
	return out.Stdout, nil
}

// strictly is run for tools whose exit status can be trusted.
func (a *asking) strictly(entry string, objects ...string) ([]byte, error) {
	out, err := a.host.Commands.Run(a.ctx, entry, objects...)
	if err == nil && out.ExitCode != 0 {
		err = complaint(entry, out)
	}
	return out.Stdout, err
}

// complaint makes an error of what a tool said when it failed.
func complaint(entry string, out probes.Output) error {
	text := strings.TrimSpace(string(out.Stderr))
	if text == "" {
		text = strings.TrimSpace(string(out.Stdout))
	}
	reason := probes.Unavailable
	if denied(out.Stderr) || denied(out.Stdout) {
		reason = probes.PermissionDenied
	}
	return probes.Because(reason, fmt.Errorf("%s ends with status %d: %.200s", entry, out.ExitCode, strings.Join(strings.Fields(text), " ")))
}

// denied reports whether a tool says that it lacks rights.
func denied(text []byte) bool {
	lower := strings.ToLower(string(text[:min(len(text), 2000)]))
	for _, words := range []string{
		"permission denied", "operation not permitted", "must be root", "root privilege", "superuser", "run as root",
		"administrator", "you need root", "needs root",
	} {
		if strings.Contains(lower, words) {
			return true
		}
	}
	return false
}

// missing reports whether a program is not installed.
func missing(err error) bool { return probes.ReasonOf(err) == probes.NotFound }

// installed asks each of several programs that tell of the same, and returns the
// answer of the first that is installed and knows of something. Without any, the
// error says what would be needed.
func installed[T any](programs []string, ask func(program string) ([]T, error)) ([]T, error) {
	var first error // the others mostly fail for the same reason
	found := false
	for _, program := range programs {
		answer, err := ask(program)
		switch {
		case err == nil && len(answer) > 0:
			return answer, nil
		case err == nil:
			found = true
		case !missing(err) && first == nil:
			first = fmt.Errorf("%s: %w", program, err)
		}
	}
	switch {
	case first != nil:
		return nil, first
	case !found:
		return nil, probes.Because(probes.NotFound, fmt.Errorf("none of %s is installed", strings.Join(programs, ", ")))
	}
	return nil, nil
}
