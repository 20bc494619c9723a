package velero

import (
	"bytes"
	"compress/gzip"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/job"
)

func answer(err error) string {
	j := job.Judge(err)
	return strings.TrimSpace(string(j.Verdict) + " " + j.Reason)
}

func TestParseBackup(t *testing.T) {
	const document = `{"kind":"Backup","metadata":{"name":"a","labels":{"velero.io/schedule-name":"daily"}},"status":{"phase":"PartiallyFailed","startTimestamp":"2026-01-01T01:00:00Z","completionTimestamp":"2026-01-01T01:05:00Z","expiration":"2026-02-01T01:00:00Z","errors":2,"warnings":1,"volumeSnapshotsAttempted":3,"volumeSnapshotsCompleted":2,"csiVolumeSnapshotsAttempted":1,"csiVolumeSnapshotsCompleted":1,"progress":{"totalItems":9,"itemsBackedUp":8}}}`
	got, err := parseBackup([]byte(document))
	want := backup{
		name: "a", schedule: "daily", phase: "PartiallyFailed", errors: 2, warnings: 1, attempted: 4, completed: 3, items: job.Of(8),
		started: time.Date(2026, 1, 1, 1, 0, 0, 0, time.UTC), expires: time.Date(2026, 2, 1, 1, 0, 0, 0, time.UTC),
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{
		"":                                "bad damaged",
		document[:90]:                     "bad damaged",
		`{"kind":"Restore"}`:              "bad mismatch",
		`{"kind":"Backup","status":{}}`:   "bad mismatch",
		`{"kind":"Backup","status":null}`: "bad mismatch",
		`[]`:                              "bad damaged",
	} {
		if _, err := parseBackup([]byte(text)); answer(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// Every phase that the manual names is either a backup that has ended, or one
// that does not count yet.
func TestPhases(t *testing.T) {
	for phase, ended := range map[string]bool{
		"New": false, "Queued": false, "ReadyToStart": false, "InProgress": false, "WaitingForPluginOperations": false,
		"WaitingForPluginOperationsPartiallyFailed": false, "Finalizing": false, "FinalizingPartiallyFailed": false, "Deleting": false,
		"Completed": true, "PartiallyFailed": true, "Failed": true, "FailedValidation": true,
	} {
		if got := (backup{phase: phase}).ended(); got != ended {
			t.Errorf("%s: %v", phase, got)
		}
	}
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func volumes(text []byte) error {
	var list podVolumes
	if err := unpack(text, &list); err != nil {
		return err
	}
	return list.failed()
}

func TestVolumes(t *testing.T) {
	whole := packed(`[{"spec":{"volume":"data","pod":{"namespace":"web","name":"p"}},"status":{"phase":"Completed"}}]`)
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"all are completed", whole, "good"},
		{"none", packed("[]"), "good"},
		{"null", packed("null"), "good"},
		{"one has failed", packed(`[{"status":{"phase":"Failed"}}]`), "bad reported"},
		{"one goes on", packed(`[{"status":{"phase":"InProgress"}}]`), "bad reported"},
		{"one without a phase", packed(`[{}]`), "bad reported"},
		{"no gzip", []byte("[]"), "bad damaged"},
		{"a changed byte", append(slices.Clone(whole[:12]), append([]byte{whole[12] ^ 8}, whole[13:]...)...), "bad damaged"},
		{"cut off", whole[:len(whole)-9], "bad truncated"},
		{"no list", packed("{}"), "bad damaged"},
	} {
		if got := answer(volumes(c.text)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		o    job.Options
		want string
	}{
		{job.Options{Repository: "s3://b/velero", ConfigFile: "/c"}, ""},
		{job.Options{Dataset: "/mnt/velero"}, ""},
		{job.Options{}, "repository: either a bucket or, as dataset, a directory must be named"},
		{job.Options{Repository: "s3://b", ConfigFile: "/c", Dataset: "/x"}, "repository: either a bucket or, as dataset, a directory must be named"},
		{job.Options{Repository: "s3://b"}, "config_file: is missing"},
		{job.Options{Dataset: "x"}, `dataset: "x" is not an absolute path`},
	} {
		got := ""
		if err := Kind().Validate(c.o); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
}

func TestObject(t *testing.T) {
	for member, want := range map[string]string{
		"metadata/version":                                                    "",
		"resources/pods/namespaces/web/p.json":                                "web/p",
		"resources/pods/v1-preferredversion/namespaces/web/p.json":            "web/p",
		"./resources/pods/namespaces/cluster/p.json":                          "cluster/p",
		"resources/namespaces/cluster/web.json":                               "web",
		"resources/namespaces/v1-preferredversion/cluster/web.json":           "web",
		"resources/clusterroles.rbac.authorization.k8s.io/cluster/a:b.c.json": "a:b.c",
		"resources/pods/namespaces/web/p.yaml":                                "",
		"resources/pods/namespaces/web":                                       "",
		"resources/pods/elsewhere/web/p.json":                                 "",
		"resources/pods/v1/namespaces.json":                                   "",
		"":                                                                    "",
	} {
		if got := object(member); got != want {
			t.Errorf("%q: %q, want %q", member, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	list := map[string][]string{"v1/Pod": {"web/a", "web/b"}, "v1/Namespace": {"web"}, "apps/v1/Deployment": {"web/a"}}
	for _, c := range []struct {
		name  string
		found []string
		want  string
	}{
		{"all are there", []string{"web", "web/a", "web/b"}, "good"},
		{"and more", []string{"web", "web/a", "web/b", "web/c"}, "good"},
		{"a plugin has renamed one", []string{"web", "web/a", "web/renamed"}, "good"},
		{"one is missing", []string{"web", "web/a"}, "bad incomplete"},
		{"all are missing", nil, "bad incomplete"},
		{"others in the place of all", []string{"shop", "shop/a", "shop/b"}, "bad mismatch"},
	} {
		found := map[string]bool{}
		for _, name := range c.found {
			found[name] = true
		}
		if got := answer(compare(list, found)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever a document says, a backup without a phase does not count.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kind":"Backup","status":{"phase":"Completed"}}`))
	f.Add(packed("[]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if b, err := parseBackup(text); err == nil && b.phase == "" {
			t.Error("a backup without a phase")
		}
		_ = volumes(text)
		_ = unpack(text, &results{})
		_ = unpack(text, &volumeInfo{})
	})
}

// Whatever an archive holds, an object is NAME or NAMESPACE/NAME, and an archive
// that was taken for whole lacks nothing of what it holds.
func FuzzObjects(f *testing.F) {
	f.Add("resources/pods/v1/namespaces/web/p.json", packed(""))
	f.Add("resources/nodes/cluster/n.json", []byte("x"))
	f.Fuzz(func(t *testing.T, member string, archive []byte) {
		if name := object(member); strings.Count(name, "/") > 1 || strings.HasPrefix(name, "/") {
			t.Errorf("%q is the object %q", member, name)
		}
		found, err := objects(bytes.NewReader(archive))
		if err != nil {
			return
		}
		list := map[string][]string{"v1/Pod": slices.Collect(maps.Keys(found))}
		if err := compare(list, found); err != nil {
			t.Error(err)
		}
	})
}
