//go:build live

package duplicity_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/webdav"

	"hygiene_exporter/probes/backup/backuptest"
	"hygiene_exporter/probes/backup/duplicity"
	"hygiene_exporter/probes/backup/job"
)

// sshd serves files on loopback to who has the key below home, until the end of
// the test.
func sshd(t *testing.T, dir string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	shell.Run(t, dir, fmt.Sprintf(`mkdir -p -m 700 home/.ssh /run/sshd; chmod 700 home; ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t rsa -b 2048 -N '' -f home/.ssh/id_rsa
cp home/.ssh/id_rsa.pub keys; echo "[127.0.0.1]:%[1]s $(cut -d' ' -f1,2 host.pub)" > home/.ssh/known_hosts
printf '%%s\n' 'Port %[1]s' 'ListenAddress 127.0.0.1' "HostKey $PWD/host" "AuthorizedKeysFile $PWD/keys" 'StrictModes no' 'PasswordAuthentication no' 'PubkeyAcceptedAlgorithms +ssh-rsa' 'PidFile none' 'Subsystem sftp internal-sftp' > sshd_config`, port))
	server := exec.Command("/usr/sbin/sshd", "-D", "-f", filepath.Join(dir, "sshd_config"))
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	deadline := time.After(20 * time.Second)
	for {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
			return address
		}
		select {
		case <-deadline:
			t.Fatalf("sshd does not listen: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestLiveServer reads sets behind SSH, where only duplicity can tell.
func TestLiveServer(t *testing.T) {
	t.Parallel()
	dir := bench(t).Original
	address := sshd(t, dir)
	home := filepath.Join(dir, "home")
	h := backuptest.Host(t, duplicity.Kind(), map[string][]string{"duplicity": {"env", "HOME=" + home, "duplicity"}})
	before, err := os.ReadDir(home)
	if err != nil {
		t.Fatal(err)
	}
	o := job.Options{Repository: "sftp://root@" + address + "/" + dir + "/sets", PasswordFile: filepath.Join(dir, "pw")}
	for _, step := range []struct {
		name, script string
		task         job.Task
		want         string
	}{
		{name: "its structure", task: job.Task{Depth: job.Structure}, want: "good"},
		{name: "it is read", task: job.Task{Depth: job.Read}, want: "good"},
		{name: "it is restored", task: job.Task{Depth: job.Restored, Restore: job.Restore{Scratch: t.TempDir(), Assert: job.Assert{Required: []string{"text"}}}}, want: "good"},
		{name: "a changed byte", script: "cp -a sets good; flip $(of '*full*vol2.*')", task: job.Task{Depth: job.Read}, want: "bad damaged"},
		{name: "a missing volume", script: "rm $(of '*full*vol2.*')", task: job.Task{Depth: job.Read}, want: "bad incomplete"},
		{name: "a missing full set, which duplicity calls complete", script: "rm sets/duplicity-full*", task: job.Task{Depth: job.Structure}, want: "bad incomplete"},
		{name: "a wrong password", script: "rm -r sets; cp -a good sets; cp wrong pw", task: job.Task{Depth: job.Read}, want: "unknown auth"},
		{name: "nothing", script: "rm sets/*; echo secret > pw", task: job.Task{Depth: job.Structure}, want: "nothing"},
		{name: "without the right", script: ": > keys", task: job.Task{Depth: job.Structure}, want: "unknown auth"},
	} {
		t.Run(step.name, func(t *testing.T) {
			shell.Run(t, dir, step.script)
			got, sight, out := backuptest.Check(t.Context(), duplicity.Kind().Open(h, o), step.task)
			if got != step.want {
				t.Fatalf("got %q, want %q: %v %+v", got, step.want, out.Err, sight)
			}
		})
	}
	if after, err := os.ReadDir(home); err != nil || len(after) > len(before)+1 { // what gpg keeps
		t.Errorf("something was left: %v %v", after, err)
	}
}

// TestLiveEnvironment reads sets behind a server that wants a password, which the file
// with variables holds.
func TestLiveEnvironment(t *testing.T) {
	t.Parallel()
	dir := bench(t).Original
	files := &webdav.Handler{FileSystem: webdav.Dir(dir), LockSystem: webdav.NewMemLS()}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "kim" || password != "open $sesame" {
			w.Header().Set("WWW-Authenticate", `Basic realm="backups"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	h := backuptest.Host(t, duplicity.Kind(), nil)
	for _, c := range []struct {
		name, variables string
		task            job.Task
		want            string
	}{
		{"its structure", "FTP_PASSWORD='open $sesame'\n", job.Task{Depth: job.Structure}, "good"},
		{"it is read", "export FTP_PASSWORD=\"open \\$sesame\"\nPASSPHRASE=of another\n", job.Task{Depth: job.Read}, "good"},
		{"restored", "FTP_PASSWORD=open $sesame\n", job.Task{Depth: job.Restored, Restore: job.Restore{Scratch: t.TempDir(), Source: filepath.Join(dir, "src")}}, "good"},
		{"a wrong password", "FTP_PASSWORD=wrong\n", job.Task{Depth: job.Structure}, "unknown auth"},
		{"no password", "PASSPHRASE=secret\n", job.Task{Depth: job.Structure}, "unknown auth"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := job.Options{
				Repository: "webdav://kim@" + strings.TrimPrefix(server.URL, "http://") + "/sets", PasswordFile: filepath.Join(dir, "pw"),
				EnvironmentFile: filepath.Join(t.TempDir(), "env"),
			}
			if err := os.WriteFile(o.EnvironmentFile, []byte(c.variables), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, _, out := backuptest.Check(t.Context(), duplicity.Kind().Open(h, o), c.task); got != c.want {
				t.Errorf("got %q, want %q: %v", got, c.want, out.Err)
			}
		})
	}
}
