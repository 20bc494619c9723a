package dnf

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"hygiene_exporter/probes/internal/assignments"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/repository"
)

// platform returns the PLATFORM_ID of os-release, such as platform:el9, which
// modules require.
func platform(files *rootfs.FS) string {
	for _, place := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := files.ReadFile(place, 1<<20)
		if err != nil {
			continue
		}
		if value := assignments.Parse(data)["PLATFORM_ID"]; value != "" {
			return value
		}
	}
	return ""
}

// dated is a release that is named after the day of its publication, as those of
// Amazon Linux 2023 are: 2023.5.20241001.
var dated = regexp.MustCompile(`^\d{4}\.\d+\.(\d{8})$`)

// cadence is longer than Amazon Linux 2023 has ever taken between two releases.
const cadence = 30 * 24 * time.Hour

// pinned says why the repositories cannot know of new updates, or "". Amazon
// Linux 2023 looks only at the release that is installed, unless releasever is
// set to "latest": on a host that stays on a release nothing is ever pending.
// That is so if the metadata was refreshed long after the release came out, and
// is still of it.
func (j *judge) pinned() string {
	release := j.config.variables["releasever"]
	match := dated.FindStringSubmatch(release)
	if match == nil {
		return ""
	}
	published, err := time.Parse("20060102", match[1])
	if err != nil {
		return ""
	}
	for _, s := range j.sources {
		if s.err == nil && strings.Contains(s.url, release) && repository.Refreshed(j.files, s.dir).Sub(published) > cadence {
			return fmt.Sprintf("The repositories are pinned to release %s: newer releases, and the security updates in them, are not visible. "+
				"\"dnf check-release-update\" lists them; \"releasever\" in /etc/dnf/vars set to latest follows them.", release)
		}
	}
	return ""
}

// notes tells what was read and decided.
func (j *judge) notes() []string {
	notes := []string{fmt.Sprintf("%d packages are installed, %d repositories enabled; $releasever is %q, $basearch %q.",
		j.count, len(j.sources), j.config.variables["releasever"], j.config.variables["basearch"])}
	if text := j.pinned(); text != "" {
		notes = append(notes, text)
	}
	return notes
}

// rebootDir names further packages that need a reboot, one on each line.
const rebootDir = "/etc/dnf/plugins/needs-restarting.d"

func rebootNames(files *rootfs.FS) []string {
	entries, err := files.ReadDir(rebootDir)
	if err != nil {
		return nil // without it nothing is named
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		if data, err := files.ReadFile(rebootDir+"/"+e.Name(), 1<<20); err == nil {
			names = append(names, strings.Fields(string(data))...)
		}
	}
	return names
}
