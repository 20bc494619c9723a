package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A cluster is a throw-away server of PostgreSQL.
type cluster struct {
	*Session
	binary binary
	data   string // its directory
	user   string // its superuser
	output *process
}

// postgresDirs are where packages of PostgreSQL and of the distributions put it.
func postgresDirs() []string {
	return []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/usr/bin", "/usr/local/bin"}
}

// postgres returns the oldest installed PostgreSQL from a major version on, and
// of exactly that one if there must be no other.
func (s *Session) postgres(ctx context.Context, major int, exactly bool) (binary, error) {
	list, err := s.binaries(ctx, "postgres", postgresDirs()...)
	if err != nil {
		return binary{}, err
	}
	for _, b := range list {
		if b.version[0] == major || !exactly && b.version[0] > major {
			return b, nil
		}
	}
	var have []string
	for _, b := range list {
		have = append(have, b.printed)
	}
	switch {
	case len(have) == 0:
		err = errors.New("no server of PostgreSQL is installed here")
	case exactly:
		err = fmt.Errorf("the files are of PostgreSQL %d, and only %s is installed here", major, strings.Join(have, ", "))
	default:
		err = fmt.Errorf("the dump is of PostgreSQL %d, and the newest here is %s", major, have[len(have)-1])
	}
	return binary{}, probes.Because(probes.Unsupported, err)
}

// newest returns the newest installed PostgreSQL, whose pg_restore reads all
// formats.
func (s *Session) newest(ctx context.Context) (binary, error) {
	list, err := s.binaries(ctx, "postgres", postgresDirs()...)
	if err != nil {
		return binary{}, err
	}
	if len(list) == 0 {
		return s.postgres(ctx, 0, false)
	}
	return list[len(list)-1], nil
}

// settings are those of every throw-away cluster: safe from everything but a
// crash, which costs nothing here. Nothing is sent, archived or run. What a
// recovery needs of a restored one is large enough.
const settings = `listen_addresses = ''
unix_socket_directories = '"%s"'
unix_socket_permissions = 0700
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 128MB
archive_mode = off
autovacuum = off
max_connections = 20
max_prepared_transactions = 100
max_parallel_workers = 0
shared_buffers = 32MB
maintenance_work_mem = 64MB
huge_pages = off
%sdynamic_shared_memory_type = mmap
jit = off
log_min_messages = fatal
log_min_error_statement = panic
timezone = 'UTC'
`

// configure writes the settings of a cluster.
func (c *cluster) configure() error {
	memory := ""
	if c.binary.version[0] >= 12 {
		memory = "shared_memory_type = mmap\n"
	}
	text := fmt.Sprintf(settings, strings.ReplaceAll(c.dir, "'", "''"), memory)
	for name, content := range map[string]string{"postgresql.conf": text, "pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""} {
		file := filepath.Join(c.data, name)
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return c.hand(c.data)
}

// blank starts a cluster that holds nothing, of a version that can load a dump
// of another; one that runs already will do if it is new enough.
func (s *Session) blank(ctx context.Context, major int) (*cluster, error) {
	for _, one := range s.loaded {
		if c, ok := one.(*cluster); ok && c.user == superuser && c.binary.version[0] >= major {
			return c, nil
		}
	}
	binary, err := s.postgres(ctx, major, false)
	if err != nil {
		return nil, err
	}
	c := &cluster{Session: s, binary: binary, data: filepath.Join(s.dir, fmt.Sprintf("postgres%d", len(s.loaded))), user: superuser}
	out, err := s.pipe(ctx, nil, nil, "initdb", binary.beside("initdb"), c.data)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		return nil, unavailable("initdb", out)
	}
	if err := c.configure(); err != nil {
		return nil, err
	}
	return c, c.start(ctx)
}

// unavailable is the error of a program that could not do its work here, which
// says nothing of the backup.
func unavailable(name string, out probes.Output) error {
	text := strings.Join(strings.Fields(string(out.Stderr)), " ")
	if strings.Contains(text, "No space left on device") {
		return tooLarge("%s has no space left: %.200s", name, text)
	}
	return probes.Because(probes.Unavailable, fmt.Errorf("%s failed: %.300s", name, text))
}

