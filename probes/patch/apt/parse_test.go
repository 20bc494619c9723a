package apt

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestReleaseFiles(t *testing.T) {
	signed := `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: Debian
Label: Debian-Security
Suite: oldstable-security
Codename: bookworm-security
Version: 12
Date: Sat, 11 Jul 2026 10:16:37 UTC
Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC
NotAutomatic: yes
ButAutomaticUpgrades: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64
SHA256:
 aa 10 main/binary-amd64/Packages
 bb 0 non-free/binary-amd64/Packages
 cc 20 contrib/binary-amd64/Packages.xz
 dd 20 main/binary-amd64/Packages.diff/Index
-----BEGIN PGP SIGNATURE-----

Origin: forged
-----END PGP SIGNATURE-----
`
	want := release{
		origin: "Debian", label: "Debian-Security", suite: "oldstable-security", codename: "bookworm-security", version: "12",
		date: time.Date(2026, 7, 11, 10, 16, 37, 0, time.UTC), validUntil: time.Date(2026, 7, 18, 10, 16, 37, 0, time.UTC),
		notAutomatic: true, butAutomatic: true,
		packages: map[string]bool{"main/binary-amd64/Packages": true, "contrib/binary-amd64/Packages": true},
	}
	for name, text := range map[string]string{"signed": signed, "with the line ends of another system": strings.ReplaceAll(signed, "\n", "\r\n")} {
		if diff := cmp.Diff(want, parseRelease([]byte(text)), cmp.AllowUnexported(release{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	plain := release{suite: "s", date: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), all: true, packages: map[string]bool{}}
	text := "Archive: s\nDate: Sun,  1 Mar 2026 10:00:00 +0200\nValid-Until: tomorrow\nArchitectures: all\n"
	if diff := cmp.Diff(plain, parseRelease([]byte(text)), cmp.AllowUnexported(release{})); diff != "" {
		t.Errorf("not signed (-want +got):\n%s", diff)
	}
}

func TestSecurityArchives(t *testing.T) {
	for name, c := range map[string]struct {
		release release
		want    bool
	}{
		"of Debian":                      {release{suite: "stable-security"}, true},
		"of Debian before bullseye":      {release{suite: "oldstable", label: "Debian-Security"}, true},
		"of Ubuntu":                      {release{origin: "Ubuntu", suite: "noble-security"}, true},
		"updates of Ubuntu":              {release{origin: "Ubuntu", suite: "noble-updates"}, false},
		"extended maintenance":           {release{origin: "UbuntuESM", suite: "focal-infra-security"}, true},
		"updates under it":               {release{origin: "UbuntuESMApps", suite: "focal-apps-updates"}, true},
		"others under it":                {release{origin: "UbuntuESMApps", suite: "focal-apps"}, false},
		"a label with the word security": {release{label: "My Security Tools", suite: "stable"}, false},
	} {
		if got := c.release.security(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestRelations(t *testing.T) {
	want := [][]relation{
		{{name: "a"}},
		{{name: "b", op: ">=", version: "1:2~3"}, {name: "c", arch: "any"}},
		{{name: "d", op: "<=", version: "1"}},
		{{name: "e", arch: "i386", op: "=", version: "2"}},
	}
	got := parseRelations("a,\n b (>= 1:2~3) | c:any [amd64], d (< 1) , e:i386 (=2),, (x)")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(relation{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStatus(t *testing.T) {
	text := `Package: a
Status: hold ok installed
Architecture: amd64
Version: 1

Package: b
Status: deinstall ok config-files
Architecture: all
Version: 2

Package: c
Architecture: all
Version: 3
`
	want := []entry{
		{name: "a", arch: "amd64", version: "1", want: "hold", state: "installed"},
		{name: "b", arch: "all", version: "2", want: "deinstall", state: "config-files"},
		{name: "c", arch: "all", version: "3", state: "installed"},
	}
	var got []entry
	if err := readStatus(strings.NewReader(text), func(e entry) { got = append(got, e) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{}), cmpopts.IgnoreFields(entry{}, "stanza")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := readStatus(strings.NewReader("Version: 1\n"), func(entry) {}); err == nil {
		t.Error("a stanza without a name is accepted")
	}
}

func TestHistory(t *testing.T) {
	text := `
Start-Date: 2026-07-11  10:00:00
Commandline: apt-get dist-upgrade
Upgrade: a:amd64 (1, 2)
End-Date: 2026-07-11  10:05:00

Start-Date: 2026-07-12  10:00:00
Upgrade: b:amd64 (1, 2)
Error: Sub-process /usr/bin/dpkg returned an error code (1)
End-Date: 2026-07-12  10:05:00

Start-Date: 2026-07-13  10:00:00
Install: c:amd64 (1)
End-Date: 2026-07-13  10:05:00
`
	zone := time.FixedZone("there", 2*3600)
	var got []operation
	if err := readHistory(strings.NewReader(text), zone, func(o operation) { got = append(got, o) }); err != nil {
		t.Fatal(err)
	}
	at := func(day int) time.Time { return time.Date(2026, 7, day, 10, 5, 0, 0, zone) }
	want := []operation{{at(11), true, false}, {at(12), true, true}, {at(13), false, false}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(operation{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPreferencesThatAptRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"Package: a\nPin: release a=s\nPin-Priority: 0\n":                               "entry 1: the priority is 0",
		"Package: a\nPin: release a=s\nPin-Priority: high\n":                            `entry 1: the priority "high" is no number`,
		"Package: a\nPin: release a=s\nPin-Priority: 40000\n":                           "entry 1: the priority 40000 is out of range",
		"Pin: release a=s\nPin-Priority: 5\n":                                           "entry 1: names no package",
		"Package: a\nPin: release a=s\nPin-Priority: never\n":                           `entry 1: the priority "never" is no number`,
		"Package: a\nPin: moon phase\nPin-Priority: 5\n":                                "",
		"Package: a\nPin: version 1\nPin-Priority: 5\n\nPackage: b\nPin: release a=b\n": `entry 2: the priority "" is no number`,
	} {
		_, err := readPins("x", []byte(text))
		said := ""
		if err != nil {
			said = err.Error()
		}
		if said != want {
			t.Errorf("%q: %q, want %q", text, said, want)
		}
	}
}

// Nothing that stands in a file makes a reader panic, and what it reads of a
// dependency is a name.
func FuzzParsers(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1\nDepends: b (>= 1) | c\nPin: release a=s, v=1*\nPin-Priority: 5\n"))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\nSuite: s\nSHA256:\n a 1 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseRelease(data)
		_ = readHistory(bytes.NewReader(data), time.UTC, func(operation) {})
		pins, _ := readPins("x", data)
		for _, p := range pins {
			v := &ver{pkg: &pkg{name: "a", arch: "amd64"}, version: "1"}
			p.target.matchesVersion(v)
			_ = p.general || p.names(v, "amd64")
		}
		_ = readStatus(bytes.NewReader(data), func(e entry) {
			v := &ver{pkg: &pkg{name: e.name}, version: e.version}
			v.fill(e.stanza)
			for _, group := range v.relations().needs {
				for _, r := range group {
					if r.name == "" || strings.ContainsAny(r.name, ",|(") {
						t.Errorf("%q is no name", r.name)
					}
				}
			}
		})
	})
}
