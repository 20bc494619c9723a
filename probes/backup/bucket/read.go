package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A Reader reads an object once, and compares it with what the server says of it.
// It goes on where a connection broke.
type Reader struct {
	Source time.Time // when the file was changed of which the object was made; zero: it does not say

	bucket *Bucket
	ctx    context.Context //nolint:containedctx // io.Reader has no other way
	object Object
	body   io.ReadCloser
	at     int64
	broken int   // how often the connection broke without anything having come
	err    error // that ended the reading
	sums   []*sum
	opaque string // why the ETag is no checksum
}

// Open begins to read an object.
func (b *Bucket) Open(ctx context.Context, o Object) (*Reader, error) {
	r := &Reader{bucket: b, ctx: ctx, object: o}
	info, err := r.request(0)
	if err != nil {
		return nil, err
	}
	r.Source = source(info)
	r.sums, r.opaque = b.sums(ctx, o, info)
	return r, nil
}

// Head returns the beginning of an object.
func (b *Bucket) Head(ctx context.Context, o Object, n int64) ([]byte, error) {
	if o.Size == 0 {
		return nil, nil
	}
	client, err := b.connect()
	if err != nil {
		return nil, err
	}
	options := exactly(o)
	if err := options.SetRange(0, min(n, o.Size)-1); err != nil {
		return nil, err
	}
	body, _, _, err := client.GetObject(ctx, b.Name, o.Key, options)
	if err != nil {
		return nil, b.explain(err)
	}
	defer body.Close()
	return io.ReadAll(io.LimitReader(body, n))
}

// Stat reports whether an object still is what was listed.
func (b *Bucket) Stat(ctx context.Context, o Object) error {
	client, err := b.connect()
	if err != nil {
		return err
	}
	info, err := client.StatObject(ctx, b.Name, o.Key, minio.StatObjectOptions{VersionID: o.Version})
	switch {
	case err != nil:
		return b.explain(err)
	case info.ETag != o.ETag:
		return job.Busy("%.80q was written to meanwhile", o.Key)
	case info.Size != o.Size:
		return job.Flawed(job.Damaged, "%.80q has %d bytes now, and had %d", o.Key, info.Size, o.Size)
	}
	return nil
}

// exactly asks for what was listed, and nothing that was written since.
func exactly(o Object) minio.GetObjectOptions {
	var options minio.GetObjectOptions
	if o.Version != "" && o.Version != "null" {
		options.VersionID = o.Version
	} else {
		_ = options.SetMatchETag(o.ETag) // an ETag is never empty
	}
	return options
}

// request asks for the object from a byte on.
func (r *Reader) request(from int64) (minio.ObjectInfo, error) {
	client, err := r.bucket.connect()
	if err != nil {
		return minio.ObjectInfo{}, err
	}
	options := exactly(r.object)
	if from > 0 {
		options.Set("Range", fmt.Sprintf("bytes=%d-", from))
	} else {
		options.Set("X-Amz-Checksum-Mode", "ENABLED")
	}
	body, info, _, err := client.GetObject(r.ctx, r.bucket.Name, r.object.Key, options)
	if err != nil {
		err = r.bucket.explain(err)
		if probes.ReasonOf(err) == probes.Locked {
			err = job.Busy("%.80q was written to meanwhile", r.object.Key)
		}
		return info, err
	}
	r.body = body
	return info, nil
}

// Read reads on.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.body.Read(p)
	r.at += int64(n)
	for _, s := range r.sums {
		_, _ = s.Write(p[:n])
	}
	if n > 0 {
		r.broken = 0
	}
	if err != nil && r.at < r.object.Size {
		err = r.resume(err)
	}
	r.err = err
	return n, err
}

// resume goes on behind a connection that broke.
func (r *Reader) resume(cause error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	if errors.Is(cause, io.EOF) {
		cause = io.ErrUnexpectedEOF
	}
	if r.broken++; r.broken > tries {
		return probes.Because(probes.Network, fmt.Errorf("%.80q breaks off behind byte %d of %d: %w", r.object.Key, r.at, r.object.Size, cause))
	}
	r.body.Close()
	_, err := r.request(r.at)
	return err
}

// Close ends the reading.
func (r *Reader) Close() { _ = r.body.Close() }

// source returns the time of change that programs keep with an object: rclone and
// s3cmd in their ways.
func source(info minio.ObjectInfo) time.Time {
	for _, key := range []string{"Mtime", "mtime"} {
		if seconds, err := strconv.ParseFloat(info.UserMetadata[key], 64); err == nil && seconds > 0 && seconds < 1e11 {
			return time.UnixMilli(int64(seconds * 1000))
		}
	}
	return time.Time{}
}

// parts returns how large the parts are of which an object was put together, and
// whether that is certain; 0: nobody knows.
func (b *Bucket) parts(ctx context.Context, o Object, count int64) (size int64, certain bool) {
	client, err := b.connect()
	if err != nil || count < 1 {
		return 0, false
	}
	if count == 1 {
		return o.Size, true
	}
	info, err := client.StatObject(ctx, b.Name, o.Key, minio.StatObjectOptions{VersionID: o.Version, PartNumber: 1})
	if err == nil && info.Size < o.Size && fits(o.Size, info.Size, count) {
		return info.Size, true
	}
	for _, mib := range []int64{5, 8, 15, 16, 10, 25, 32, 50, 64, 100, 128, 256, 512, 1024} { // those of common programs
		if fits(o.Size, mib<<20, count) {
			return mib << 20, false
		}
	}
	return 0, false
}

func fits(whole, part, count int64) bool { return part > 0 && (whole+part-1)/part == count }

// kms reports whether an ETag cannot be MD5, because of how the object is
// encrypted.
func kms(header http.Header) bool {
	mode := header.Get("X-Amz-Server-Side-Encryption")
	return len(mode) > 6 && mode[:7] == "aws:kms" || header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != ""
}

// ReadFile returns all of a small object.
func (b *Bucket) ReadFile(ctx context.Context, key string, limit int64) ([]byte, error) {
	body, err := b.Stream(ctx, key)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = probes.Because(probes.TooLarge, fmt.Errorf("%.80q is larger than %d bytes", key, limit))
	}
	return data, err
}

// Stream begins to read what is there now, whatever was listed.
func (b *Bucket) Stream(ctx context.Context, key string) (io.ReadCloser, error) {
	client, err := b.connect()
	if err != nil {
		return nil, err
	}
	body, _, _, err := client.GetObject(ctx, b.Name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.explain(err)
	}
	return body, nil
}
