package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// zfsCommands are those of zfs(8) and zpool(8) that everybody may run. None of
// them changes anything, or waits for a pool.
func zfsCommands() []probes.Command {
	dataset := regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.:/ -]*`)
	pool := regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9_.: -]*`)
	return []probes.Command{
		{
			Entry: "zfs-snapshots", Argv: []string{"zfs", "list", "-H", "-p", "-t", "snapshot", "-o", "name,creation,referenced,userrefs,guid", "-d", "1", "{0}"},
			Objects: []*regexp.Regexp{dataset}, Help: "The snapshots of a data set, with the instants at which they were made, and whether they are held.",
		},
		{
			Entry: "zfs-dataset", Argv: []string{"zfs", "get", "-H", "-p", "-o", "property,value", "mountpoint,mounted,encryption,receive_resume_token", "{0}"},
			Objects: []*regexp.Regexp{dataset}, Help: "Where a data set is mounted, and whether a transfer to it did not end.",
		},
		{
			Entry: "zpool-status", Argv: []string{"zpool", "status", "-v", "{0}"},
			Objects: []*regexp.Regexp{pool}, Help: "When a pool was last scrubbed, and which files of which snapshots are damaged; these are told to root alone.", Privileged: true,
		},
		{Entry: "zfs-version", Argv: []string{"zfs", "version"}, Help: "The version of ZFS."},
	}
}

// zfs lists the snapshots of a data set. What is received counts once it is whole:
// ZFS makes the snapshot at the end of a transfer, and keeps the beginning of one
// that can be resumed apart.
type zfs struct{ *place }

func (z zfs) run(ctx context.Context, entry string, objects ...string) (string, error) {
	out, err := z.host.Commands.Run(ctx, entry, objects...)
	if err != nil {
		return "", err
	}
	if out.ExitCode != 0 {
		return "", refused(string(out.Stderr))
	}
	return string(out.Stdout), nil
}

func (z zfs) look(ctx context.Context, sight *job.Sight) error {
	sight.Tools = []job.Tool{{Name: "zfs", Version: z.version(ctx)}}
	sight.Devices = []string{"zfs/" + poolOf(z.options.Dataset)}
	text, err := z.run(ctx, "zfs-snapshots", z.options.Dataset)
	if err != nil {
		return err
	}
	all, err := parseZFS(text)
	newest := time.Time{}
	for _, s := range all {
		_, name, _ := strings.Cut(s.ID, "@")
		if !z.wanted(name) {
			continue
		}
		sight.Points = append(sight.Points, s.Point)
		sight.Units = append(sight.Units, job.Unit{ID: s.ID, Bytes: max(1, s.Size.N), Stamp: s.guid})
		if s.At.After(newest) {
			newest = s.At
			sight.Notes = nil
			if s.held {
				sight.Notes = []string{"the newest snapshot is held: it cannot be destroyed before \"zfs release\""}
			}
		}
	}
	if err != nil {
		return err
	}
	properties, err := z.properties(ctx)
	if err != nil {
		return err
	}
	sight.Encrypted = map[bool]string{true: "no", false: "yes"}[properties["encryption"] == "off"]
	if token := properties["receive_resume_token"]; token != "" && token != "-" {
		const text = "the last transfer did not end, and can be resumed"
		if len(sight.Points) == 0 {
			return job.Flawed(job.Incomplete, "%s; nothing is finished", text)
		}
		sight.Notes = append(sight.Notes, text)
	}
	z.scrubbed(ctx, sight)
	return nil
}

// scrubbed takes the last scrub of the pool as evidence that all was read. What
// may not be asked is no evidence.
func (z zfs) scrubbed(ctx context.Context, sight *job.Sight) {
	text, err := z.run(ctx, "zpool-status", poolOf(z.options.Dataset))
	if err != nil {
		return
	}
	status := parseStatus(text)
	switch {
	case status.scrubbed.IsZero():
	case status.errors > 0 || !status.clean:
		sight.Notes = append(sight.Notes, "the pool has errors of data")
	default:
		sight.Evidence = append(sight.Evidence, job.Evidence{Depth: job.Read, At: status.scrubbed, Tool: job.Tool{Name: "zpool scrub", Version: z.version(ctx)}})
	}
}

func (z zfs) version(ctx context.Context) string {
	text, err := z.run(ctx, "zfs-version")
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimPrefix(strings.TrimSpace(line), "zfs-")
}

func (z zfs) properties(ctx context.Context) (map[string]string, error) {
	text, err := z.run(ctx, "zfs-dataset", z.options.Dataset)
	if err != nil {
		return nil, err
	}
	return parseProperties(text)
}

