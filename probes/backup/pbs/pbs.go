// Package pbs is the kind of backup that a Proxmox Backup Server keeps. A
// datastore on this host is read as files, by the format that its manual
// describes; one elsewhere is asked for through the server's interface.
package pbs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:    "pbs",
		Summary: "Snapshots of a Proxmox Backup Server, in a datastore on this host or through its interface.",
		Keys:    []string{"repository", "dataset", "snapshots", "endpoint", "password_file", "fingerprint", "ca_file"},
		Needs:   []string{"repository"},
		Depths:  []job.Depth{job.Present, job.Listed, job.Structure, job.Read},
		Check:   validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			if o.Endpoint != "" {
				return newRemote(host, o)
			}
			return &store{host: host, options: o, root: path.Clean(o.Repository)}
		},
	}
}

var (
	storeName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	space       = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*)(/[A-Za-z0-9_][A-Za-z0-9._-]*){0,7}$`)
	fingerprint = regexp.MustCompile(`^([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}$`)
)

func validate(o job.Options) error {
	var errs []error
	at := func(key, format string, args ...any) {
		errs = append(errs, probes.At(key, fmt.Errorf(format, args...)))
	}
	if o.Dataset != "" && !space.MatchString(o.Dataset) {
		at("dataset", "%.80q is no name of a namespace", o.Dataset)
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		at("snapshots", "%.80q is not a valid pattern", o.Snapshots)
	}
	for key, file := range map[string]string{"password_file": o.PasswordFile, "ca_file": o.CAFile} {
		if file != "" && !filepath.IsAbs(file) {
			at(key, "%.80q is not an absolute path", file)
		}
	}
	if o.Endpoint == "" {
		if o.Repository != "" && !filepath.IsAbs(o.Repository) {
			at("repository", "%.80q is not an absolute path; the name of a datastore needs an endpoint", o.Repository)
		}
		for key, text := range map[string]string{"password_file": o.PasswordFile, "ca_file": o.CAFile, "fingerprint": o.Fingerprint} {
			if text != "" {
				at(key, "is for an endpoint only")
			}
		}
		return errors.Join(errs...)
	}
	if !strings.HasPrefix(o.Endpoint, "https://") || strings.ContainsAny(o.Endpoint, "@?#") || strings.Count(strings.TrimSuffix(o.Endpoint, "/"), "/") != 2 {
		at("endpoint", "%.80q is not of the form https://host:8007", o.Endpoint)
	}
	if o.Repository != "" && !storeName.MatchString(o.Repository) {
		at("repository", "%.80q is no name of a datastore", o.Repository)
	}
	if o.PasswordFile == "" {
		at("password_file", "is missing: the file with the token")
	}
	if o.Fingerprint != "" && !fingerprint.MatchString(o.Fingerprint) {
		at("fingerprint", "%.100q is not 32 bytes in hexadecimal with colons", o.Fingerprint)
	}
	return errors.Join(errs...)
}

// A snapshot is one backup of one machine, as far as its list tells.
type snapshot struct {
	group    string // such as vm/100
	at       time.Time
	size     int64
	files    int64
	crypt    bool
	complete bool // it has a manifest
	verified string
	checked  time.Time // when that was
}

func (s snapshot) id() string { return s.group + "/" + s.at.UTC().Format(time.RFC3339) }

// The states that a verification leaves.
const (
	verifiedOK     = "ok"
	verifiedFailed = "failed"
)

// upidTime returns when a task began: the time is the sixth part of its name.
func upidTime(upid string) time.Time {
	parts := strings.Split(upid, ":")
	if len(parts) < 7 || parts[0] != "UPID" {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(parts[5], 16, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// counts reports whether a pattern, of a group or only of its last part, matches.
func counts(pattern, group string) bool {
	if pattern == "" {
		return true
	}
	if !strings.Contains(pattern, "/") {
		group = path.Base(group)
	}
	ok, err := doublestar.Match(pattern, group)
	return err == nil && ok
}

// newest returns the newest complete snapshot of each group, in the order of
// groups, and all complete ones, the newest first.
func newest(list []snapshot) (heads, all []snapshot, unfinished int) {
	byGroup := map[string]snapshot{}
	for _, s := range list {
		if !s.complete {
			unfinished++
			continue
		}
		all = append(all, s)
		if have, there := byGroup[s.group]; !there || s.at.After(have.at) {
			byGroup[s.group] = s
		}
	}
	for _, s := range byGroup {
		heads = append(heads, s)
	}
	slices.SortFunc(heads, func(a, b snapshot) int { return cmp.Compare(a.group, b.group) })
	slices.SortFunc(all, func(a, b snapshot) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.group, b.group)) })
	return heads, all, unfinished
}

// fill tells the restore points: each snapshot where there is one group; where
// there are several, one point that is as old as the group that is oldest.
func fill(sight *job.Sight, list []snapshot) error {
	heads, all, unfinished := newest(list)
	if unfinished > 0 {
		sight.Notes = append(sight.Notes, fmt.Sprintf("%d snapshots have no manifest: they are being made, or were given up", unfinished))
	}
	switch len(heads) {
	case 0:
		return nil
	case 1:
		for _, s := range all {
			sight.Points = append(sight.Points, job.Point{ID: s.id(), At: s.at, Size: job.Of(s.size), Files: job.Of(s.files), Units: []string{s.id()}})
		}
	default:
		p := job.Point{ID: fmt.Sprintf("the newest of %d groups", len(heads)), At: heads[0].at, Size: job.Of(0), Files: job.Of(0)}
		for _, s := range heads {
			if s.at.Before(p.At) {
				p.At = s.at
			}
			p.Size.N += s.size
			p.Files.N += s.files
			p.Units = append(p.Units, s.id())
		}
		sight.Points = []job.Point{p}
	}
	sight.Encrypted = "no"
	if !slices.ContainsFunc(heads, func(s snapshot) bool { return !s.crypt }) {
		sight.Encrypted = "yes"
	}
	evidence(sight, heads)
	if i := slices.IndexFunc(all, func(s snapshot) bool { return s.verified == verifiedFailed }); i >= 0 {
		return job.Flawed(job.Damaged, "the verification of %s by the server failed", all[i].id())
	}
	return nil
}

// evidence tells when the server itself has last read all of the newest.
func evidence(sight *job.Sight, heads []snapshot) {
	var oldest time.Time
	for _, s := range heads {
		if s.verified != verifiedOK || s.checked.IsZero() {
			return
		}
		if oldest.IsZero() || s.checked.Before(oldest) {
			oldest = s.checked
		}
	}
	sight.Evidence = []job.Evidence{{Depth: job.Read, At: oldest, Tool: job.Tool{Name: "proxmox-backup"}}}
}

// A store is a datastore on this host. Its fields behind mu are shared by Look
// and Check.
type store struct {
	host    probes.Host
	options job.Options
	root    string

	mu        sync.Mutex
	manifests map[string]known // by directory
}

// known is a manifest that was read.
type known struct {
	changed  time.Time
	snapshot snapshot
}

// place returns the directory of the namespace.
func (s *store) place() string {
	dir := s.root
	if s.options.Dataset != "" {
		for part := range strings.SplitSeq(s.options.Dataset, "/") {
			dir = path.Join(dir, "ns", part)
		}
	}
	return dir
}

// dir returns the directory of a snapshot.
func (s *store) dir(id string) string { return path.Join(s.place(), id) }

// types lists what the server keeps.
func types() []string { return []string{"ct", "host", "vm"} }

// Check does a task.
func (s *store) Check(ctx context.Context, task job.Task) job.Outcome {
	out := job.Outcome{Units: map[string]error{}}
	seen := &verifiedChunks{}
	switch task.Depth {
	case job.Structure:
		out.Judged(job.Tool{Name: "builtin pbs"})
		for _, id := range task.Point.Units {
			if err := s.snapshot(ctx, id, nil, &out); err != nil {
				out.Err = job.Worse(out.Err, err)
			}
		}
	case job.Read:
		out.Judged(job.Tool{Name: "builtin pbs"})
		out.Err = out.ReadUnits(ctx, task, func(u job.Unit) (int64, error) {
			before := seen.bytes
			err := s.snapshot(ctx, u.ID, seen, &out)
			return seen.bytes - before, err
		})
	default:
		out.Err = probes.Because(probes.Unsupported, fmt.Errorf("a datastore is not checked by %s", task.Depth))
	}
	return out
}
