package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/idle"
)

// A runner runs programs, a few at a time.
type runner struct {
	stdout, stderr int           // caps in bytes
	linger         time.Duration // how long output is awaited once the program has ended
	patience       time.Duration // how long a killed program may take to go away; above linger
	kill           func(group int) error
	slots          chan struct{}

	mu    sync.Mutex
	stuck map[string]int // process ids of programs that cannot be killed, by command line
}

func newRunner() *runner {
	return &runner{
		stdout: 16 << 20, stderr: 64 << 10,
		linger: 2 * time.Second, patience: 3 * time.Second,
		kill:  func(group int) error { return syscall.Kill(-group, syscall.SIGKILL) },
		slots: make(chan struct{}, 4),
		stuck: map[string]int{},
	}
}

// searchPath is where programs are looked for, whatever the agent's own
// environment says. Only root can write there.
func searchPath() []string {
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

// vendorPath is where the packages of vendors put their tools, and do not link
// them from anywhere.
func vendorPath() []string {
	return []string{
		"/opt/MegaRAID/storcli", "/opt/MegaRAID/storcli2", "/opt/MegaRAID/perccli", "/opt/MegaRAID/perccli2", "/opt/MegaRAID/MegaCli",
		"/opt/dell/perccli", "/opt/hp/hpssacli/bld", "/opt/smartstorageadmin/ssacli/bin", "/usr/Arcconf", "/usr/StorMan", "/opt/3ware/CLI",
	}
}

// environment is all that a program sees of ours. Times are in UTC, because
// many tools print local time without a zone.
func environment() []string {
	return []string{"PATH=" + strings.Join(searchPath(), ":"), "LC_ALL=C", "TZ=UTC"}
}

// lookup finds a program.
func lookup(program string) (string, error) {
	places := []string{program}
	if !strings.Contains(program, "/") {
		places = nil
		for _, dir := range slices.Concat(searchPath(), vendorPath()) {
			places = append(places, filepath.Join(dir, program))
		}
	}
	denied := ""
	for _, place := range places {
		path, err := exec.LookPath(place)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, fs.ErrPermission) && denied == "" {
			denied = place
		}
	}
	if denied != "" {
		return "", fmt.Errorf("%s cannot be executed: %w", denied, fs.ErrPermission)
	}
	return "", probes.Because(probes.NotFound, fmt.Errorf("%s is not installed", program))
}

// run runs a program to its end, or to the end of ctx. It returns soon after
// ctx is done even when the kernel does not let go of the program; until that
// is gone, the same command line is not started again.
func (r *runner) run(ctx context.Context, argv []string) (probes.Output, error) {
	return r.pipe(ctx, call{argv: argv})
}

// A call is one program that is to be run.
type call struct {
	argv, env []string // env comes on top of what every program gets
	in        io.Reader
	out       io.Writer
}

// pipe is like run for a program that reads in and whose output goes to out, as
// it comes, unless out is nil. Such a program moves much data: it gets the
// lowest priority for processor and disk.
func (r *runner) pipe(ctx context.Context, what call) (probes.Output, error) {
	argv := what.argv
	path, err := lookup(argv[0])
	if err != nil {
		return probes.Output{}, err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return probes.Output{}, fmt.Errorf("%s was not started, others are still running: %w", argv[0], context.Cause(ctx))
	}
	line := strings.Join(argv, "\x00")
	if pid := r.stuckAs(line); pid != 0 {
		return probes.Output{}, probes.Because(probes.Unavailable,
			fmt.Errorf("%s still hangs in the kernel since an earlier run, as process %d", argv[0], pid))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &process{
		runner: r, name: argv[0],
		stdout: capped{limit: r.stdout, full: cancel},
		stderr: capped{limit: r.stderr},
		done:   make(chan struct{}),
	}
	p.cmd = exec.CommandContext(ctx, path, argv[1:]...)
	p.cmd.Env = slices.Concat(environment(), what.env)
	p.cmd.Dir = p.workplace()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = what.in, &p.stdout, &p.stderr
	if what.out != nil {
		p.cmd.Stdout = what.out
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = p.killGroup
	p.cmd.WaitDelay = r.linger
	if err := p.cmd.Start(); err != nil {
		p.clean()
		return probes.Output{}, err
	}
	if what.out != nil {
		idle.Lower(p.cmd.Process.Pid)
	}
	go p.wait()
	if p.await(ctx) {
		return p.output(ctx)
	}
	r.abandon(line, p)
	return probes.Output{}, probes.Because(probes.Timeout,
		fmt.Errorf("%s was killed and hangs in the kernel, as process %d", argv[0], p.cmd.Process.Pid))
}

func (r *runner) stuckAs(line string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stuck[line]
}

func (r *runner) abandon(line string, p *process) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck[line] = p.cmd.Process.Pid
	go func() {
		<-p.done
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.stuck, line)
	}()
}

