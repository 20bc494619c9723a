package files

import (
	"bytes"
	"context"
	"crypto/md5"  //nolint:gosec // against accidents, not against attackers
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/idle"
)

// sums are the names of lists of checksums beside files.
var sums = regexp.MustCompile(`(?i)^(sha(1|224|256|384|512)|md5)sums?(\.txt)?$|\.(sha(1|224|256|384|512)(sum)?|md5(sum)?)$`)

// isManifest reports whether a file is a list of checksums and no backup.
func isManifest(base, configured string) bool {
	return base == configured && configured != "" || sums.MatchString(base)
}

const maxManifest = 16 << 20

// listed compares a file with the lists of checksums beside it.
func (l *location) listed(ctx context.Context, name string) (notes []string, err error) {
	dir := path.Dir(name)
	entries, err := l.host.Files.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	own := false
	for _, entry := range entries {
		base := entry.Name()
		if entry.IsDir() || !isManifest(base, l.options.Manifest) {
			continue
		}
		single := sums.MatchString(base) && strings.Contains(base, ".") && !wholeDirectory(base)
		if single && strings.TrimSuffix(base, path.Ext(base)) != path.Base(name) {
			continue // that of another file
		}
		note, err := l.compare(ctx, path.Join(dir, base), name)
		if err != nil {
			return notes, err
		}
		own = own || base == l.options.Manifest
		notes = append(notes, note)
	}
	if l.options.Manifest != "" && !own {
		return notes, job.Flawed(job.Incomplete, "the list of checksums %s is missing beside it", l.options.Manifest)
	}
	return notes, nil
}

var whole = regexp.MustCompile(`(?i)^(sha(1|224|256|384|512)|md5)sums?(\.txt)?$`)

func wholeDirectory(base string) bool { return whole.MatchString(base) }

// compare compares a file with one list.
func (l *location) compare(ctx context.Context, list, name string) (note string, err error) {
	data, err := l.host.Files.ReadFile(list, maxManifest)
	if err != nil {
		return "", err
	}
	lines, err := parseSums(data)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path.Base(list), err)
	}
	rel := strings.TrimPrefix(name, path.Dir(list)+"/")
	covered := false
	for _, line := range lines {
		if line.name != rel {
			if _, err := l.host.Files.Stat(path.Join(path.Dir(list), line.name)); errors.Is(err, fs.ErrNotExist) {
				return "", job.Flawed(job.Incomplete, "%s lists %.80q, which is missing", path.Base(list), line.name)
			}
			continue
		}
		covered = true
		sum, err := l.digest(ctx, name, line.algorithm)
		if err != nil {
			return "", err
		}
		if !bytes.Equal(sum, line.sum) {
			return "", job.Flawed(job.Mismatch, "it does not have the checksum that %s tells", path.Base(list))
		}
	}
	if !covered {
		return "", job.Flawed(job.Incomplete, "%s does not list it", path.Base(list))
	}
	return "it has the checksum that " + path.Base(list) + " tells", nil
}

// digest reads a file.
func (l *location) digest(ctx context.Context, name string, algorithm func() hash.Hash) ([]byte, error) {
	file, err := l.host.Files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	defer idle.Forget(file)
	digest := algorithm()
	if _, err := io.Copy(digest, job.Interruptible(ctx, file)); err != nil {
		return nil, err
	}
	return digest.Sum(nil), nil
}

// A sumLine is one line of a list.
type sumLine struct {
	name      string
	sum       []byte
	algorithm func() hash.Hash
}

var (
	gnuLine = regexp.MustCompile(`^\\?([0-9a-fA-F]{32,128}) [ *](.+)$`)
	bsdLine = regexp.MustCompile(`^[A-Z0-9-]+ \((.+)\) = ([0-9a-fA-F]{32,128})$`)
)

// parseSums reads the output of sha256sum and its kin, plain or with --tag,
// strictly: a line that is neither is a flaw, and so is a list without lines.
func parseSums(data []byte) ([]sumLine, error) {
	var lines []sumLine
	for number, text := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		text = strings.TrimSuffix(text, "\r")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		var sum, name string
		if match := gnuLine.FindStringSubmatch(text); match != nil {
			sum, name = match[1], match[2]
		} else if match := bsdLine.FindStringSubmatch(text); match != nil {
			sum, name = match[2], match[1]
		}
		raw, err := hex.DecodeString(sum)
		algorithm := algorithmOf(len(raw))
		if err != nil || algorithm == nil {
			return nil, job.Flawed(job.Damaged, "line %d is no checksum: %.60q", number+1, text)
		}
		if strings.HasPrefix(text, `\`) {
			name = strings.NewReplacer(`\\`, `\`, `\n`, "\n").Replace(name)
		}
		lines = append(lines, sumLine{strings.TrimPrefix(name, "./"), raw, algorithm})
	}
	if len(lines) == 0 {
		return nil, job.Flawed(job.Empty, "the list of checksums is empty")
	}
	return lines, nil
}

func algorithmOf(length int) func() hash.Hash {
	switch length {
	case md5.Size:
		return md5.New
	case sha1.Size:
		return sha1.New
	case sha256.Size224:
		return sha256.New224
	case sha256.Size:
		return sha256.New
	case sha512.Size384:
		return sha512.New384
	case sha512.Size:
		return sha512.New
	}
	return nil
}

// listedTree compares a directory with a list at its top that covers it: every
// file that is listed must be there, and every file that is there be listed.
func (l *location) listedTree(ctx context.Context, top string) (notes []string, err error) {
	entries, err := l.host.Files.ReadDir(top)
	if err != nil {
		return nil, err
	}
	own := false
	for _, entry := range entries {
		base := entry.Name()
		if base != l.options.Manifest && !wholeDirectory(base) {
			continue
		}
		own = own || base == l.options.Manifest
		if err := l.compareTree(ctx, top, base); err != nil {
			return notes, fmt.Errorf("%s: %w", base, err)
		}
		notes = append(notes, "every file has the checksum that "+base+" tells")
	}
	if l.options.Manifest != "" && !own {
		return notes, job.Flawed(job.Incomplete, "the list of checksums %s is missing", l.options.Manifest)
	}
	return notes, nil
}

func (l *location) compareTree(ctx context.Context, top, base string) error {
	data, err := l.host.Files.ReadFile(path.Join(top, base), maxManifest)
	if err != nil {
		return err
	}
	lines, err := parseSums(data)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, line := range lines {
		sum, err := l.digest(ctx, path.Join(top, line.name), line.algorithm)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return job.Flawed(job.Incomplete, "it lists %.80q, which is missing", line.name)
		case err != nil:
			return err
		case !bytes.Equal(sum, line.sum):
			return job.Flawed(job.Mismatch, "%.80q does not have the checksum that is listed", line.name)
		}
		seen[line.name] = true
	}
	return l.each(ctx, top, func(name string, info fs.FileInfo) error {
		rel := strings.TrimPrefix(name, top+"/")
		if info.Mode().IsRegular() && !seen[rel] && rel != base && !wholeDirectory(rel) {
			return job.Flawed(job.Incomplete, "it does not list %.80q", rel)
		}
		return nil
	})
}
