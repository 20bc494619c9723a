package pacman

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// tail is how much of the end of pacman's log is read: years of it on most hosts.
const tail = 8 << 20

// A story is what the log tells.
type story struct {
	upgraded  time.Time // a package was last upgraded
	refreshed time.Time // the lists were last synchronised by a run that went on to upgrade, which it does only if all of them could be
}

// readLog reads the end of the log. A log that is not there tells nothing.
func readLog(files *rootfs.FS, place string) (story, error) {
	file, err := files.Open(place)
	if errors.Is(err, fs.ErrNotExist) {
		return story{}, nil
	} else if err != nil {
		return story{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return story{}, err
	}
	if info.Size() > tail {
		if _, err := file.Seek(info.Size()-tail, io.SeekStart); err != nil {
			return story{}, err
		}
	}
	return parseLog(file)
}

func parseLog(r io.Reader) (story, error) {
	var s story
	var synchronising time.Time
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		at, text := splitLine(strings.TrimSpace(line))
		switch {
		case at.IsZero():
		case strings.HasSuffix(text, "synchronizing package lists"):
			synchronising = at
		case strings.HasSuffix(text, "starting full system upgrade"):
			if !synchronising.IsZero() {
				s.refreshed = synchronising
			}
			synchronising = time.Time{}
		case strings.HasPrefix(text, "[ALPM] upgraded "), strings.HasPrefix(text, "upgraded "):
			s.upgraded = at
		}
		if errors.Is(err, io.EOF) {
			return s, nil
		} else if err != nil {
			return s, err
		}
	}
}

// layouts are the dates of the log, of pacman 5.2 and later and of earlier ones,
// which write the time of the host without a zone.
var layouts = []string{"2006-01-02T15:04:05-0700", "2006-01-02 15:04"}

func splitLine(line string) (time.Time, string) {
	stamp, text, ok := strings.Cut(strings.TrimPrefix(line, "["), "] ")
	if !ok {
		return time.Time{}, ""
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, stamp); err == nil {
			return at, text
		}
	}
	return time.Time{}, ""
}
