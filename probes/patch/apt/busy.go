package apt

import (
	"path"

	"hygiene_exporter/probes/patch/lock"
	"hygiene_exporter/probes/patch/updates"
)

// busy reports whether dpkg or apt is at work: one of their locks is held, or
// dpkg has not yet merged its journal.
func (v *view) busy() updates.Truth {
	dir := path.Dir(v.dpkg.status)
	return lock.Any(
		updates.TruthOf(v.dpkg.journal),
		lock.Held(v.tracked.files, path.Join(dir, "lock-frontend")),
		lock.Held(v.tracked.files, path.Join(dir, "lock")),
	)
}
