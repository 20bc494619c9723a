//go:build live

package certificate

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A daemon is a real server of a Debian package.
type daemon struct {
	name string
	// ports are the names of its listeners and the dialogue of each.
	ports map[string]string
	// user owns its files and runs it; empty means root.
	user string
	// prepare writes its configuration. It is called once.
	prepare func(d *site)
	// argv starts it in the foreground.
	argv func(d *site) []string
	// unix is the name of a listener that is a socket; empty if there is none.
	unix string
}

// A site is a daemon at a place.
type site struct {
	*daemon
	t    *testing.T
	dir  string
	port map[string]int // by listener
	run  *exec.Cmd
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// cert and key are where the certificate with its chain, and its key, are.
func (s *site) cert() string { return s.path("cert.pem") }
func (s *site) key() string  { return s.path("key.pem") }

func (s *site) write(name, format string, args ...any) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), fmt.Appendf(nil, format, args...), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// command runs a program to its end, as the user of the daemon.
func (s *site) command(argv ...string) {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), argv[0], argv[1:]...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "INNCONF="+s.path("inn.conf"))
	s.as(c)
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// as lets a program run as the user of the daemon.
func (s *site) as(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.user != "" {
		uid, gid := ids(s.t, s.user)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
}

func ids(t *testing.T, name string) (uid, gid uint32) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("%v; run test/packages.sh", err)
	}
	a, _ := strconv.ParseUint(u.Uid, 10, 32)
	b, _ := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(a), uint32(b)
}

// place makes the place of a daemon with free ports.
func (d *daemon) place(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", d.name) // not in t.TempDir, which other users cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &site{daemon: d, t: t, dir: dir, port: map[string]int{}}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range d.ports {
		s.port[name] = freePort(t)
	}
	return s
}

