//go:build live

package velero_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/s3test"
	"hygiene_exporter/probes/backup/velero"
)

func TestLiveReal(t *testing.T)    { realBackups(t, buckets(t)) }
func TestLiveDamaged(t *testing.T) { damagedBackup(t, buckets(t)) }
func TestLiveWhole(t *testing.T)   { wholeBucket(t, buckets(t)) }

// buckets opens what lies in a directory in a bucket of its own.
func buckets(t *testing.T) place {
	t.Helper()
	server := s3test.Start(t)
	client, err := minio.New(server.Address, &minio.Options{Creds: credentials.NewStaticV4(s3test.AccessKey, s3test.SecretKey, ""), Region: s3test.Region})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return func(t *testing.T, dir string, o job.Options) job.Copy {
		t.Helper()
		n++
		name := fmt.Sprintf("bucket-%d", n)
		if err := client.MakeBucket(t.Context(), name, minio.MakeBucketOptions{}); err != nil {
			t.Fatal(err)
		}
		err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			_, err = client.FPutObject(t.Context(), name, "production"+strings.TrimPrefix(file, dir), file, minio.PutObjectOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		host := backuptest.Host(t, velero.Kind(), nil)
		host.Scratch = t.TempDir()
		o.Repository, o.Endpoint, o.Settle = "s3://"+name+"/production", "http://"+server.Address, 1
		o.ConfigFile = filepath.Join(t.TempDir(), "credentials")
		if err := os.WriteFile(o.ConfigFile, []byte("[default]\naws_access_key_id="+s3test.AccessKey+"\naws_secret_access_key="+s3test.SecretKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return velero.Kind().Open(host, o)
	}
}
