// Package bucket reads a bucket that speaks the protocol of S3: what is in it,
// and what the server promises of it. It changes nothing.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Keys lists the options that say where a bucket is.
func Keys() []string {
	return []string{"repository", "endpoint", "region", "addressing", "ca_file", "config_file", "profile"}
}

// Scheme begins the place of a bucket.
const Scheme = "s3://"

// amazon is where buckets are when no endpoint is named.
const amazon = "https://s3.amazonaws.com"

// Split returns the bucket and the prefix of a place such as s3://bucket/prefix.
func Split(place string) (name, prefix string, err error) {
	rest, ok := strings.CutPrefix(place, Scheme)
	name, prefix, _ = strings.Cut(rest, "/")
	if !ok || name == "" {
		return "", "", fmt.Errorf("%.80q is not of the form s3://bucket/prefix", place)
	}
	return name, prefix, nil
}

// Validate returns what is wrong with the options.
func Validate(o job.Options) error {
	var errs []error
	at := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if _, _, err := Split(o.Repository); o.Repository != "" && err != nil {
		errs = append(errs, probes.At("repository", err))
	}
	if o.Endpoint != "" {
		switch place, err := url.Parse(o.Endpoint); {
		case err != nil || place.Host == "" || place.Scheme != "http" && place.Scheme != "https":
			at("endpoint", "%.80q is not of the form https://host:port", o.Endpoint)
		case place.User != nil:
			at("endpoint", "holds a password; put it into config_file")
		case strings.Trim(place.Path, "/") != "" || place.RawQuery != "":
			at("endpoint", "%.80q must end with the host or its port; the bucket belongs into repository", o.Endpoint)
		}
	}
	if o.Addressing != "" && !slices.Contains([]string{"path", "host"}, o.Addressing) {
		at("addressing", "%.40q is neither path nor host", o.Addressing)
	}
	for key, file := range map[string]string{"ca_file": o.CAFile, "config_file": o.ConfigFile} {
		if file != "" && !filepath.IsAbs(file) {
			at(key, "%.80q is not an absolute path", file)
		}
	}
	return errors.Join(errs...)
}

// A Bucket is a place in a bucket. It may be used concurrently.
type Bucket struct {
	Name   string
	Prefix string // of the keys

	host    probes.Host
	options job.Options

	mu     sync.Mutex
	client *minio.Core
	made   []byte // the files of which the client was made
	access string // the name of the key, which is left out of what people read
	etags  bool   // that ETags of this server are MD5 was seen
}

// New returns the place that options describe. It touches nothing.
func New(host probes.Host, o job.Options) *Bucket {
	name, prefix, _ := Split(o.Repository) // it was validated
	return &Bucket{Name: name, Prefix: prefix, host: host, options: o}
}

// Device names what a bucket lies on, as far as anybody outside can tell: two
// buckets of one region of one server may be on the same disks.
func (b *Bucket) Device() string {
	place := b.endpoint()
	return strings.Trim("s3/"+place.Host+"/"+b.options.Region, "/")
}

func (b *Bucket) endpoint() *url.URL {
	text := b.options.Endpoint
	if text == "" {
		text = amazon
	}
	place, err := url.Parse(text)
	if err != nil {
		return &url.URL{} // it was validated
	}
	return place
}

// connect returns a client for the credentials that stand in the file now.
func (b *Bucket) connect() (*minio.Core, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	text, err := b.host.Files.ReadFile(b.options.ConfigFile, maxFile)
	if err != nil {
		return nil, probes.Because(probes.Auth, fmt.Errorf("the credentials cannot be read: %w", err))
	}
	authorities, err := b.authorities()
	if err != nil {
		return nil, err
	}
	made := slices.Concat(text, authorities)
	if b.client != nil && bytes.Equal(made, b.made) {
		return b.client, nil
	}
	keys, err := parseCredentials(text, b.options.Profile)
	if err != nil {
		return nil, probes.Because(probes.Auth, fmt.Errorf("%s: %w", b.options.ConfigFile, err))
	}
	transport, err := b.transport(authorities)
	if err != nil {
		return nil, err
	}
	lookup := map[string]minio.BucketLookupType{"path": minio.BucketLookupPath, "host": minio.BucketLookupDNS}[b.options.Addressing]
	place := b.endpoint()
	client, err := minio.NewCore(place.Host, &minio.Options{
		Creds: credentials.NewStaticV4(keys.access, keys.secret, keys.token), Secure: place.Scheme == "https",
		Transport: transport, Region: b.options.Region, BucketLookup: lookup, MaxRetries: tries,
	})
	if err != nil {
		return nil, err
	}
	b.client, b.made, b.access = client, made, keys.access
	return client, nil
}

