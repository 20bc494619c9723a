package certificate

import (
	"os"
	"path/filepath"
	"testing"

	"hygiene_exporter/probes/probetest"
)

func TestConformance(t *testing.T) {
	prepare := func(root string) error {
		dir := filepath.Join(root, "etc/nginx")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, content := range map[string][]byte{
			"leaf.pem":    text(t, "www", "ca1"),
			"roots.pem":   text(t, "ca1", "ca2"),
			"broken.pem":  []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
			"nothing.pem": nil,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	probetest.Run(t, Spec(), probetest.Options{Prepare: prepare})
}
