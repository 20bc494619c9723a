package job

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"hygiene_exporter/probes"
)

// Options say where one copy of a job lies and what it holds. Which of them a
// kind takes stands in its Kind; what a copy leaves empty it has from its job.
type Options struct {
	// For files: absolute paths of the backups: files, directories that are one backup as a whole, or patterns with * ? [] {} and **.
	Paths []string `yaml:"paths"`
	// For files and s3: patterns of paths or keys that are left out.
	Exclude []string `yaml:"exclude"`
	// For files and s3: what makes one backup of the files or objects: each, directory, all, or a regular expression whose match in the path or key names the backup, such as "\d{4}-\d{2}-\d{2}". Empty means each.
	Set string `yaml:"set"`
	// For files and s3: what they hold once unpacked: any, tar, zip, 7z, pg_dump, base_backup, mysql_dump, sqlite, sqlite_dump, redis, etcd, mongodump. Empty or any means whatever it looks like; anything else is demanded.
	Content string `yaml:"content"`
	// For files: a list of checksums in the form of sha256sum that must cover every file of a backup; a name like SHA256SUMS is looked for beside the files. Lists that are there are used in any case.
	Manifest string `yaml:"manifest"`
	// For files and s3: how long a file, or a backup of several objects, must have been left alone before it is taken for a finished backup. Empty means 5m.
	Settle probes.Duration `yaml:"settle"`
	// For tree: the directory of the trees. For zfs: the data set. For btrfs: the directory that holds the snapshots, such as /.snapshots. For bareos: the name of the job. For pbs: the namespace, such as site/office; empty means the root. For velero: a directory in place of a bucket. For command: what the program is told to report on; empty means default.
	Dataset string `yaml:"dataset"`
	// For tree, zfs and btrfs: pattern of the names that count. For restic and resticprofile: pattern that the host, a tag or a path of a snapshot matches. For kopia: pattern that user@host:path, the host, the path or a tag of a snapshot matches. For borg and borgmatic: pattern of the names of archives. For s3: pattern of the keys below the prefix. For pbs: pattern of the groups, such as vm/100. For velero: pattern of the names of schedules or backups. Empty means all.
	Snapshots string `yaml:"snapshots"`
	// For command: absolute path of the program that reports the backup, in the form that docs/backups.md describes.
	Command string `yaml:"command"`
	// For s3 and velero: the server of buckets, such as https://minio.example.org:9000; empty means Amazon's. For pbs: the server, such as https://pbs.example.org:8007; empty means a datastore on this host.
	Endpoint string `yaml:"endpoint"`
	// For s3 and velero: the region of the bucket. Empty means that the server is asked.
	Region string `yaml:"region"`
	// For s3 and velero: whether the bucket stands in the path of addresses or in the name of the host: path or host. Empty means host for Amazon and path for all others.
	Addressing string `yaml:"addressing"`
	// For s3, velero and pbs: file with the certificates of the authorities that the server is trusted by. Empty means those of the system.
	CAFile string `yaml:"ca_file"`
	// For s3 and velero: file with the credentials, in the form of ~/.aws/credentials. For pgbackrest and barman: absolute path of its configuration; empty means where it looks itself. For kopia: the configuration of the connection, such as /root/.config/kopia/repository.config. For rsnapshot: its configuration, such as /etc/rsnapshot.conf. For bareos: the configuration of the console, such as /etc/bareos/bconsole.conf. For borgmatic: its configuration, such as /etc/borgmatic/config.yaml. For resticprofile: its configuration, such as /etc/resticprofile/profiles.yaml.
	ConfigFile string `yaml:"config_file"`
	// For pbs: SHA-256 fingerprint of the certificate of the server, in place of an authority.
	Fingerprint string `yaml:"fingerprint"`
	// For s3 and velero: the profile in config_file. Empty means default. For resticprofile: the name of the profile; empty means default.
	Profile string `yaml:"profile"`
	// For borg: the absolute path of the repository, or a place such as ssh://user@host/path. For restic: where the repository is, as restic writes it: an absolute path, or a place such as sftp:user@host:/path. For duplicity: an absolute path, or a URL such as sftp://user@host/path. What the environment must hold for it, a wrapper under commands sets. For s3 and velero: s3://bucket/prefix. For pgbackrest: the number of the repository, such as 2 for repo2; empty means 1. For walg: the absolute path of the storage, as in WALG_FILE_PREFIX. For borgmatic: the label or path in config_file, where that names several. For pbs: the absolute path of the datastore, or its name on the endpoint.
	Repository string `yaml:"repository"`
	// For barman: the name of the server.
	Server string `yaml:"server"`
	// For pgbackrest: the name of the stanza.
	Stanza string `yaml:"stanza"`
	// For duplicity: the directory in which duplicity keeps plain manifests for itself, such as /root/.cache/duplicity/NAME. With it, sets that are encrypted for a key are read without the key.
	ArchiveDir string `yaml:"archive_dir"`
	// For restic, resticprofile, borg, borgmatic, kopia and duplicity: file that holds the password, which the agent must be able to read.
	PasswordFile string `yaml:"password_file"`
	// For restic and duplicity: file of lines NAME=value, as EnvironmentFile= of systemd takes it, with what lets them into a storage: AWS_ACCESS_KEY_ID, RESTIC_REST_PASSWORD, FTP_PASSWORD and the like. Other variables in it are left out.
	EnvironmentFile string `yaml:"environment_file"`
	// For borg and borgmatic: directory with the key files, such as /root/.config/borg/keys, for a repository that does not hold its key itself.
	KeyDirectory string `yaml:"key_directory"`
	// For borg and borgmatic: how the server is reached, with options for the server, the user, keys and known hosts alone, such as ssh -i /etc/hygiene_exporter/key. Empty means ssh. What else it takes, a wrapper under commands sets as BORG_RSH.
	SSHCommand string `yaml:"ssh_command"`
}

