package restic

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"hygiene_exporter/probes/backup/job"
)

const (
	// abandoned is how old a lock is that nobody holds any more: restic renews
	// its own every five minutes.
	abandoned = 30 * time.Minute
	// fewLocks is how many locks are looked at.
	fewLocks = 8
)

// locks says who is writing to the repository, and which locks nobody holds any
// more.
func (r *repository) locks(ctx context.Context) (busy string, notes []string, err error) {
	if r.local != "" {
		entries, err := r.host.Files.ReadDir(path.Join(r.local, "locks"))
		if err == nil && len(entries) == 0 || errors.Is(err, fs.ErrNotExist) {
			return "", nil, nil // the usual case costs no process
		}
	}
	out, err := r.run(ctx, nil, "restic-locks")
	if err == nil {
		err = failed(out)
	}
	if err != nil {
		return "", nil, err
	}
	ids := strings.Fields(string(out.Stdout))
	for i, id := range ids {
		if i == fewLocks {
			notes = append(notes, fmt.Sprintf("there are %d more locks", len(ids)-i))
			break
		}
		out, err := r.run(ctx, nil, "restic-lock", id)
		if err != nil {
			return "", nil, err
		}
		if out.ExitCode != 0 {
			continue // just released
		}
		h, err := parseLock(out.Stdout)
		if err != nil {
			return "", nil, err
		}
		who := fmt.Sprintf("process %d on %s holds a lock since %s", h.PID, h.Hostname, h.Time.UTC().Format(time.RFC3339))
		if r.stale(h, time.Now()) {
			notes = append(notes, who+", and is gone; \"restic unlock\" removes it")
			continue
		}
		busy = who
	}
	return busy, notes, nil
}

// stale reports whether nobody holds a lock any more.
func (r *repository) stale(h holder, now time.Time) bool {
	return now.Sub(h.Time) > abandoned || job.Departed(r.host.Files, h.Hostname, h.PID)
}
