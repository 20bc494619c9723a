package bareos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

// greeting and answers are in the form that the manual of Bareos documents.
const greeting = `Connecting to Director localhost:9101
 Encryption: TLS_CHACHA20_POLY1305_SHA256 TLSv1.3
1000 OK: bareos-dir Version: 22.1.0 (13 June 2023)
Enter a period to cancel a command.
`

const answers = `{
  "jsonrpc": "2.0", "id": null,
  "result": {"jobs": [
    {"jobid": "1", "job": "db.2026-01-01_01.00.00_01", "name": "db", "type": "B", "level": "F", "jobstatus": "T", "starttime": "2026-01-01 01:00:00", "endtime": "2026-01-01 01:10:00", "jobtdate": "1767226200", "jobfiles": "18", "jobbytes": "4651943", "joberrors": "0", "purgedfiles": "0"},
    {"jobid": "2", "job": "db.2026-01-02_01.00.00_01", "name": "db", "type": "B", "level": "I", "jobstatus": "STATUS", "starttime": "2026-01-02 01:00:00", "endtime": "2026-01-02 01:05:00", "jobtdate": "1767312300", "jobfiles": "2", "jobbytes": "1000", "joberrors": "0", "purgedfiles": "0"},
    {"jobid": "9", "job": "web.2026-01-02_01.00.00_01", "name": "web", "type": "B", "level": "F", "jobstatus": "f", "jobtdate": "1767312300"}
  ]}
}
{ "jsonrpc": "2.0", "id": null, "result": {"jobmedia": [
    {"jobmediaid": "1", "jobid": "1", "volumename": "Full-0001"}, {"jobmediaid": "2", "jobid": "2", "volumename": "Incremental-0002"}]} }
{ "jsonrpc": "2.0", "id": null, "result": {"volume": {"mediaid": "1", "volumename": "Full-0001", "volstatus": "Full", "volerrors": "0"}} }
{ "jsonrpc": "2.0", "id": null, "result": {"volume": {"mediaid": "2", "volumename": "Incremental-0002", "volstatus": "Append", "volerrors": "1"}} }
`

// bareosOf returns the answer of a director of Bareos whose newest run has a
// status.
func bareosOf(t *testing.T, out string) job.Copy {
	t.Helper()
	world := &probetest.World{Root: t.TempDir(), Programs: map[string]probes.Output{"bconsole": {Stdout: []byte(out)}}}
	if err := os.WriteFile(filepath.Join(world.Root, "bconsole.conf"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return Kind().Open(world.Host(), job.Options{ConfigFile: "/bconsole.conf", Dataset: "db"})
}

// Every letter of the manual means something, and none that is unknown is taken
// for a good end.
func TestBareos(t *testing.T) {
	for status, want := range map[string]string{
		"T": "good 2", "W": "good 2", "E": "bad reported", "e": "bad reported", "f": "bad reported", "I": "bad reported", "D": "bad reported",
		"A": "good 1", "R": "good 1", "C": "good 1", "F": "good 1", "S": "good 1", "M": "good 1", "L": "good 1", "?": "good 1",
	} {
		c := bareosOf(t, greeting+strings.ReplaceAll(answers, "STATUS", status))
		got, sight, out := backuptest.Check(t.Context(), c, job.Task{Depth: job.Structure})
		if got == "good" {
			got += " " + string(rune('0'+len(sight.Points)))
		}
		if got != want {
			t.Errorf("%s: %q, want %q: %v", status, got, want, out.Err)
		}
		if len(sight.Tools) > 0 && sight.Tools[0] != (job.Tool{Name: "bareos", Version: "22.1.0"}) {
			t.Errorf("%+v", sight.Tools)
		}
	}
}

func TestTimesNeedNoZone(t *testing.T) {
	c := bareosOf(t, greeting+strings.ReplaceAll(answers, "STATUS", "T"))
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Unix(1767312300, 0).UTC().Add(-5 * time.Minute); !sight.Points[0].At.Equal(want) {
		t.Errorf("%s, want %s", sight.Points[0].At, want)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct{ out, want string }{
		{"", "unknown network"},
		{"Connecting to Director localhost:9101\n", "unknown network"},
		{"Director authorization problem.\nMost likely the passwords do not agree.\n", "unknown auth"},
		{"bconsole: ERROR TERMINATION at parse_conf.c:1115\nConfig error: Password = \"hidden\"\n", "unknown malformed"},
		{greeting + "The defined Catalog resources are:\n1: A\n2: B\nSelect Catalog resource (1-2): \n", "unknown unsupported"},
		{greeting + `{"jsonrpc": "2.0", "error": {"message": "failed", "code": 1}}`, "unknown other"},
		{greeting + `{"jsonrpc": "2.0", "result": {"jobs": [`, "unknown malformed"},
		{greeting, "nothing"},
	} {
		got, _, out := backuptest.Check(t.Context(), bareosOf(t, c.out), job.Task{Depth: job.Structure})
		if got != c.want {
			t.Errorf("%q: %q, want %q: %v", c.out, got, c.want, out.Err)
		}
		if out.Err != nil && strings.Contains(out.Err.Error(), "hidden") {
			t.Errorf("a secret in %v", out.Err)
		}
	}
}

func TestChain(t *testing.T) {
	r := func(id int64, level, status string) run { return run{id: id, level: level, status: status} }
	for _, c := range []struct {
		name string
		runs []run
		want []int64
	}{
		{"a full run needs nothing else", []run{r(5, "F", "T"), r(4, "F", "T")}, []int64{5}},
		{"incremental ones back to the full one", []run{r(5, "I", "T"), r(4, "I", "T"), r(3, "F", "T"), r(2, "I", "T")}, []int64{5, 4, 3}},
		{"back to the last differential one, and the full one", []run{r(6, "I", "T"), r(5, "D", "T"), r(4, "I", "T"), r(3, "D", "T"), r(2, "F", "W")}, []int64{6, 5, 2}},
		{"not those that failed", []run{r(5, "I", "T"), r(4, "F", "f"), r(3, "F", "T")}, []int64{5, 3}},
		{"no full run", []run{r(5, "I", "T"), r(4, "D", "T")}, nil},
	} {
		list, err := chain(c.runs)
		var got []int64
		for _, r := range list {
			got = append(got, r.id)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}

func TestValidate(t *testing.T) {
	err := Kind().Validate(job.Options{ConfigFile: "bconsole.conf", Dataset: "db\nrun job=x yes"})
	want := "config_file: \"bconsole.conf\" is not an absolute path\ndataset: \"db\\nrun job=x yes\" is no name of a job"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// Whatever a director prints, a run that counts has an identity and a status.
func FuzzParse(f *testing.F) {
	f.Add("     JobId: 1\n       Job: a\n      Type: B\n JobStatus: T\n\n")
	f.Add(answers)
	f.Fuzz(func(t *testing.T, text string) {
		list, _ := parseJSON([]byte(text))
		runs, verifies := sortRuns(append(list, parseText([]byte(text))...), "db")
		for _, r := range append(runs, verifies...) {
			if r.id <= 0 || len(r.status) != 1 {
				t.Errorf("%+v", r)
			}
		}
	})
}
