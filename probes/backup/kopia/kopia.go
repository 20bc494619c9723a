// Package kopia is the kind of backup that is a repository of Kopia.
//
// Kopia takes no locks, and a repository is made for many that write at once, so
// that a backup can begin at any time. It is given the connection of the user
// without its cache, and read-only, on its standard input: nothing of what belongs
// to the user is written, and no secret comes to a disk. The packs of a
// repository have no checksum that could be compared without its keys, so that
// Kopia itself reads them: all contents that lie in the packs of a day at a time.
package kopia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/restore"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "kopia",
		Summary:  "A repository of Kopia, on a file system or behind a server; proven with Kopia 0.22.",
		Keys:     []string{"config_file", "password_file", "snapshots"},
		Needs:    []string{"config_file", "password_file"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read, job.Restored, job.Asserted},
		Trees:    true,
		Commands: commands(),
		Check:    validate,
		Open:     func(host probes.Host, o job.Options) job.Copy { return &repository{host: host, options: o} },
	}
}

// commands lists what Kopia is asked, and nothing of it writes.
func commands() []probes.Command {
	absolute := regexp.MustCompile(`/[^\x00\n]*`)
	id := regexp.MustCompile(`[0-9a-f]{32}`)
	command := func(name, help string, object *regexp.Regexp, args ...string) probes.Command {
		c := probes.Command{
			Entry: "kopia-" + name, Help: help, Objects: []*regexp.Regexp{absolute},
			Argv:    append([]string{"kopia", "--config-file=/dev/stdin", "--disable-file-logging", "--no-progress"}, args...),
			Through: []string{"env", "HOME=.", "KOPIA_CHECK_FOR_UPDATES=false"},
			Secrets: map[string]string{"KOPIA_PASSWORD": "{0}"},
		}
		if object != nil {
			c.Objects = append(c.Objects, object)
		}
		return c
	}
	contents := command("contents", "Reads the contents that a file names, and compares them with their hashes.", absolute, "content", "show")
	contents.Through = append(contents.Through, "xargs", "--no-run-if-empty", "--max-chars=1500000", "--exit", "--arg-file={1}")
	return []probes.Command{
		{Entry: "kopia-version", Argv: []string{"kopia", "--version"}, Help: "The version of Kopia."},
		command("status", "How a repository of Kopia is encrypted, and how long its files are protected.", nil, "repository", "status", "--json"),
		command("snapshots", "The snapshots of a repository of Kopia, with those that were not finished.", nil, "snapshot", "list", "--all", "--incomplete", "--json"),
		command("maintenance", "When the repository was last maintained, and who has to.", nil, "maintenance", "info", "--json"),
		command("blobs", "The packs of a repository behind a server.", nil, "blob", "list", "--json"),
		command("content-list", "Which content lies in which pack.", nil, "content", "list", "--json"),
		command("content-verify", "Whether every pack is there, and has the length that its contents need.", nil, "content", "verify"),
		command("snapshot-verify", "Whether everything that a snapshot is made of is known.", id, "snapshot", "verify", "--json", "{1}"),
		contents,
		command("restore", "The content of a snapshot as an archive, for a test restore.", id, "restore", "--mode=tar", "{1}", "/dev/stdout"),
	}
}

func validate(o job.Options) error {
	var errs []error
	for key, value := range map[string]string{"config_file": o.ConfigFile, "password_file": o.PasswordFile} {
		if value != "" && !filepath.IsAbs(value) {
			errs = append(errs, probes.At(key, fmt.Errorf("%.80q is not an absolute path", value)))
		}
	}
	if !doublestar.ValidatePattern(o.Snapshots) {
		errs = append(errs, probes.At("snapshots", fmt.Errorf("%.80q is not a valid pattern", o.Snapshots)))
	}
	return errors.Join(errs...)
}

// A repository is one copy. Its fields behind mu are shared by Look and Check.
type repository struct {
	host    probes.Host
	options job.Options

	mu   sync.Mutex
	tool job.Tool
	dirs map[string]directory // of packs, as they were listed
	seen map[string]snapshot  // by identity
}

// stream lets Kopia print what may be much, with the lowest priority, and returns
// its complaints.
func (r *repository) stream(ctx context.Context, c connection, to io.Writer, entry string, objects ...string) (probes.Output, error) {
	return r.host.Pipes.Pipe(ctx, bytes.NewReader(c.document), to, "kopia-"+entry, slices.Concat([]string{r.options.PasswordFile}, objects)...)
}

// decode lets Kopia print a document, and decodes it as it comes.
func (r *repository) decode(ctx context.Context, c connection, entry string, read func(*json.Decoder) error) error {
	return job.Stream(
		func(to io.Writer) error {
			out, err := r.stream(ctx, c, to, entry)
			return r.explain(out, err)
		},
		func(in io.Reader) error {
			if err := read(json.NewDecoder(in)); err != nil {
				return probes.Because(probes.Malformed, fmt.Errorf("what kopia %s printed is not understood: %w", strings.ReplaceAll(entry, "-", " "), err))
			}
			return nil
		})
}

// explain turns the end of Kopia into an error.
func (r *repository) explain(out probes.Output, err error) error {
	if probes.ReasonOf(err) == probes.NotFound {
		return probes.Because(probes.Unsupported, errors.New("kopia is not installed"))
	}
	if err != nil {
		return err
	}
	return failed(out)
}

