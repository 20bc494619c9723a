//go:build live

// Package s3test runs a real server of S3 for live tests: versitygw, which keeps
// objects as files, so that a test can spoil them behind its back.
package s3test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The keys of the account that may do everything.
const (
	AccessKey = "live-test-access"
	SecretKey = "live-test-secret"
)

// Region is that of every bucket.
const Region = "us-east-1"

// A Server is one that runs until the end of its test.
type Server struct {
	Address string // host:port on loopback; without TLS
	Store   string // directory with a directory for each bucket, and in it a file for each object
	process *os.Process
}

// Start starts a server with no bucket.
func Start(t *testing.T) *Server {
	t.Helper()
	return start(t)
}

// A SecureServer is one with TLS.
type SecureServer struct {
	*Server
	CAFile string // with the certificate that it is trusted by
}

// StartTLS starts a server that proves who it is with a certificate that nobody
// else knows.
func StartTLS(t *testing.T) SecureServer {
	t.Helper()
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	command := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
		"-keyout", key, "-out", certificate, "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return SecureServer{Server: start(t, "--cert", certificate, "--key", key), CAFile: certificate}
}

// Account makes an account that has no right on any bucket.
func (s *Server) Account(t *testing.T, access, secret string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program(t), "admin", "--endpoint-url", "http://"+s.Address,
		"create-user", "--access", access, "--secret", secret, "--role", "user")
	command.Env = append(os.Environ(), "ADMIN_ACCESS_KEY_ID="+AccessKey, "ADMIN_SECRET_ACCESS_KEY="+SecretKey)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func start(t *testing.T, arguments ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Address: freeAddress(t), Store: filepath.Join(dir, "store")}
	for _, sub := range []string{"store", "versions", "accounts"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	arguments = append(arguments, "--quiet", "--port", s.Address, "--region", Region, "--iam-dir", filepath.Join(dir, "accounts"),
		"posix", "--versioning-dir", filepath.Join(dir, "versions"), s.Store)
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program(t), arguments...)
	command.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	command.Dir = dir
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = command.Process
	t.Cleanup(func() {
		s.Resume()
		_ = s.process.Kill()
		_ = command.Wait()
	})
	s.await(t)
	return s
}

// Pause lets the server answer nothing until Resume.
func (s *Server) Pause() { _ = s.process.Signal(syscall.SIGSTOP) }

// Resume ends a pause.
func (s *Server) Resume() { _ = s.process.Signal(syscall.SIGCONT) }

// Object returns the file that holds the newest version of an object.
func (s *Server) Object(bucket, key string) string { return filepath.Join(s.Store, bucket, key) }

func (s *Server) await(t *testing.T) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address)
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-deadline:
			t.Fatalf("the server does not listen: %v", err)
		case <-ticker.C:
		}
	}
}

func program(t *testing.T) string {
	t.Helper()
	const name = "versitygw"
	if dir := os.Getenv("HYGIENE_TOOLS"); dir != "" {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal("versitygw is not there; make tools builds it")
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
