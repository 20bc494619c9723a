package command

import (
	"testing"

	"hygiene_exporter/probes/backup/job"
)

func TestDocuments(t *testing.T) {
	for _, test := range []struct{ name, report, verdict, want string }{
		{name: "a point", report: `{"points":[{"id":"a","time":"2026-01-01T00:00:00Z","size":5}]}`, want: "good "},
		{name: "a point without a time is malformed", report: `{"points":[{"id":"a"}]}`, want: "unknown malformed"},
		{name: "an unknown key is malformed", report: `{"pionts":[]}`, want: "unknown malformed"},
		{name: "two documents are malformed", report: `{} {}`, want: "unknown malformed"},
		{name: "nothing is malformed", report: ``, want: "unknown malformed"},
		{name: "what could not be seen has its reason", report: `{"verdict":{"verdict":"unknown","reason":"locked"}}`, want: "unknown locked"},
		{name: "a good check", verdict: `{"verdict":"good","bytes":5,"reached":["read"]}`, want: "good "},
		{name: "a bad one with a known reason", verdict: `{"verdict":"bad","reason":"truncated","detail":"x"}`, want: "bad truncated"},
		{name: "a bad one with a reason of its own", verdict: `{"verdict":"bad","reason":"tape ate it"}`, want: "bad reported"},
		{name: "a verdict that does not exist", verdict: `{"verdict":"fine"}`, want: "unknown malformed"},
		{name: "no verdict at all", verdict: `{}`, want: "unknown malformed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.verdict != "" {
				err = parseVerdict([]byte(test.verdict)).Err
			} else {
				_, err = parseReport([]byte(test.report))
			}
			j := job.Judge(err)
			if got := string(j.Verdict) + " " + j.Reason; got != test.want {
				t.Errorf("got %q, want %q: %v", got, test.want, err)
			}
		})
	}
}

// FuzzDocuments: a report that is accepted has points with an id and a time.
func FuzzDocuments(f *testing.F) {
	f.Add([]byte(`{"points":[{"id":"a","time":"2026-01-01T00:00:00Z"}],"evidence":[{"depth":"read","time":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"verdict":"good","units":{"a":{"verdict":"bad"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		sight, err := parseReport(data)
		for _, p := range sight.Points {
			if err == nil && (p.ID == "" || p.At.IsZero()) {
				t.Errorf("%+v", p)
			}
		}
		_ = parseVerdict(data)
	})
}
