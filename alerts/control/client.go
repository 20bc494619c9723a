package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"

	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes/drill"
)

// A Client talks to the agent behind a socket.
type Client struct {
	Path string // of the socket
}

// Problems returns the open problems of the agent.
func (c Client) Problems(ctx context.Context) ([]monitor.Problem, error) {
	return call[[]monitor.Problem](ctx, c, http.MethodGet, "/problems", nil)
}

// Ack takes problems and returns them.
func (c Client) Ack(ctx context.Context, request AckRequest) ([]monitor.Problem, error) {
	return call[[]monitor.Problem](ctx, c, http.MethodPost, "/ack", request)
}

// Unack gives problems back and returns them.
func (c Client) Unack(ctx context.Context, request UnackRequest) ([]monitor.Problem, error) {
	return call[[]monitor.Problem](ctx, c, http.MethodPost, "/unack", request)
}

// Baseline returns what all probes remember.
func (c Client) Baseline(ctx context.Context) ([]Baseline, error) {
	return call[[]Baseline](ctx, c, http.MethodGet, "/baseline", nil)
}

// Accept takes what is there for what there should be, and returns what is
// remembered from then on.
func (c Client) Accept(ctx context.Context, request AcceptRequest) ([]Baseline, error) {
	return call[[]Baseline](ctx, c, http.MethodPost, "/accept", request)
}

// Drills returns how all drills of the agent stand.
func (c Client) Drills(ctx context.Context) ([]drill.Standing, error) {
	return call[[]drill.Standing](ctx, c, http.MethodGet, "/drills", nil)
}

// RecordDrill keeps the evidence of a drill, and returns how the drill stands
// then.
func (c Client) RecordDrill(ctx context.Context, record drill.Record) (drill.Standing, error) {
	return call[drill.Standing](ctx, c, http.MethodPost, "/drill", record)
}

// Test raises a test problem.
func (c Client) Test(ctx context.Context, request TestRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/test", request)
	return err
}

func call[Answer any](ctx context.Context, c Client, method, path string, request any) (answer Answer, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return answer, err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", c.Path)
		},
		DisableKeepAlives: true,
	}
	response, err := transport.RoundTrip(r)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return answer, fmt.Errorf("%s may be used by root, by the user of the agent and by its group: %w", c.Path, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return answer, fmt.Errorf("no agent is listening on %s; is it running, and with the same --state.dir? %w", c.Path, err)
	case err != nil:
		return answer, err
	}
	defer response.Body.Close()
	var in envelope
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&in); err != nil {
		return answer, fmt.Errorf("the agent answered %s: %w", response.Status, err)
	}
	if in.Error != "" {
		return answer, errors.New(in.Error)
	}
	err = json.Unmarshal(in.Answer, &answer)
	return answer, err
}