// same asks whether the pool knows of damage in a snapshot. It names a file of one
// that is mounted by its path, and of another by the name of the snapshot.
func (z zfs) same(ctx context.Context, point job.Point) error {
	text, err := z.run(ctx, "zpool-status", poolOf(point.ID))
	if err != nil {
		return nil //nolint:nilerr // reading finds out as well
	}
	dir, _ := z.content(ctx, point) // without one there is no path
	for _, name := range parseStatus(text).damaged {
		file, is := strings.CutPrefix(name, point.ID+":")
		if !is && dir != "" {
			file, is = strings.CutPrefix(name, dir+"/")
		}
		if is {
			return job.Flawed(job.Damaged, "the pool says that %s is damaged in %s", file, point.ID)
		}
	}
	return nil
}

// content is where the files of a snapshot are: below the directory .zfs of the
// mounted data set, which mounts the snapshot when somebody goes there.
func (z zfs) content(ctx context.Context, point job.Point) (string, error) {
	dataset, name, _ := strings.Cut(point.ID, "@")
	properties, err := z.properties(ctx)
	if err != nil {
		return "", err
	}
	mount := properties["mountpoint"]
	if properties["mounted"] != "yes" || !path.IsAbs(mount) {
		return "", probes.Because(probes.Unsupported, fmt.Errorf("%s is not mounted, so that its snapshots cannot be read", dataset))
	}
	return path.Join(mount, ".zfs/snapshot", name), nil
}

func poolOf(dataset string) string {
	return dataset[:strings.IndexAny(dataset+"/", "/@")]
}

func validZFS(o job.Options) error {
	if path.IsAbs(o.Dataset) {
		return probes.At("dataset", fmt.Errorf("%.80q is a path; name the data set, such as tank/home", o.Dataset))
	}
	return nil
}

// refused turns what a tool complains of into an error with a reason.
func refused(stderr string) error {
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	err := errors.New(line)
	switch text := strings.ToLower(stderr); {
	case strings.Contains(text, "does not exist"), strings.Contains(text, "no such pool"):
		return probes.Because(probes.NotFound, err)
	case strings.Contains(text, "permission denied"), strings.Contains(text, "operation not permitted"):
		return probes.Because(probes.PermissionDenied, err)
	}
	return probes.Because(probes.Unavailable, err)
}

// A zfsSnapshot is a line of "zfs list".
type zfsSnapshot struct {
	job.Point
	guid string
	held bool
}

// parseZFS reads the columns name, creation, referenced, userrefs and guid of
// "zfs list -Hp".
func parseZFS(out string) ([]zfsSnapshot, error) {
	var all []zfsSnapshot
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 5 || !strings.Contains(fields[0], "@") {
			return all, probes.Because(probes.Malformed, fmt.Errorf("zfs list printed %.80q", line))
		}
		seconds, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return all, probes.Because(probes.Malformed, fmt.Errorf("zfs list printed the instant %.40q", fields[1]))
		}
		s := zfsSnapshot{Point: job.Point{ID: fields[0], At: time.Unix(seconds, 0), Units: []string{fields[0]}}, guid: fields[4]}
		if size, err := strconv.ParseInt(fields[2], 10, 64); err == nil && size >= 0 {
			s.Size = job.Of(size)
		}
		held, err := strconv.Atoi(fields[3])
		s.held = err == nil && held > 0
		all = append(all, s)
	}
	return all, nil
}

// parseProperties reads "zfs get -H -o property,value".
func parseProperties(out string) (map[string]string, error) {
	all := map[string]string{}
	for line := range strings.Lines(out) {
		name, value, is := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !is {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("zfs get printed %.80q", line))
		}
		all[name] = value
	}
	return all, nil
}

// A poolStatus is what "zpool status -v" says.
type poolStatus struct {
	scrubbed time.Time // the end of the last scrub; zero: none, or it still runs
	errors   int       // that it has found
	clean    bool      // the pool knows no damaged data
	damaged  []string  // files, as DATASET@SNAPSHOT:/PATH or a path
}

// scrubLine is how zpool-status(8) tells of a scrub that has ended.
var scrubLine = regexp.MustCompile(`^\s*scan: scrub repaired \S+ in .* with (\d+) errors on (\w{3} \w{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4})$`)

// parseStatus reads "zpool status -v" of one pool, with times in UTC.
func parseStatus(out string) poolStatus {
	var s poolStatus
	listing := false
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		text := strings.TrimSpace(line)
		if m := scrubLine.FindStringSubmatch(line); m != nil {
			if at, err := time.Parse(time.ANSIC, m[2]); err == nil {
				s.scrubbed = at
				s.errors, _ = strconv.Atoi(m[1])
			}
		}
		if rest, is := strings.CutPrefix(text, "errors:"); is {
			s.clean = strings.TrimSpace(rest) == "No known data errors"
			listing = strings.Contains(rest, "following files")
			continue
		}
		if listing && text != "" {
			s.damaged = append(s.damaged, text)
		}
	}
	return s
}
