package kopia

import (
	"encoding/json"
	"io/fs"
	"os"
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

// TestRecordedFailures judges what Kopia printed: a file a state, its name being
// the answer.
func TestRecordedFailures(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/failures.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		t.Run(file.Name, func(t *testing.T) {
			want, _, _ := strings.Cut(file.Name, "/")
			err := counted(string(file.Data))
			if err == nil {
				err = failed(probes.Output{ExitCode: 1, Stderr: file.Data})
			}
			if got := answer(err); got != strings.ReplaceAll(want, ":", " ") {
				t.Errorf("got %q: %v", got, err)
			}
		})
	}
}

const two = `[{"id":"8cc75f2b47172dd5c0eec12840232bda","source":{"host":"vm","userName":"root","path":"/srv"},"startTime":"2026-01-01T00:00:00Z","tags":{"tag:when":"nightly"},
  "rootEntry":{"obj":"k21a6","summ":{"size":5,"files":2,"symlinks":1,"numFailed":0}}},
 {"id":"733a90eb3c4bec58489b3c3f9f701cb8","source":{"host":"db","userName":"app","path":"/data"},"startTime":"2026-01-02T00:00:00Z",
  "rootEntry":{"obj":"k5e11","summ":{"size":7,"files":3,"numFailed":1,"errors":[{"path":"no","error":"permission denied"}]}}},
 {"id":"","source":{"host":"db","userName":"app","path":"/data"},"startTime":"2026-01-03T00:00:00Z","incomplete":"canceled","rootEntry":{"summ":{"size":1,"files":1}}}]`

