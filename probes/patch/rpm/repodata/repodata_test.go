package repodata_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/rpm/repodata"
)

func wanted(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

const primary = `<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="4">
<package type="rpm"><name>bash</name><arch>x86_64</arch><version epoch="1" ver="5.1" rel="2.el9"/>
<summary>a &lt;shell&gt;</summary><time file="1700000100" build="1700000000"/>
<format><rpm:vendor>V &amp; W</rpm:vendor><rpm:provides><rpm:entry name="bash" flags="EQ" epoch="1" ver="5.1" rel="2.el9"/><rpm:entry name="config(bash)"/></rpm:provides></format></package>
<package type="rpm"><name>fresh</name><arch>noarch</arch><version epoch="0" ver="2" rel="1"/><time file="1" build="1"/>
<format><rpm:obsoletes><rpm:entry name="other"/><rpm:entry name="stale" flags="LT" epoch="0" ver="2"/></rpm:obsoletes></format></package>
<package type="rpm"><name>unwanted</name><arch>noarch</arch><version epoch="0" ver="2" rel="1"/></package>
<package type="rpm"><name>bash</name><arch>src</arch><version epoch="1" ver="5.1" rel="2.el9"/></package>
</metadata>
`

func TestPrimaryGivesWhatIsWantedAndWhatReplacesIt(t *testing.T) {
	t.Parallel()
	var got []repodata.Package
	count, err := repodata.ReadPrimary(strings.NewReader(primary), wanted("bash", "stale"), func(p repodata.Package) { got = append(got, p) })
	want := []repodata.Package{
		{
			Name: "bash", EVR: evr.EVR{Epoch: "1", Version: "5.1", Release: "2.el9"}, Arch: "x86_64", Vendor: "V & W",
			Built: time.Unix(1700000000, 0), Added: time.Unix(1700000100, 0), Provides: []string{"bash"},
		},
		{
			Name: "fresh", EVR: evr.EVR{Epoch: "0", Version: "2", Release: "1"}, Arch: "noarch",
			Obsoletes: []repodata.Dependency{
				{Name: "other", EVR: evr.EVR{Epoch: "0"}},
				{Name: "stale", Flags: "LT", EVR: evr.EVR{Epoch: "0", Version: "2"}},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || count != 4 {
		t.Errorf("%d, %v (-want +got)\n%s", count, err, diff)
	}
}

// However the file comes in, the packages are the same, also when one is larger
// than what is read at once.
func TestPrimaryInPieces(t *testing.T) {
	t.Parallel()
	long := strings.Replace(primary, "a &lt;shell&gt;", strings.Repeat("long ", 200000), 1)
	for _, file := range []string{primary, long} {
		var want []repodata.Package
		if _, err := repodata.ReadPrimary(strings.NewReader(file), wanted("bash"), func(p repodata.Package) { want = append(want, p) }); err != nil || len(want) != 1 {
			t.Fatal(want, err)
		}
		for name, r := range map[string]io.Reader{
			"halves": iotest.HalfReader(strings.NewReader(file)), "the end with the last piece": iotest.DataErrReader(strings.NewReader(file)),
			"single bytes": iotest.OneByteReader(strings.NewReader(primary)),
		} {
			var got []repodata.Package
			if _, err := repodata.ReadPrimary(r, wanted("bash"), func(p repodata.Package) { got = append(got, p) }); err != nil || !cmp.Equal(want, got) {
				t.Errorf("%s: %v\n%s", name, err, cmp.Diff(want, got))
			}
		}
	}
}

func TestACutFileIsMalformed(t *testing.T) {
	t.Parallel()
	for _, file := range []string{primary[:700], `<x><package type="rpm"><name>bash</name></package>`, "<x><package a><name>bash</name><oops></package>"} {
		_, err := repodata.ReadPrimary(strings.NewReader(file), wanted("bash"), func(repodata.Package) {})
		if probes.ReasonOf(err) != probes.Malformed {
			t.Errorf("%.60q: %v", file, err)
		}
	}
}

func TestAdvisoriesOfAllPublishers(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	pkg := func(release string) []repodata.AdvisoryPackage {
		return []repodata.AdvisoryPackage{{Name: "bash", EVR: evr.EVR{Epoch: "0", Version: "5", Release: release}, Arch: "x86_64"}}
	}
	const list = `<pkglist><collection><package name="bash" version="5" release="1" epoch="0" arch="x86_64"><filename>f</filename></package><package name="not-installed" version="5" release="1" epoch="0" arch="x86_64"/></collection></pkglist>`
	for _, test := range []struct {
		name, file string
		want       repodata.Advisory
	}{
		{
			"Red Hat", `<update status="final" from="r" version="4" type="security"><id>RHSA-1</id><title>t</title><severity>Important</severity><issued date="2024-05-06 07:08:09"/><updated date="2024-06-01 00:00:00"/>` + list + `</update>`,
			repodata.Advisory{ID: "RHSA-1", Type: "security", Severity: "Important", Title: "t", Issued: at("2024-05-06 07:08:09"), Updated: at("2024-06-01 00:00:00"), Updates: pkg("1")},
		},
		{
			"Amazon, without seconds", `<update type="security"><id>ALAS-1</id><severity>medium</severity><issued date="2024-05-06 07:08"/>` + list + `</update>`,
			repodata.Advisory{ID: "ALAS-1", Type: "security", Severity: "medium", Issued: at("2024-05-06 07:08:00"), Updates: pkg("1")},
		},
		{
			"SUSE, in seconds", `<update type="security"><id>SUSE-1</id><severity>critical</severity><issued date="1714979289"/>` + list + `</update>`,
			repodata.Advisory{ID: "SUSE-1", Type: "security", Severity: "critical", Issued: at("2024-05-06 07:08:09"), Updates: pkg("1")},
		},
		{
			"a date as text", `<update type="recommended"><id>X</id><issued>1714979289</issued>` + list + `</update>`,
			repodata.Advisory{ID: "X", Type: "recommended", Issued: at("2024-05-06 07:08:09"), Updates: pkg("1")},
		},
		{
			"a date that is none", `<update type="security"><id>X</id><issued date="soon"/>` + list + `</update>`,
			repodata.Advisory{ID: "X", Type: "security", Updates: pkg("1")},
		},
		{
			"a module, and a reboot",
			`<update type="security"><id>X</id><pkglist><collection><module name="m" stream="1" version="2" context="aa" arch="x86_64"/><package name="bash" version="5" release="1" arch="x86_64"><reboot_suggested>True</reboot_suggested></package></collection></pkglist></update>`,
			repodata.Advisory{ID: "X", Type: "security", RebootSuggested: true, Updates: []repodata.AdvisoryPackage{{
				Name: "bash", EVR: evr.EVR{Epoch: "0", Version: "5", Release: "1"}, Arch: "x86_64", RebootSuggested: true,
				Module: repodata.Module{Name: "m", Stream: "1", Context: "aa"},
			}}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []repodata.Advisory
			err := repodata.ReadAdvisories(strings.NewReader("<updates>"+test.file+"</updates>"), wanted("bash"), func(a repodata.Advisory) { got = append(got, a) })
			if diff := cmp.Diff([]repodata.Advisory{test.want}, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
			got = nil
			err = repodata.ReadAdvisories(strings.NewReader("<updates>"+test.file+"</updates>"), wanted("zsh"), func(a repodata.Advisory) { got = append(got, a) })
			if len(got) > 0 || err != nil {
				t.Errorf("an advisory of no installed package: %+v, %v", got, err)
			}
		})
	}
}

func TestTheIndexOfARepository(t *testing.T) {
	t.Parallel()
	index, err := repodata.ParseIndex(strings.NewReader(`<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1700000000</revision>
<data type="primary"><checksum type="sha256">abc</checksum><location href="repodata/abc-primary.xml.gz"/><timestamp>1700000100.5</timestamp><size>10</size></data>
<data type="updateinfo"><location href="repodata/def-updateinfo.xml.zst"/></data><data type="x"/></repomd>`))
	want := repodata.Index{Revision: time.Unix(1700000000, 0), Files: map[string]repodata.File{
		"primary":    {Name: "abc-primary.xml.gz", Made: time.Unix(1700000100, 0), Checksum: "abc", Size: 10},
		"updateinfo": {Name: "def-updateinfo.xml.zst"},
	}}
	if diff := cmp.Diff(want, index); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if at := index.Published(); !at.Equal(time.Unix(1700000100, 0)) {
		t.Errorf("published at %v", at)
	}
	if _, err := repodata.ParseIndex(strings.NewReader("<html>not found")); probes.ReasonOf(err) != probes.Malformed {
		t.Errorf("a page instead of an index: %v", err)
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	modules, err := repodata.ReadModules(strings.NewReader(`---
document: modulemd-translations
version: 1
data: {module: m, translations: {}}
---
document: modulemd
version: 2
data:
  name: m
  stream: 1.10
  version: 8040020210721190427
  context: 9edba152
  arch: x86_64
  dependencies:
  - requires: {platform: [el8], perl: []}
  artifacts:
    rpms: [a-0:1-1.x86_64]
---
document: modulemd-defaults
version: 1
data: {module: m, stream: 1.10, profiles: {"1.10": [common]}}
---
document: modulemd-obsoletes
version: 1
data: {modified: 2020-05-01T00:00Z, module: [odd]}
`))
	want := repodata.Modules{
		Builds: []repodata.Module{{
			Name: "m", Stream: "1.10", Context: "9edba152", Arch: "x86_64", Version: 8040020210721190427,
			Artifacts: []string{"a-0:1-1.x86_64"}, Requires: []map[string][]string{{"platform": {"el8"}, "perl": {}}},
		}},
		Defaults: map[string]string{"m": "1.10"},
	}
	if diff := cmp.Diff(want, modules); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if _, err := repodata.ReadModules(strings.NewReader("document: modulemd\ndata: {name: [x]}")); probes.ReasonOf(err) != probes.Malformed {
		t.Errorf("a name that is a list: %v", err)
	}
}

// Packages that are given have all that identifies them, whatever the file.
func FuzzPrimary(f *testing.F) {
	f.Add(primary)
	f.Fuzz(func(t *testing.T, file string) {
		_, _ = repodata.ReadPrimary(strings.NewReader(file), func(string) bool { return true }, func(p repodata.Package) {
			if p.Name == "" || p.Version == "" || p.Arch == "" || p.Arch == "src" {
				t.Errorf("%+v", p)
			}
		})
	})
}

// Advisories that are given are about a wanted package, whatever the file.
func FuzzAdvisories(f *testing.F) {
	f.Add(`<updates><update type="security"><id>X</id><issued date="1"/><pkglist><collection><package name="bash" version="5" release="1" arch="x86_64"/></collection></pkglist></update></updates>`)
	f.Fuzz(func(t *testing.T, file string) {
		_ = repodata.ReadAdvisories(strings.NewReader(file), wanted("bash"), func(a repodata.Advisory) {
			for _, p := range a.Updates {
				if p.Name != "bash" {
					t.Errorf("%+v", a)
				}
			}
		})
	})
}

// A file that can be read is read without a panic, and nothing else.
func FuzzModules(f *testing.F) {
	f.Add("document: modulemd\ndata:\n  name: m\n  stream: 1\n")
	f.Fuzz(func(_ *testing.T, file string) { _, _ = repodata.ReadModules(strings.NewReader(file)) })
}
