package velero

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// holds demands that an archive that was read, and is whole, holds the objects that
// the list beside it names. Velero does not look: it restores what there is, and
// calls that completed.
func (b *backups) holds(ctx context.Context, task job.Task, out job.Outcome) error {
	archive := path.Base(task.Point.ID) + ".tar.gz"
	i := slices.IndexFunc(task.Units, func(u job.Unit) bool { return path.Base(u.ID) == archive })
	if i < 0 {
		return nil
	}
	if _, read := out.Units[task.Units[i].ID]; task.Depth == job.Read && !read {
		return nil // the bytes of the day were used up before
	}
	stamp := task.Units[i].Stamp
	b.mu.Lock()
	matched := b.known[task.Point.ID].matched
	b.mu.Unlock()
	if stamp != "" && matched == stamp {
		return nil
	}
	list := map[string][]string{}
	if there, err := b.packed(ctx, task.Point, "-resource-list.json.gz", &list); !there || err != nil {
		return err // before 1.4 there was none
	}
	in, err := b.storage.stream(ctx, task.Point.ID, archive)
	if err != nil {
		return err
	}
	defer in.Close()
	found, err := objects(in)
	if err != nil {
		return fmt.Errorf("%s was whole a moment ago: %w", archive, err)
	}
	if err := compare(list, found); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if have, there := b.known[task.Point.ID]; there {
		have.matched = stamp
		b.known[task.Point.ID] = have
	}
	return nil
}

// maxObjects bounds what is remembered of an archive.
const maxObjects = 2_000_000

// objects returns the objects in an archive, as NAMESPACE/NAME or NAME. It may hold
// one in several versions. What cannot be read has been written to since it was
// judged.
func objects(in io.Reader) (map[string]bool, error) {
	plain, err := gzip.NewReader(in)
	if err != nil {
		return nil, job.Busy("%w", err)
	}
	found, archive := map[string]bool{}, tar.NewReader(plain)
	for {
		header, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return nil, job.Busy("%w", err)
		}
		if name := object(header.Name); name != "" {
			found[name] = true
		}
		if len(found) > maxObjects {
			return nil, probes.Because(probes.TooLarge, errors.New("it holds too many objects"))
		}
	}
}

// object returns the object of a member such as
// resources/pods/v1-preferredversion/namespaces/web/p.json or
// resources/persistentvolumes/cluster/v.json; empty: it is something else.
func object(member string) string {
	parts := strings.Split(path.Clean(member), "/")
	if len(parts) < 4 || parts[0] != "resources" {
		return ""
	}
	place := parts[2:]
	if place[0] != "cluster" && place[0] != "namespaces" {
		place = place[1:] // behind the version
	}
	name, ok := strings.CutSuffix(strings.Join(place[1:], "/"), ".json")
	if depth := map[string]int{"cluster": 2, "namespaces": 3}[place[0]]; !ok || len(place) != depth {
		return ""
	}
	return name
}

// compare demands that the listed objects are found. A plugin may rename an object
// on its way into the archive, so that another may stand for one that is missing.
func compare(list map[string][]string, found map[string]bool) error {
	listed, lost, example := map[string]bool{}, 0, ""
	for kind, names := range list {
		for _, name := range names {
			if !listed[name] && !found[name] {
				lost++
				example = max(example, kind+" "+name)
			}
			listed[name] = true
		}
	}
	others := 0
	for name := range found {
		if !listed[name] {
			others++
		}
	}
	switch {
	case lost > 0 && lost == len(listed) && others > 0:
		return job.Flawed(job.Mismatch, "the archive holds none of the %d objects that its list names, but %d others", lost, others)
	case lost > others:
		return job.Flawed(job.Incomplete, "the archive lacks %d of the %d objects that its list names, such as %.200s", lost, len(listed), example)
	}
	return nil
}