func TestSnapshots(t *testing.T) {
	srv := job.Point{ID: "8cc75f2b47172dd5c0eec12840232bda", At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Size: job.Of(5), Files: job.Of(2)}
	data := job.Point{ID: "733a90eb3c4bec58489b3c3f9f701cb8", At: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Size: job.Of(7), Files: job.Of(3)}
	const unfinished = "the backup of app@db:/data that began at 2026-01-03T00:00:00Z is not finished: canceled"
	for _, c := range []struct {
		name, out, pattern string
		want               []job.Point
		notes              []string
		fails              bool
	}{
		{name: "newest first", out: two, want: []job.Point{data, srv}, notes: []string{"snapshots of 2 sources count, and the newest of any of them is judged: app@db:/data, root@vm:/srv", unfinished}},
		{name: "of a host", out: two, pattern: "v*", want: []job.Point{srv}},
		{name: "of a path", out: two, pattern: "/srv", want: []job.Point{srv}},
		{name: "of a source", out: two, pattern: "app@db:/*", want: []job.Point{data}, notes: []string{unfinished}},
		{name: "of a tag", out: two, pattern: "when:night*", want: []job.Point{srv}},
		{name: "of the value of a tag", out: two, pattern: "nightly", want: []job.Point{srv}},
		{name: "none", out: "[]"},
		{name: "null is no list", out: "null", fails: true},
		{name: "nothing is no list", fails: true},
		{name: "half of a list", out: two[:250], fails: true},
		{name: "no time", out: `[{"id":"8cc75f2b47172dd5c0eec12840232bda"}]`, fails: true},
		{name: "no identity", out: `[{"id":"--help","startTime":"2026-01-01T00:00:00Z"}]`, fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l listing
			err := l.read(json.NewDecoder(strings.NewReader(c.out)), c.pattern)
			if (err != nil) != c.fails {
				t.Fatal(err)
			}
			if c.fails {
				return
			}
			var got []job.Point
			for _, s := range l.complete {
				got = append(got, s.point())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.notes, l.notes()); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhole: a snapshot that Kopia made although it could not read all is bad.
func TestWhole(t *testing.T) {
	var l listing
	if err := l.read(json.NewDecoder(strings.NewReader(two)), ""); err != nil {
		t.Fatal(err)
	}
	if got := answer(l.complete[0].whole()); got != "bad reported" {
		t.Errorf("with an entry that failed: %s", got)
	}
	if got := answer(l.complete[1].whole()); got != "good" {
		t.Errorf("without: %s", got)
	}
	if got := answer((snapshot{}).whole()); got != "bad empty" {
		t.Errorf("without a file: %s", got)
	}
}

func TestConnect(t *testing.T) {
	for _, c := range []struct{ name, config, want, document string }{
		{
			name:     "the cache and the actions are left out",
			config:   `{"storage":{"type":"filesystem","config":{"path":"/srv/kopia/"}},"caching":{"cacheDirectory":"/root/.cache/kopia/x"},"enableActions":true,"hostname":"vm"}`,
			want:     "good disk /srv/kopia",
			document: `{"enableActions":false,"hostname":"vm","readonly":true,"storage":{"type":"filesystem","config":{"path":"/srv/kopia/"}}}`,
		},
		{name: "a bucket", config: `{"storage":{"type":"s3","config":{"bucket":"b","secretAccessKey":"hidden"}}}`, want: "good object_storage"},
		{name: "a server of files", config: `{"storage":{"type":"sftp","config":{"path":"/p"}}}`, want: "good server"},
		{name: "a server of Kopia", config: `{"apiServer":{"url":"https://k"}}`, want: "unknown unsupported"},
		{name: "no storage", config: `{}`, want: "unknown malformed"},
		{name: "a relative path", config: `{"storage":{"type":"filesystem","config":{"path":"kopia"}}}`, want: "unknown malformed"},
		{name: "no JSON", config: `{"password":"hidden"`, want: "unknown malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := connect([]byte(c.config))
			text := answer(err)
			if err == nil {
				text = strings.TrimSpace(text + " " + got.media() + " " + got.local)
			} else if strings.Contains(err.Error(), "hidden") {
				t.Errorf("the complaint tells a secret: %v", err)
			}
			if text != c.want {
				t.Errorf("got %q: %v", text, err)
			}
			if c.document != "" && string(got.document) != c.document {
				t.Errorf("got %s", got.document)
			}
		})
	}
}

func TestProtected(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		`{"contentFormat":{"encryption":"AES256-GCM-HMAC-SHA256"},"blobRetention":{}}`:                               "yes 0001-01-01",
		`{"contentFormat":{"encryption":"NONE"},"blobRetention":{"mode":"COMPLIANCE","period":864000000000000}}`:     "no 2026-01-11",
		`{"contentFormat":{"encryption":"AES256-GCM-HMAC-SHA256"},"blobRetention":{"mode":"","period":86400000000}}`: "yes 0001-01-01",
	} {
		var s status
		if err := s.read(json.NewDecoder(strings.NewReader(text))); err != nil {
			t.Fatal(err)
		}
		if got := s.encrypted() + " " + s.protected(at).Format(time.DateOnly); got != want {
			t.Errorf("%s: got %s", text, got)
		}
	}
}

func TestMaintenance(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"it ran", `{"owner":"root@vm","full":{"enabled":true,"interval":86400000000000},"schedule":{"runs":{"snapshot-gc":[{"start":"2026-01-02T00:00:00Z","success":false},{"start":"2026-01-01T00:00:00Z","success":true}]}}}`, "root@vm owns the maintenance; a full one last ran at 2026-01-01T00:00:00Z, and is due every 24h0m0s"},
		{"it never ran", `{"owner":"root@vm","full":{"enabled":true}}`, "root@vm owns the maintenance, and a full one has never run"},
		{"it is switched off", `{"owner":"root@vm","full":{"enabled":false}}`, "the full maintenance of the repository is switched off, so that it grows for ever\nroot@vm owns the maintenance, and a full one has never run"},
		{"nobody owns it", `{"full":{"enabled":true}}`, "nobody owns the maintenance of the repository, which grows for ever"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m maintenance
			if err := json.Unmarshal([]byte(c.text), &m); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(m.notes(), "\n"); got != c.want {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	small := []job.Pack{{Name: "paa1", Bytes: 5, Modified: day}, {Name: "pbb1", Bytes: 6, Modified: day.Add(time.Hour)}, {Name: "qaa2", Bytes: 7, Modified: day.Add(24 * time.Hour)}}
	units := map[string]int64{}
	for id, g := range job.ByDay(small, firstDigit) {
		units[id] = g.Unit(id).Bytes
	}
	if diff := cmp.Diff(map[string]int64{"2026-01-01": 11, "2026-01-02": 7}, units); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if large := job.ByDay([]job.Pack{{Name: "paa1", Bytes: job.LargestDay, Modified: day}, {Name: "pbb1", Bytes: 6, Modified: day}}, firstDigit); len(large["2026-01-01/a"]) != 1 {
		t.Errorf("a large day is not cut: %v", large)
	}
}

func TestBatches(t *testing.T) {
	w := &batches{dir: t.TempDir()}
	for range fits + 1 {
		if err := w.add(content{ID: "0df0fc8aafd9a0e9dc411f7e534becff", Length: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	if len(w.list) != 2 || w.list[0].bytes != 3*fits || w.list[1].contents != 1 {
		t.Errorf("got %+v", w.list)
	}
	for i, want := range []int{fits, 1} {
		text, err := fs.ReadFile(os.DirFS(w.dir), "contents-"+string(rune('0'+i)))
		if err != nil || strings.Count(string(text), "\n") != want {
			t.Errorf("file %d: %v", i, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		o    job.Options
		want string
	}{
		{job.Options{ConfigFile: "/root/.config/kopia/repository.config", PasswordFile: "/etc/pw"}, ""},
		{job.Options{ConfigFile: "repository.config", PasswordFile: "/etc/pw"}, "is not an absolute path"},
		{job.Options{ConfigFile: "/c"}, "password_file: is missing"},
		{job.Options{ConfigFile: "/c", PasswordFile: "/p", Snapshots: "["}, "is not a valid pattern"},
		{job.Options{ConfigFile: "/c", PasswordFile: "/p", Repository: "/r"}, "is no key of the kind kopia"},
	} {
		err := Kind().Validate(c.o)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c.o, err)
		}
	}
}

// FuzzOutputs: what is accepted has an identity and a time, a failure is never
// good, and nothing panics.
func FuzzOutputs(f *testing.F) {
	f.Add([]byte(two))
	f.Add([]byte(`{"storage":{"type":"filesystem","config":{"path":"/p"}}}`))
	if data, err := os.ReadFile("testdata/failures.txtar"); err == nil {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var l listing
		if l.read(json.NewDecoder(strings.NewReader(string(data))), "") == nil {
			for _, s := range l.complete {
				if s.ID == "" || s.Start.IsZero() {
					t.Errorf("%+v", s)
				}
			}
		}
		if c, err := connect(data); err == nil && !json.Valid(c.document) {
			t.Errorf("the connection is no JSON: %s", c.document)
		}
		if failed(probes.Output{ExitCode: 1, Stderr: data}) == nil {
			t.Error("a failure is good")
		}
		if err := counted(string(data)); err != nil && !job.IsFlaw(err) {
			t.Error(err)
		}
	})
}