// A process is one program that runs.
type process struct {
	runner         *runner
	name           string
	cmd            *exec.Cmd
	stdout, stderr capped
	place          string        // where it may drop what it likes; empty if there is no such place
	done           chan struct{} // closed once all is over, and err is set
	err            error

	mu    sync.Mutex
	ended bool // and perhaps reaped: its number may be somebody else's
}

// await waits for the end of the program, and not much longer than ctx. It
// reports whether the program has ended.
func (p *process) await(ctx context.Context) bool {
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
	}
	timer := time.NewTimer(p.runner.patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

// wait waits for the program, and kills what it leaves behind in its group
// while the program is still a zombie: afterwards the number of the group may
// belong to somebody else.
func (p *process) wait() {
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	_ = p.killGroup() // usually nobody is left
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.err = p.cmd.Wait()
	p.clean()
	close(p.done)
}

// workplace makes a directory for what a program drops where it is started, as
// tools of vendors do with logs.
func (p *process) workplace() string {
	dir, err := os.MkdirTemp("", "hygiene_exporter-")
	if err != nil {
		return "/"
	}
	p.place = dir
	return dir
}

// clean removes what the program left in its workplace.
func (p *process) clean() {
	if p.place != "" {
		_ = os.RemoveAll(p.place) // what cannot be removed is among temporary files
	}
}

// killGroup kills the program and all that it started and that did not leave
// its process group.
func (p *process) killGroup() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrProcessDone
	}
	return p.runner.kill(p.cmd.Process.Pid)
}

// output judges the end of a program.
func (p *process) output(ctx context.Context) (probes.Output, error) {
	out := probes.Output{Stdout: p.stdout.kept.Bytes(), Stderr: p.stderr.kept.Bytes(), Truncated: p.stdout.cut}
	// With exec.ErrWaitDelay, something that left the group keeps the output
	// open. The output of the program itself is complete.
	state := p.cmd.ProcessState
	switch {
	case out.Truncated:
		return out, probes.Because(probes.TooLarge, fmt.Errorf("%s printed more than %d bytes", p.name, p.runner.stdout))
	case state != nil && state.Exited():
		out.ExitCode = state.ExitCode()
		return out, nil
	case ctx.Err() != nil:
		return out, fmt.Errorf("%s was killed: %w", p.name, context.Cause(ctx))
	case state != nil:
		return out, probes.Because(probes.Unavailable, fmt.Errorf("%s ended by itself: %s", p.name, state))
	}
	return out, fmt.Errorf("%s: %w", p.name, p.err)
}

// capped keeps the first bytes of what is written to it. One goroutine writes,
// and nobody reads before it has ended.
type capped struct {
	kept  bytes.Buffer // not embedded: io.Copy would use its ReadFrom and pass the cap by
	limit int
	cut   bool
	full  func() // called, if any, when something was cut
}

func (c *capped) Write(b []byte) (int, error) {
	room := c.limit - c.kept.Len()
	if len(b) <= room {
		return c.kept.Write(b)
	}
	c.kept.Write(b[:room])
	c.cut = true
	if c.full != nil {
		c.full()
	}
	return len(b), nil
}
