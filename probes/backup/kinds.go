package backup

import (
	"slices"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/bareos"
	"hygiene_exporter/probes/backup/barman"
	"hygiene_exporter/probes/backup/borg"
	"hygiene_exporter/probes/backup/borgmatic"
	"hygiene_exporter/probes/backup/command"
	"hygiene_exporter/probes/backup/duplicity"
	"hygiene_exporter/probes/backup/files"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/kopia"
	"hygiene_exporter/probes/backup/pbs"
	"hygiene_exporter/probes/backup/pgbackrest"
	"hygiene_exporter/probes/backup/restic"
	"hygiene_exporter/probes/backup/resticprofile"
	"hygiene_exporter/probes/backup/s3"
	"hygiene_exporter/probes/backup/snapshot"
	"hygiene_exporter/probes/backup/tree"
	"hygiene_exporter/probes/backup/velero"
	"hygiene_exporter/probes/backup/walg"
)

// kinds lists the ways of making backups that are known. A new one is a package
// and one line here.
func kinds() []job.Kind {
	return []job.Kind{
		files.Kind(),
		tree.Kind(),
		tree.Rsnapshot(),
		snapshot.ZFS(),
		snapshot.Btrfs(),
		restic.Kind(),
		resticprofile.Kind(),
		borg.Kind(),
		borgmatic.Kind(),
		s3.Kind(),
		pgbackrest.Kind(),
		kopia.Kind(),
		duplicity.Kind(),
		bareos.Kind(),
		pbs.Kind(),
		velero.Kind(),
		barman.Kind(),
		walg.Kind(),
		command.Kind(),
	}
}

func kindOf(name string) (job.Kind, bool) {
	list := kinds()
	i := slices.IndexFunc(list, func(k job.Kind) bool { return k.Name == name })
	if i < 0 {
		return job.Kind{}, false
	}
	return list[i], true
}

// kind returns the kind of a job, with what the job lets it do.
func (j Job) kind() (job.Kind, bool) {
	kind, known := kindOf(j.Kind)
	if kind.Trees && len(j.Restore.Load) > 0 && !slices.Contains(kind.Depths, job.Loaded) {
		kind.Depths = append(slices.Clone(kind.Depths), job.Loaded)
	}
	return kind, known
}

func kindNames() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.Name)
	}
	return names
}

// commands lists what all kinds may run. Kinds may share an entry.
func commands() []probes.Command {
	var list []probes.Command
	for _, k := range kinds() {
		for _, c := range k.Commands {
			if !slices.ContainsFunc(list, func(have probes.Command) bool { return have.Entry == c.Entry }) {
				list = append(list, c)
			}
		}
	}
	return list
}
