package main

import (
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// clockSynchronised reports whether the kernel believes that its clock is
// disciplined (adjtimex(2), STA_UNSYNC). Hosts whose hypervisor keeps the time,
// and chrony without rtcsync, never say so.
func clockSynchronised() bool {
	var timex unix.Timex
	state, err := unix.Adjtimex(&timex)
	return err == nil && state != unix.TIME_ERROR && timex.Status&unix.STA_UNSYNC == 0
}

// bootTime returns when the host was started (sysinfo(2)); zero if unknown.
func bootTime(now time.Time) time.Time {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return time.Time{}
	}
	return now.Add(-time.Duration(info.Uptime) * time.Second)
}

// builtAt returns when the source of this binary was committed: no clock can be
// right and show less. Zero if the build does not say.
func builtAt() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			if at, err := time.Parse(time.RFC3339, setting.Value); err == nil {
				return at
			}
		}
	}
	return time.Time{}
}
