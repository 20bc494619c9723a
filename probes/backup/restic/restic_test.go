package restic

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

// TestRecordedFailures judges what restic printed: a file a state, its name being
// the answer and the status.
func TestRecordedFailures(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/failures.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		t.Run(file.Name, func(t *testing.T) {
			parts := strings.Split(file.Name, "/")
			code := map[string]int{"1": 1, "2": 2, "10": 10, "11": 11, "12": 12}[parts[1]]
			if got := answer(failed(probes.Output{ExitCode: code, Stderr: file.Data})); got != strings.ReplaceAll(parts[0], ":", " ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

// TestObstacle: what restic tries again is why it cannot look, and no flaw.
func TestObstacle(t *testing.T) {
	for text, want := range map[string]string{
		"Stat(<config/>) returned error, retrying after 1.4s: Head \"http://h/config\": dial tcp 127.0.0.1:1: connect: connection refused\n":                                           "unknown network",
		"Stat(<config/>) returned error, retrying after 3.4s: Stat: The request signature we calculated does not match the signature you provided. Check your key and signing method.": "unknown auth",
		"Stat(<config/>) returned error, retrying after 3.4s: Stat: The specified bucket does not exist":                                                                               "unknown not_found",
		"Load(<data/1>) returned error, retrying after 3.4s: data/1 does not exist":                                                                                                    "good",
		"": "good",
	} {
		if got := answer(obstacle(text)); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestParseSnapshots(t *testing.T) {
	const two = `[{"time":"2026-01-01T00:00:00+07:00","hostname":"web","paths":["/srv"],"id":"aaaaaaaa"},
{"time":"2026-01-02T00:00:00Z","hostname":"db","tags":["nightly"],"id":"bbbbbbbb","summary":{"total_bytes_processed":5,"total_files_processed":2}}]`
	web := job.Point{ID: "aaaaaaaa", At: time.Date(2025, 12, 31, 17, 0, 0, 0, time.UTC)}
	db := job.Point{ID: "bbbbbbbb", At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Size: job.Of(5), Files: job.Of(2)}
	for _, c := range []struct {
		name, out, pattern string
		want               []job.Point
		err                string
	}{
		{name: "newest first, with their zones", out: two, want: []job.Point{db, web}, err: "good"},
		{name: "of a host", out: two, pattern: "w*", want: []job.Point{web}, err: "good"},
		{name: "of a path", out: two, pattern: "/srv", want: []job.Point{web}, err: "good"},
		{name: "of a tag", out: two, pattern: "nightly", want: []job.Point{db}, err: "good"},
		{name: "behind a line of progress", out: "scanning...\n" + two, pattern: "db", want: []job.Point{db}, err: "good"},
		{name: "none", out: "[]", err: "good"},
		{name: "null", out: "null", err: "unknown malformed"},
		{name: "nothing is malformed", err: "unknown malformed"},
		{name: "half of a list", out: two[:50], err: "unknown malformed"},
		{name: "no identity", out: `[{"time":"2026-01-01T00:00:00Z"}]`, err: "unknown malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseSnapshots([]byte(c.out), func(s Snapshot) bool { return s.Matches(c.pattern) })
			if answer(err) != c.err {
				t.Fatalf("got %v, want %s", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ place, want string }{
		{"/srv/restic", ""},
		{"sftp:user@host:/srv", ""},
		{"s3:https://s3.example.org/bucket", ""},
		{"rest:https://user@host/", ""},
		{"srv/restic", "neither an absolute path"},
		{"rest:https://user:secret@host/", "holds a password"},
	} {
		err := Kind().Validate(job.Options{Repository: c.place, PasswordFile: "/etc/pw"})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.place, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the complaint tells the password: %v", err)
		}
	}
}

// TestWithheld: what restic is not given is told, but for what the job says itself.
func TestWithheld(t *testing.T) {
	environment := map[string]string{"AWS_ACCESS_KEY_ID": "a", "RESTIC_PASSWORD": "b", "RESTIC_REPOSITORY": "c", "AWS_PROFILE": "d", "PATH": "e"}
	r := &repository{place: Place{Environment: func() (map[string]string, error) { return environment, nil }}}
	if diff := cmp.Diff([]string{"restic is not given the variables AWS_PROFILE, PATH"}, r.withheld()); diff != "" {
		t.Error(diff)
	}
	delete(environment, "AWS_PROFILE")
	delete(environment, "PATH")
	if notes := r.withheld(); len(notes) > 0 {
		t.Error(notes)
	}
}

func TestGroups(t *testing.T) {
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	small := []job.Pack{{Name: "/d/aa/aa1", Bytes: 5, Modified: day}, {Name: "/d/bb/bb1", Bytes: 6, Modified: day.Add(time.Hour)}, {Name: "/d/aa/aa2", Bytes: 7, Modified: day.Add(24 * time.Hour)}}
	units := map[string]int64{}
	for id, g := range job.ByDay(small, firstDigit) {
		units[id] = g.Unit(id).Bytes
	}
	if diff := cmp.Diff(map[string]int64{"2026-01-01": 11, "2026-01-02": 7}, units); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	before := job.ByDay(small, firstDigit)["2026-01-01"].Unit("x").Stamp
	if pruned := job.ByDay(small[1:], firstDigit)["2026-01-01"].Unit("x").Stamp; pruned != before {
		t.Error("what is pruned must not make the rest unread")
	}
	if added := job.ByDay(append(small, job.Pack{Name: "/d/cc/cc1", Bytes: 1, Modified: day.Add(2 * time.Hour)}), firstDigit)["2026-01-01"].Unit("x").Stamp; added == before {
		t.Error("what is added must be read")
	}
	large := job.ByDay([]job.Pack{{Name: "/d/aa/aa1", Bytes: job.LargestDay, Modified: day}, {Name: "/d/bb/bb1", Bytes: 6, Modified: day}}, firstDigit)
	if len(large) != 2 || len(large["2026-01-01/a"]) != 1 {
		t.Errorf("a large day is not cut: %v", large)
	}
}

// FuzzOutputs: what is accepted has an identity and a time, a failure is never
// good, and nothing panics.
func FuzzOutputs(f *testing.F) {
	f.Add([]byte(`[{"time":"2026-01-01T00:00:00Z","id":"aaaaaaaa"}]`))
	f.Add([]byte(`{"time":"2026-01-01T00:00:00Z","exclusive":true,"hostname":"a","pid":1}`))
	if data, err := os.ReadFile(filepath.Join("testdata", "failures.txtar")); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		points, err := parseSnapshots(data, func(Snapshot) bool { return true })
		for _, p := range points {
			if err == nil && (p.ID == "" || p.At.IsZero()) {
				t.Errorf("%+v", p)
			}
		}
		if h, err := parseLock(data); err == nil && h.Time.IsZero() {
			t.Errorf("%+v", h)
		}
		if failed(probes.Output{ExitCode: 1, Stderr: data}) == nil {
			t.Error("a failure is good")
		}
	})
}
