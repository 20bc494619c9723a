package backup

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/engine"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
	"hygiene_exporter/probes/internal/scratch"
)

// A worker does the slow work between the runs, one task after the other. It
// ends when nothing is due; the next run wakes another.
type worker struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// wake starts a worker if there is none and something may be due.
func (p *probe) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.worker != nil || p.stop {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{cancel: cancel, done: make(chan struct{})}
	p.worker = w
	go func() {
		defer close(w.done)
		defer cancel()
		idle.Do(func() { p.all(ctx) })
		p.mu.Lock()
		defer p.mu.Unlock()
		p.worker = nil
		p.save()
	}()
}

// Stop ends the work. What was begun is begun again another time.
func (p *probe) Stop() {
	p.mu.Lock()
	p.stop = true
	w := p.worker
	p.mu.Unlock()
	if w != nil {
		w.cancel()
		<-w.done
	}
}

// all does everything that is due.
func (p *probe) all(ctx context.Context) {
	p.selftest(ctx)
	for ctx.Err() == nil {
		p.mu.Lock()
		t, due := p.next(p.now())
		p.mu.Unlock()
		if !due {
			return
		}
		p.do(ctx, t)
	}
}

// do does one task and takes over what came of it.
func (p *probe) do(ctx context.Context, t pending) {
	limited, cancel := context.WithTimeout(ctx, time.Duration(p.config.CheckTimeout))
	defer cancel()
	start := p.now()
	out := p.check(limited, t)
	if ctx.Err() != nil && !job.IsFlaw(out.Err) {
		return // the work was stopped: that says nothing
	}
	if out.Units == nil {
		out.Units = map[string]error{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.ledger.Spent.Amount += int64(now.Sub(start))
	r := p.ledger.copy(t.place.name(), now)
	if t.depth == job.Read {
		untold(t, &out)
	}
	r.note(t, out, now)
	r.readProof(p.seen[t.place.name()])
	p.dirty = true
	p.save()
	p.tell(t, out, now.Sub(start))
}

// untold makes sure that a task that was tried is not tried again at once: the
// first unit shares its error if the check did not say whose it is.
func untold(t pending, out *job.Outcome) {
	if len(out.Units) > 0 || len(t.task.Units) == 0 {
		return
	}
	err := out.Err
	if err == nil {
		err = probes.Because(probes.Other, fmt.Errorf("the check said nothing"))
	}
	for _, u := range t.task.Units {
		out.Units[u.ID] = err
	}
}

// check lets the kind do a task, with a scratch directory where it needs one. A
// panic is one bad check, not the end of the agent.
func (p *probe) check(ctx context.Context, t pending) (out job.Outcome) {
	defer func() {
		if value := recover(); value != nil {
			p.host.Log.Error("a check of a backup panicked", "job", t.place.job.Name, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
			out = job.Outcome{Err: fmt.Errorf("the check panicked: %v", value)}
		}
	}()
	switch t.depth {
	case job.Restored, job.Loaded, job.Asserted:
		dir, err := scratch.Make(p.scratchFor(t))
		if err != nil {
			return job.Outcome{Err: fmt.Errorf("there is no scratch directory: %w", err)}
		}
		defer func() {
			if err := scratch.Remove(dir); err != nil {
				out.Note("the scratch directory could not be removed: %v", err)
			}
		}()
		t.task.Restore.Scratch = dir
	}
	return t.place.copy.Check(ctx, t.task)
}

// scratchFor returns where a restore is tested: where an engine can reach it, if
// one loads it and the configuration names no place.
func (p *probe) scratchFor(t pending) string {
	if t.depth != job.Restored && p.config.Scratch == "" && !engine.Reaches(p.scratch()) {
		return os.TempDir()
	}
	return p.scratch()
}

// Verification is the kind of event that tells of a check: the evidence for
// auditors, and what counts for a drill.
const Verification = "backup_verification"

// tell records the evidence of a check.
func (p *probe) tell(t pending, out job.Outcome, took time.Duration) {
	judgement := job.Judge(out.Err)
	var tools []string
	for _, tool := range out.Tools {
		tools = append(tools, strings.TrimSpace(tool.Name+" "+tool.Version))
	}
	detail := map[string]string{
		"copy": t.place.conf.Name, "depth": string(t.depth), "verdict": string(judgement.Verdict),
		"seconds": strconv.FormatFloat(took.Seconds(), 'f', 1, 64), "bytes": strconv.FormatInt(out.Bytes, 10),
	}
	for key, value := range map[string]string{
		"reason": judgement.Reason, "detail": judgement.Detail, "tools": strings.Join(tools, ", "),
		"notes": strings.Join(out.Notes, "; "),
	} {
		if value != "" {
			detail[key] = value
		}
	}
	if t.point >= 0 {
		detail["backup"] = t.task.Point.ID
	}
	for _, depth := range out.Reached {
		if depth == job.Asserted {
			detail["asserted"] = "true"
		}
	}
	// The host counts what cannot be written.
	_ = p.host.Events.Observe(probes.Event{Kind: Verification, Object: t.place.job.Name, At: p.now(), Detail: detail})
}
