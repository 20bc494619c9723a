package kopia

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A maintenance is what Kopia tells of the upkeep of a repository, without which
// it grows for ever.
type maintenance struct {
	Owner string `json:"owner"`
	Full  struct {
		Enabled  bool          `json:"enabled"`
		Interval time.Duration `json:"interval"`
	} `json:"full"`
	Schedule struct {
		Next time.Time `json:"nextFullMaintenance"`
		Runs map[string][]struct {
			Start   time.Time `json:"start"`
			Success bool      `json:"success"`
			Error   string    `json:"error"`
		} `json:"runs"`
	} `json:"schedule"`
}

func (r *repository) maintenance(ctx context.Context, c connection) (maintenance, error) {
	var m maintenance
	err := r.decode(ctx, c, "maintenance", func(d *json.Decoder) error { return d.Decode(&m) })
	return m, err
}

// state changes whenever maintenance, which removes what nobody needs, has run.
func (m maintenance) state() string {
	var newest time.Time
	for _, runs := range m.Schedule.Runs {
		for _, run := range runs {
			if run.Start.After(newest) {
				newest = run.Start
			}
		}
	}
	return newest.String()
}

// collects is the task of the full maintenance that every run of it begins with.
const collects = "snapshot-gc"

// notes tells of what is odd about the upkeep.
func (m maintenance) notes() []string {
	var notes []string
	switch {
	case m.Owner == "":
		return []string{"nobody owns the maintenance of the repository, which grows for ever"}
	case !m.Full.Enabled:
		notes = append(notes, "the full maintenance of the repository is switched off, so that it grows for ever")
	}
	var last time.Time
	for _, run := range m.Schedule.Runs[collects] {
		if run.Success && run.Start.After(last) {
			last = run.Start
		}
	}
	if last.IsZero() {
		return append(notes, fmt.Sprintf("%s owns the maintenance, and a full one has never run", m.Owner))
	}
	return append(notes, fmt.Sprintf("%s owns the maintenance; a full one last ran at %s, and is due every %s", m.Owner, last.UTC().Format(time.RFC3339), m.Full.Interval))
}
