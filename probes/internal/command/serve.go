package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"hygiene_exporter/probes"
)

const (
	maxClients    = 8
	maxRuntime    = 10 * time.Minute
	maxOutput     = 8 << 20         // of the programs of as many clients as are served at once, in memory
	clientTimeout = 5 * time.Second // for its part of the exchange
	idleTimeout   = 15 * time.Minute
)

// A helper runs privileged commands for others.
type helper struct {
	entries  map[key]*entry
	runner   *runner
	allow    func(net.Conn) error
	patience time.Duration // with a client
	idle     time.Duration // without one
	log      *slog.Logger
}

// Serve is the root helper: it runs the privileged commands of the specs for
// the clients of a unix socket, until ctx is done or nobody has asked for a
// while: systemd holds the socket, and starts it again when somebody does. Then
// it returns nil once the last program has ended.
//
// The permissions of the socket say who may ask, see allowed. A client chooses
// an entry of the list and objects that the declaration allows; what it sends
// beyond that is refused. A client that goes away ends its program.
func Serve(ctx context.Context, l net.Listener, specs []probes.Spec, log *slog.Logger) error {
	entries, err := compile(privileged(specs))
	if err != nil {
		return err
	}
	if network := l.Addr().Network(); network != "unix" {
		return fmt.Errorf("the root helper listens on a unix socket, not on %s", network)
	}
	h := &helper{
		entries: entries, runner: newRunner(), allow: peerCheck(l.Addr().String()),
		patience: clientTimeout, idle: idleTimeout, log: log,
	}
	h.runner.stdout = maxOutput
	return h.serve(ctx, l)
}

// privileged returns the specs with their privileged commands only.
func privileged(specs []probes.Spec) []probes.Spec {
	var list []probes.Spec
	for _, spec := range specs {
		one := probes.Spec{Name: spec.Name}
		for _, command := range spec.Commands {
			if command.Privileged {
				one.Commands = append(one.Commands, command)
			}
		}
		list = append(list, one)
	}
	return list
}

func (h *helper) serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var clients sync.WaitGroup
	defer clients.Wait()
	slots := make(chan struct{}, maxClients)
	for {
		if l, is := l.(interface{ SetDeadline(t time.Time) error }); is {
			if err := l.SetDeadline(time.Now().Add(h.idle)); err != nil && ctx.Err() == nil {
				return err
			}
		}
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			if len(slots) == 0 {
				return nil
			}
			continue
		case err != nil:
			return err
		}
		slots <- struct{}{}
		clients.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			if err := h.handle(ctx, conn); err != nil {
				h.log.Warn("request refused or not answered", "err", err)
			}
		})
	}
}

// handle answers one client. The error is one that the client may never see.
func (h *helper) handle(ctx context.Context, conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(h.patience)); err != nil {
		return err
	}
	argv, r, refused := h.admit(conn)
	if refused != nil {
		return errors.Join(refused, reply(conn, newResponse(probes.Output{}, refused)))
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.runtime())
	defer cancel()
	go func() {
		// A client that is still there has nothing more to say.
		_, _ = io.Copy(io.Discard, conn)
		cancel()
	}()
	out, err := h.runner.run(ctx, argv)
	h.log.Debug("command run", "probe", r.Probe, "entry", r.Entry, "objects", r.Objects, "exit_code", out.ExitCode)
	if err := conn.SetWriteDeadline(time.Now().Add(h.patience)); err != nil {
		return err
	}
	return reply(conn, newResponse(out, err))
}

// admit reads a request and returns what to run for it. It reads before it looks
// who asks, so that a client that is refused has said all and hears the answer.
func (h *helper) admit(conn net.Conn) ([]string, request, error) {
	r, err := readRequest(conn)
	if refused := h.allow(conn); refused != nil {
		return nil, r, refused
	}
	if err != nil {
		return nil, r, err
	}
	argv, err := h.argv(r)
	return argv, r, err
}

// readRequest reads what a client wants, strictly: a helper that passed over a
// field it does not know might do something else than it was asked.
func readRequest(from io.Reader) (request, error) {
	var r request
	decoder := json.NewDecoder(io.LimitReader(from, maxRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, probes.Because(probes.Malformed, fmt.Errorf("malformed request: %w", err))
	}
	return r, nil
}

// argv returns what the request stands for in the compiled list.
func (h *helper) argv(r request) ([]string, error) {
	e := h.entries[key{r.Probe, r.Entry}]
	if e == nil {
		return nil, probes.Because(probes.Unsupported, fmt.Errorf(
			"%.40q has no privileged command %.40q here; is the helper of another version than the agent?", r.Probe, r.Entry))
	}
	return e.argv(r.Objects)
}

// runtime is how long the program may run.
func (r request) runtime() time.Duration {
	if r.Timeout <= 0 || r.Timeout > maxRuntime.Milliseconds() {
		return maxRuntime
	}
	return time.Duration(r.Timeout) * time.Millisecond
}

func reply(conn net.Conn, r response) error { return json.NewEncoder(conn).Encode(r) }
