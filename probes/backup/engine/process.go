package engine

import (
	"context"
	"time"

	"hygiene_exporter/probes"
)

// A process is a server that runs beside the session.
type process struct {
	cancel context.CancelFunc
	done   chan struct{}
	out    probes.Output
	err    error
}

// serve starts a server. It ends with the session, at the latest.
func (s *Session) serve(entry, program string, objects ...string) *process {
	ctx, cancel := context.WithCancel(s.limit)
	p := &process{cancel: cancel, done: make(chan struct{})}
	// In a goroutine of its own, whose thread does not end before the agent: the
	// server goes with the thread that started it.
	go func() {
		defer close(p.done)
		printed := &beginning{}
		p.out, p.err = s.pipe(ctx, nil, printed, entry, program, objects...)
		p.out.Stdout = printed.kept.Bytes()
	}()
	return p
}

// await waits until the server is ready or has ended.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !ready() {
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// result is what the server left behind; it must have ended.
func (p *process) result() (probes.Output, error) { return p.out, p.err }

// kill ends the server, if it has not ended, and waits for it.
func (p *process) kill() {
	p.cancel()
	<-p.done
}
