package dnf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/ini"
	"hygiene_exporter/probes/patch/sqlite"
	"hygiene_exporter/probes/patch/updates"
)

// histories are the databases in which dnf keeps its transactions, newest first.
var histories = []struct {
	path     string
	upgrades map[int64]bool // the actions of items that are upgrades
	state    string         // the column of a transaction's outcome
	done     map[any]bool
	origin   string // the column that tells who asked for it
}{
	{
		path: "/usr/lib/sysimage/libdnf5/transaction_history.sqlite", upgrades: map[int64]bool{2: true},
		state: "state_id", done: map[any]bool{int64(2): true}, origin: "description",
	},
	{
		path: "/var/lib/dnf/history.sqlite", upgrades: map[int64]bool{6: true},
		state: "state", done: map[any]bool{int64(1): true}, origin: "cmdline",
	},
}

// A history remembers what the databases said as long as they do not change.
type history struct {
	state     string
	upgrade   time.Time // the last upgrade that succeeded
	automatic time.Time // the last transaction of automatic updates that did
	problem   error
}

func (h *history) read(files *rootfs.FS) {
	var written strings.Builder
	for _, db := range histories {
		if one, err := sqlite.State(files, db.path); err == nil {
			written.WriteString(db.path + one)
		}
	}
	state := written.String()
	if state == h.state {
		return
	}
	*h = history{state: state}
	for i := range histories {
		if err := h.add(files, i); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.problem = fmt.Errorf("%s: %w", histories[i].path, err)
			h.state = "" // the next look may go better
		}
	}
}

func (h *history) add(files *rootfs.FS, i int) error {
	db := histories[i]
	type transaction struct {
		end       time.Time
		automatic bool
	}
	done := map[int64]transaction{}
	err := sqlite.Once(files, db.path, "trans", func(row sqlite.Row) error {
		if end := row.Int("dt_end"); end > 0 && db.done[row.Value(db.state)] {
			origin, _ := row.Value(db.origin).(string)
			done[row.ID] = transaction{time.Unix(end, 0), strings.Contains(origin, "automatic")}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return sqlite.Once(files, db.path, "trans_item", func(row sqlite.Row) error {
		t, ok := done[row.Int("trans_id")]
		action := row.Int("action")
		if action == 0 {
			action = row.Int("action_id")
		}
		if !ok || !db.upgrades[action] {
			return nil
		}
		if t.end.After(h.upgrade) {
			h.upgrade = t.end
		}
		if t.automatic && t.end.After(h.automatic) {
			h.automatic = t.end
		}
		return nil
	})
}

// timers are the systemd timers that install updates, and whether they do so
// only where the configuration says so.
var timers = []struct {
	unit   string
	config []string
}{
	{"dnf-automatic-install.timer", nil},
	{"dnf5-automatic.timer", []string{"/etc/dnf/automatic.conf", "/etc/dnf/dnf5-plugins/automatic.conf", "/usr/share/dnf5/dnf5-plugins/automatic.conf"}},
	{"dnf-automatic.timer", []string{"/etc/dnf/automatic.conf"}},
	{"yum-cron.service", []string{"/etc/yum/yum-cron.conf"}},
}

// wants are where systemd keeps what is enabled.
var wants = []string{"/etc/systemd/system/timers.target.wants/", "/etc/systemd/system/multi-user.target.wants/"}

// addHistory adds the last upgrade, and what is known of automatic updates.
func (r *Reader) addHistory(m *updates.Manager) {
	r.history.read(r.files)
	m.LastUpgrade = r.history.upgrade
	if r.history.problem != nil {
		m.Notes = append(m.Notes, "When packages were last upgraded is not known: "+r.history.problem.Error()+".")
	}
	m.Automatic.Enabled = updates.No
	for _, timer := range timers {
		if !enabled(r.files, timer.unit) {
			continue
		}
		if timer.config != nil && !applies(r.files, timer.config) {
			m.Automatic.Notes = append(m.Automatic.Notes, timer.unit+" is enabled, and its configuration does not let it install anything.")
			continue
		}
		m.Automatic.Enabled = updates.Yes
		m.Automatic.Notes = append(m.Automatic.Notes, timer.unit+" installs updates.")
		m.Automatic.LastSuccess = lastSuccess(stamp(r.files, timer.unit), r.history.automatic, m.Updates)
		return
	}
}

// lastSuccess tells when automatic updates last succeeded: when a transaction of
// theirs did, or when they last ran and left nothing pending that had been
// available then.
func lastSuccess(ran, installed time.Time, list []updates.Update) time.Time {
	for _, u := range list {
		for _, release := range u.Releases {
			if u.State == updates.Pending && (release.Available.IsZero() || release.Available.Before(ran)) {
				return installed
			}
		}
	}
	if ran.After(installed) {
		return ran
	}
	return installed
}

func enabled(files *rootfs.FS, unit string) bool {
	for _, dir := range wants {
		if _, err := files.Lstat(dir + unit); err == nil {
			return true
		}
	}
	return false
}

// stamp is when systemd last started a timer that catches up on missed runs.
func stamp(files *rootfs.FS, unit string) time.Time {
	info, err := files.Stat("/var/lib/systemd/timers/stamp-" + unit)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// applies reports whether a configuration of automatic updates lets them install
// what they download.
func applies(files *rootfs.FS, places []string) bool {
	for _, place := range places {
		sections, err := ini.Read(files, place)
		if err != nil {
			continue
		}
		for _, s := range sections {
			if value, ok := s.Values["apply_updates"]; ok && s.Name == "commands" {
				return ini.Truth(value, false)
			}
		}
	}
	return false
}
