// Package s3 is the kind of backup that lies in a bucket: archives, dumps and
// files as objects. Content is judged as that of files is, on its way, and
// compared with the checksums that the server tells.
//
// A bucket may hold a million objects: it is listed page by page, only where the
// backups are, and seldom if that takes many pages; what is older than the newest
// is remembered by the day, and not one by one.
package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bucket"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "s3",
		Summary:  "Archives, dumps and files as objects in a bucket of S3, Amazon's or another's.",
		Keys:     append(bucket.Keys(), "snapshots", "exclude", "set", "content", "settle"),
		Needs:    []string{"repository", "config_file"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Loaded, job.Asserted},
		Trees:    true,
		Commands: files.Kind().Commands,
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return open(host, o) },
	}
}

// The words for how objects make a backup.
const (
	each      = "each"
	directory = "directory"
	all       = "all"
)

func validate(o job.Options) error {
	errs := []error{bucket.Validate(o)}
	for i, pattern := range append(slices.Clone(o.Exclude), o.Snapshots) {
		if !doublestar.ValidatePattern(pattern) {
			key := fmt.Sprintf("exclude[%d]", i)
			if i == len(o.Exclude) {
				key = "snapshots"
			}
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not a valid pattern", pattern)))
		}
	}
	if o.Content != "" && !slices.Contains(content.Types(), content.Type(o.Content)) {
		errs = append(errs, probes.At("content", fmt.Errorf("%.40q is not one of %v", o.Content, content.Types())))
	}
	if _, err := files.ParseSet(o.Set); err != nil {
		errs = append(errs, probes.At("set", err))
	}
	return errors.Join(errs...)
}

// location is one copy. Its fields behind mu are shared by Look and Check.
type location struct {
	host    probes.Host
	options job.Options
	bucket  *bucket.Bucket
	set     *regexp.Regexp
	settle  time.Duration
	judge   *files.Judge
	now     func() time.Time

	mu       sync.Mutex
	scan     *scan           // that goes on
	summary  *summary        // of the last that was completed
	versions bool            // whether that was of versions
	good     map[string]bool // units that were read, with their stamps
	locked   protection
}

func open(host probes.Host, o job.Options) *location {
	set, _ := files.ParseSet(o.Set) // it was validated
	return &location{
		host: host, options: o, bucket: bucket.New(host, o), set: set,
		settle: cmp.Or(time.Duration(o.Settle), 5*time.Minute),
		judge:  files.NewJudge(host, o.Content), now: time.Now, good: map[string]bool{},
	}
}

// Look lists the bucket, and asks what keeps the newest backup from being
// deleted.
func (l *location) Look(ctx context.Context) (job.Sight, error) {
	sight := job.Sight{Media: "object_storage", Devices: []string{l.bucket.Device()}}
	versioned, err := l.bucket.Versioned(ctx)
	switch reason := probes.ReasonOf(err); {
	case err == nil:
	case reason == probes.PermissionDenied, reason == probes.Unsupported:
		sight.Notes = append(sight.Notes, "whether the bucket keeps versions is not known: "+err.Error())
	default:
		return sight, err
	}
	s, err := l.list(ctx, versioned)
	if err != nil {
		return sight, err
	}
	sight.Notes = append(sight.Notes, s.notes...)
	l.fill(&sight, s, l.uploads(ctx, &sight))
	sight.Tools = []job.Tool{{Name: "server of buckets"}}
	if len(sight.Points) > 0 {
		l.locks(ctx, &sight, s)
	}
	return sight, s.hidden()
}

// list returns what is in the bucket. What takes many pages is not listed at
// every look, and goes on at the next where the time of this one ends.
func (l *location) list(ctx context.Context, versioned bool) (*summary, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.summary; s != nil && l.versions == versioned && l.now().Before(s.at.Add(rest(s.pages))) && !l.now().Before(s.at) {
		return s, nil
	}
	if l.scan == nil || l.versions != versioned {
		l.scan, l.versions = l.begin(), versioned
	}
	err := l.scan.run(ctx, l.bucket, versioned)
	if err != nil {
		if ctx.Err() == nil {
			l.scan = nil
			return nil, err
		}
		return nil, probes.Because(probes.Timeout, fmt.Errorf("%d objects were listed in the time of a look; the next goes on", l.scan.seen))
	}
	l.summary, l.scan = l.scan.finish(l.now()), nil
	return l.summary, nil
}

// rest is how long a list of so many pages serves.
func rest(pages int) time.Duration {
	if pages < 3 {
		return 0
	}
	return min(time.Duration(pages)*30*time.Second, time.Hour)
}

// stale lets the next look list anew.
func (l *location) stale() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.summary = nil
}

func (l *location) seen() *summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.summary
}

// counts reports whether an object belongs to the backups.
func (l *location) counts(o bucket.Object) bool {
	key := l.relative(o.Key)
	if key == "" || strings.HasSuffix(key, "/") && o.Size == 0 {
		return false // what programs leave in place of a directory
	}
	if pattern := l.options.Snapshots; pattern != "" && !match(pattern, key) {
		return false
	}
	return !slices.ContainsFunc(l.options.Exclude, func(pattern string) bool { return match(pattern, key) })
}

// match matches a pattern with a key, or one without a slash with its last part.
func match(pattern, key string) bool {
	if !strings.Contains(pattern, "/") {
		key = key[strings.LastIndex(key, "/")+1:]
	}
	ok, err := doublestar.Match(pattern, key)
	return err == nil && ok
}

// relative returns a key below the place of the backups.
func (l *location) relative(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, l.bucket.Prefix), "/")
}

// setOf names the backup that an object belongs to.
func (l *location) setOf(key string) string {
	switch {
	case l.options.Set == directory:
		if i := strings.LastIndex(key, "/"); i >= 0 {
			return key[:i]
		}
		return "/"
	case l.options.Set == all:
		return l.options.Repository
	case l.set != nil:
		if match := l.set.FindString(l.relative(key)); match != "" {
			return match
		}
	}
	return key
}

// single reports whether each object is a backup of its own.
func (l *location) single() bool {
	return l.set == nil && (l.options.Set == "" || l.options.Set == each)
}
