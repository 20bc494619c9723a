package port

import (
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/rootfs"
)

// users knows the names of users by /etc/passwd of the host. It is used by one
// goroutine at a time.
type users struct {
	files *rootfs.FS
	names map[uint32]string
	stamp time.Time // of the file when it was read
}

// name returns the name of a user, or the number of one without.
func (u *users) name(uid uint32) string {
	if name := u.names[uid]; name != "" {
		return name
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// refresh reads the names again if the file has changed.
func (u *users) refresh() {
	info, err := u.files.Stat("/etc/passwd")
	if err != nil || info.ModTime().Equal(u.stamp) {
		return
	}
	data, err := u.files.ReadFile("/etc/passwd", 16<<20)
	if err != nil {
		return
	}
	u.stamp, u.names = info.ModTime(), parsePasswd(string(data))
}

// parsePasswd reads passwd(5). Of users with the same number, the first counts.
func parsePasswd(text string) map[uint32]string {
	names := map[uint32]string{}
	for line := range strings.Lines(text) {
		fields := strings.SplitN(line, ":", 4)
		if len(fields) < 4 {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if _, known := names[uint32(uid)]; err == nil && !known {
			names[uint32(uid)] = fields[0]
		}
	}
	return names
}
