package redundancy

import (
	"slices"
	"strings"
	"testing"

	"hygiene_exporter/probes"
)

// A controller whose driver is bound, and no tool that tells of it: a fact, and
// no silence. With the tool, it ends.
func TestWhatNoToolTellsOfIsUnverifiable(t *testing.T) {
	r := newRig(t)
	r.write("sys/bus/pci/drivers/hpsa/0000:03:00.0", "")
	got := short(r.run())
	if got["smartarray"] != " unverifiable:not_found" {
		t.Errorf("got %q", got)
	}
	text, err := r.probe.(probes.Explainer).Explain(t.Context(), "smartarray")
	if err != nil || !strings.Contains(text, "none of ssacli, hpssacli, hpacucli is installed") {
		t.Errorf("explained as %q, %v", text, err)
	}
	r.world.Programs = map[string]probes.Output{"ssacli-config": {Stdout: []byte("Smart Array P1 in Slot 0\n   Controller Status: OK\n")}}
	r.restart() // with what was said, so that the tool is not due
	if got := short(r.run()); got["smartarray"] != " unverifiable:not_found" {
		t.Errorf("after a restart: %q", got)
	}
	r.forget()
	result := r.run()
	if got := short(result); got["smartarray"] != "" || got["smartarray/slot0"] == "" {
		t.Errorf("with the tool: %q", got)
	}
	if !slices.Contains(result.Seen, "smartarray") {
		t.Error("that it can be verified is not said")
	}
	r.config.Ignore = []string{"smartarray"}
	r.world.Programs = nil
	r.forget()
	if got := short(r.run()); got["smartarray"] != " gone" {
		t.Errorf("ignored: %q", got)
	}
}

// forget begins anew without a memory.
func (r *rig) forget() {
	r.t.Helper()
	if err := r.world.Host().State.Save(0, nil); err != nil {
		r.t.Fatal(err)
	}
	r.restart()
}
