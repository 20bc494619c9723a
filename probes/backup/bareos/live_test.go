//go:build live

package bareos_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/bareos"
	"hygiene_exporter/probes/backup/job"
)

// configuration is that of a director, a storage daemon and a client on loopback,
// with a catalogue in SQLite.
const configuration = `
mkdir -p work store src etc
seq 1 50000 > src/a; head -c 100000 /dev/urandom > src/b
cat > etc/dir.conf <<END
Director { Name = dir; DIRport = $DIR; DirAddress = 127.0.0.1; QueryFile = "/etc/bacula/scripts/query.sql"; WorkingDirectory = "$PWD/work"; PidDirectory = "$PWD/work"; Password = "console-secret"; Messages = Std; Maximum Concurrent Jobs = 5; FD Connect Timeout = 2 seconds }
Catalog { Name = Cat; dbname = "bacula"; dbuser = ""; dbpassword = "" }
Storage { Name = File; Address = 127.0.0.1; SDPort = $SD; Password = "sd-secret"; Device = Dev; Media Type = File }
Client { Name = fd; Address = 127.0.0.1; FDPort = $FD; Catalog = Cat; Password = "fd-secret"; AutoPrune = no }
Client { Name = gone; Address = 127.0.0.1; FDPort = 1; Catalog = Cat; Password = "fd-secret"; AutoPrune = no }
FileSet { Name = Set; Include { Options { signature = SHA1 } File = $PWD/src } }
FileSet { Name = Partial; Include { Options { signature = SHA1 } File = $PWD/src
 File = $PWD/none } }
FileSet { Name = Nothing; Include { Options { signature = SHA1 } File = $PWD/none } }
Pool { Name = Pool; Pool Type = Backup; Recycle = yes; AutoPrune = no; Label Format = "Vol-"; Maximum Volume Jobs = 1 }
JobDefs { Name = Defaults; Type = Backup; Level = Full; Client = fd; FileSet = Set; Storage = File; Pool = Pool; Messages = Std }
Job { Name = nightly; JobDefs = Defaults }
Job { Name = partial; JobDefs = Defaults; FileSet = Partial }
Job { Name = empty; JobDefs = Defaults; FileSet = Nothing }
Job { Name = failing; JobDefs = Defaults; Client = gone; Reschedule On Error = no }
Job { Name = harmed; JobDefs = Defaults }
Job { Name = purged; JobDefs = Defaults }
Job { Name = verify; JobDefs = Defaults; Type = Verify; Level = VolumeToCatalog; Verify Job = nightly }
Job { Name = verify-data; JobDefs = Defaults; Type = Verify; Level = Data; Verify Job = nightly }
Job { Name = verify-harmed; JobDefs = Defaults; Type = Verify; Level = Data; Verify Job = harmed }
Messages { Name = Std; append = "$PWD/work/log" = all; catalog = all, !skipped, !saved }
END
cat > etc/sd.conf <<END
Storage { Name = sd; SDPort = $SD; SDAddress = 127.0.0.1; WorkingDirectory = "$PWD/work"; PidDirectory = "$PWD/work" }
Director { Name = dir; Password = "sd-secret" }
Device { Name = Dev; Media Type = File; Archive Device = $PWD/store; LabelMedia = yes; Random Access = yes; AutomaticMount = yes; RemovableMedia = no; AlwaysOpen = no }
Messages { Name = Std; director = dir = all }
END
cat > etc/fd.conf <<END
FileDaemon { Name = fd; FDport = $FD; FDAddress = 127.0.0.1; WorkingDirectory = "$PWD/work"; Pid Directory = "$PWD/work" }
Director { Name = dir; Password = "fd-secret" }
Messages { Name = Std; director = dir = all }
END
cat > etc/bconsole.conf <<END
Director { Name = dir; DIRport = $DIR; address = 127.0.0.1; Password = "console-secret" }
END
sed s/console-secret/wrong-secret/ etc/bconsole.conf > etc/wrong.conf
sed s/$DIR/1/ etc/bconsole.conf > etc/down.conf
echo 'Director { Name = dir; Password = "console-secret"; nonsense = 1 }' > etc/bad.conf
sqlite3 work/bacula.db < /usr/share/dbconfig-common/data/bacula-director-sqlite3/install/sqlite3
`

// site is a running Bacula.
func site(t *testing.T) (dir string, shell backuptest.Shell) {
	t.Helper()
	dir = t.TempDir()
	shell.Library = `console() { timeout 100 bconsole -c etc/bconsole.conf; }
run() { { for job; do echo "run job=$job yes"; done; echo wait; } | console > last.txt || { cat last.txt; exit 1; }; }
volume() { sqlite3 work/bacula.db "SELECT VolumeName FROM Media JOIN JobMedia USING (MediaId) JOIN Job USING (JobId) WHERE Job.Name = '$1' ORDER BY JobId DESC LIMIT 1"; }
`
	for _, name := range []string{"DIR", "SD", "FD"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		shell.Env = append(shell.Env, fmt.Sprintf("%s=%d", name, listener.Addr().(*net.TCPAddr).Port))
		listener.Close()
	}
	shell.Run(t, dir, configuration)
	for _, daemon := range []string{"sd", "fd", "dir"} {
		start(t, dir, daemon)
	}
	shell.Run(t, dir, `for i in $(seq 100); do console < /dev/null | grep -q "1000 OK" && exit 0; sleep 0.1; done; cat work/*.out; exit 1`)
	return dir, shell
}

