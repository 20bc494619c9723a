package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"syscall"
	"time"

	"hygiene_exporter/probes"
)

// The root helper takes one request for each connection, answers it, and
// closes. Both are JSON. A request names an entry of a probe, never a program.
const (
	maxRequest  = 64 << 10
	maxResponse = 32 << 20 // 16 MiB of output, in base64
)

type request struct {
	Probe   string   `json:"probe"`
	Entry   string   `json:"entry"`
	Objects []string `json:"objects,omitempty"`
	Timeout int64    `json:"timeout_ms,omitempty"` // 0: as long as the helper allows
}

type response struct {
	Stdout    []byte   `json:"stdout,omitempty"`
	Stderr    []byte   `json:"stderr,omitempty"`
	ExitCode  int      `json:"exit_code"`
	Truncated bool     `json:"truncated,omitempty"`
	Error     *failure `json:"error,omitempty"`
}

// A failure is an error with its reason, which would not survive as text.
type failure struct {
	Reason probes.Reason `json:"reason"`
	Text   string        `json:"text"`
}

func newResponse(out probes.Output, err error) response {
	r := response{Stdout: out.Stdout, Stderr: out.Stderr, ExitCode: out.ExitCode, Truncated: out.Truncated}
	if err != nil {
		r.Error = &failure{probes.ReasonOf(err), err.Error()}
	}
	return r
}

func (r response) output() (probes.Output, error) {
	out := probes.Output{Stdout: r.Stdout, Stderr: r.Stderr, ExitCode: r.ExitCode, Truncated: r.Truncated}
	if r.Error == nil {
		return out, nil
	}
	reason := r.Error.Reason
	if !slices.Contains(probes.Reasons(), reason) {
		reason = probes.Other
	}
	return out, probes.Because(reason, fmt.Errorf("root helper: %s", r.Error.Text))
}

// ask has the root helper run a command.
func ask(ctx context.Context, socket string, r request) (probes.Output, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return probes.Output{}, probes.Because(probes.PermissionDenied, fmt.Errorf(
			"%s/%s needs root: install the helper unit hygiene_exporter-helper.socket (there is no %s)", r.Probe, r.Entry, socket))
	case errors.Is(err, fs.ErrPermission):
		return probes.Output{}, fmt.Errorf("%s/%s needs the root helper, and the agent's user may not connect to it: %w", r.Probe, r.Entry, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return probes.Output{}, probes.Because(probes.Unavailable, fmt.Errorf("%s/%s needs the root helper, which does not run: %w", r.Probe, r.Entry, err))
	case err != nil:
		return probes.Output{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if deadline, ok := ctx.Deadline(); ok {
		r.Timeout = max(1, time.Until(deadline).Milliseconds())
	}
	answer, err := exchange(conn, r)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return probes.Output{}, fmt.Errorf("root helper: %w", err)
	}
	return answer.output()
}

func exchange(conn net.Conn, r request) (response, error) {
	var answer response
	if err := json.NewEncoder(conn).Encode(r); err != nil {
		return answer, err
	}
	switch err := json.NewDecoder(io.LimitReader(conn, maxResponse)).Decode(&answer); {
	case errors.Is(err, io.EOF):
		return answer, probes.Because(probes.Unavailable, errors.New("no answer"))
	case err != nil:
		return answer, err
	}
	return answer, nil
}