// freePort finds a port that nobody listens on. It may be taken before it is
// used; then the daemon says so and the test fails.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// install puts a certificate where the daemon reads it.
func (s *site) install(chain, key []byte) {
	s.t.Helper()
	s.write("cert.pem", "%s", chain)
	s.write("both.pem", "%s%s", chain, key)
	s.write("key.pem", "%s", key)
	if err := os.Chmod(s.key(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.own()
}

// own gives everything to the user of the daemon.
func (s *site) own() {
	s.t.Helper()
	if s.user == "" {
		return
	}
	uid, gid := ids(s.t, s.user)
	err := filepath.Walk(s.dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(uid), int(gid))
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// start starts the daemon and waits until it listens everywhere.
func (s *site) start() {
	s.t.Helper()
	argv := s.argv(s)
	s.run = exec.Command(argv[0], argv[1:]...)
	s.run.Dir = s.dir
	log, err := os.Create(s.path("log.txt")) // not a pipe, which children would keep open
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.run.Stdout, s.run.Stderr = log, log
	s.run.Env = append(os.Environ(), "INNCONF="+s.path("inn.conf"))
	s.as(s.run)
	// Pdeathsig follows the thread that started it, and threads of Go end.
	s.run.SysProcAttr.Pdeathsig = 0
	if err := s.run.Start(); err != nil {
		s.t.Fatalf("%s: %v; run test/packages.sh", s.name, err)
	}
	s.t.Cleanup(s.stop)
	for name := range s.ports {
		s.await(name)
	}
}

// log is what the daemon has said.
func (s *site) log() string {
	text, err := os.ReadFile(s.path("log.txt"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *site) await(name string) {
	s.t.Helper()
	for range 600 {
		network, address := "tcp", s.address(name)
		if name == s.unix {
			network, address = "unix", s.path(name)
		}
		conn, err := new(net.Dialer).DialContext(s.t.Context(), network, address)
		if err == nil {
			conn.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	s.t.Fatalf("%s does not listen on %s (%s)\n%s", s.name, name, s.address(name), s.log())
}

// address is where a listener is, as the target of an endpoint.
func (s *site) address(name string) string {
	if name == s.unix {
		return unixPrefix + s.path(name)
	}
	return fmt.Sprintf("127.0.0.1:%d", s.port[name])
}

// stop ends the daemon and all that it has started.
func (s *site) stop() {
	if s.run == nil {
		return
	}
	group := -s.run.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	done := make(chan struct{})
	go func(c *exec.Cmd) {
		_ = c.Wait()
		close(done)
	}(s.run)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-done
	s.run = nil
}

// daemons lists the servers and how each is set up.
func daemons() []*daemon {
	return []*daemon{
		{
			name: "nginx", ports: map[string]string{"https": "", "sock": ""}, unix: "sock",
			prepare: func(s *site) {
				s.write("nginx.conf", `pid %[1]s/pid; error_log stderr; daemon off; worker_processes 1;
events {} http { access_log off; client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen 127.0.0.1:%[2]d ssl; listen [::1]:%[2]d ssl; listen unix:%[1]s/sock ssl; ssl_certificate %[1]s/cert.pem; ssl_certificate_key %[1]s/key.pem; } }`, s.dir, s.port["https"])
			},
			argv: func(s *site) []string { return []string{"/usr/sbin/nginx", "-c", s.path("nginx.conf"), "-e", "stderr"} },
		},
		{
			name: "haproxy", ports: map[string]string{"https": ""},
			prepare: func(s *site) {
				s.write("haproxy.cfg", "global\n  maxconn 50\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind 127.0.0.1:%d ssl crt %s\n", s.port["https"], s.path("both.pem"))
			},
			argv: func(s *site) []string { return []string{"/usr/sbin/haproxy", "-db", "-f", s.path("haproxy.cfg")} },
		},
		{
			name: "postfix", ports: map[string]string{"smtp": "smtp", "submission": "submission", "smtps": ""},
			prepare: func(s *site) {
				s.write("main.cf", `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
myhostname = server.test
inet_interfaces = 127.0.0.1
mynetworks = 127.0.0.0/8
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
smtpd_tls_chain_files = %[1]s/key.pem, %[1]s/cert.pem
smtpd_tls_security_level = may
smtpd_peername_lookup = no
`, s.dir)
				s.write("master.cf", `127.0.0.1:%d inet n - n - - smtpd
127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
127.0.0.1:%d inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`, s.port["smtp"], s.port["submission"], s.port["smtps"])
				for _, dir := range []string{"queue", "data"} {
					if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
						s.t.Fatal(err)
					}
				}
				uid, _ := ids(s.t, "postfix")
				if err := os.Chown(s.path("data"), int(uid), -1); err != nil {
					s.t.Fatal(err)
				}
				s.command("/usr/sbin/postfix", "-c", s.dir, "check") // makes the directories of the queue
			},
			argv: func(s *site) []string { return []string{"/usr/lib/postfix/sbin/master", "-c", s.dir, "-d"} },
		},
		{
			name: "dovecot", ports: map[string]string{"imap": "imap", "imaps": "", "pop3": "pop3", "lmtp": "lmtp", "sieve": "sieve"},
			prepare: func(s *site) {
				s.write("dovecot.conf", `base_dir = %[1]s/run
state_dir = %[1]s/run
log_path = /dev/stderr
listen = 127.0.0.1
protocols = imap pop3 lmtp sieve
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
mail_location = maildir:%[1]s/mail
passdb {
  driver = static
  args = nopassword=y
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[2]d
  }
  inet_listener imaps {
    port = %[3]d
    ssl = yes
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = %[4]d
  }
  inet_listener pop3s {
    port = 0
  }
}
service lmtp {
  inet_listener lmtp {
    port = %[5]d
  }
}
service managesieve-login {
  chroot =
  inet_listener sieve {
    port = %[6]d
  }
}
`, s.dir, s.port["imap"], s.port["imaps"], s.port["pop3"], s.port["lmtp"], s.port["sieve"])
			},
			argv: func(s *site) []string { return []string{"/usr/sbin/dovecot", "-F", "-c", s.path("dovecot.conf")} },
		},
		{
			name: "vsftpd", ports: map[string]string{"ftp": "ftp"},
			prepare: func(s *site) {
				s.write("vsftpd.conf", "listen=YES\nlisten_address=127.0.0.1\nlisten_port=%d\nbackground=NO\nanonymous_enable=YES\nsecure_chroot_dir=%s\nssl_enable=YES\nrsa_cert_file=%s\nrsa_private_key_file=%s\nseccomp_sandbox=NO\nisolate_network=NO\n", s.port["ftp"], s.path("empty"), s.cert(), s.key())
				if err := os.MkdirAll(s.path("empty"), 0o755); err != nil {
					s.t.Fatal(err)
				}
			},
			argv: func(s *site) []string { return []string{"/usr/sbin/vsftpd", s.path("vsftpd.conf")} },
		},
		{
			name: "slapd", ports: map[string]string{"ldap": "ldap"}, user: "openldap",
			prepare: func(s *site) {
				s.write("slapd.conf", "pidfile %[1]s/pid\nTLSCertificateFile %[1]s/cert.pem\nTLSCertificateKeyFile %[1]s/key.pem\ndatabase config\n", s.dir)
			},
			argv: func(s *site) []string {
				return []string{"/usr/sbin/slapd", "-d", "0", "-f", s.path("slapd.conf"), "-h", fmt.Sprintf("ldap://127.0.0.1:%d", s.port["ldap"])}
			},
		},
		{
			name: "postgres", ports: map[string]string{"postgres": "postgres"}, user: "postgres",
			prepare: func(s *site) {
				s.own()
				s.command(postgresProgram(s.t, "initdb"), "-D", s.path("data"), "-A", "trust", "--no-sync")
			},
			argv: func(s *site) []string {
				argv := []string{postgresProgram(s.t, "postgres"), "-D", s.path("data")}
				for _, option := range []string{
					"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.port["postgres"]), "unix_socket_directories=", "fsync=off",
					"ssl=on", "ssl_cert_file=" + s.cert(), "ssl_key_file=" + s.key(),
				} {
					argv = append(argv, "-c", option)
				}
				return argv
			},
		},
		{
			name: "mariadb", ports: map[string]string{"mysql": "mysql"}, user: "mysql",
			prepare: func(s *site) {
				s.own()
				s.command("/usr/bin/mariadb-install-db", "--no-defaults", "--datadir="+s.path("data"), "--auth-root-authentication-method=normal", "--skip-test-db")
			},
			argv: func(s *site) []string {
				return []string{
					"/usr/sbin/mariadbd", "--no-defaults", "--datadir=" + s.path("data"), "--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", s.port["mysql"]),
					"--socket=" + s.path("s"), "--pid-file=" + s.path("pid"), "--ssl-cert=" + s.cert(), "--ssl-key=" + s.key(),
				}
			},
		},
		{
			name: "prosody", ports: map[string]string{"client": "xmpp-client", "server": "xmpp-server"}, user: "prosody",
			prepare: func(s *site) {
				s.write("prosody.cfg.lua", `daemonize = false
pidfile = "%[1]s/pid"
data_path = "%[1]s"
interfaces = { "127.0.0.1" }
c2s_ports = { %[2]d }
s2s_ports = { %[3]d }
modules_enabled = { "saslauth"; "tls"; "dialback"; }
ssl = { certificate = "%[1]s/cert.pem"; key = "%[1]s/key.pem" }
log = { warn = "*console" }
VirtualHost "server.test"
`, s.dir, s.port["client"], s.port["server"])
			},
			argv: func(s *site) []string {
				return []string{"/usr/bin/prosody", "--config", s.path("prosody.cfg.lua"), "-F"}
			},
		},
		{
			name: "nnrpd", ports: map[string]string{"nntp": "nntp"}, user: "news",
			prepare: func(s *site) {
				s.write("inn.conf", `domain: server.test
fromhost: server.test
pathhost: server.test
mta: "/bin/false"
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
pathnews: /usr/lib/news
pathdb: /var/lib/news
pathetc: /etc/news
pathspool: /var/spool/news
pathoverview: %[1]s/overview
pathrun: %[1]s
pathlog: %[1]s
tlscertfile: %[1]s/cert.pem
tlskeyfile: %[1]s/key.pem
`, s.dir)
				s.write("readers.conf", "auth all {\n  auth: \"*\"\n  default: \"<guest>\"\n}\naccess all {\n  users: \"*\"\n  newsgroups: \"*\"\n}\n")
				s.write("overview/none", "")
				s.own()
				s.command("/usr/lib/news/bin/makehistory", "-O", "-x", "-F") // makes an empty overview
			},
			argv: func(s *site) []string {
				return []string{"/usr/lib/news/bin/nnrpd", "-D", "-f", "-c", s.path("readers.conf"), "-4", "127.0.0.1", "-p", strconv.Itoa(s.port["nntp"])}
			},
		},
	}
}

// postgresProgram finds a program of whichever version is installed.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		t.Fatalf("%s is not installed; run test/packages.sh", name)
	}
	return found[len(found)-1]
}
