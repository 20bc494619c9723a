//go:build live

package resticprofile_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/backup/resticprofile"
	"hygiene_exporter/probes/backup/s3test"
)

// shell makes repositories as resticprofile lets restic make them, which cannot be
// had here: the configurations follow its documentation.
var shell = backuptest.Shell{Library: `
R() { restic --repo repo --password-file pw --no-cache --quiet "$@"; }
big()  { find repo/data -type f -size +500k | sort | head -1; }
one() { printf '%s\n' 'version: "1"' 'base:' '  password-file: pw' '  backup:' '    tag: [nightly]' "    source: ['$PWD/src']" \
  'default:' '  inherit: base' "  repository: 'local:$PWD/repo'" "$@" > profiles.yaml; }
two() { printf '%s\n' 'version = 2' '[mixins.place]' 'repository = "local:$WHERE/repo"' '[profiles.base]' 'password-file = "pw"' \
  '[profiles.web]' 'inherit = "base"' "use = { name = \"place\", WHERE = \"$PWD\" }" '[profiles.web.backup]' 'tag = "nightly"' "$@" > profiles.toml; }
`}

func TestLiveProfiles(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	shell.Run(t, from, `echo secret > pw; echo wrong > wrong; mkdir -p src/sub
for i in 1 2 3; do head -c 900000 /dev/urandom > src/sub/r$i; done; seq 1 20000 > src/text; ln -s text src/link
R init; R backup --tag nightly src; chmod -R u+w repo`)
	toml := job.Options{ConfigFile: "profiles.toml", Profile: "web"}
	b := backuptest.Bench{
		Kind: resticprofile.Kind(), Host: backuptest.Host(t, resticprofile.Kind(), nil), Shell: shell, Original: from, Bytes: 2_700_000,
		Options: func(dir string, o job.Options) job.Options {
			if o.ConfigFile == "" {
				o.ConfigFile = "profiles.yaml"
			}
			o.ConfigFile = filepath.Join(dir, o.ConfigFile)
			if o.PasswordFile != "" {
				o.PasswordFile = filepath.Join(dir, o.PasswordFile)
			}
			return o
		},
	}
	b.Run(t, []backuptest.Case{
		{Name: "a profile that inherits has its structure", Script: "one", Depth: job.Structure, Want: "good"},
		{Name: "a profile that inherits is read", Script: "one", Depth: job.Read, Want: "good"},
		{Name: "one made here is restored and compared", Script: "one; R backup --tag nightly src", Depth: job.Restored, Source: "src", Want: "good"},
		{Name: "one of the second version, in TOML, with a mixin", Script: "two", Options: toml, Depth: job.Structure, Want: "good"},
		{Name: "the password in the environment of the profile", Script: "one '  env: {restic_password: secret}'; sed -i /password-file/d profiles.yaml", Depth: job.Structure, Want: "good"},
		{Name: "a command that only prints a file", Script: `one "  password-command: cat $PWD/pw"; sed -i /password-file/d profiles.yaml`, Depth: job.Structure, Want: "good"},
		{Name: "a command that would have to be run", Script: "one '  password-command: sed p pw'; sed -i /password-file/d profiles.yaml", Depth: job.Structure, Want: "unknown auth"},
		{Name: "a command, and the file of its password is named", Script: "one '  password-command: sed p pw'; sed -i /password-file/d profiles.yaml", Options: job.Options{PasswordFile: "pw"}, Depth: job.Structure, Want: "good"},
		{Name: "a file that names the repository", Script: "one; sed -i 's/repository: .*/repository-file: where/' profiles.yaml; echo $PWD/repo > where", Depth: job.Structure, Want: "good"},
		{Name: "what it includes counts", Script: "one; sed -n '/^default/,$p' profiles.yaml > more.yaml; sed -i '/^default/,$d' profiles.yaml; echo 'includes: [mo*.yaml]' >> profiles.yaml", Depth: job.Structure, Want: "good"},
		{Name: "an include that is missing", Script: "one 'includes: [more.yaml]'", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a wrong password", Script: "one; cp wrong pw", Depth: job.Structure, Want: "unknown auth"},
		{Name: "a password in the place", Script: "one; sed -i 's#repository: .*#repository: rest:https://kim:secret@host/#' profiles.yaml", Depth: job.Structure, Want: "unknown unsupported"},
		{Name: "snapshots of others alone", Script: "one; sed -i s/nightly/weekly/ profiles.yaml", Depth: job.Structure, Want: "nothing"},
		{Name: "snapshots of another host alone", Script: "one '  backup: {host: elsewhere}'", Depth: job.Structure, Want: "nothing"},
		{Name: "a newer snapshot of others is not looked at", Script: "one; mkdir e; R backup --tag other e", Depth: job.Structure, Want: "good"},
		{Name: "a changed byte in a pack", Script: "two; flip $(big)", Options: toml, Depth: job.Read, Want: "bad damaged"},
		{Name: "a missing pack", Script: "one; rm $(big)", Depth: job.Structure, Want: "bad incomplete"},
		{Name: "no repository", Script: "one; rm -r repo", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "no configuration", Script: "rm -f profiles.yaml", Depth: job.Structure, Want: "unknown not_found"},
		{Name: "a configuration that is no YAML", Script: "echo '{' > profiles.yaml", Depth: job.Structure, Want: "unknown malformed"},
		{Name: "a profile that is not there", Script: "one", Options: job.Options{Profile: "web"}, Depth: job.Structure, Want: "unknown malformed"},
		{Name: "a group", Script: "one 'groups: {all: [default]}'", Options: job.Options{Profile: "all"}, Depth: job.Structure, Want: "unknown malformed"},
	})
	t.Run("the status file is evidence", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "w")
		backuptest.Duplicate(t, from, dir)
		shell.Run(t, dir, `one '  status-file: status.json' '  check: {read-data: true}'
now=$(date -u +%FT%TZ); echo '{"profiles": {"default": {"check": {"success": true, "time": "'$now'"}, "backup": {"success": false, "time": "'$now'", "error": "exit status 1"}}}}' > status.json`)
		sight, err := b.Kind.Open(b.Host, b.Options(dir, job.Options{})).Look(t.Context())
		if err != nil || len(sight.Evidence) != 1 || sight.Evidence[0].Depth != job.Read || time.Since(sight.Evidence[0].At) > time.Minute {
			t.Errorf("%+v %v", sight.Evidence, err)
		}
		if notes := strings.Join(sight.Notes, "\n"); !strings.Contains(notes, "the last backup of resticprofile failed") {
			t.Errorf("a failure is not noted: %s", notes)
		}
	})
}