func start(t *testing.T, dir, daemon string) {
	t.Helper()
	command := exec.Command("bacula-"+daemon, "-f", "-c", filepath.Join(dir, "etc", daemon+".conf"))
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

func TestLiveBacula(t *testing.T) {
	dir, shell := site(t)
	host := backuptest.Host(t, bareos.Kind(), nil)
	open := func(o job.Options) job.Copy {
		if o.ConfigFile == "" {
			o.ConfigFile = "bconsole.conf"
		}
		if o.Dataset == "" {
			o.Dataset = "nightly"
		}
		o.ConfigFile = filepath.Join(dir, "etc", o.ConfigFile)
		return bareos.Kind().Open(host, o)
	}
	var evidence int
	for _, c := range []struct {
		name, script string
		options      job.Options
		depth        job.Depth
		want         string
		points       int
	}{
		{name: "nothing has run", want: "nothing"},
		{name: "a full run", script: "run 'nightly level=Full' partial empty failing harmed purged", want: "good", points: 1},
		{name: "nobody has read it", depth: job.Read, want: "unknown not_run", points: 1},
		{name: "a verify job that reads volumes for the catalogue", script: "run verify verify-harmed", want: "good", points: 1},
		{name: "which has not compared the content", depth: job.Read, want: "unknown not_run", points: 1},
		{name: "a verify job that reads the content", script: "run verify-data", depth: job.Read, want: "good", points: 1},
		{name: "an incremental run in which nothing had changed", script: "run 'nightly level=Incremental'", want: "good", points: 2},
		{name: "one with a change", script: "echo new > src/c; run 'nightly level=Incremental'", want: "good", points: 3},
		{name: "a run that could not read a file", options: job.Options{Dataset: "partial"}, want: "good", points: 1},
		{name: "a run that found nothing", options: job.Options{Dataset: "empty"}, want: "bad empty", points: 1},
		{name: "a run whose client is gone", options: job.Options{Dataset: "failing"}, want: "bad reported"},
		{name: "a good one before a changed byte on its volume", options: job.Options{Dataset: "harmed"}, depth: job.Read, want: "good", points: 1},
		{name: "a changed byte that nobody has read yet", script: `flip store/$(volume harmed)`, options: job.Options{Dataset: "harmed"}, want: "good", points: 1},
		{name: "a changed byte that a verify job found", script: "run verify-harmed", options: job.Options{Dataset: "harmed"}, want: "bad damaged", points: 1},
		{name: "the run after it", script: "run harmed; run verify-harmed", options: job.Options{Dataset: "harmed"}, depth: job.Read, want: "good", points: 2},
		{name: "a volume that was given up", script: `printf 'update volume=%s volstatus=Error\n' $(volume purged) | console > last.txt`, options: job.Options{Dataset: "purged"}, want: "bad incomplete", points: 1},
		{name: "the full run was deleted from the catalogue", script: `printf 'delete jobid=1 yes\n' | console > last.txt`, want: "bad incomplete", points: 2},
		{name: "a job of another name", options: job.Options{Dataset: "unknown"}, want: "nothing"},
		{name: "a wrong password", options: job.Options{ConfigFile: "wrong.conf"}, want: "unknown auth"},
		{name: "no configuration", options: job.Options{ConfigFile: "none.conf"}, want: "unknown auth"},
		{name: "a configuration that bconsole does not understand", options: job.Options{ConfigFile: "bad.conf"}, want: "unknown malformed"},
		{name: "nobody listens", options: job.Options{ConfigFile: "down.conf"}, want: "unknown network"},
	} {
		if c.script != "" {
			shell.Run(t, dir, c.script)
		}
		if c.depth == "" {
			c.depth = job.Structure
		}
		got, sight, out := backuptest.Check(t.Context(), open(c.options), job.Task{Depth: c.depth})
		if got != c.want || len(sight.Points) != c.points {
			log, _ := os.ReadFile(filepath.Join(dir, "work", "log"))
			t.Errorf("%s: got %q with %d points, want %q with %d: %v %v\n%s", c.name, got, len(sight.Points), c.want, c.points, out.Err, out.Notes, tail(string(log)))
		}
		if strings.Contains(fmt.Sprint(out.Err, sight, out), "secret") {
			t.Errorf("%s: a secret in %v", c.name, out.Err)
		}
		if got == "good" && (len(out.Tools) == 0 || out.Tools[0].Name != "bacula" || out.Tools[0].Version == "") {
			t.Errorf("%s: judged by %v", c.name, out.Tools)
		}
		for _, p := range sight.Points {
			if age := time.Since(p.At); age < 0 || age > 10*time.Minute {
				t.Errorf("%s: %s is of %s", c.name, p.ID, p.At)
			}
		}
		evidence = max(evidence, len(sight.Evidence))
	}
	if evidence < 2 {
		t.Errorf("only %d verify jobs were evidence", evidence)
	}
}

func tail(text string) string { return text[max(0, len(text)-1500):] }
