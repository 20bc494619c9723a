//go:build live

package velero_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/s3test"
	"hygiene_exporter/probes/backup/velero"
)

// shell lays out backups as the manual of Velero describes its storage. There is
// no cluster that could make them.
var shell = backuptest.Shell{Library: `
backup() { # NAME PHASE DAY [STATUS]
  mkdir -p "store/backups/$1"; ( cd "store/backups/$1"
  mkdir -p t/metadata t/resources/pods/namespaces/web; echo 1.1.0 > t/metadata/version
  for i in $(seq 50); do echo "{\"kind\":\"Pod\",\"name\":\"p$i\"}" > t/resources/pods/namespaces/web/p$i.json; done
  head -c 300000 /dev/urandom | base64 > t/resources/pods/namespaces/web/big.json
  tar czf "$1.tar.gz" -C t . ; rm -r t
  echo '{"errors":{},"warnings":{}}' | gzip > "$1-results.gz"
  echo 'level=info msg="Backup completed"' | gzip > "$1-logs.gz"
  echo '[]' | gzip > "$1-volumesnapshots.json.gz"
  echo '[{"spec":{"volume":"data","pod":{"namespace":"web","name":"p1"}},"status":{"phase":"'"${5:-Completed}"'"}}]' | gzip > "$1-podvolumebackups.json.gz"
  printf '{"kind":"Backup","apiVersion":"velero.io/v1","metadata":{"name":"%s","labels":{"velero.io/schedule-name":"daily"}},"spec":{"ttl":"720h0m0s"},"status":{"version":1,"formatVersion":"1.1.0","phase":"%s","startTimestamp":"2026-01-%sT01:00:00Z","completionTimestamp":"2026-01-%sT01:05:00Z","expiration":"2036-02-01T01:00:00Z"%s}}' "$1" "$2" "$3" "$3" "${4:-}" > velero-backup.json
  touch -d '1 hour ago' * ); }
`}

// place is where the backups of a case lie: as a bucket, or as a directory.
type place struct {
	name string
	open func(t *testing.T, dir string, o job.Options) job.Copy
}