// set returns the keys that have a value.
func (o Options) set() []string {
	var keys []string
	value := reflect.ValueOf(o)
	for i, field := range reflect.VisibleFields(value.Type()) {
		if !value.Field(i).IsZero() {
			keys = append(keys, field.Tag.Get("yaml"))
		}
	}
	return keys
}

// Over returns the options with those of a job where they are empty.
func (o Options) Over(job Options) Options {
	into, from := reflect.ValueOf(&o).Elem(), reflect.ValueOf(job)
	for i := range into.NumField() {
		if into.Field(i).IsZero() {
			into.Field(i).Set(from.Field(i))
		}
	}
	return o
}

// A Kind is a way in which backups are made.
type Kind struct {
	Name     string
	Summary  string   // one line for the reference
	Keys     []string // of Options that it takes
	Needs    []string // of Keys that must be set
	Depths   []Depth  // that it can reach
	Trees    bool     // what it restores are files, among which there may be dumps
	Log      bool     // it sees the log of changes that is archived behind a backup
	Commands []probes.Command
	// Check returns what else is wrong with options; nil: nothing can be.
	Check func(Options) error
	// Open returns a copy. It touches nothing.
	Open func(host probes.Host, o Options) Copy
}

// Validate returns everything that is wrong with options of this kind.
func (k Kind) Validate(o Options) error {
	var errs []error
	set := o.set()
	for _, key := range set {
		if !slices.Contains(k.Keys, key) {
			errs = append(errs, probes.At(key, fmt.Errorf("is no key of the kind %s, which takes %s", k.Name, strings.Join(k.Keys, ", "))))
		}
	}
	for _, key := range k.Needs {
		if !slices.Contains(set, key) {
			errs = append(errs, probes.At(key, errors.New("is missing")))
		}
	}
	if k.Check != nil {
		errs = append(errs, k.Check(o))
	}
	return errors.Join(errs...)
}
