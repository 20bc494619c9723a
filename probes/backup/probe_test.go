package backup

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

// rig is a probe on a host that is a directory, with a clock of its own. All
// that is due is done within a run.
type rig struct {
	t     *testing.T
	world *probetest.World
	conf  *Config
	probe *probe
	now   time.Time
}

func newRig(t *testing.T, jobs ...Job) *rig {
	t.Helper()
	r := &rig{t: t, world: &probetest.World{Root: t.TempDir()}, conf: defaultConfig(), now: time.Now()}
	r.conf.Jobs = jobs
	r.conf.Scratch = t.TempDir()
	r.restart()
	return r
}

// restart makes a new probe on the same state.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.conf.Validate(); err != nil {
		r.t.Fatal(err)
	}
	host := r.world.Host()
	host.Work = probes.AtOnce
	r.probe = newProbe(r.conf, host)
	r.probe.now = func() time.Time { return r.now }
}

func (r *rig) write(path string, data []byte, age time.Duration) {
	r.t.Helper()
	real := filepath.Join(r.world.Root, path)
	if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(real, data, 0o644); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chtimes(real, r.now, r.now.Add(-age)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) run() probes.Result {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// verdicts returns, for each copy, the verdict and its reason.
func (r *rig) verdicts() []string {
	r.t.Helper()
	lines := []string{}
	result := r.run()
	for _, s := range result.Samples {
		if s.Metric == verdict && s.Value == 1 {
			line := s.Object() + "/" + s.Label("copy") + " " + s.Label("verdict")
			for _, why := range result.Samples {
				if why.Metric == verdictReason && why.Object() == s.Object() && why.Label("copy") == s.Label("copy") {
					line += " " + why.Label("reason")
				}
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

func (r *rig) expect(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.verdicts()); diff != "" {
		r.t.Errorf("(-want +got):\n%s", diff)
	}
}

func filesJob(name string, paths ...string) Job {
	var j Job
	j.SetDefaults()
	j.Name, j.Kind, j.Paths, j.Settle = name, "files", paths, probes.Duration(time.Nanosecond)
	return j
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

const dump = "--\n-- PostgreSQL database dump\n--\n\nCOPY public.t (id) FROM stdin;\n1\n2\n\\.\n\n--\n-- PostgreSQL database dump complete\n--\n\n"

func TestVerdicts(t *testing.T) {
	r := newRig(t, filesJob("a", "/b/*.sql.gz"))
	r.write("/b/1.sql.gz", packed(dump), 2*time.Hour)
	r.expect("a/local good")

	r.write("/b/2.sql.gz", packed(dump[:len(dump)-60]), time.Hour)
	r.expect("a/local bad truncated") // the producer died, and gzip did not notice

	r.restart()
	r.expect("a/local bad truncated")

	r.write("/b/3.sql.gz", packed(dump), time.Minute)
	r.expect("a/local bad truncated") // an older one is still bad

	if err := os.Remove(filepath.Join(r.world.Root, "/b/2.sql.gz")); err != nil {
		t.Fatal(err)
	}
	r.expect("a/local good")

	if err := os.RemoveAll(filepath.Join(r.world.Root, "/b")); err != nil {
		t.Fatal(err)
	}
	r.expect("a/local unknown not_found")
}

// Who has just made a first backup is told why it is not there.
func TestABackupThatIsNotFinishedIsNamed(t *testing.T) {
	job := filesJob("a", "/b/*.gz")
	job.Settle = probes.Duration(time.Hour)
	r := newRig(t, job)
	r.write("/b/1.gz", packed("x"), time.Minute)
	const want = "copy local: there is no backup where it should be; /b/1.gz has changed a moment ago, and is taken for unfinished"
	faults := r.run().Faults
	if len(faults) != 1 || faults[0].Err.Error() != want {
		t.Errorf("%+v, want %q", faults, want)
	}
}

func TestABadBackupIsNoRestorePoint(t *testing.T) {
	r := newRig(t, filesJob("a", "/b/*.gz"))
	r.write("/b/1.gz", packed("x"), 3*time.Hour)
	r.write("/b/2.gz", packed("x")[:15], time.Hour)
	for _, s := range r.run().Samples {
		if s.Metric == newest {
			if age := r.now.Sub(time.Unix(int64(s.Value), 0)).Round(time.Hour); age != 3*time.Hour {
				t.Errorf("the newest restore point is %s old", age)
			}
		}
	}
}

// What is known to be good is not read again before it is due, also over a
// restart; and everything that is kept is read within the cycle.
func TestNothingIsReadTwice(t *testing.T) {
	r := newRig(t, filesJob("a", "/b/*.gz"))
	for i := range 10 {
		r.write(fmt.Sprintf("/b/%d.gz", i), packed(strings.Repeat("x", i+1)), time.Duration(i)*time.Hour)
	}
	read := func() (bytes float64) {
		t.Helper()
		for _, s := range r.run().Samples {
			if s.Metric == verifiedBytes {
				bytes = s.Value
			}
			if s.Metric == coverage && s.Value != 1 {
				t.Errorf("the coverage is %v", s.Value)
			}
		}
		return bytes
	}
	first := read()
	if again := read(); again != first || first == 0 {
		t.Errorf("%v bytes were read at first, and %v in all", first, again)
	}
	r.restart()
	if again := read(); again != first {
		t.Errorf("%v bytes were read before the restart, and %v in all", first, again)
	}
	r.now = r.now.Add(29 * day)
	if again := read(); again < 2*first {
		t.Errorf("a cycle later %v bytes were read in all, and %v at first", again, first)
	}
}

func TestARemovedJobIsGone(t *testing.T) {
	r := newRig(t, filesJob("a", "/b/*.gz"), filesJob("c", "/b/*.gz"))
	r.write("/b/1.gz", packed("x"), time.Hour)
	r.run()
	r.conf.Jobs = r.conf.Jobs[:1]
	r.restart()
	if gone := r.run().Removed; !slices.Equal(gone, []string{"c"}) {
		t.Errorf("gone: %v", gone)
	}
}

func TestEveryKindIsReachable(t *testing.T) {
	for _, k := range kinds() {
		if k.Name == "" || k.Summary == "" || k.Open == nil || len(k.Depths) == 0 || !slices.Contains(k.Depths, job.Present) {
			t.Errorf("the kind %+v is not complete", k.Name)
		}
	}
}
