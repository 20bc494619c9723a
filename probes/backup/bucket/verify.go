package bucket

import (
	"context"
	"crypto/md5" //nolint:gosec // it is what servers use
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A sum is a checksum that the server tells, and what was computed for it.
type sum struct {
	name    string // for people, such as CRC32C
	want    string
	etag    bool
	certain bool // a difference means damage
	whole   hash.Hash
	new     func() hash.Hash
	encode  func([]byte) string

	// Of an object that was put together of parts, the checksum is that of the
	// checksums of its parts.
	part        hash.Hash
	size, left  int64
	inPart      bool
	partsSuffix string
}

// Write takes a part of the content.
func (s *sum) Write(p []byte) (int, error) {
	n := len(p)
	if s.size == 0 {
		return s.whole.Write(p)
	}
	for len(p) > 0 {
		if s.left == 0 {
			s.flush()
			s.part, s.left, s.inPart = s.new(), s.size, true
		}
		some := p[:min(int64(len(p)), s.left)]
		_, _ = s.part.Write(some)
		s.left -= int64(len(some))
		p = p[len(some):]
	}
	return n, nil
}

func (s *sum) flush() {
	if s.inPart {
		_, _ = s.whole.Write(s.part.Sum(nil))
		s.inPart = false
	}
}

func (s *sum) matches() bool {
	s.flush()
	return strings.EqualFold(s.encode(s.whole.Sum(nil))+s.partsSuffix, s.want)
}

// parted matches what is told of an object of several parts.
var parted = regexp.MustCompile(`^(.+)-([0-9]{1,5})$`)

// plain matches an ETag that may be MD5.
var plain = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9]{1,5})?$`)

// sums returns the checksums that are told of an object.
func (b *Bucket) sums(ctx context.Context, o Object, info minio.ObjectInfo) (list []*sum, opaque string) {
	for _, algorithm := range []minio.ChecksumType{
		minio.ChecksumSHA256, minio.ChecksumSHA1, minio.ChecksumCRC64NVME, minio.ChecksumCRC32C, minio.ChecksumCRC32,
	} {
		if want := info.Checksum(algorithm); want != "" {
			s := &sum{name: algorithm.String(), want: want, certain: true, new: algorithm.Hasher, encode: base64.StdEncoding.EncodeToString}
			if b.split(ctx, o, s) {
				list = append(list, s)
			}
			break
		}
	}
	switch {
	case !plain.MatchString(o.ETag):
		opaque = "its ETag is no MD5"
	case kms(info.Headers):
		opaque = "its ETag is no MD5, because it is encrypted with a key"
	default:
		s := &sum{name: "ETag", want: o.ETag, etag: true, certain: true, new: md5.New, encode: hex.EncodeToString}
		if b.split(ctx, o, s) {
			list = append(list, s)
		} else {
			opaque = "it was put together of parts of unknown sizes"
		}
	}
	return list, opaque
}

// split prepares a checksum for the parts of an object, and reports whether it
// can be computed.
func (b *Bucket) split(ctx context.Context, o Object, s *sum) bool {
	s.whole = s.new()
	match := parted.FindStringSubmatch(s.want)
	if match == nil {
		return true
	}
	count, err := strconv.ParseInt(match[2], 10, 64)
	if err != nil {
		return false
	}
	s.partsSuffix = "-" + match[2]
	s.size, s.certain = b.parts(ctx, o, count)
	return s.size > 0
}

// Verify says whether what was read to its end is what was stored. Where no more
// is told of an object than an ETag that does not fit, controls decide whether
// ETags of this server mean anything: other objects, of which the smallest are
// read. The name is of the checksum that fits; empty: nothing is told that could
// be compared.
func (r *Reader) Verify(controls func() []Object) (name string, err error) {
	if r.at != r.object.Size {
		return "", job.Flawed(job.Truncated, "%.80q has %d bytes, and should have %d", r.object.Key, r.at, r.object.Size)
	}
	var suspect *sum
	for _, s := range r.sums {
		switch {
		case s.matches():
			if s.etag {
				r.bucket.learn()
			}
			return s.name, nil
		case s.certain && !s.etag:
			return "", job.Flawed(job.Damaged, "%.80q does not have the %s checksum with which it was stored", r.object.Key, s.name)
		case s.certain:
			suspect = s
		}
	}
	if suspect == nil {
		return "", nil
	}
	if r.bucket.meaningful(r.ctx, r.object, controls) {
		return "", job.Flawed(job.Damaged, "%.80q does not have the MD5 with which it was stored", r.object.Key)
	}
	return "", probes.Because(probes.Unsupported, fmt.Errorf("the ETag of %.80q is not its MD5: it is damaged, or ETags of this server are something else", r.object.Key))
}

// Told says why nothing could be compared with what was read.
func (r *Reader) Told() string {
	if r.opaque != "" {
		return r.opaque
	}
	return "the server tells no checksum of it"
}

func (b *Bucket) learn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.etags = true
}

func (b *Bucket) known() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.etags
}

// maxControl is how large an object may be that is read for comparison only.
const maxControl = 8 << 20

// meaningful reports whether ETags of the server are MD5.
func (b *Bucket) meaningful(ctx context.Context, not Object, controls func() []Object) bool {
	if b.known() {
		return true
	}
	tried := 0
	for _, o := range controls() {
		if o.Key == not.Key || o.Size > maxControl || strings.Contains(o.ETag, "-") || tried == tries {
			continue
		}
		tried++
		if b.fits(ctx, o) == nil {
			b.learn()
			return true
		}
	}
	return false
}

var errOther = errors.New("the ETag is something else")

// fits reports whether the ETag of an object is its MD5.
func (b *Bucket) fits(ctx context.Context, o Object) error {
	r, err := b.Open(ctx, o)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	for _, s := range r.sums {
		if s.etag && s.matches() {
			return nil
		}
	}
	return errOther
}
