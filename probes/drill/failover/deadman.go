package failover

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes/drill"
)

// An Order tells the dead man what to undo, in one line of JSON.
type Order struct {
	Drill  drill.Drill  `json:"drill"`
	Plan   Plan         `json:"plan"`
	Record drill.Record `json:"record"` // of the start
}

// The words between a drill and its dead man, a line each.
const (
	ready = "ready" // the dead man stands by
	ended = "ended" // the drill has ended properly
	idle  = "idle"  // the dead man had nothing to do, and goes
	acted = "acted" // the dead man had acted before
)

// A DeadMan puts back what a drill has changed, when the drill does not: it dies,
// or does not come to an end. It is a process of its own.
type DeadMan struct {
	In      io.Reader // from the drill; its end is the death of the drill
	Out     io.Writer // to the drill
	Machine *Machine
	Say     func(format string, args ...any)
	Record  func(drill.Record) error
	Now     func() time.Time
}

// Watch stands by until the drill has ended, and undoes the plan when that takes
// too long, when the drill is gone without a word, or when ctx is done, which is
// when the host goes down.
func (d *DeadMan) Watch(ctx context.Context) error {
	lines := bufio.NewReader(d.In)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no order: %w", err)
	}
	var order Order
	if err := json.Unmarshal(first, &order); err != nil {
		return fmt.Errorf("the order is not understood: %w", err)
	}
	if _, _, err := split(order.Plan.Object); err != nil {
		return err
	}
	after := time.Duration(order.Drill.Failover.RestoreAfter)
	timer := time.NewTimer(after)
	defer timer.Stop()
	if _, err := fmt.Fprintln(d.Out, ready); err != nil {
		return nil //nolint:nilerr // the drill is gone before it began
	}
	word := make(chan string, 1)
	go func() {
		text, _ := lines.ReadString('\n')
		word <- strings.TrimSpace(text)
	}()
	r := order.Record
	r.Unfinished, r.Detail = false, map[string]string{}
	maps.Copy(r.Detail, order.Record.Detail)
	select {
	case text := <-word:
		if text == ended {
			_, _ = fmt.Fprintln(d.Out, idle) // the drill may not have waited for it
			return nil
		}
		r.Detail["why"] = "the drill ended without a word"
	case <-timer.C:
		r.Result, r.Detail["why"] = drill.Failed, "the drill did not end within "+order.Drill.Failover.RestoreAfter.String()
	case <-ctx.Done():
		r.Detail["why"] = "the dead man was asked to end"
	}
	_, _ = fmt.Fprintln(d.Out, acted)
	return d.undo(context.WithoutCancel(ctx), order, r)
}

// undo puts everything back, sees whether everything works, and records that.
func (d *DeadMan) undo(ctx context.Context, order Order, r drill.Record) error {
	d.Say("%s: %s; everything is put back", order.Drill.Name, r.Detail["why"])
	after, err := order.Plan.Back(ctx, d.Machine)
	r.Detail["after"], r.Detail["put_back"] = cut(after), "by the dead man"
	if err == nil {
		err = d.recovered(ctx, order)
	}
	works := err == nil
	r.Recovered = &works
	if !works {
		r.Detail["not_recovered"] = cut(err.Error())
	}
	r.Detail["lasted"] = d.Now().Sub(r.At).Round(time.Millisecond).String()
	d.Say("%s", r.Text())
	// The agent may be busy, or hang in what the drill has tried.
	for range 30 {
		if err = d.Record(r); err == nil {
			return nil
		}
		d.Machine.Pause(2 * time.Second)
	}
	return fmt.Errorf("the end of the drill could not be recorded: %w", err)
}

// recovered waits until everything works.
func (d *DeadMan) recovered(ctx context.Context, order Order) error {
	w, err := newWorks(d.Machine, order.Drill, order.Plan)
	if err != nil {
		return err
	}
	end := d.Now().Add(max(time.Duration(order.Drill.Run.RecoverWithin), margin))
	for {
		err := w.once(ctx)
		if err == nil || !d.Now().Before(end) {
			return err
		}
		d.Machine.Pause(100 * time.Millisecond)
	}
}

// A Line is how a drill speaks to a dead man that was started.
type Line struct {
	to   io.WriteCloser
	from *bufio.Reader
}

// NewLine returns the line to a dead man, whose input and output are given.
func NewLine(to io.WriteCloser, from io.Reader) *Line { return &Line{to, bufio.NewReader(from)} }

// answerTimeout is how long the dead man may take to answer.
const answerTimeout = 30 * time.Second

// Arm gives the order, and returns when the dead man stands by.
func (l *Line) Arm(order Order) error {
	data, err := json.Marshal(order)
	if err != nil {
		return err
	}
	answer, err := l.ask(string(data))
	if err == nil && answer != ready {
		err = fmt.Errorf("the dead man says %.40q", answer)
	}
	return err
}

// Disarm implements Armed.
func (l *Line) Disarm() (bool, error) {
	defer func() { _ = l.to.Close() }()
	answer, err := l.ask(ended)
	return answer == acted, err
}

// ask says a line and waits for one.
func (l *Line) ask(line string) (string, error) {
	type said struct {
		line string
		err  error
	}
	answers := make(chan said, 1)
	go func() {
		// What the dead man has said before stands in the pipe, also when it is gone.
		_, failed := fmt.Fprintln(l.to, line)
		text, err := l.from.ReadString('\n')
		if err != nil && failed != nil {
			err = failed
		}
		answers <- said{strings.TrimSpace(text), err}
	}()
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.line, a.err
	case <-timer.C:
		return "", os.ErrDeadlineExceeded
	}
}

// Outlive makes this process, which has a session of its own, survive what can
// befall a drill: the end of the login or service that it was started in, and
// the lack of memory; and it needs no disk any more, which may be what the drill
// has cut off. Where something of it is not possible, the rest is done.
func Outlive() {
	_ = unix.Mlockall(unix.MCL_CURRENT)
	_ = unix.Mlockall(unix.MCL_FUTURE | unix.MCL_ONFAULT)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
	// Sessions and services are ended by their control group: see
	// KillUserProcesses= in logind.conf(5).
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		_ = os.WriteFile(top+"/cgroup.procs", []byte("0"), 0)
	}
}
