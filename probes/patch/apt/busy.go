package apt

import (
	"path"

	"hygiene_exporter/probes/internal/filelock"
	"hygiene_exporter/probes/patch/updates"
)

// busy reports whether dpkg or apt is at work: one of their locks is held, or
// dpkg has not yet merged its journal.
func (v *view) busy() updates.Truth {
	if v.dpkg.journal {
		return updates.Yes
	}
	answer := updates.No
	for _, name := range []string{"lock-frontend", "lock"} {
		held, known := filelock.Held(v.tracked.files, path.Join(path.Dir(v.dpkg.status), name))
		if held {
			return updates.Yes
		}
		if !known {
			answer = updates.Unknown
		}
	}
	return answer
}
