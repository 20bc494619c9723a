package backup

import (
	"testing"
	"time"
)

// Without any program of the host, the agent's own readers judge the samples,
// and what they cannot judge has no result.
func TestSelftest(t *testing.T) {
	r := newRig(t, filesJob("a", "/b/*.gz"))
	r.write("/b/1.gz", packed("x"), time.Hour)
	passed := map[string]float64{}
	for _, s := range r.run().Samples {
		if s.Metric == selftestPassed {
			passed[s.Label("format")] = s.Value
		}
	}
	for _, format := range []string{"gzip", "bzip2", "zstd", "tar", "zip", "pg_dump", "mysql_dump", "sqlite_dump", "redis"} {
		if passed[format] != 1 {
			t.Errorf("%s: %v", format, passed)
		}
	}
	if _, judged := passed["xz"]; judged {
		t.Error("xz was judged without xz")
	}
}