// judge returns Kopia with its version.
func (r *repository) judge(ctx context.Context) job.Tool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tool.Version == "" {
		r.tool.Name = "kopia"
		if out, err := r.host.Commands.Run(ctx, "kopia-version"); err == nil {
			r.tool.Version = number.FindString(string(out.Stdout))
		}
	}
	return r.tool
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// Look lists the snapshots and the packs.
func (r *repository) Look(ctx context.Context) (job.Sight, error) {
	var sight job.Sight
	c, err := r.connection()
	if err != nil {
		return sight, err
	}
	sight.Media = c.media()
	if err := r.see(ctx, c, &sight); err != nil {
		return sight, err
	}
	var s status
	if err := r.decode(ctx, c, "status", s.read); err != nil {
		return sight, err
	}
	sight.Tools = []job.Tool{r.judge(ctx)}
	sight.Encrypted = s.encrypted()
	snapshots, err := r.snapshots(ctx, c)
	if err != nil {
		return sight, err
	}
	for _, one := range snapshots.complete {
		sight.Points = append(sight.Points, one.point())
	}
	sight.Notes = snapshots.notes()
	if len(sight.Points) > 0 {
		sight.Immutable = s.protected(sight.Points[0].At)
		return sight, nil
	}
	return sight, r.lost(ctx, c, sight)
}

// lost finds out whether a repository without a snapshot has lost its index: then
// it has packs, and knows of nothing in them.
func (r *repository) lost(ctx context.Context, c connection, sight job.Sight) error {
	if len(sight.Units) == 0 {
		return nil
	}
	any := false
	err := r.decode(ctx, c, "content-list", func(list *json.Decoder) error {
		return each(list, func(content) error { any = true; return nil })
	})
	if err == nil && !any {
		return job.Flawed(job.Incomplete, "the repository has packs, and its index knows of nothing in them")
	}
	return err
}

func (r *repository) snapshots(ctx context.Context, c connection) (listing, error) {
	var l listing
	err := r.decode(ctx, c, "snapshots", func(list *json.Decoder) error { return l.read(list, r.options.Snapshots) })
	if err != nil {
		return l, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = map[string]snapshot{}
	for _, s := range l.complete {
		r.seen[s.ID] = s
	}
	return l, nil
}

func (r *repository) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

// known returns a snapshot as the last look saw it.
func (r *repository) known(ctx context.Context, c connection, id string) (snapshot, error) {
	r.mu.Lock()
	s, there := r.seen[id]
	r.mu.Unlock()
	if there {
		return s, nil
	}
	l, err := r.snapshots(ctx, c)
	if err == nil && !slices.ContainsFunc(l.complete, func(s snapshot) bool { return s.ID == id }) {
		err = job.Busy("the snapshot %s was removed", id)
	}
	if err != nil {
		return s, err
	}
	return l.complete[slices.IndexFunc(l.complete, func(s snapshot) bool { return s.ID == id })], nil
}

// Check does a task. Kopia shows what was there when it began; only what
// maintenance or a person removes meanwhile may be missed wrongly.
func (r *repository) Check(ctx context.Context, task job.Task) job.Outcome {
	c, err := r.connection()
	if err != nil {
		return job.Outcome{Err: err}
	}
	var upkeep maintenance
	begun := false
	state := func() (string, error) {
		m, err := r.maintenance(ctx, c)
		if err == nil && begun && task.Point.ID != "" {
			r.forget()
			_, err = r.known(ctx, c, task.Point.ID)
		}
		begun, upkeep = true, m
		return m.state(), err
	}
	return job.Unlocked(state, func(out *job.Outcome) error {
		out.Judged(r.judge(ctx))
		if task.Depth == job.Read {
			return r.read(ctx, c, task, out)
		}
		found, err := r.known(ctx, c, task.Point.ID)
		if err != nil {
			return err
		}
		switch task.Depth {
		case job.Structure:
			out.Noted(upkeep.notes()...)
			return r.structure(ctx, c, found, out)
		case job.Restored, job.Asserted:
			export := restore.Export{
				Backup: "the snapshot " + found.ID,
				Want:   restore.Listing{Files: found.Root.Summary.Files, Links: found.Root.Summary.Links, Bytes: found.Root.Summary.Size},
				Print:  func(ctx context.Context, to io.Writer) error { return r.print(ctx, c, to, found.ID) },
			}
			return export.Restore(ctx, r.host.Files, task, out)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("a repository of Kopia is not checked by %s", task.Depth))
	})
}

// print lets Kopia hand out a snapshot as an archive. Kopia opens its output to
// read as well, so that it never learns that nobody reads any more, and has to be
// ended then.
func (r *repository) print(ctx context.Context, c connection, to io.Writer, id string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out, err := r.stream(ctx, c, watched{to, stop}, "restore", id)
	return r.explain(out, err)
}

// watched calls refused once nothing more can be written.
type watched struct {
	io.Writer
	refused func()
}

func (w watched) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if err != nil {
		w.refused()
	}
	return n, err
}

// structure lets Kopia compare the index with the packs, and walk through the
// snapshot: the walk does not see that a pack is too short.
func (r *repository) structure(ctx context.Context, c connection, s snapshot, out *job.Outcome) error {
	verified, err := r.stream(ctx, c, io.Discard, "content-verify")
	if err == nil && verified.ExitCode != 0 {
		err = counted(string(verified.Stderr))
	}
	if err := r.explain(verified, err); err != nil {
		return err
	}
	verified, err = r.stream(ctx, c, io.Discard, "snapshot-verify", s.ID)
	if err := r.explain(verified, err); err != nil {
		return err
	}
	out.Size, out.Files = job.Of(s.Root.Summary.Size), job.Of(s.Root.Summary.Files)
	return s.whole()
}
