package bareos

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A check is a verify job that has read what a run wrote.
type check struct {
	run
	target int64  // the run
	flaw   string // what it found; empty: nothing
}

// What the log of a verify job tells.
var (
	verifiedJob = regexp.MustCompile(`Verify JobId:\s+([0-9]+)`)
	storageErr  = regexp.MustCompile(`SD Errors:\s+[1-9]|Volume data error|[Cc]hecksum mismatch|differs|not in catalog`)
)

// checked finds out which run each verify job has verified, by its log. Those are
// asked for once. Only levels that read volumes are evidence.
func (c *console) checked(ctx context.Context, verifies []run, runs []run) ([]check, error) {
	var list []check
	for _, v := range verifies[:min(len(verifies), maxVerify)] {
		if depthOf(v.level) == "" || v.running() || v.status == halted {
			continue
		}
		found, err := c.check(ctx, v)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(runs, func(r run) bool { return r.id == found.target }) {
			list = append(list, found)
		}
	}
	return list, nil
}

// depthOf returns what a verify job of a level proves: O reads the volumes for
// what is in the catalogue, A compares the content too. The others compare the
// catalogue with the disk of the client, and prove nothing of the backup.
func depthOf(level string) job.Depth {
	return map[string]job.Depth{"O": job.Structure, "A": job.Read}[level]
}

func (c *console) check(ctx context.Context, v run) (check, error) {
	c.mu.Lock()
	target, known := c.targets[v.id]
	c.mu.Unlock()
	found := check{run: v, target: target}
	if known && v.good() {
		return found, nil
	}
	log, err := c.ask(ctx, "llist joblog jobid="+strconv.FormatInt(v.id, 10))
	if err != nil {
		return found, err
	}
	if match := verifiedJob.FindSubmatch(log); match != nil {
		found.target, _ = strconv.ParseInt(string(match[1]), 10, 64)
	}
	if v.bad() && (v.status == "D" || storageErr.Match(log)) {
		found.flaw = firstError(string(log))
	}
	c.mu.Lock()
	c.targets[v.id] = found.target
	c.mu.Unlock()
	return found, nil
}

// complaint finds the first error that a log tells of.
var complaint = regexp.MustCompile(`Error: ([^\n\\]*(?:data error|mismatch|differs|not in catalog)[^\n\\]*)`)

func firstError(log string) string {
	if match := complaint.FindStringSubmatch(log); match != nil {
		return strings.TrimSpace(match[1])
	}
	return "what is on the volumes differs from the catalogue"
}

// fill tells what there is, and what the newest run or the last verify job found
// wrong.
func fill(sight *job.Sight, runs []run, checks []check) error {
	for _, r := range runs {
		if !r.good() {
			continue
		}
		sight.Points = append(sight.Points, job.Point{ID: r.job, At: r.start, Type: r.level, Size: job.Of(r.bytes), Files: job.Of(r.files)})
	}
	for _, c := range checks {
		if c.good() && c.files > 0 {
			sight.Evidence = append(sight.Evidence, job.Evidence{Depth: depthOf(c.level), At: c.end, Tool: job.Tool{Name: "verify job"}})
		}
	}
	for _, r := range runs {
		switch {
		case r.running():
			sight.Notes = append(sight.Notes, fmt.Sprintf("the run %s goes on", r.job))
			continue
		case r.status == halted:
			sight.Notes = append(sight.Notes, fmt.Sprintf("the run %s was cancelled", r.job))
			continue
		case r.bad():
			return job.Flawed(job.Reported, "the newest run %s ended with %s", r.job, statusText(r.status))
		}
		break
	}
	return verdict(checks)
}

// verdict is the flaw that the last verify job of the newest verified run found.
func verdict(checks []check) error {
	for _, c := range checks {
		switch {
		case c.flaw != "":
			return job.Flawed(job.Damaged, "the verify job %s says of the run %d: %s", c.job, c.target, c.flaw)
		case c.good():
			return nil
		}
	}
	return nil
}

