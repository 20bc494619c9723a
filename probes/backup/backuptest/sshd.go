package backuptest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Server is an SSH server of its own on loopback, with keys of its own. Root
// logs in with Key, and whoever has the file Known trusts it.
type Server struct {
	Port       string
	Key, Known string // files
	Stranger   string // file with a key that is not let in
}

// SSH is the command that leads to the server.
func (s Server) SSH() string {
	return fmt.Sprintf("ssh -i %s -oIdentitiesOnly=yes -oUserKnownHostsFile=%s -oStrictHostKeyChecking=yes -oBatchMode=yes", s.Key, s.Known)
}

// SSHD starts a server that ends with the test. It needs root and Debian's
// openssh-server.
func SSHD(t testing.TB) Server {
	t.Helper()
	dir := t.TempDir()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := Server{Port: port, Key: filepath.Join(dir, "key"), Known: filepath.Join(dir, "known"), Stranger: filepath.Join(dir, "stranger")}
	Shell{}.Run(t, dir, `mkdir -p /run/sshd
for k in host key stranger; do ssh-keygen -q -t ed25519 -N '' -f $k; done
cp key.pub authorized; echo "[127.0.0.1]:`+port+` $(cut -d' ' -f1,2 host.pub)" > known
printf '%s\n' 'ListenAddress 127.0.0.1' 'Port `+port+`' "HostKey $PWD/host" "AuthorizedKeysFile $PWD/authorized" 'StrictModes no' \
  'UsePAM no' 'PermitRootLogin prohibit-password' 'PasswordAuthentication no' 'PidFile none' 'MaxStartups 100' 'Subsystem sftp internal-sftp' > config`)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	server := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "config"))
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	for range 200 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
			return s
		}
		time.Sleep(25 * time.Millisecond)
	}
	text, _ := os.ReadFile(log.Name())
	t.Fatalf("the SSH server does not answer: %s", text)
	return s
}

// Script writes a program that a wrapper may name, and returns its path.
func Script(t testing.TB, lines ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "wrapper-"+strconv.Itoa(len(lines)))
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}