// start starts the server and waits until it answers.
func (c *cluster) start(ctx context.Context) error {
	c.output = c.serve("postgres", c.binary.path, c.data)
	if !slices.Contains(c.loaded, server(c)) {
		c.loaded = append(c.loaded, c) // so that it is ended in any case
	}
	ready := func() bool { return c.status() == "ready" }
	if err := c.output.await(ctx, ready); err != nil || ready() {
		return err
	}
	return c.refused(c.output.result())
}

// status is the last line that the server keeps in the file with its number.
func (c *cluster) status() string {
	text, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	lines := strings.Split(string(text), "\n")
	if err != nil || len(lines) < 8 {
		return ""
	}
	return strings.TrimSpace(lines[7])
}

// stop ends the server with all its processes.
func (c *cluster) stop() {
	if c.output == nil {
		return
	}
	if !c.output.ended() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		// When that fails, the server is killed, and its processes end when they notice.
		_, _ = c.pipe(ctx, nil, nil, "pg_ctl-stop", c.binary.beside("pg_ctl"), c.data)
	}
	c.output.kill()
}

// psql runs commands and returns what was printed.
func (c *cluster) psql(ctx context.Context, database string, in io.Reader, out io.Writer) (probes.Output, error) {
	return c.pipe(ctx, in, out, "psql", c.binary.beside("psql"), c.dir, c.user, database)
}

// query implements server.
func (c *cluster) query(ctx context.Context, database, text string) (string, error) {
	if database == "" {
		database = "postgres"
	}
	printed := &beginning{}
	out, err := c.psql(ctx, database, strings.NewReader(text), printed)
	if err != nil {
		return "", err
	}
	if errs := parsePgErrors(out.Stderr); len(errs) > 0 || out.ExitCode != 0 {
		return "", answerOf(errs, out)
	}
	return printed.text(), nil
}

// databases implements server.
func (c *cluster) databases(ctx context.Context) ([]string, error) {
	text, err := c.query(ctx, "postgres", "select datname from pg_catalog.pg_database where datallowconn and not datistemplate order by 1")
	if err != nil {
		return nil, err
	}
	list := strings.Split(text, "\n")
	if len(list) > 1 {
		list = slices.DeleteFunc(list, func(name string) bool { return name == "postgres" })
	}
	return list, nil
}

// beginning keeps the beginning of what is written.
type beginning struct{ kept bytes.Buffer }

// maxAnswer bounds the answer to a query.
const maxAnswer = 64 << 10

func (b *beginning) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), maxAnswer-b.kept.Len())])
	return len(p), nil
}

func (b *beginning) text() string { return strings.TrimRight(b.kept.String(), "\n") }

// refused says why a server did not start.
func (c *cluster) refused(out probes.Output, err error) error {
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(out.Stderr))
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) })
	}
	short := lastFatal(text)
	switch {
	case has("No space left on device"):
		return tooLarge("PostgreSQL has no space left: %.200s", short)
	case c.user == superuser:
		return unavailable("postgres", out) // it is not of a backup
	case has("WAL ends before end of online backup", "WAL ends before consistent recovery point", "could not locate required checkpoint record", "could not find redo location"):
		return job.Flawed(job.Incomplete, "PostgreSQL cannot recover the backup, whose log is not complete: %.200s", short)
	case has("could not access file", "could not load library"):
		return probes.Because(probes.Unsupported, fmt.Errorf("PostgreSQL lacks a library here: %.200s", short))
	case has("out of memory", "Cannot allocate memory", "could not map anonymous shared memory", "could not create shared memory"):
		return unavailable("postgres", out)
	case has("database files are incompatible with server"):
		return probes.Because(probes.Unsupported, fmt.Errorf("PostgreSQL was built otherwise than that of the backup: %.200s", short))
	case has("No such file or directory", "is not a valid data directory", "is missing"):
		return job.Flawed(job.Incomplete, "PostgreSQL cannot start what was restored: %.200s", short)
	}
	return job.Flawed(job.Damaged, "PostgreSQL cannot start what was restored: %.200s", short)
}

// lastFatal returns the last line of a log that says why the server ended.
func lastFatal(log string) string {
	lines := strings.Split(log, "\n")
	for _, word := range []string{"PANIC:", "FATAL:", ""} {
		for _, line := range slices.Backward(lines) {
			if at := strings.Index(line, word); at >= 0 && !strings.Contains(line, "terminating") && !strings.Contains(line, "the database system is") {
				return strings.TrimSpace(line[at+len(word):])
			}
		}
	}
	return log
}
