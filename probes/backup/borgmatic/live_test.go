//go:build live

package borgmatic

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
)

// shell makes backups with borgmatic. Each configuration is written anew in the
// directory of its case.
var shell = backuptest.Shell{Library: `
export BORG_BASE_DIR=$PWD/borg BORG_RELOCATED_REPO_ACCESS_IS_OK=yes BORG_PASSCOMMAND="cat $PWD/pw"
M() { borgmatic --log-file $PWD/log --config config.yaml "$@" 2>&1; }
big() { find repo/data -type f -size +500k | sort | head -1; }
old() { printf '%s\n' 'location:' "  source_directories: ['$PWD/src']" "  repositories: ['${1:-$PWD/repo}']" "  borgmatic_source_directory: $PWD/state" \
  'storage:' "  borg_base_directory: $PWD/borg" '  relocated_repo_access_is_ok: true' "  ${2:-encryption_passcommand: cat $PWD/pw}" \
  'retention:' '  keep_daily: 7' 'consistency:' '  checks: [{name: repository, frequency: 2 weeks}, {name: archives}]' > config.yaml; }
flat() { printf '%s\n' "source_directories: ['$PWD/src']" "repositories: [{path: '$PWD/repo', label: local}]" "borgmatic_source_directory: $PWD/state" \
  "borg_base_directory: $PWD/borg" "${1:-encryption_passcommand: cat $PWD/pw}" 'keep_daily: 7' 'checks: [{name: repository, frequency: 2 weeks}]' > config.yaml; }
`}

func bench(t *testing.T) backuptest.Bench {
	t.Helper()
	from := t.TempDir()
	shell.Run(t, from, `echo secret > pw; echo wrong > wrong; mkdir -p src/sub; old
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
M rcreate -e repokey; M create`)
	return backuptest.Bench{
		Kind: Kind(), Host: backuptest.Host(t, Kind(), nil), Shell: shell, Original: from, Bytes: 2_700_000,
		Options: func(dir string, o job.Options) job.Options {
			o.ConfigFile = filepath.Join(dir, "config.yaml")
			if o.PasswordFile != "" {
				o.PasswordFile = filepath.Join(dir, o.PasswordFile)
			}
			return o
		},
	}
}

