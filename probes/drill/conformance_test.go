package drill

import (
	"testing"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/probetest"
)

// TestConformance runs the suite with drills, which no default has.
func TestConformance(t *testing.T) {
	spec := Spec()
	spec.Config = func() probes.Config {
		c := defaultConfig()
		for _, kind := range kinds() {
			var d Drill
			d.SetDefaults()
			d.Name, d.Kind = "the-"+kind, kind
			switch kind {
			case observed, restore:
				d.Object = "*"
			case command:
				d.Run.Command = []string{"/bin/true"}
			case failover:
				d.Object = "multipath/mpatha"
			}
			c.Drills = append(c.Drills, d)
		}
		return c
	}
	probetest.Run(t, spec, probetest.Options{})
}
