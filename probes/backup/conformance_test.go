package backup

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/probetest"
)

// TestConformance runs the suite with a job, which no default has.
func TestConformance(t *testing.T) {
	prepare := func(root string) error {
		dir := filepath.Join(root, "backups")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		file, err := os.Create(filepath.Join(dir, "a.gz"))
		if err != nil {
			return err
		}
		defer file.Close()
		w := gzip.NewWriter(file)
		if _, err := w.Write([]byte("content")); err != nil {
			return err
		}
		return w.Close()
	}
	spec := Spec()
	spec.Config = func() probes.Config {
		c := defaultConfig()
		var j Job
		j.SetDefaults()
		j.Name, j.Kind = "nightly", "files"
		j.Options = job.Options{Paths: []string{"/backups/*.gz"}, Settle: probes.Duration(time.Nanosecond)}
		j.Verify.Structure, j.Verify.Read, j.Verify.Cycle = 0, 0, 0 // what is checked between two runs changes the facts
		c.Jobs = []Job{j}
		return c
	}
	probetest.Run(t, spec, probetest.Options{Prepare: prepare})
}