func TestLiveRepositories(t *testing.T) {
	t.Parallel()
	bench(t).Run(t, []backuptest.Case{
		{Name: "a good one has its structure", Script: "old", Depth: job.Structure, Want: "good"},
		{Name: "a good one is read", Script: "old; M create", Depth: job.Read, Want: "good"},
		{Name: "a good one is restored", Script: "old", Depth: job.Restored, Want: "good"},
		{Name: "a backup made here is restored and compared", Script: "old; M create", Depth: job.Restored, Source: "src", Want: "good"},
		{Name: "without sections, as since 1.8", Script: "flat", Depth: job.Structure, Want: "good"},
		{Name: "the passphrase stands in the configuration", Script: "old '' 'encryption_passphrase: secret'", Depth: job.Structure, Want: "good"},
		{Name: "the passphrase is the default of a variable", Script: "old '' 'encryption_passphrase: ${NOT_SET:-secret}'", Depth: job.Structure, Want: "good"},
		{Name: "the passphrase is in a file, as since 1.9", Script: `flat "encryption_passphrase: '{credential file $PWD/pw}'"`, Depth: job.Structure, Want: "good"},
		{Name: "a command that would have to be run", Script: "old '' 'encryption_passcommand: sed p pw'", Depth: job.Structure, Want: "unknown auth"},
		{Name: "a command, and the file of its password is named", Script: "old '' 'encryption_passcommand: sed p pw'", Options: job.Options{PasswordFile: "pw"}, Depth: job.Structure, Want: "good"},
		{Name: "a wrong passphrase", Script: "old '' 'encryption_passphrase: wrong'", Depth: job.Structure, Want: "unknown auth"},
		{Name: "a passphrase that a variable holds", Script: "old '' 'encryption_passphrase: ${NOT_SET}'", Depth: job.Structure, Want: "unknown unsupported"},
		{Name: "no passphrase", Script: "old '' 'umask: 0077'", Depth: job.Structure, Want: "unknown auth"},
		{Name: "the key lies in a file", Script: "rm -rf repo; old; M rcreate -e keyfile; M create", Depth: job.Read, Want: "good"},
		{Name: "without encryption", Script: "rm -rf repo; old '' 'unknown_unencrypted_repo_access_is_ok: true'; M rcreate -e none; M create", Depth: job.Structure, Want: "good"},
		{Name: "two repositories, of which one is named by its path", Script: "mv repo repo2; old $PWD/repo2\\',\\'/nowhere", Options: job.Options{Repository: "/nowhere"}, Depth: job.Structure, Want: "unknown not_found"},
		{Name: "two repositories, of which one is named by its label", Script: "flat; sed -i 's#^repositories: .#&{path: /nowhere, label: other}, #' config.yaml", Options: job.Options{Repository: "local"}, Depth: job.Structure, Want: "good"},
		{Name: "two repositories, of which none is named", Script: "old $PWD/repo\\',\\'/nowhere", Depth: job.Structure, Want: "unknown malformed"},
		{Name: "what it includes counts", Script: "old; sed -n '/^storage/,$p' config.yaml > common.yaml; sed -i '/^storage/,$d' config.yaml; echo '<<: !include common.yaml' >> config.yaml; M list", Depth: job.Structure, Want: "good"},
		{Name: "a section that is included", Script: included, Depth: job.Structure, Want: "good"},
		{Name: "an include that is missing", Script: "old; echo '<<: !include common.yaml' >> config.yaml", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "archives of another host alone", Script: "old; borg delete repo --glob-archives '*'; borg create repo::elsewhere-1 src", Depth: job.Structure, Want: "nothing"},
		{Name: "a name for archives of its own", Script: "old '' 'archive_name_format: nightly-{now:%Y}'; echo '  encryption_passphrase: secret' > p; sed -i '/archive_name_format/r p' config.yaml; M create", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a segment", Script: "old; flip $(big)", Depth: job.Read, Want: "bad damaged"},
		{Name: "a missing segment", Script: "old; rm $(big)", Depth: job.Read, Want: "bad incomplete"},
		{Name: "no dump of a database that is configured", Script: "old; printf '%s\\n' 'hooks:' '  postgresql_databases: [{name: app}]' >> config.yaml", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "an empty dump of a database", Script: "old; printf '%s\\n' 'hooks:' '  mysql_databases: [{name: app}]' >> config.yaml; mkdir -p state/mysql_databases/localhost; touch state/mysql_databases/localhost/app; borg create repo::$(hostname -s)-9 src state", Depth: job.Structure, Want: "bad empty"},
		{Name: "no repository", Script: "old; rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "no configuration", Depth: job.Structure, Script: "rm config.yaml", Want: "unknown not_found"},
		{Name: "a configuration that is no YAML", Depth: job.Structure, Script: "echo '{' > config.yaml", Want: "unknown malformed"},
		{Name: "a configuration of nothing", Depth: job.Structure, Script: ": > config.yaml", Want: "unknown malformed"},
		{Name: "a way to the server that would run a command", Script: "old ssh://host/repo 'ssh_command: ssh -oProxyCommand=evil'", Depth: job.Structure, Want: "unknown unsupported"},
	})
}

// included takes a section of the configuration out into a file of its own.
const included = `old; printf '%s\n' "borg_base_directory: $PWD/borg" 'relocated_repo_access_is_ok: true' "encryption_passcommand: cat $PWD/pw" > storage.yaml
sed -i '/^storage:/,/^retention:/{/^retention:/!d}' config.yaml; echo 'storage: !include storage.yaml' >> config.yaml; M list`

// TestLiveServer reaches the repository as the configuration of borgmatic does.
func TestLiveServer(t *testing.T) {
	t.Parallel()
	server := backuptest.SSHD(t)
	b := bench(t)
	b.Shell.Env = []string{"PORT=" + server.Port, "SSH=" + server.SSH()}
	b.Run(t, []backuptest.Case{
		{
			Name: "is backed up to and read", Depth: job.Read, Want: "good",
			Script: `old ssh://root@127.0.0.1:$PORT$PWD/repo "ssh_command: $SSH"; sed -i "s#^  ssh_command#  encryption_passcommand: cat $PWD/pw\n&#" config.yaml; M create`,
		},
		{
			Name: "with a key that is not let in", Depth: job.Structure, Want: "unknown auth",
			Script: `old ssh://root@127.0.0.1:$PORT$PWD/repo "ssh_command: ssh -i /dev/null -oBatchMode=yes"`,
		},
	})
}

// TestLiveEvidence: what borgmatic checked itself is known.
func TestLiveEvidence(t *testing.T) {
	t.Parallel()
	b := bench(t)
	c := Kind().Open(b.Host, b.Options(b.Original, job.Options{}))
	before, err := c.Look(t.Context())
	if err != nil || len(before.Evidence) > 0 {
		t.Fatal(before.Evidence, err)
	}
	if !slices.Contains(before.Notes, `borgmatic has never passed its check "repository"`) {
		t.Errorf("not noted: %q", before.Notes)
	}
	shell.Run(t, b.Original, "M check")
	sight, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var depths []job.Depth
	for _, e := range sight.Evidence {
		if depths = append(depths, e.Depth); time.Since(e.At) > time.Minute {
			t.Errorf("%s of %s", e.Depth, e.At)
		}
	}
	if diff := cmp.Diff([]job.Depth{job.Read, job.Structure}, depths); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	shell.Run(t, b.Original, "find state -type f -exec touch -d '5 weeks ago' {} +")
	if sight, err = c.Look(t.Context()); err != nil || !strings.Contains(strings.Join(sight.Notes, "\n"), `is to make its check "repository" every 336h`) {
		t.Errorf("an overdue check is not noted: %q %v", sight.Notes, err)
	}
}

// TestLiveDatabase: a dump that borgmatic made of a real server is found.
func TestLiveDatabase(t *testing.T) {
	t.Parallel()
	b := bench(t)
	shell.Run(t, b.Original, `D=$(mktemp -d /tmp/borgmatic-pg.XXXX); chown postgres $D; echo $D > pgdir
PG=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
su postgres -s /bin/sh -c "$PG/initdb -A trust -D $D/data > /dev/null && $PG/pg_ctl -w -D $D/data -l $D/log -o '-k $D -p $PORT -c listen_addresses=127.0.0.1 -c fsync=off' start > /dev/null"
old; printf '%s\n' 'hooks:' "  postgresql_databases: [{name: postgres, hostname: 127.0.0.1, port: $PORT, username: postgres}]" >> config.yaml
M create; su postgres -s /bin/sh -c "$PG/pg_ctl -m immediate -D $D/data stop > /dev/null"; rm -rf $D`)
	got, sight, out := backuptest.Check(t.Context(), Kind().Open(b.Host, b.Options(b.Original, job.Options{})), job.Task{Depth: job.Structure})
	if got != "good" || !slices.Contains(sight.Notes, "it holds dumps of postgresql postgres") {
		t.Errorf("%s: %v %q", got, out.Err, sight.Notes)
	}
}

// TestLiveConfigurations: borgmatic itself reads each configuration as we do.
func TestLiveConfigurations(t *testing.T) {
	t.Parallel()
	const oracle = `import json, sys
from borgmatic.config import environment, load, normalize
c = load.load_configuration(sys.argv[1])
normalize.normalize(sys.argv[1], c)
print(json.dumps(environment.resolve_env_variables(c)))`
	files, err := filepath.Glob("testdata/configurations/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			name, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			script := filepath.Join(t.TempDir(), "oracle.py")
			if err := os.WriteFile(script, []byte(oracle), 0o600); err != nil {
				t.Fatal(err)
			}
			l := loader{home: "/root", read: os.ReadFile}
			ours, err := l.load(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			var theirs any
			if err := json.Unmarshal([]byte(shell.Run(t, "/", "/usr/bin/python3 "+script+" "+name)), &theirs); err != nil {
				t.Fatal(err)
			}
			about := surroundings{hostname: "web", home: "/root"}
			got, err := parse("x", ours, about)
			if err != nil {
				t.Fatal(err)
			}
			want, err := parse("x", theirs, about)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, place{}, check{}, database{})); diff != "" {
				t.Errorf("(-borgmatic +ours):\n%s", diff)
			}
		})
	}
}
