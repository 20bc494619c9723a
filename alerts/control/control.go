// Package control is the local door to a running agent: a unix socket over
// which the command line reads problems and changes what a person may change.
// Who may connect is decided by the mode of the socket; who did is known from
// the kernel, and no header can claim otherwise.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/alerts/ledger"
	"hygiene_exporter/alerts/monitor"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
)

// A Service is what the door leads to.
type Service interface {
	Problems(ctx context.Context) []monitor.Problem
	Ack(ctx context.Context, selector string, lasts time.Duration, ack ledger.Ack) ([]monitor.Problem, error)
	Unack(ctx context.Context, selector, by string, uid uint32) ([]monitor.Problem, error)
	Test(ctx context.Context, object, severity, owner string, lasts time.Duration) error
	// Baseline returns what all probes remember.
	Baseline(ctx context.Context) ([]Baseline, error)
	// Accept takes what is there of objects for what there should be.
	Accept(ctx context.Context, probe string, objects []string) ([]Baseline, error)
	// Drills returns how all drills stand.
	Drills(ctx context.Context) ([]drill.Standing, error)
	// RecordDrill keeps the evidence of a drill.
	RecordDrill(ctx context.Context, record drill.Record, uid uint32) (drill.Standing, error)
}

// A Baseline is one object that a probe remembers.
type Baseline struct {
	Probe string `json:"probe"`
	probes.Remembered
}

// An AcceptRequest takes what is there for what there should be.
type AcceptRequest struct {
	Probe   string   `json:"probe"`
	Objects []string `json:"objects"`
}

// An AckRequest takes problems for a while.
type AckRequest struct {
	Selector string        `json:"selector"` // EPISODE or PROBE/CHECK/OBJECT
	By       string        `json:"by"`
	Note     string        `json:"note"`
	For      time.Duration `json:"for"`
}

// An UnackRequest gives problems back.
type UnackRequest struct {
	Selector string `json:"selector"`
	By       string `json:"by"`
}

// A TestRequest raises a problem that exists only to be seen to arrive.
type TestRequest struct {
	Object   string        `json:"object"`
	Severity string        `json:"severity"`
	Owner    string        `json:"owner"`
	For      time.Duration `json:"for"`
}

// maxRequest bounds what a client may send.
const maxRequest = 64 << 10

// ErrServed says that another agent has the socket, and with it the state.
var ErrServed = errors.New("another agent serves")

// Listen opens the socket. A leftover of an agent that was killed is replaced,
// one that another agent still
// serves is ErrServed. Only the user of the agent
// and the group of the directory may connect.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	if len(path) > 107 {
		return nil, fmt.Errorf("the path of the control socket is longer than the 107 bytes of a socket address: %s", path)
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%w %s", ErrServed, path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return listener, nil
}

type peerKey struct{}

// Serve answers on the socket until ctx is done.
func Serve(ctx context.Context, listener net.Listener, service Service, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /problems", func(w http.ResponseWriter, r *http.Request) {
		reply(w, service.Problems(r.Context()), nil)
	})
	handle(mux, "POST /ack", func(ctx context.Context, r AckRequest, uid uint32) ([]monitor.Problem, error) {
		return service.Ack(ctx, r.Selector, r.For, ledger.Ack{By: r.By, Note: r.Note, UID: uid})
	})
	handle(mux, "POST /unack", func(ctx context.Context, r UnackRequest, uid uint32) ([]monitor.Problem, error) {
		return service.Unack(ctx, r.Selector, r.By, uid)
	})
	mux.HandleFunc("GET /baseline", func(w http.ResponseWriter, r *http.Request) {
		all, err := service.Baseline(r.Context())
		reply(w, all, err)
	})
	handle(mux, "POST /accept", func(ctx context.Context, r AcceptRequest, uid uint32) ([]Baseline, error) {
		log.Info("baseline accepted", "probe", r.Probe, "objects", r.Objects, "uid", uid)
		return service.Accept(ctx, r.Probe, r.Objects)
	})
	mux.HandleFunc("GET /drills", func(w http.ResponseWriter, r *http.Request) {
		all, err := service.Drills(r.Context())
		reply(w, all, err)
	})
	handle(mux, "POST /drill", func(ctx context.Context, r drill.Record, uid uint32) (drill.Standing, error) {
		log.Info("drill recorded", "drill", r.Drill, "how", r.How, "result", string(r.Result), "by", r.By, "uid", uid)
		return service.RecordDrill(ctx, r, uid)
	})
	handle(mux, "POST /test", func(ctx context.Context, r TestRequest, uid uint32) (struct{}, error) {
		log.Info("test problem", "object", r.Object, "severity", r.Severity, "owner", r.Owner, "uid", uid)
		return struct{}{}, service.Test(ctx, r.Object, r.Severity, r.Owner, r.For)
	})
	server := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       30 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if uid, err := peer(conn); err == nil {
				return context.WithValue(ctx, peerKey{}, uid)
			}
			return ctx
		},
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// peer asks the kernel who is at the other end.
func peer(conn net.Conn) (uint32, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("not a unix socket: %T", conn)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var (
		credentials *unix.Ucred
		inner       error
	)
	err = raw.Control(func(fd uintptr) {
		credentials, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}

// handle serves one kind of change.
func handle[Request, Answer any](mux *http.ServeMux, pattern string, do func(context.Context, Request, uint32) (Answer, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		uid, known := r.Context().Value(peerKey{}).(uint32)
		if !known {
			reply(w, nil, errors.New("the kernel does not say who is asking"))
			return
		}
		var request Request
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			reply(w, nil, fmt.Errorf("malformed request: %w", err))
			return
		}
		answer, err := do(r.Context(), request, uid)
		reply(w, answer, err)
	})
}

// envelope is every answer on the socket.
type envelope struct {
	Error  string          `json:"error,omitempty"`
	Answer json.RawMessage `json:"answer,omitempty"`
}

func reply(w io.Writer, answer any, err error) {
	var out envelope
	if err == nil {
		out.Answer, err = json.Marshal(answer)
	}
	if err != nil {
		out.Error = err.Error()
	}
	_ = json.NewEncoder(w).Encode(out) // an error here means that the client has gone
}
