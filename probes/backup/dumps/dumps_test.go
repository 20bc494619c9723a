package dumps_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/dumps"
	"hygiene_exporter/probes/backup/job"
)

// A repository is a copy that restores files, and remembers what was asked of it.
type repository struct {
	job.Copy

	files   map[string]string
	err     error
	reached []job.Depth
	task    job.Task
}

func (c *repository) Check(_ context.Context, task job.Task) job.Outcome {
	c.task = task
	for name, text := range c.files {
		path := filepath.Join(task.Restore.Scratch, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return job.Outcome{Err: err}
		}
	}
	return job.Outcome{Err: c.err, Reached: slices.Clone(c.reached), RestoredBytes: 7}
}

func TestWhatTheCopyIsAsked(t *testing.T) {
	query := []job.Query{{Query: "select 1", Equals: "1"}}
	for _, c := range []struct {
		name   string
		depth  job.Depth
		assert job.Assert
		want   job.Depth
		sample int64 // that is left
	}{
		{name: "a reading is not touched", depth: job.Read, want: job.Read, sample: 5},
		{name: "a test restore is not touched", depth: job.Restored, want: job.Restored, sample: 5},
		{name: "what is demanded of files alone is not touched", depth: job.Asserted, assert: job.Assert{MinFiles: 1}, want: job.Asserted, sample: 5},
		{name: "loading restores everything", depth: job.Loaded, want: job.Restored},
		{name: "queries are not for the copy", depth: job.Asserted, assert: job.Assert{Queries: query}, want: job.Restored},
		{name: "but what is demanded beside them is", depth: job.Asserted, assert: job.Assert{Queries: query, MinFiles: 1}, want: job.Asserted},
	} {
		inner := &repository{}
		host := backuptest.Host(t, job.Kind{}, nil)
		task := job.Task{Depth: c.depth, Restore: job.Restore{Scratch: t.TempDir(), Sample: 5, Assert: c.assert}}
		dumps.Within(inner, host, []string{"*.sql"}).Check(t.Context(), task)
		if inner.task.Depth != c.want || inner.task.Restore.Sample != c.sample || len(inner.task.Restore.Assert.Queries) > 0 {
			t.Errorf("%s: the copy was asked for %+v", c.name, inner.task)
		}
		if got := inner.task.Restore.Assert.MinFiles; got != c.assert.MinFiles {
			t.Errorf("%s: %d files are demanded of the copy", c.name, got)
		}
	}
}

// TestNothingIsProvenByHalf: a restore that succeeds proves nothing of a dump that
// is missing or cannot be loaded, and the word of the copy on assertions is void.
func TestNothingIsProvenByHalf(t *testing.T) {
	host := backuptest.Host(t, job.Kind{}, nil)
	for _, c := range []struct {
		name string
		tree repository
		want string
	}{
		{"no dump", repository{files: map[string]string{"a/b.txt": "b"}, reached: []job.Depth{job.Structure, job.Asserted}}, "bad unasserted"},
		{"a file that is no dump", repository{files: map[string]string{"a/b.sql": "hello"}, reached: []job.Depth{job.Asserted}}, "unknown unsupported"},
		{"an empty dump", repository{files: map[string]string{"b.sql": ""}}, "bad empty"},
		{"a bad copy", repository{err: job.Flawed(job.Damaged, "damaged"), files: map[string]string{"b.sql": ""}}, "bad damaged"},
		{"a copy that could not be restored", repository{err: probes.Because(probes.Unavailable, errors.New("gone"))}, "unknown unavailable"},
	} {
		out := dumps.Within(&c.tree, host, []string{"*.sql"}).Check(t.Context(), job.Task{Depth: job.Loaded, Restore: job.Restore{Scratch: t.TempDir()}})
		if got := backuptest.Answer(out.Err); got != c.want {
			t.Errorf("%s: got %q, want %q: %v", c.name, got, c.want, out.Err)
		}
		if c.tree.err == nil && slices.ContainsFunc(out.Reached, func(d job.Depth) bool { return d == job.Loaded || d == job.Asserted }) {
			t.Errorf("%s: reached %v", c.name, out.Reached)
		}
	}
}

func TestNoPatternChangesNothing(t *testing.T) {
	inner := &repository{}
	if dumps.Within(inner, probes.Host{}, nil) != job.Copy(inner) {
		t.Error("the copy was wrapped")
	}
}
