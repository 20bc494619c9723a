package support

import "time"

// TableDate is when the table was last compared with what publishers announce.
// Hosts that bring data of their own do not depend on it.
var TableDate = date("2025-10-01")

// A row is what the publisher of a distribution has announced for a release.
// Releases match by whole parts from the left: 15 is not 15.6, and 8 is 8.10.
type row struct {
	id, release             string
	standard, lts, extended string
}

// table lists releases of distributions that bring no data of their own, or may
// lack it. Phases that must be paid for are extended.
var table = []row{
	{id: "debian", release: "10", standard: "2022-09-10", lts: "2024-06-30", extended: "2029-06-30"},
	{id: "debian", release: "11", standard: "2024-08-14", lts: "2026-08-31", extended: "2031-06-30"},
	{id: "debian", release: "12", standard: "2026-07-11", lts: "2028-06-30", extended: "2033-06-30"},
	{id: "debian", release: "13", standard: "2028-08-09", lts: "2030-06-30", extended: "2035-06-30"},
	{id: "ubuntu", release: "18.04", standard: "2023-05-31", extended: "2028-04-30"},
	{id: "ubuntu", release: "20.04", standard: "2025-05-31", extended: "2030-04-30"},
	{id: "ubuntu", release: "22.04", standard: "2027-06-01", extended: "2032-04-21"},
	{id: "ubuntu", release: "24.04", standard: "2029-05-31", extended: "2034-04-25"},
	{id: "rhel", release: "7", standard: "2024-06-30", extended: "2028-06-30"},
	{id: "rhel", release: "8", standard: "2029-05-31", extended: "2032-05-31"},
	{id: "rhel", release: "9", standard: "2032-05-31", extended: "2035-05-31"},
	{id: "rhel", release: "10", standard: "2035-05-31", extended: "2038-05-31"},
	{id: "centos", release: "7", standard: "2024-06-30"},
	{id: "centos", release: "8", standard: "2021-12-31"},
	{id: "centos stream", release: "8", standard: "2024-05-31"},
	{id: "centos stream", release: "9", standard: "2027-05-31"},
	{id: "centos stream", release: "10", standard: "2030-05-31"},
	{id: "rocky", release: "8", standard: "2029-05-31"},
	{id: "rocky", release: "9", standard: "2032-05-31"},
	{id: "rocky", release: "10", standard: "2035-05-31"},
	{id: "almalinux", release: "8", standard: "2029-03-01"},
	{id: "almalinux", release: "9", standard: "2032-05-31"},
	{id: "almalinux", release: "10", standard: "2035-05-31"},
	{id: "ol", release: "7", standard: "2024-12-31", extended: "2028-06-30"},
	{id: "ol", release: "8", standard: "2029-07-31", extended: "2032-07-31"},
	{id: "ol", release: "9", standard: "2032-06-30", extended: "2035-06-30"},
	{id: "amzn", release: "2", standard: "2026-06-30"},
	{id: "amzn", release: "2023", standard: "2027-06-30", lts: "2029-06-30"},
	{id: "fedora", release: "40", standard: "2025-05-13"},
	{id: "fedora", release: "41", standard: "2025-12-15"},
	{id: "fedora", release: "42", standard: "2026-05-13"},
	{id: "sles", release: "12.5", standard: "2024-10-31", extended: "2027-10-31"},
	{id: "sles", release: "15.4", standard: "2023-12-31", extended: "2026-12-31"},
	{id: "sles", release: "15.5", standard: "2024-12-31", extended: "2027-12-31"},
	{id: "sles", release: "15.6", standard: "2025-12-31", extended: "2028-12-31"},
	{id: "sles", release: "15.7", standard: "2031-07-31", extended: "2034-07-31"},
	{id: "opensuse-leap", release: "15.5", standard: "2024-12-31"},
	{id: "opensuse-leap", release: "15.6", standard: "2026-04-30"},
	{id: "opensuse-leap", release: "16.0", standard: "2027-10-31"},
	{id: "alpine", release: "3.18", standard: "2025-05-09"},
	{id: "alpine", release: "3.19", standard: "2025-11-01"},
	{id: "alpine", release: "3.20", standard: "2026-04-01"},
	{id: "alpine", release: "3.21", standard: "2026-11-01"},
	{id: "alpine", release: "3.22", standard: "2027-05-01"},
}

// rolling are distributions without releases, which never end.
var rolling = []string{"arch", "archarm", "manjaro", "endeavouros", "opensuse-tumbleweed", "gentoo", "void", "kali", "chimera"}

// date reads a day; an empty text is the zero time.
func date(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
