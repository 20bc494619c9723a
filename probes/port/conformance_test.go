package port

import (
	"os"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/probetest"
)

func TestConformance(t *testing.T) {
	prepare := func(root string) error {
		return os.CopyFS(filepath.Join(root, "proc/net"), os.DirFS("../internal/listeners/testdata/namespace/proc/net"))
	}
	probetest.Run(t, Spec(), probetest.Options{Prepare: prepare})
}
