package zypp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"hygiene_exporter/probes/patch/updates"
)

// historyPath is the log of libzypp: fields between bars, an instant in local
// time first.
const historyPath = "/var/log/zypp/history"

// tail is how much of the end of the history is read.
const tail = 8 << 20

// automatic are the units by which hosts of SUSE update themselves.
var automatic = []string{
	"/etc/systemd/system/timers.target.wants/transactional-update.timer",
	"/etc/systemd/system/timers.target.wants/os-update.timer",
}

// cronJobs are the links that YaST makes for automatic updates.
var cronJobs = []string{"/etc/cron.daily/opensuse.org-online_update", "/etc/cron.weekly/opensuse.org-online_update", "/etc/cron.monthly/opensuse.org-online_update"}

// addHistory adds the last upgrade and what is known of automatic updates. Their
// success is that of an upgrade; the history does not tell who asked for it.
func (r *Reader) addHistory(m *updates.Manager) {
	var err error
	if m.LastUpgrade, err = r.lastUpgrade(); err != nil {
		m.Notes = append(m.Notes, fmt.Sprintf("When packages were last upgraded is not known: %v.", err))
	}
	m.Automatic.Enabled = updates.No
	for _, place := range append(append([]string{}, automatic...), cronJobs...) {
		if _, err := r.files.Lstat(place); err == nil {
			m.Automatic.Enabled = updates.Yes
			m.Automatic.Notes = append(m.Automatic.Notes, place+" is there.")
		}
	}
	if m.Automatic.Enabled == updates.Yes {
		m.Automatic.LastSuccess = m.LastUpgrade
		if len(m.Updates) == 0 && len(m.Incomplete) == 0 {
			for _, one := range m.Repositories { // nothing was left to do when it last looked
				if one.Refreshed.After(m.Automatic.LastSuccess) {
					m.Automatic.LastSuccess = one.Refreshed
				}
			}
		}
	}
}

func (r *Reader) lastUpgrade() (time.Time, error) {
	file, err := r.files.Open(historyPath)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return time.Time{}, err
	}
	if info.Size() > tail {
		if _, err := file.Seek(info.Size()-tail, io.SeekStart); err != nil {
			return time.Time{}, err
		}
	}
	return parseHistory(file)
}

// parseHistory returns when a package was last installed in the place of an
// older one: its name was installed before, or it was a patch. The log says
// "install" for both, so every installation counts.
func parseHistory(r io.Reader) (time.Time, error) {
	var last time.Time
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		fields := strings.Split(line, "|")
		if len(fields) > 2 && strings.TrimSpace(fields[1]) == "install" {
			if at, parseErr := time.ParseInLocation(time.DateTime, fields[0], time.Local); parseErr == nil {
				last = at
			}
		}
		if errors.Is(err, io.EOF) {
			return last, nil
		} else if err != nil {
			return last, err
		}
	}
}