// TestLiveEnvironment: what a profile gives restic in its environment lets the agent
// into a bucket, too.
func TestLiveEnvironment(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	from := t.TempDir()
	shell.Run(t, from, "export AWS_ACCESS_KEY_ID="+s3test.AccessKey+" AWS_SECRET_ACCESS_KEY="+s3test.SecretKey+`
P() { restic --repo s3:http://`+server.Address+`/backups --password-file pw --no-cache --quiet "$@"; }
echo secret > pw; mkdir src; echo a > src/a; P init; P backup --tag nightly src`)
	b := backuptest.Bench{
		Kind: resticprofile.Kind(), Host: backuptest.Host(t, resticprofile.Kind(), nil), Original: from,
		Shell: backuptest.Shell{Library: shell.Library + "bucket() { one \"$@\"; sed -i 's#repository: .*#repository: s3:http://" + server.Address + "/backups#' profiles.yaml; }\n"},
		Options: func(dir string, o job.Options) job.Options {
			o.ConfigFile = filepath.Join(dir, "profiles.yaml")
			return o
		},
	}
	const files = "printf 'AWS_ACCESS_KEY_ID=" + s3test.AccessKey + "\n' > id.env; printf 'export AWS_SECRET_ACCESS_KEY=\"" + s3test.SecretKey + "\"\n' > key.env\n"
	b.Run(t, []backuptest.Case{
		{Name: "keys under env", Script: "bucket '  env: {aws_access_key_id: " + s3test.AccessKey + ", AWS_SECRET_ACCESS_KEY: " + s3test.SecretKey + "}'", Depth: job.Read, Want: "good"},
		{Name: "keys in files", Script: files + "bucket '  env-file: [id.env, key.env]'", Depth: job.Structure, Want: "good"},
		{Name: "env goes before its file", Script: files + "bucket '  env-file: [id.env, key.env]' '  env: {aws_secret_access_key: wrong}'", Depth: job.Structure, Want: "unknown auth"},
		{Name: "a file that is missing", Script: "bucket '  env-file: none.env'", Depth: job.Structure, Want: "unknown auth"},
		{Name: "no key", Script: "bucket", Depth: job.Structure, Want: "unknown auth"},
	})
}