func places(t *testing.T) []place {
	t.Helper()
	server := s3test.Start(t)
	client, err := minio.New(server.Address, &minio.Options{Creds: credentials.NewStaticV4(s3test.AccessKey, s3test.SecretKey, ""), Region: s3test.Region})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	bucket := func(t *testing.T, dir string, o job.Options) job.Copy {
		t.Helper()
		n++
		o.Repository, o.Endpoint = fmt.Sprintf("s3://bucket-%d/velero", n), "http://"+server.Address
		o.ConfigFile = filepath.Join(dir, "credentials")
		name := fmt.Sprintf("bucket-%d", n)
		if err := client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.ConfigFile, []byte("[default]\naws_access_key_id="+s3test.AccessKey+"\naws_secret_access_key="+s3test.SecretKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		root := filepath.Join(dir, "store")
		err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = client.FPutObject(t.Context(), name, "velero"+strings.TrimPrefix(file, root), file, minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		host := backuptest.Host(t, velero.Kind(), nil)
		host.Scratch = t.TempDir()
		o.Settle = 1
		return velero.Kind().Open(host, o)
	}
	directory := func(t *testing.T, dir string, o job.Options) job.Copy {
		o.Dataset, o.Settle = filepath.Join(dir, "store"), 1
		return velero.Kind().Open(backuptest.Host(t, velero.Kind(), nil), o)
	}
	return []place{{"in a bucket", bucket}, {"in a directory", directory}}
}

func TestLiveVelero(t *testing.T) {
	original := t.TempDir()
	shell.Run(t, original, `backup one Completed 01; backup two Completed 02 ',"warnings":1'`)
	for _, place := range places(t) {
		for _, c := range []struct {
			name, script string
			options      job.Options
			depth        job.Depth
			want         string
			points       int
		}{
			{name: "good", want: "good", points: 2},
			{name: "good, by its structure", depth: job.Structure, want: "good", points: 2},
			{name: "restored", depth: job.Restored, want: "good", points: 2},
			{name: "of a schedule", options: job.Options{Snapshots: "daily"}, want: "good", points: 2},
			{name: "of another schedule", options: job.Options{Snapshots: "weekly"}, want: "nothing"},
			{name: "a part has failed", script: `backup three PartiallyFailed 03 ',"errors":2'`, want: "bad reported", points: 3},
			{name: "all has failed", script: `backup three Failed 03 ',"failureReason":"timeout"'`, want: "bad reported", points: 3},
			{name: "one goes on", script: `backup three InProgress 03`, want: "good", points: 2},
			{name: "one is being deleted", script: `backup three Deleting 03`, want: "good", points: 2},
			{name: "snapshots of volumes are missing", script: `backup three Completed 03 ',"volumeSnapshotsAttempted":2,"volumeSnapshotsCompleted":1'`, want: "bad reported", points: 3},
			{name: "the volume of a pod has failed", script: `backup three Completed 03 '' Failed`, want: "bad reported", points: 3},
			{name: "the archive is missing", script: `rm store/backups/two/two.tar.gz`, want: "bad incomplete", points: 2},
			{name: "the archive was cut off", script: `keep store/backups/two/two.tar.gz 60`, want: "bad truncated", points: 2},
			{name: "a byte of the archive has changed", script: `flip store/backups/two/two.tar.gz`, want: "bad damaged", points: 2},
			{name: "the archive is empty", script: `: > store/backups/two/two.tar.gz`, want: "bad empty", points: 2},
			{name: "no document", script: `rm store/backups/two/velero-backup.json`, want: "good", points: 1},
			{name: "half of a document", script: `keep store/backups/two/velero-backup.json 50`, want: "bad damaged", points: 1},
			{name: "a document of something else", script: `echo '{"kind":"Restore"}' > store/backups/two/velero-backup.json`, want: "bad mismatch", points: 1},
			{name: "no backup", script: `rm -r store; mkdir -p store/backups`, want: "nothing"},
		} {
			t.Run(place.name+"/"+c.name, func(t *testing.T) {
				dir := t.TempDir()
				shell.Run(t, dir, "cp -a "+original+"/store .; "+c.script)
				copied := place.open(t, dir, c.options)
				sight, err := copied.Look(t.Context())
				if c.depth == "" {
					c.depth = job.Read
				}
				got, out := backuptest.Answer(err), job.Outcome{Err: err}
				if err == nil {
					got, out = check(t, copied, sight, c.depth)
				}
				if got != c.want || len(sight.Points) != c.points {
					t.Errorf("got %q with %d points, want %q with %d: %v %v", got, len(sight.Points), c.want, c.points, out.Err, sight.Notes)
				}
			})
		}
	}
}

// check checks the newest backup, as the probe does.
func check(t *testing.T, c job.Copy, sight job.Sight, depth job.Depth) (string, job.Outcome) {
	t.Helper()
	if len(sight.Points) == 0 {
		return "nothing", job.Outcome{}
	}
	newest := sight.Points[0]
	if newest.At.Before(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || newest.At.Day() != len(sight.Points) {
		t.Errorf("the newest is %s of %s", newest.ID, newest.At)
	}
	task := job.Task{Depth: depth, Point: newest}
	task.Restore.Scratch = filepath.Join(t.TempDir(), "scratch")
	if err := os.Mkdir(task.Restore.Scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, u := range sight.Units {
		for _, id := range newest.Units {
			if u.ID == id {
				task.Units = append(task.Units, u)
			}
		}
	}
	out := c.Check(t.Context(), task)
	if out.Err == nil && depth != job.Structure && out.Bytes < 100_000 {
		t.Errorf("only %d bytes were read: %v", out.Bytes, out.Notes)
	}
	if depth == job.Restored && out.Err == nil {
		if found := shell.Run(t, task.Restore.Scratch, "find . -name 'p50.json' | wc -l"); strings.TrimSpace(found) != "1" {
			t.Errorf("it was not restored: %s", shell.Run(t, task.Restore.Scratch, "find . | head -30"))
		}
	}
	return backuptest.Answer(out.Err), out
}
