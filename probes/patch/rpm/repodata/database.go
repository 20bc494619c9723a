package repodata

import (
	"hygiene_exporter/probes/internal/rootfs"
	"hygiene_exporter/probes/patch/rpm/evr"
	"hygiene_exporter/probes/patch/sqlite"
)

// ReadPrimaryDatabase is like ReadPrimary for the SQLite form of primary that
// createrepo makes and yum keeps.
func ReadPrimaryDatabase(files *rootfs.FS, path string, wanted func(name string) bool, each func(Package)) (int, error) {
	obsoletes := map[int64][]Dependency{}
	keep := map[int64]bool{}
	err := sqlite.Once(files, path, "obsoletes", func(row sqlite.Row) error {
		key, name := row.Int("pkgKey"), text(row, "name")
		obsoletes[key] = append(obsoletes[key], Dependency{Name: name, Flags: text(row, "flags"), EVR: rowVersion(row)})
		keep[key] = keep[key] || wanted(name)
		return nil
	})
	if err != nil {
		return 0, err
	}
	count := 0
	err = sqlite.Once(files, path, "packages", func(row sqlite.Row) error {
		count++
		p := Package{
			Name: text(row, "name"), Arch: text(row, "arch"), EVR: rowVersion(row), Vendor: text(row, "rpm_vendor"),
			Built: instant(row.Int("time_build")), Added: instant(row.Int("time_file")), Obsoletes: obsoletes[row.ID],
		}
		if (wanted(p.Name) || keep[row.ID]) && p.Arch != "src" && p.Arch != "nosrc" {
			each(p)
		}
		return nil
	})
	return count, err
}

func rowVersion(row sqlite.Row) evr.EVR {
	return version{Epoch: text(row, "epoch"), Version: text(row, "version"), Release: text(row, "release")}.evr()
}

func text(row sqlite.Row, column string) string {
	value, _ := row.Value(column).(string)
	return value
}
