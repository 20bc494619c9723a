// Package velero is the kind of backup that Velero makes of a Kubernetes cluster:
// for each backup a directory in a bucket, or in a file system, with a document
// that says how it ended. What lies there is read as other objects or files are.
package velero

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/s3"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "velero",
		Summary:  "Backups of Kubernetes by Velero, in a bucket of S3 or a directory.",
		Keys:     append(bucket.Keys(), "dataset", "snapshots", "settle"),
		Depths:   s3.Kind().Depths,
		Commands: files.Kind().Commands,
		Check:    validate,
		Open:     open,
	}
}

func validate(o job.Options) error {
	var errs []error
	at := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		at("snapshots", "%.80q is not a valid pattern", o.Snapshots)
	}
	switch {
	case (o.Repository == "") == (o.Dataset == ""):
		at("repository", "either a bucket or, as dataset, a directory must be named")
	case o.Dataset != "" && !filepath.IsAbs(o.Dataset):
		at("dataset", "%.80q is not an absolute path", o.Dataset)
	case o.Repository != "" && o.ConfigFile == "":
		at("config_file", "is missing")
	}
	return errors.Join(append(errs, bucket.Validate(o))...)
}

// A storage is where the directories of backups lie.
type storage interface {
	job.Copy
	// document returns a small file of a backup.
	document(ctx context.Context, id, name string) ([]byte, error)
	// stream reads a file of a backup of any size.
	stream(ctx context.Context, id, name string) (io.ReadCloser, error)
}

// maxDocument bounds it.
const maxDocument = 64 << 20

// local is a directory.
type local struct {
	job.Copy
	host probes.Host
}

func (l local) document(_ context.Context, id, name string) ([]byte, error) {
	return l.host.Files.ReadFile(path.Join(id, name), maxDocument)
}

func (l local) stream(_ context.Context, id, name string) (io.ReadCloser, error) {
	return l.host.Files.Open(path.Join(id, name))
}

// remote is a bucket.
type remote struct {
	job.Copy
	bucket *bucket.Bucket
}

func (r remote) document(ctx context.Context, id, name string) ([]byte, error) {
	return r.bucket.ReadFile(ctx, path.Join(id, name), maxDocument)
}

func (r remote) stream(ctx context.Context, id, name string) (io.ReadCloser, error) {
	return r.bucket.Stream(ctx, path.Join(id, name))
}

func open(host probes.Host, o job.Options) job.Copy {
	b := &backups{options: o, known: map[string]known{}}
	if o.Dataset != "" {
		pattern := path.Join(o.Dataset, "backups", "*", "*")
		b.storage = local{files.Kind().Open(host, job.Options{Paths: []string{pattern}, Set: "directory", Settle: o.Settle}), host}
		return b
	}
	o.Repository = strings.TrimSuffix(o.Repository, "/") + "/backups/"
	o.Set, o.Snapshots = "directory", ""
	b.storage = remote{s3.Kind().Open(host, o), bucket.New(host, o)}
	return b
}

// backups is one copy. What is behind mu is shared by Look and Check.
type backups struct {
	storage storage
	options job.Options

	mu    sync.Mutex
	known map[string]known // by directory
}
