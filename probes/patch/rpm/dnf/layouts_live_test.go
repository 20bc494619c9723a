//go:build live

package dnf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/patch/rpm/rpmtest"
)

// dnf5 and yum cannot run here. Their caches are laid out as they document them,
// from the metadata that dnf 4 has just downloaded, and give the answers of
// dnf 4.
func TestLiveCachesOfDNF5AndYum(t *testing.T) {
	s := scenario{
		installed: []string{"a-1-1.x86_64", "b-1-1.x86_64", "old-1-1.x86_64"},
		repos: map[string]rpmtest.Repo{"base": {
			Packages:   []string{"a-3-1.x86_64", "b-1-1.x86_64", "new-1-1.noarch obsoletes=old_<_2"},
			Advisories: []rpmtest.Advisory{security("S-1", "Important", "a-2-1.x86_64"), bugfix("B-1", "a-3-1.x86_64")},
		}},
	}
	for name, move := range map[string]func(*rpmtest.World, string){"dnf5": toDNF5, "yum": toYum} {
		t.Run(name, func(t *testing.T) {
			w := s.build(t)
			want, wantSecurity := asked(t, w)
			dirs, err := filepath.Glob(w.Root + "/var/cache/dnf/base-*/repodata")
			if err != nil || len(dirs) != 1 {
				t.Fatal(dirs, err)
			}
			move(w, dirs[0])
			if err := os.RemoveAll(w.Root + "/var/cache/dnf"); err != nil {
				t.Fatal(err)
			}
			got, gotSecurity, m := read(t, w)
			if diff := cmp.Diff(want, got); diff != "" || len(want) != 2 {
				t.Errorf("(-dnf +ours)\n%s\n%s", diff, strings.Join(m.Notes, "\n"))
			}
			if diff := cmp.Diff(wantSecurity, gotSecurity); diff != "" || len(wantSecurity) != 1 {
				t.Errorf("security (-dnf +ours)\n%s", diff)
			}
			if len(m.Repositories) != 1 || m.Repositories[0].Refreshed.IsZero() || m.Repositories[0].Published.IsZero() {
				t.Errorf("%+v", m.Repositories)
			}
		})
	}
}

// toDNF5 makes zchunk files of what dnf 4 has downloaded.
func toDNF5(w *rpmtest.World, from string) {
	to := w.Root + "/var/cache/libdnf5/" + filepath.Base(filepath.Dir(from)) + "/repodata"
	script := `set -e; mkdir -p "$2"; cp "$1/repomd.xml" "$2"; cd "$2"
for file in "$1"/*.xml.gz; do name=$(basename "$file" .gz); zcat "$file" >"$name"; zck -o "$name.zck" "$name"; rm "$name"; done
sed -i 's/type="primary"/type="primary_zck"/; s/type="updateinfo"/type="updateinfo_zck"/; s/\.xml\.gz"/.xml.zck"/' repomd.xml`
	w.Must("bash", "-c", script, "convert", from, to)
}

// toYum lays out the databases that createrepo_c made beside primary.xml.
func toYum(w *rpmtest.World, _ string) {
	to := w.Root + "/var/cache/yum/x86_64/9/base"
	script := `set -e; mkdir -p "$2/gen"; from=$(sed -n 's,^baseurl=file://,,p' "$1")/repodata
cp "$from/repomd.xml" "$from"/*updateinfo* "$2"; bzcat "$from"/*primary.sqlite.bz2 >"$2/gen/primary_db.sqlite"`
	w.Must("bash", "-c", script, "convert", w.Root+"/etc/yum.repos.d/base.repo", to)
}
