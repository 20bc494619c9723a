package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is one program of the stack. Its output is kept over restarts. It
// is not safe for use by more than one goroutine.
type Process struct {
	Name string
	// Address is where it listens, the same after each start.
	Address string

	path string
	args []string
	log  output
	cmd  *exec.Cmd
	done chan struct{}
}

// NewProcess starts a program that answers to /-/ready. ADDRESS in its arguments
// becomes an address on which nobody listens. With an error there may still be
// a process, which Kill ends.
func NewProcess(ctx context.Context, name, path string, args ...string) (*Process, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &Process{Name: name, Address: address, path: path}
	for _, arg := range args {
		p.args = append(p.args, strings.ReplaceAll(arg, "ADDRESS", address))
	}
	return p, p.Start(ctx)
}

// output collects what a program writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Output returns all that the program has written since its first start.
func (p *Process) Output() string { return p.log.String() }

// Start starts the program and waits until it says that it is ready.
func (p *Process) Start(ctx context.Context) error {
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // it outlives the context of its start, and Kill ends it
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cmd.Wait(); err != nil {
			fmt.Fprintf(&p.log, "%s ended: %v\n", p.Name, err)
		}
	}()
	p.cmd, p.done = cmd, done
	return p.ready(ctx)
}

// ready polls until the program answers.
func (p *Process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, "http://"+p.Address+"/-/ready") {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready:\n%s", p.Name, p.Output())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.Name, ctx.Err(), p.Output())
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Kill ends the program as a crash would, and waits until it is gone.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Stop asks the program to end, and waits until it is gone.
func (p *Process) Stop() error { return p.end(syscall.SIGTERM) }

func (p *Process) end(signal os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		err = errors.Join(err, p.cmd.Process.Kill())
		<-p.done
	}
	p.cmd = nil
	return err
}

// Restart kills the program and starts it again.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Kill(); err != nil {
		return fmt.Errorf("killing %s: %w", p.Name, err)
	}
	return p.Start(ctx)
}

// freeAddress returns an address on which nobody listens, and which nobody else is
// given: neither while its program has not been started yet, nor while it is being
// started again. Its port is below those that the kernel gives to connections.
func freeAddress(ctx context.Context) (string, error) {
	ports.mu.Lock()
	defer ports.mu.Unlock()
	for range portBlocks * portsPerBlock {
		if ports.left == 0 {
			if err := ports.claim(ctx); err != nil {
				return "", err
			}
		}
		ports.next, ports.left = ports.next+1, ports.left-1
		address := fmt.Sprintf("127.0.0.1:%d", ports.next-1)
		if listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address); err == nil {
			listener.Close()
			return address, nil
		}
	}
	return "", errors.New("there is no port that is free")
}

const (
	firstPort     = 10_000
	portBlocks    = 40
	portsPerBlock = 500
)

// ports are those that this process may give away, each once.
var ports portRange

type portRange struct {
	mu         sync.Mutex
	next, left int
	held       []net.Listener // one in each block
}

// claim takes a block of ports for this process, until it ends: whoever listens on
// the first port of a block has it, and several test programs run at the same time.
func (r *portRange) claim(ctx context.Context) error {
	var errs []error
	for _, block := range rand.Perm(portBlocks) {
		first := firstPort + block*portsPerBlock
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", first))
		if err == nil {
			r.next, r.left, r.held = first+1, portsPerBlock-1, append(r.held, listener)
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
