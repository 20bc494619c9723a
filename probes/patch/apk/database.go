package apk

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/decompress"
)

// An entry is a package, installed or in an index.
type entry struct {
	name, version string
	arch          string
	built         time.Time
	tag           string // that it was installed from, or that its repository has
}

// maxLine is more than any line of a database has.
const maxLine = 4 << 20

// parseRecords reads the format that the database of installed packages and
// APKINDEX share, apk-v2(5): lines of a letter, a colon and a value, and an
// empty line after each package. Lines of files, which only the former has, are
// passed over.
func parseRecords(r io.Reader, each func(entry)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var e entry
	seen := false
	finish := func() error {
		if !seen {
			return nil
		}
		if e.name == "" || e.version == "" {
			return malformed("a package without a name or a version: %q", e.name+e.version)
		}
		each(e)
		e, seen = entry{}, false
		return nil
	}
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if err := finish(); err != nil {
				return err
			}
			continue
		}
		seen = true
		if len(line) < 2 || line[1] != ':' {
			return malformed("line %.80q", line)
		}
		switch value := line[2:]; line[0] {
		case 'P':
			e.name = value
		case 'V':
			e.version = value
		case 'A':
			e.arch = value
		case 's':
			e.tag = value
		case 't':
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds > 0 {
				e.built = time.Unix(seconds, 0)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return finish()
}

// An index is what a repository offers of the wanted packages.
type index struct {
	packages  []entry
	total     int
	published time.Time
}

// readIndex reads an APKINDEX.tar.gz: a signature and the index, one after the
// other.
func readIndex(r io.Reader, wanted func(string) bool) (index, error) {
	content, err := decompress.New(r)
	if err != nil {
		return index{}, err
	}
	defer content.Close()
	archive := tar.NewReader(content)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return index{}, malformed("it holds no APKINDEX")
		}
		if err != nil {
			return index{}, malformed("%v", err)
		}
		if path.Base(header.Name) != "APKINDEX" {
			continue
		}
		var found index
		if header.ModTime.Unix() > 0 {
			found.published = header.ModTime
		}
		err = parseRecords(archive, func(e entry) {
			found.total++
			if wanted(e.name) {
				found.packages = append(found.packages, e)
			}
			if found.published.Before(e.built) {
				found.published = e.built // an index is not older than what it lists
			}
		})
		if err != nil {
			return index{}, fmt.Errorf("APKINDEX: %w", err)
		}
		return found, nil
	}
}

// A constraint is what the world, apk-world(5), asks for of one package.
type constraint struct {
	name, operator, version, tag string
	against                      bool // the package must not be there
}

// parseWorld reads words such as "openssl", "nginx@edge", "php82<8.2.5" and
// "!busybox".
func parseWorld(data []byte) []constraint {
	var list []constraint
	for word := range strings.FieldsSeq(string(data)) {
		var c constraint
		word, c.against = strings.CutPrefix(word, "!")
		word, c.tag, _ = strings.Cut(word, "@")
		c.name = word
		if at := strings.IndexAny(word, "<>=~"); at >= 0 {
			c.version = strings.TrimLeft(word[at:], "<>=~")
			c.name, c.operator = word[:at], word[at:len(word)-len(c.version)]
		}
		list = append(list, c)
	}
	return list
}

func malformed(format string, args ...any) error {
	return probes.Because(probes.Malformed, fmt.Errorf(format, args...))
}
