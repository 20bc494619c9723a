package borgmatic

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// read reads a configuration.
func read(files Files, name string) (config, error) {
	about := surroundings{home: home(files, name)}
	if text, err := files.ReadFile("/proc/sys/kernel/hostname", 1<<10); err == nil {
		about.hostname, _, _ = strings.Cut(strings.TrimSpace(string(text)), ".")
	}
	l := loader{home: about.home, read: func(path string) ([]byte, error) { return files.ReadFile(path, maxFile) }}
	value, err := l.load(name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return config{file: name}, probes.Because(probes.NotFound, fmt.Errorf("the configuration of borgmatic: %w", err))
	}
	if err != nil {
		return config{file: name}, err
	}
	return parse(name, value, about)
}

// home is the home of whoever owns a file: the user that borgmatic runs as, most
// likely.
func home(files Files, name string) string {
	const root = "/root"
	info, err := files.Stat(name)
	if err != nil {
		return root
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is || stat.Uid == 0 {
		return root
	}
	users, err := files.ReadFile("/etc/passwd", maxFile)
	if err != nil {
		return root
	}
	for line := range strings.Lines(string(users)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) > 5 && fields[2] == strconv.Itoa(int(stat.Uid)) && path.IsAbs(fields[5]) {
			return fields[5]
		}
	}
	return root
}

// proven is what a check of borgmatic says of a backup.
func proven(check string) (job.Depth, bool) {
	switch check {
	case "repository", "data", "extract":
		return job.Read, true
	case "archives":
		return job.Structure, true
	}
	return "", false
}

var repositoryID = regexp.MustCompile(`^[0-9a-f]{8,64}$`)

// evidence returns when borgmatic last found the repository good: it touches a
// file for each check that passed. A check that is overdue is noted.
func (c config) evidence(files Files, id string) (list []job.Evidence, notes []string) {
	if !repositoryID.MatchString(id) {
		return nil, nil
	}
	now := time.Now()
	for _, one := range c.checks {
		var last time.Time
		for _, dir := range c.states {
			at, err := newest(files, path.Join(dir, id, one.name))
			if err != nil {
				notes = append(notes, fmt.Sprintf("when borgmatic checked last cannot be seen: %v", err))
			}
			if at.After(last) {
				last = at
			}
		}
		if depth, tells := proven(one.name); tells && !last.IsZero() {
			list = append(list, job.Evidence{Depth: depth, At: last, Tool: job.Tool{Name: "borgmatic"}})
		}
		switch {
		case last.IsZero():
			notes = append(notes, fmt.Sprintf("borgmatic has never passed its check %q", one.name))
		case one.every > 0 && now.Sub(last) > one.every+one.every/2:
			notes = append(notes, fmt.Sprintf("borgmatic is to make its check %q every %s, and passed it last at %s", one.name, one.every, last.UTC().Format(time.RFC3339)))
		}
	}
	return list, notes
}

// newest returns the time of a file, or that of the newest in a directory: newer
// versions have one for each set of archives. Without any it is zero.
func newest(files Files, name string) (time.Time, error) {
	info, err := files.Stat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	if !info.IsDir() {
		return info.ModTime(), nil
	}
	entries, err := files.ReadDir(name)
	var last time.Time
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && !info.IsDir() && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, err
}
