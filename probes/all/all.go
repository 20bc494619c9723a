// Package all lists the probes. It is the only place that knows every one of
// them; a new probe is one line here.
package all

import (
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup"
	"hygiene_exporter/probes/certificate"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/patch"
	"hygiene_exporter/probes/port"
	"hygiene_exporter/probes/redundancy"
)

// Specs returns the specs of all probes, in the order of the reference.
func Specs() []probes.Spec {
	return []probes.Spec{
		backup.Spec(),
		certificate.Spec(),
		drill.Spec(),
		patch.Spec(),
		redundancy.Spec(),
		port.Spec(),
	}
}
