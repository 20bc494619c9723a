package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDashboardsAreHandedOut(t *testing.T) {
	list := execute(t, "dashboards")
	if list.Status != 0 || strings.Count(list.Stdout, "\n") != 9 || !strings.Contains(list.Stdout, "hygiene-fleet ") {
		t.Fatalf("%+v", list)
	}
	one := execute(t, "dashboards", "hygiene-fleet")
	if one.Status != 0 || !json.Valid([]byte(one.Stdout)) {
		t.Errorf("one dashboard: status %d, %.80s", one.Status, one.Stdout)
	}
	dir := t.TempDir()
	if written := execute(t, "dashboards", "--write="+dir); written.Status != 0 {
		t.Errorf("writing: %+v", written)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "hygiene-fleet.json"))
	if err != nil || string(kept) != one.Stdout {
		t.Errorf("what is written is not what is printed (%v)", err)
	}
	for complaint, args := range map[string][]string{
		`there is no dashboard "fleet"`:    {"dashboards", "fleet"},
		"either the uid of a dashboard or": {"dashboards", "hygiene-fleet", "--write=" + dir},
		"/nonexistent' does not exist":     {"dashboards", "--write=/nonexistent"},
	} {
		if got := execute(t, args...); got.Status != exitUnknown || !strings.Contains(got.Stderr, complaint) {
			t.Errorf("%v: %+v lacks %q", args, got, complaint)
		}
	}
}

func TestObjectsForTheOperatorAreWholeManifests(t *testing.T) {
	got := execute(t, "rules", "--operator", "--operator.namespace=monitoring", "--operator.label=release=stack")
	if got.Status != 0 || !strings.HasPrefix(got.Stdout, "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: hygiene-exporter\n  namespace: monitoring\n  labels:\n    release: stack\n") {
		t.Errorf("status %d, %.300s", got.Status, got.Stdout)
	}
}