// Check does a task.
func (c *console) Check(ctx context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}}
	c.mu.Lock()
	runs, checks := c.runs, c.checks
	out.Judged(c.tool)
	c.mu.Unlock()
	i := slices.IndexFunc(runs, func(r run) bool { return r.job == task.Point.ID })
	switch {
	case i < 0:
		out.Err = probes.Because(probes.NotFound, fmt.Errorf("the run %.80q is not in the catalogue any more", task.Point.ID))
	case task.Depth == job.Structure:
		out.Err = c.structure(ctx, runs[i:], &out)
	case task.Depth == job.Read:
		out.Err = read(runs[i], checks)
	default:
		out.Err = probes.Because(probes.Unsupported, fmt.Errorf("a job of a director is not checked by %s", task.Depth))
	}
	return out
}

// read is what verify jobs say of a run.
func read(r run, checks []check) error {
	for _, c := range checks {
		switch {
		case c.target != r.id || c.level != "A":
		case c.flaw != "":
			return job.Flawed(job.Damaged, "the verify job %s says: %s", c.job, c.flaw)
		case c.good():
			return nil
		}
	}
	return probes.Because(probes.NotRun, fmt.Errorf("no verify job of the level Data has read the run %s", r.job))
}

// structure demands that a run and all that it builds upon are in the catalogue
// and on volumes that can be read. runs begins with it.
func (c *console) structure(ctx context.Context, runs []run, out *job.Outcome) error {
	newest := runs[0]
	if newest.errors > 0 {
		out.Note("the run told of %d errors, such as files that it could not read", newest.errors)
	}
	if newest.purged {
		out.Note("the list of its files was pruned: single files can only be found by reading the volumes")
	}
	needed, err := chain(runs)
	if err != nil {
		return err
	}
	for _, r := range needed {
		if r.level == "F" && r.files == 0 {
			return job.Flawed(job.Empty, "the full run %s holds no file", r.job)
		}
		if r.bytes == 0 && r.files == 0 {
			continue // nothing had changed
		}
		if err := c.volumes(ctx, r, out); err != nil {
			return err
		}
	}
	return nil
}

// chain returns the runs that a restore needs: the run itself, and before an
// incremental one all back to the last differential and the full one.
func chain(runs []run) ([]run, error) {
	var list []run
	differential := false
	for _, r := range runs {
		switch {
		case !r.good() || differential && r.level != "F":
			continue
		}
		list = append(list, r)
		switch r.level {
		case "F":
			return list, nil
		case "D":
			differential = true
		}
	}
	return nil, job.Flawed(job.Incomplete, "no full run is in the catalogue upon which %s could build", runs[0].job)
}

// volumes demands that what a run wrote is on volumes that were not given up.
func (c *console) volumes(ctx context.Context, r run, out *job.Outcome) error {
	rows, err := c.records(ctx, "llist jobmedia jobid="+strconv.FormatInt(r.id, 10))
	if err != nil {
		return err
	}
	var names []string
	for _, row := range rows {
		name := row["volumename"]
		if name != "" && row.number("jobid") == r.id && jobName.MatchString(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return job.Flawed(job.Incomplete, "the catalogue names no volume of the run %s", r.job)
	}
	for _, name := range names {
		if err := c.volume(ctx, name, r, out); err != nil {
			return err
		}
	}
	return nil
}

func (c *console) volume(ctx context.Context, name string, r run, out *job.Outcome) error {
	rows, err := c.records(ctx, "llist volume="+name)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rows, func(row record) bool { return row["volumename"] == name && row["volstatus"] != "" })
	if i < 0 {
		return job.Flawed(job.Incomplete, "the volume %q of the run %s is not in the catalogue", name, r.job)
	}
	switch status := rows[i]["volstatus"]; status {
	case "Purged", "Recycle", "Error":
		return job.Flawed(job.Incomplete, "the volume %q of the run %s has the status %s", name, r.job, status)
	}
	if n := rows[i].number("volerrors"); n > 0 {
		out.Note("the volume %q has had %d errors", name, n)
	}
	return nil
}
