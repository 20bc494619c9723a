package apt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/updates"
)

// look reads a host that need not be whole, and prints what is pending and what
// is wrong.
func lookAt(t *testing.T, root string) []string {
	t.Helper()
	m, err := New(rootfs.New(rootfs.Paths{Root: root})).Read(context.Background())
	if err != nil {
		return []string{fmt.Sprintf("error %s: %v", probes.ReasonOf(err), err)}
	}
	lines := []string{}
	for _, u := range m.Updates {
		kinds := []string{}
		for _, r := range u.Releases {
			if r.Security {
				kinds = append(kinds, r.Version)
			}
		}
		line := fmt.Sprintf("%s %s %s -> %s", u.State, u.Package, u.Installed, u.Candidate)
		if len(kinds) > 0 {
			line += " security " + strings.Join(kinds, ",")
		}
		lines = append(lines, line)
	}
	for _, err := range m.Incomplete {
		lines = append(lines, fmt.Sprintf("incomplete %s: %v", probes.ReasonOf(err), err))
	}
	if m.Busy == updates.Yes {
		lines = append(lines, "busy")
	}
	if m.SecurityKnown {
		lines = append(lines, "security is known")
	}
	return lines
}

const two = `two packages and two archives
-- status --
Package: a
Version: 1

Package: b
Version: 1
-- stable/Release --
Suite: stable
SHA256:
 00 10 main/binary-amd64/Packages
-- stable/Packages --
Package: a
Version: 2
-- stable-security/Release --
Suite: stable-security
SHA256:
 00 10 main/binary-amd64/Packages
-- stable-security/Packages --
Package: b
Version: 2
`

const indexOfStable = "var/lib/apt/lists/stable.example_dists_stable_main_binary-amd64_Packages"

