package support

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
)

func plant(t *testing.T, files map[string]string) *rootfs.FS {
	t.Helper()
	root := t.TempDir()
	for path, content := range files {
		real := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(real, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return rootfs.New(rootfs.Paths{Root: root})
}

const (
	debianCSV = "version,codename,series,created,release,eol,eol-lts,eol-elts\n12,Bookworm,bookworm,2021-08-14,2023-06-10,2026-07-12,2028-06-29,2033-06-30\n14,Forky,forky,2025-08-09\n"
	ubuntuCSV = "version,codename,series,created,release,eol,eol-server,eol-esm,eol-legacy\n22.04 LTS,Jammy Jellyfish,jammy,2021-10-14,2022-04-21,2027-06-01,2027-06-01,2032-04-21,2034-04-25\n"
)

func TestPhases(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		files   map[string]string
		want    map[string]string
		covered string
		table   bool
	}{
		{"Debian without data of its own", map[string]string{"/etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n"}, map[string]string{Standard: "2026-07-11", LTS: "2028-06-30", Extended: "2033-06-30"}, "2028-06-30", true},
		{"data of the host come before the table", map[string]string{"/usr/lib/os-release": "ID=debian\nVERSION_ID=12\n", "/usr/share/distro-info/debian.csv": debianCSV}, map[string]string{Standard: "2026-07-12", LTS: "2028-06-29", Extended: "2033-06-30"}, "2028-06-29", false},
		{"Ubuntu", map[string]string{"/etc/os-release": "ID=ubuntu\nVERSION_ID=22.04\n", "/usr/share/distro-info/ubuntu.csv": ubuntuCSV}, map[string]string{Standard: "2027-06-01", Extended: "2032-04-21"}, "2027-06-01", false},
		{"Ubuntu Pro", map[string]string{"/etc/os-release": "ID=ubuntu\nVERSION_ID=22.04\n", "/var/lib/ubuntu-advantage/status.json": `{"attached": true, "services": [{"name": "esm-infra", "status": "enabled"}]}`}, map[string]string{Standard: "2027-06-01", Extended: "2032-04-21"}, "2032-04-21", true},
		{"Fedora says it itself", map[string]string{"/etc/os-release": "ID=fedora\nVERSION_ID=99\nSUPPORT_END=2030-01-02\n"}, map[string]string{Standard: "2030-01-02"}, "2030-01-02", false},
		{"a product of SUSE", map[string]string{"/etc/os-release": "ID=sles\nVERSION_ID=15.6\n", "/etc/products.d/baseproduct": "<product><endoflife>2025-12-30</endoflife></product>"}, map[string]string{Standard: "2025-12-30", Extended: "2028-12-31"}, "2025-12-30", true},
		{"a minor release of RHEL", map[string]string{"/etc/os-release": "ID=\"rhel\"\nVERSION_ID=\"9.4\"\n"}, map[string]string{Standard: "2032-05-31", Extended: "2035-05-31"}, "2032-05-31", true},
		{"CentOS Stream", map[string]string{"/etc/os-release": "ID=centos\nNAME=\"CentOS Stream\"\nVERSION_ID=8\n"}, map[string]string{Standard: "2024-05-31"}, "2024-05-31", true},
		{"a release of Alpine", map[string]string{"/etc/os-release": "ID=alpine\nVERSION_ID=3.20.3\n"}, map[string]string{Standard: "2026-04-01"}, "2026-04-01", true},
		{"a release that is not known", map[string]string{"/etc/os-release": "ID=debian\nVERSION_ID=14\n", "/usr/share/distro-info/debian.csv": debianCSV}, nil, "", false},
		{"1 is not 12", map[string]string{"/etc/os-release": "ID=debian\nVERSION_ID=1\n"}, nil, "", false},
		{"a rolling distribution", map[string]string{"/etc/os-release": "ID=arch\n"}, nil, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Read(plant(t, test.files))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for phase, end := range s.Ends {
				got[phase] = end.Format(time.DateOnly)
			}
			if test.want == nil {
				test.want = map[string]string{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || !s.Covered.Equal(date(test.covered)) || s.Table != test.table {
				t.Errorf("covered until %v, from the table %v (-want +got)\n%s\n%s", s.Covered, s.Table, diff, strings.Join(s.Notes, "\n"))
			}
		})
	}
	if _, err := Read(plant(t, nil)); err == nil {
		t.Error("a host without os-release has an answer")
	}
}

func TestTheTableIsInOrder(t *testing.T) {
	t.Parallel()
	for _, r := range table {
		last := time.Time{}
		for _, text := range []string{r.standard, r.lts, r.extended} {
			end := date(text)
			if text != "" && (end.IsZero() || end.Before(last)) {
				t.Errorf("%+v: %q is no later date", r, text)
			}
			if !end.IsZero() {
				last = end
			}
		}
		if r.standard == "" {
			t.Errorf("%+v has no standard phase", r)
		}
	}
}

// An end that is told is one of the file, whatever it holds.
func FuzzDistroInfo(f *testing.F) {
	f.Add(debianCSV)
	f.Fuzz(func(t *testing.T, file string) {
		ends, err := parseDistroInfo(strings.NewReader(file), "debian", "12")
		for _, end := range ends {
			if err == nil && !strings.Contains(file, end.Format(time.DateOnly)) {
				t.Errorf("%v", end)
			}
		}
	})
}
