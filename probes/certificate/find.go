package certificate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
)

// claims reports whether the name of a file says that certificates are in it. When
// a source names a directory, only such files are opened; what they are is up to
// their content.
func claims(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".pem", ".crt", ".cer", ".cert", ".der", ".crl", ".p7b", ".p7c", ".p12", ".pfx", ".jks", ".jceks", ".ks", ".keystore", ".truststore", ".kubeconfig":
		return true
	}
	return strings.HasSuffix(name, "-cert.pub")
}

// promises reports whether the name of a file says that a certificate is in it, and
// nothing else can be. Keys and parameters are in files of the other names too.
func promises(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return claims(name) && ext != ".pem" && ext != ".der"
}

// A candidate is a file that a source names.
type candidate struct {
	path     string
	explicit bool   // it is named itself, not by a directory or pattern
	from     string // the kubeconfig that names it, if one does
}

// found is what a source names on this host.
type found struct {
	candidates []candidate
	faults     map[string]error // directories and files that should be there or be readable
}

// A finder looks for the files of one source.
type finder struct {
	files *rootfs.FS
	limit int // of candidates
	found
	seen map[string]bool
}

var errTooMany = probes.Because(probes.TooLarge, errors.New("names more files than are looked at; see max_files"))

// find lists the files that a source names. What it could not look at is a
// fault; only the end of ctx is an error.
func find(ctx context.Context, files *rootfs.FS, s *Source, limit int) (found, error) {
	f := &finder{files: files, limit: limit, seen: map[string]bool{}, found: found{faults: map[string]error{}}}
	for _, name := range s.Paths {
		err := f.path(ctx, s, path.Clean(name))
		if errors.Is(err, errTooMany) {
			f.faults[name] = err
			break
		}
		if err != nil {
			return found{}, err
		}
	}
	maps.DeleteFunc(f.faults, func(name string, _ error) bool { return f.below(name) })
	return f.found, nil
}

// path looks at one path of a source: a file, a directory or a pattern.
func (f *finder) path(ctx context.Context, s *Source, name string) error {
	if hasMeta(name) {
		segments := strings.Split(strings.TrimPrefix(name, "/"), "/")
		fixed := slices.IndexFunc(segments, hasMeta)
		base := "/" + path.Join(segments[:fixed]...)
		if _, err := f.files.Stat(base); err != nil {
			f.missing(s, base, err)
			return nil
		}
		return f.glob(ctx, s, base, segments[fixed:])
	}
	info, err := f.files.Stat(name)
	switch {
	case err != nil:
		f.missing(s, name, err)
	case info.IsDir():
		return f.tree(ctx, s, name)
	default:
		return f.add(s, candidate{path: name, explicit: true})
	}
	return nil
}

// missing records what a source names and what is not there. What may be
// missing and is, is no fault; what cannot be looked at always is one.
func (f *finder) missing(s *Source, name string, err error) {
	if s.Optional && errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.faults[name] = err
}

// add records a candidate once.
func (f *finder) add(s *Source, c candidate) error {
	if f.seen[c.path] || s.excludes(c.path) {
		return nil
	}
	if len(f.candidates) >= f.limit {
		return errTooMany
	}
	f.seen[c.path] = true
	f.candidates = append(f.candidates, c)
	return nil
}

// tree adds the files below a directory whose extension is one of a
// certificate.
func (f *finder) tree(ctx context.Context, s *Source, dir string) error {
	return f.each(ctx, s, dir, func(entry fs.DirEntry, name string) error {
		switch {
		case entry.IsDir():
			return f.tree(ctx, s, name)
		case claims(name):
			return f.add(s, candidate{path: name})
		}
		return nil
	})
}

// glob adds the files that match the rest of a pattern below a directory.
func (f *finder) glob(ctx context.Context, s *Source, dir string, segments []string) error {
	segment, rest := segments[0], segments[1:]
	if segment == "**" {
		if len(rest) == 0 {
			return f.glob(ctx, s, dir, []string{"**", "*"})
		}
		if err := f.glob(ctx, s, dir, rest); err != nil {
			return err
		}
		return f.each(ctx, s, dir, func(entry fs.DirEntry, name string) error {
			if !entry.IsDir() {
				return nil
			}
			return f.glob(ctx, s, name, segments)
		})
	}
	if !hasMeta(segment) {
		return f.step(ctx, s, path.Join(dir, segment), rest)
	}
	return f.each(ctx, s, dir, func(entry fs.DirEntry, name string) error {
		if match, err := doublestar.Match(segment, entry.Name()); err != nil || !match {
			return err
		}
		if entry.IsDir() && len(rest) == 0 {
			return nil
		}
		return f.step(ctx, s, name, rest)
	})
}

// step goes on with a path that matches the pattern so far. Symbolic links lead
// on here, because the pattern says how far; in the search of a tree they do not.
func (f *finder) step(ctx context.Context, s *Source, name string, rest []string) error {
	if len(rest) == 0 {
		if _, err := f.files.Lstat(name); err != nil {
			f.unreadable(name, err)
			return nil
		}
		return f.add(s, candidate{path: name})
	}
	info, err := f.files.Stat(name)
	if err != nil {
		f.unreadable(name, err)
		return nil
	}
	if !info.IsDir() || s.excludes(name) {
		return nil
	}
	return f.glob(ctx, s, name, rest)
}

// unreadable records what cannot be looked at. What a pattern does not find is
// no fault.
func (f *finder) unreadable(name string, err error) {
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDirectory) {
		f.faults[name] = err
	}
}

// below reports whether a path lies in a directory that is a fault itself: then
// it is no news that it cannot be looked at.
func (f *finder) below(name string) bool {
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if f.faults[dir] != nil {
			return true
		}
	}
	return false
}

// each visits the entries of a directory. Names that begin with two dots are how
// Kubernetes swaps volumes; what they hold is linked to from beside them.
func (f *finder) each(ctx context.Context, s *Source, dir string, visit func(fs.DirEntry, string) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := f.files.ReadDir(dir)
	if err != nil {
		f.unreadable(dir, err)
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), "..") || s.excludes(name) {
			continue
		}
		if err := visit(entry, name); err != nil {
			return err
		}
	}
	return nil
}

// excludes reports whether the source leaves a path out.
func (s *Source) excludes(name string) bool {
	return slices.ContainsFunc(s.Exclude, func(pattern string) bool {
		match, err := doublestar.Match(pattern, name)
		return err == nil && match
	})
}

// covers reports whether the source would name a file of this path, were it
// there.
func (s *Source) covers(name string) bool {
	if s.excludes(name) {
		return false
	}
	return slices.ContainsFunc(s.Paths, func(of string) bool {
		of = path.Clean(of)
		if hasMeta(of) {
			match, err := doublestar.Match(strings.TrimSuffix(of, "/**")+suffixOf(of), name)
			return err == nil && match
		}
		below := strings.HasPrefix(name, of+"/") && claims(name)
		return name == of || below
	})
}

// suffixOf keeps the meaning of a pattern that ends in **: any file below.
func suffixOf(pattern string) string {
	if strings.HasSuffix(pattern, "/**") {
		return "/**/*"
	}
	return ""
}

func hasMeta(name string) bool { return strings.ContainsAny(name, `*?[{\`) }

// slashInBraces reports whether alternatives of a pattern span directories,
// which would hide where the search begins.
func slashInBraces(pattern string) error {
	depth := 0
	for _, c := range pattern {
		switch {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == '/' && depth > 0:
			return fmt.Errorf("%.80q has a slash inside braces; write two patterns", pattern)
		}
	}
	return nil
}
