package backup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// TestWhatIsWrongWithAJobIsSaid: every demand on a job names the key that does not
// meet it.
func TestWhatIsWrongWithAJobIsSaid(t *testing.T) {
	const day = probes.Duration(24 * time.Hour)
	query := job.Query{Query: "select 1", Equals: "1"}
	for _, c := range []struct {
		change func(j *Job)
		want   string
	}{
		{func(*Job) {}, ""},
		{func(j *Job) { j.Name = "a b" }, "name: "},
		{func(j *Job) { j.RPO = 0 }, "rpo: "},
		{func(j *Job) { j.LogRPO = day }, "log_rpo: "},
		{func(j *Job) { j.Verify.UnknownAfter = 0 }, "verify.unknown_after: "},
		{func(j *Job) { j.Anomaly.After = -1 }, "anomaly.after: "},
		{func(j *Job) { j.Restore.Source = "etc" }, "restore.source: "},
		{func(j *Job) { j.Restore.Assert.Required = []string{"[a"} }, "restore.assert.required[0]: "},
		{func(j *Job) { j.Kind = "tape" }, `kind: "tape" is unknown; there are files, `},
		{func(j *Job) { j.Repository = "" }, "repository: is missing"},
		{func(j *Job) { j.Paths = []string{"/a"} }, "paths: is no key of the kind restic"},
		{func(j *Job) { j.Verify.Asserted = day }, "verify.asserted: there is nothing under restore.assert"},
		{func(j *Job) { j.Verify.Loaded = day }, "verify.loaded: restore.load does not say which files the dumps are"},
		{func(j *Job) { j.Restore.Assert.Queries = []job.Query{query} }, "restore.assert.queries: nothing is loaded that could be asked: set restore.load"},
		{func(j *Job) { j.Restore.Load, j.Verify.Loaded = []string{"*.sql"}, day }, ""},
		{func(j *Job) { j.Restore.Load, j.Restore.Assert.Queries = []string{"*.sql"}, []job.Query{query} }, ""},
		{func(j *Job) { j.Restore.Load = []string{"*.sql", ""} }, "restore.load[1]: "},
		{func(j *Job) {
			*j = Job{Name: "a", Kind: "pbs", RPO: day, Verify: Verify{UnknownAfter: day}, Options: job.Options{Repository: "/r"}}
			j.Restore.Load, j.Verify.Loaded = []string{"*.sql"}, day
		}, "verify.loaded: the kind pbs cannot be checked so deeply"},
		{func(j *Job) {
			*j = Job{Name: "a", Kind: "pgbackrest", RPO: day, Verify: Verify{UnknownAfter: day}, Options: job.Options{Stanza: "main"}}
			j.Restore.Load = []string{"*.sql"}
		}, "restore.load: the kind pgbackrest restores no files among which there could be dumps"},
		{func(j *Job) { j.Copies = []Copy{{Name: "a b"}} }, "copies[0].name: "},
		{func(j *Job) { j.Copies = []Copy{{Name: "a"}, {Name: "a"}} }, `copies[1].name: "a" is the name of an earlier copy too`},
	} {
		var j Job
		j.SetDefaults()
		j.Name, j.Kind, j.Repository, j.PasswordFile = "home", "restic", "/repo", "/pw"
		c.change(&j)
		conf := defaultConfig()
		conf.Jobs = []Job{j}
		switch err := conf.Validate(); {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", j, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), "jobs[0]."+c.want)):
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}

// TestDumpsMakeAKindReachDeeper: only where restore.load says what to load.
func TestDumpsMakeAKindReachDeeper(t *testing.T) {
	j := Job{Kind: "restic"}
	if kind, _ := j.kind(); slices.Contains(kind.Depths, job.Loaded) {
		t.Error("restic loads by itself")
	}
	j.Restore.Load = []string{"*.sql"}
	if kind, _ := j.kind(); !slices.Contains(kind.Depths, job.Loaded) {
		t.Error("restic does not load what it should")
	}
	if kind, _ := kindOf("restic"); slices.Contains(kind.Depths, job.Loaded) {
		t.Error("one job has changed the kind for all")
	}
}