func TestWhatIsMissingOrBrokenIsSaidAndHidesNothingElse(t *testing.T) {
	all := []string{"pending a 1 -> 2", "pending b 1 -> 2 security 2", "security is known"}
	onlyB := []string{"pending b 1 -> 2 security 2"}
	for name, c := range map[string]struct {
		break_ func(t *testing.T, root string)
		want   []string
	}{
		"all is there": {func(*testing.T, string) {}, all},
		"an index was not fetched": {
			func(t *testing.T, root string) { remove(t, root, indexOfStable) },
			append(onlyB, "incomplete not_found: stable.example/stable: apt has not fetched main/binary-amd64/Packages (/etc/apt/sources.list, line 1)", "security is known"),
		},
		"nothing was fetched of a repository": {
			func(t *testing.T, root string) {
				remove(t, root, indexOfStable)
				remove(t, root, "var/lib/apt/lists/stable.example_dists_stable_Release")
			},
			append(onlyB, "incomplete not_found: stable.example/stable: apt has fetched nothing of it (/etc/apt/sources.list, line 1)", "security is known"),
		},
		"the security archive is damaged": {
			func(t *testing.T, root string) {
				name := strings.ReplaceAll(indexOfStable, "stable", "stable-security")
				remove(t, root, name)
				write(t, root, name+".gz", "\x1f\x8bnonsense")
			},
			[]string{"pending a 1 -> 2", "incomplete malformed: stable-security.example/stable-security: /" +
				strings.ReplaceAll(indexOfStable, "stable", "stable-security") + ".gz: damaged compression: gzip: invalid header"},
		},
		"an index is a directory": {
			func(t *testing.T, root string) {
				remove(t, root, indexOfStable)
				write(t, root, indexOfStable+"/x", "")
			},
			append(onlyB, "incomplete unsupported: stable.example/stable: open /"+indexOfStable+": not a regular file", "security is known"),
		},
		"an entry of the sources is wrong": {
			func(t *testing.T, root string) { write(t, root, "etc/apt/sources.list.d/x.list", "deb http://x\n") },
			append(slices.Clone(all[:2]), "incomplete malformed: /etc/apt/sources.list.d/x.list: line 1: an address or a suite is missing", "security is known"),
		},
		"the preferences are wrong": {
			func(t *testing.T, root string) {
				write(t, root, "etc/apt/preferences.d/x", "Package: *\nPin: release a=stable\nPin-Priority: x\n")
			},
			append(slices.Clone(all[:2]), `incomplete malformed: /etc/apt/preferences.d/x: entry 1: the priority "x" is no number`, "security is known"),
		},
		"the configuration is wrong": {
			func(t *testing.T, root string) { write(t, root, "etc/apt/apt.conf.d/x", "A b") },
			append(slices.Clone(all[:2]), `incomplete malformed: /etc/apt/apt.conf.d/x: "A b" at the end of the file is not closed`, "security is known"),
		},
		"the target release does not exist": {
			func(t *testing.T, root string) {
				write(t, root, "etc/apt/apt.conf.d/x", `APT::Default-Release "moon";`)
			},
			append(slices.Clone(all[:2]), `incomplete malformed: APT::Default-Release is "moon", which no source is; apt refuses to work`, "security is known"),
		},
		"there are no sources": {
			func(t *testing.T, root string) { remove(t, root, "etc/apt/sources.list") },
			[]string{"incomplete not_found: apt has no sources, so that it knows of no updates"},
		},
		"the status is nonsense": {
			func(t *testing.T, root string) { write(t, root, "var/lib/dpkg/status", "Nonsense: x\n") },
			[]string{`error malformed: /var/lib/dpkg/status: a stanza without a name: "Nonsense: x\n"`},
		},
		"there is no dpkg": {
			func(t *testing.T, root string) { remove(t, root, "var/lib/dpkg") },
			[]string{"error other: not applicable to this host"},
		},
		"an image without dpkg": {
			func(t *testing.T, root string) {
				remove(t, root, "var/lib/dpkg/status")
				write(t, root, "var/lib/dpkg/status.d/a", "Package: a\nVersion: 1\nArchitecture: amd64\n")
				write(t, root, "var/lib/dpkg/status.d/a.md5sums", "00 x\n")
			},
			[]string{"pending a 1 -> 2", "security is known"},
		},
		"dpkg is at work": {
			func(t *testing.T, root string) {
				write(t, root, "var/lib/dpkg/updates/0001", "Package: a\nStatus: install ok unpacked\nVersion: 2\nArchitecture: amd64\n")
				write(t, root, "var/lib/dpkg/updates/tmp.i", "Pack")
			},
			[]string{"pending b 1 -> 2 security 2", "busy", "security is known"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := parseScenario(two).build(t)
			c.break_(t, root)
			if diff := cmp.Diff(c.want, lookAt(t, root)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func remove(t *testing.T, root, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsReadAgainWhileNothingChanges(t *testing.T) {
	root := parseScenario(two).build(t)
	r := New(rootfs.New(rootfs.Paths{Root: root}))
	look := func() *view {
		t.Helper()
		if _, err := r.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.last
	}
	fresh := look()
	if look() == fresh {
		t.Error("a change of this very moment could be missed")
	}
	later := func() { r.last.tracked.begun = time.Now().Add(time.Hour) } // which waiting would do too
	later()
	kept := r.last
	if look() != kept {
		t.Error("everything is read again although nothing has changed")
	}
	for name, change := range map[string]func(){
		"the status":                func() { write(t, root, "var/lib/dpkg/status", "") },
		"a new part of the sources": func() { write(t, root, "etc/apt/sources.list.d/new.list", "") },
		"a new index":               func() { write(t, root, "var/lib/apt/lists/x", "") },
		"what did not exist before": func() { write(t, root, "etc/apt/preferences", "") },
		"what is gone":              func() { remove(t, root, indexOfStable) },
	} {
		later()
		kept = r.last
		change()
		if look() == kept {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestWhatOnlySubscribersGet(t *testing.T) {
	esm := `
-- var/lib/ubuntu-advantage/apt-esm/etc/apt/sources.list.d/ubuntu-esm-infra.list --
deb https://esm.ubuntu.com/infra/ubuntu focal-infra-security main
-- var/lib/ubuntu-advantage/apt-esm/var/lib/apt/lists/esm.ubuntu.com_infra_ubuntu_dists_focal-infra-security_InRelease --
Origin: UbuntuESM
Suite: focal-infra-security
-- var/lib/ubuntu-advantage/apt-esm/var/lib/apt/lists/esm.ubuntu.com_infra_ubuntu_dists_focal-infra-security_main_binary-amd64_Packages --
Package: a
Version: 2+esm1
Architecture: amd64

Package: b
Version: 1.5+esm1
Architecture: amd64
`
	root := parseScenario(two + esm[1:]).build(t)
	want := []string{"pending a 1 -> 2", "pending b 1 -> 2 security 2", "not_entitled a 1 -> 2+esm1 security 2+esm1", "security is known"}
	if diff := cmp.Diff(want, lookAt(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	write(t, root, "etc/apt/sources.list.d/attached.list", "deb https://esm.ubuntu.com/infra/ubuntu/ focal-infra-security main\n")
	if got := lookAt(t, root); slices.ContainsFunc(got, func(line string) bool { return strings.HasPrefix(line, "not_entitled") }) {
		t.Errorf("a host that is subscribed: %q", got)
	}
}

func TestAutomaticUpdatesAndTheLastUpgrade(t *testing.T) {
	const (
		on        = "-- etc/apt/apt.conf.d/20auto-upgrades --\nAPT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n"
		installed = "\nPackage: unattended-upgrades\nVersion: 2\nArchitecture: all\n"
		log       = "-- var/log/apt/history.log --\nStart-Date: 2026-07-11  10:00:00\nUpgrade: a:amd64 (0, 1)\nEnd-Date: 2026-07-11  10:05:00\n"
	)
	stamp := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		text    string
		stamped string
		enabled updates.Truth
		success time.Time
		upgrade time.Time
	}{
		"nothing is configured":        {two, "", updates.No, time.Time{}, time.Time{}},
		"configured and not installed": {two + on, "upgrade-stamp", updates.No, time.Time{}, time.Time{}},
		"never succeeded":              {strings.Replace(two, "-- stable/Rel", installed+"-- stable/Rel", 1) + on, "", updates.Yes, time.Time{}, time.Time{}},
		"succeeded":                    {strings.Replace(two, "-- stable/Rel", installed+"-- stable/Rel", 1) + on, "upgrade-stamp", updates.Yes, stamp, time.Time{}},
		"succeeded without the daily job": {
			strings.Replace(two, "-- stable/Rel", installed+"-- stable/Rel", 1) + on, "unattended-upgrades-stamp", updates.Yes, stamp, time.Time{},
		},
		"switched off as a whole": {
			strings.Replace(two, "-- stable/Rel", installed+"-- stable/Rel", 1) + on + "APT::Periodic::Enable \"0\";\n", "upgrade-stamp", updates.No, time.Time{}, time.Time{},
		},
		"an upgrade by hand": {two + log, "", updates.No, time.Time{}, time.Date(2026, 7, 11, 10, 5, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			root := parseScenario(c.text).build(t)
			if c.stamped != "" {
				write(t, root, "var/lib/apt/periodic/"+c.stamped, "")
				if err := os.Chtimes(filepath.Join(root, "var/lib/apt/periodic", c.stamped), stamp, stamp); err != nil {
					t.Fatal(err)
				}
			}
			m := read(t, root)
			if m.Automatic.Enabled != c.enabled || !m.Automatic.LastSuccess.Equal(c.success) || !m.LastUpgrade.Equal(c.upgrade) {
				t.Errorf("got %+v, last upgrade %s", m.Automatic, m.LastUpgrade)
			}
			if len(m.Automatic.Notes) == 0 || len(m.Notes) == 0 {
				t.Error("nothing is said for explain")
			}
		})
	}
}

func TestTheTimeOfTheHostsZoneCounts(t *testing.T) {
	root := parseScenario(two + "-- var/log/apt/history.log --\n-- var/log/apt/history.log.1.gz --\nUpgrade: a:amd64 (0, 1)\nEnd-Date: 2026-07-11  10:05:00\n").build(t)
	data, err := os.ReadFile("/usr/share/zoneinfo/Europe/Berlin")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this host has no time zones")
	}
	write(t, root, "etc/localtime", string(data))
	if got, want := read(t, root).LastUpgrade, time.Date(2026, 7, 11, 8, 5, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatProvesThatAVersionWasThere(t *testing.T) {
	at := func(day int) time.Time { return time.Date(2026, 7, day, 0, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		date, release, index, want time.Time
	}{
		"the date of the release":                 {at(5), at(6), at(7), at(5)},
		"the time of the index, if it is older":   {at(5), at(5), at(2), at(2)},
		"the time of the index, if nobody signed": {time.Time{}, at(5), at(2), at(2)},
		"no times that somebody has set":          {at(5), at(1), at(2), at(5)},
		"no times at all":                         {time.Time{}, time.Time{}, time.Unix(0, 0), time.Time{}},
		"not the beginning of time":               {at(5), at(6), time.Unix(1, 0), at(5)},
	} {
		i := &index{modified: c.index, repository: &repository{modified: c.release, release: release{date: c.date}}}
		if got, _ := i.proof(); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Who works on a snapshot has said that its end does not matter.
func TestASnapshotDoesNotEnd(t *testing.T) {
	text := strings.Replace(two, "Suite: stable\n", "Suite: stable\nValid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n", 1)
	root := parseScenario(text).build(t)
	if end := read(t, root).Repositories[0].ValidUntil; end.Year() != 2026 {
		t.Errorf("it ends %s", end)
	}
	for name, text := range map[string]string{
		"etc/apt/sources.list":             "deb [check-valid-until=no] http://stable.example/ stable main\n",
		"etc/apt/sources.list.d/x.sources": "Types: deb\nURIs: http://stable.example/\nSuites: stable\nComponents: main\nCheck-Valid-Until: no\n",
	} {
		remove(t, root, "etc/apt/sources.list")
		write(t, root, name, text)
		if end := read(t, root).Repositories[0].ValidUntil; !end.IsZero() {
			t.Errorf("%s: it ends %s", name, end)
		}
		remove(t, root, name)
	}
}

func TestWhatOnlyAPinHolds(t *testing.T) {
	root := parseScenario(two + "-- etc/apt/preferences --\nPackage: b\nPin: release a=stable-security\nPin-Priority: -1\n").build(t)
	want := []string{"pending a 1 -> 2", "held b 1 -> 2 security 2", "security is known"}
	if diff := cmp.Diff(want, lookAt(t, root)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m := read(t, root)
	if note := m.Updates[1].Notes[0]; note != "/etc/apt/preferences, entry 1 gives version 2 the priority -1" {
		t.Error(note)
	}
	want = []string{
		"b is installed in version 1", "     2, priority -1", "       stable-security.example/stable-security main amd64",
		"       /etc/apt/preferences, entry 1", "  -> 1, priority 100",
	}
	if diff := cmp.Diff(want, m.Installed("b")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