// tries is how often a request is sent that fails in a way that may pass.
const tries = 3

// An Object is one version of an object as it is listed.
type Object struct {
	Key      string
	Version  string // empty when the bucket keeps no versions
	Size     int64
	Modified time.Time
	ETag     string
	Latest   bool
	Deleted  bool // it marks that the object is deleted
}

// Stamp changes when the content may have changed.
func (o Object) Stamp() string {
	return fmt.Sprintf("%s %s %d %d", o.Version, o.ETag, o.Size, o.Modified.UnixMilli())
}

// List calls visit for every object behind a key, in the order of keys; for every
// version of it when versions is set, the newest first. It stops at an error of
// visit.
func (b *Bucket) List(ctx context.Context, after string, versions bool, visit func(Object) error) error {
	client, err := b.connect()
	if err != nil {
		return err
	}
	options := minio.ListObjectsOptions{Prefix: b.Prefix, Recursive: true, StartAfter: after, WithVersions: versions, MaxKeys: Page}
	for info := range client.ListObjectsIter(ctx, b.Name, options) {
		if info.Err != nil {
			return b.explain(info.Err)
		}
		err := visit(Object{
			Key: info.Key, Version: info.VersionID, Size: info.Size, Modified: info.LastModified,
			ETag: strings.Trim(info.ETag, `"`), Latest: info.IsLatest || !versions, Deleted: info.IsDeleteMarker,
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Page is how many entries a server lists at a time.
const Page = 1000

// Versioned reports whether the bucket keeps the versions of its objects.
func (b *Bucket) Versioned(ctx context.Context) (bool, error) {
	client, err := b.connect()
	if err != nil {
		return false, err
	}
	conf, err := client.GetBucketVersioning(ctx, b.Name)
	if err != nil {
		return false, b.explain(err)
	}
	return conf.Status != "", nil // suspended, too: there are versions
}

// An Upload is one of several parts that was begun and not completed.
type Upload struct {
	Key     string
	Started time.Time
}

// Uploads returns those that are not completed, at most a page of them.
func (b *Bucket) Uploads(ctx context.Context) ([]Upload, error) {
	client, err := b.connect()
	if err != nil {
		return nil, err
	}
	result, err := client.ListMultipartUploads(ctx, b.Name, b.Prefix, "", "", "", Page)
	if err != nil {
		return nil, b.explain(err)
	}
	var list []Upload
	for _, u := range result.Uploads {
		if strings.HasPrefix(u.Key, b.Prefix) {
			list = append(list, Upload{Key: u.Key, Started: u.Initiated})
		}
	}
	return list, nil
}

// A Lock is what keeps an object from being changed or deleted.
type Lock struct {
	Until    time.Time // zero: nothing does
	Bypassed bool      // who has the right to can end it earlier
}

// Locked returns the lock of an object.
func (b *Bucket) Locked(ctx context.Context, o Object) (Lock, error) {
	client, err := b.connect()
	if err != nil {
		return Lock{}, err
	}
	info, err := client.StatObject(ctx, b.Name, o.Key, minio.StatObjectOptions{VersionID: o.Version})
	if err != nil {
		return Lock{}, b.explain(err)
	}
	mode := minio.RetentionMode(info.Headers.Get("X-Amz-Object-Lock-Mode"))
	until, err := time.Parse(time.RFC3339, info.Headers.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if mode != "" && err == nil {
		return Lock{Until: until, Bypassed: mode != minio.Compliance}, nil
	}
	return b.unlocked(ctx, client, o)
}

// unlocked asks whether it is certain that an object has no lock: who may not
// see locks sees none.
func (b *Bucket) unlocked(ctx context.Context, client *minio.Core, o Object) (Lock, error) {
	mode, until, err := client.GetObjectRetention(ctx, b.Name, o.Key, o.Version)
	var answer minio.ErrorResponse
	switch {
	case errors.As(err, &answer) && slices.Contains([]string{"NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "InvalidRequest"}, answer.Code):
		return Lock{}, nil
	case err != nil:
		return Lock{}, b.explain(err)
	case mode == nil || until == nil || *mode == "":
		return Lock{}, nil
	}
	return Lock{Until: *until, Bypassed: *mode != minio.Compliance}, nil
}
