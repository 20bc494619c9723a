package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// bring brings a restored file to the servers, which may change it. It has two
// names then, and costs no space.
func (s *Session) bring(path string) (string, error) {
	name := filepath.Join(s.dir, fmt.Sprintf("%d-%s", len(s.loaded), databaseName(path)))
	if err := os.Link(path, name); err != nil {
		return "", err
	}
	return name, s.hand(name)
}

// A sqlite is a database of SQLite, which needs no server.
type sqlite struct {
	*Session
	binary binary
	file   string
	name   string
}

func (s *Session) sqlite(ctx context.Context, path, file string) (*sqlite, error) {
	list, err := s.binaries(ctx, "sqlite3", "/usr/bin", "/usr/local/bin")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, probes.Because(probes.Unsupported, errors.New("sqlite3 is not installed here"))
	}
	return &sqlite{Session: s, binary: list[len(list)-1], file: file, name: databaseName(path)}, nil
}

// loadSQLite opens a database.
func (s *Session) loadSQLite(ctx context.Context, path string) error {
	file, err := s.bring(path)
	if err != nil {
		return err
	}
	q, err := s.sqlite(ctx, path, file)
	if err != nil {
		return err
	}
	return q.check(ctx)
}

// loadSQLiteDump loads a dump into a new database.
func (s *Session) loadSQLiteDump(ctx context.Context, path string) error {
	q, err := s.sqlite(ctx, path, filepath.Join(s.dir, fmt.Sprintf("%d-%s.db", len(s.loaded), databaseName(path))))
	if err != nil {
		return err
	}
	dump, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dump.Close()
	if _, err := q.run(ctx, dump, job.Damaged); err != nil {
		return err
	}
	return q.check(ctx)
}

// check lets SQLite compare all that is in the database: by the text of the
// answer, because the status is 0 even for some damage.
func (q *sqlite) check(ctx context.Context) error {
	answer, err := q.run(ctx, strings.NewReader("PRAGMA integrity_check(20);\n"), job.Damaged)
	if err != nil {
		return err
	}
	if answer != "ok" {
		return job.Flawed(job.Damaged, "SQLite finds the database damaged: %.200s", answer)
	}
	q.loaded = append(q.loaded, q)
	q.judged(q.binary.tool("SQLite"))
	return nil
}

// run runs commands. That SQLite refuses them is a flaw of a kind.
func (q *sqlite) run(ctx context.Context, in io.Reader, refusal job.FlawReason) (string, error) {
	printed := &beginning{}
	out, err := q.pipe(ctx, in, printed, "sqlite3", q.binary.path, q.file)
	text := strings.Join(strings.Fields(string(out.Stderr)), " ")
	switch {
	case err != nil:
		return "", err
	case strings.Contains(text, "database or disk is full"):
		return "", tooLarge("SQLite has no space left: %.200s", text)
	case strings.Contains(text, "unsupported file format"), strings.Contains(text, "no such module"), strings.Contains(text, "no such collation"):
		return "", probes.Because(probes.Unsupported, fmt.Errorf("SQLite: %.200s", text))
	case refusal == job.Unasserted && strings.Contains(text, "syntax error"):
		return "", probes.Because(probes.Malformed, fmt.Errorf("SQLite: %.200s", text))
	case out.ExitCode != 0 || text != "":
		return "", job.Flawed(refusal, "SQLite refuses: %.200s", text)
	}
	return printed.text(), nil
}

// query implements server.
func (q *sqlite) query(ctx context.Context, _, text string) (string, error) {
	return q.run(ctx, strings.NewReader(strings.TrimRight(text, "; \n")+";\n"), job.Unasserted)
}

// databases implements server.
func (q *sqlite) databases(context.Context) ([]string, error) { return []string{q.name}, nil }

func (q *sqlite) stop() {}

// A redis is a throw-away server of Redis.
type redis struct {
	*Session
	binary binary
	socket string
	name   string
	output *process
}

// loadRedis starts a server on a dump.
func (s *Session) loadRedis(ctx context.Context, path string) error {
	list, err := s.binaries(ctx, "redis-server", "/usr/bin", "/usr/local/bin")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return probes.Because(probes.Unsupported, errors.New("redis-server is not installed here"))
	}
	file, err := s.bring(path)
	if err != nil {
		return err
	}
	r := &redis{Session: s, binary: list[len(list)-1], socket: file + ".sock", name: databaseName(path)}
	r.output = s.serve("redis-server", r.binary.path, r.socket, filepath.Base(file))
	s.loaded = append(s.loaded, r)
	loading := true
	ready := func() bool {
		if !s.answers(ctx, r.socket) {
			return false
		}
		answer, err := r.ask(ctx, "PING")
		loading = err != nil || answer != "PONG"
		return !loading
	}
	if err := r.output.await(ctx, ready); err != nil {
		return err
	}
	if loading {
		return r.refused()
	}
	s.judged(r.binary.tool("Redis"))
	return nil
}

// refused says why the server ended.
func (r *redis) refused() error {
	out, err := r.output.result()
	log := string(out.Stdout)
	has := func(word string) bool { return strings.Contains(log, word) }
	switch {
	case has("Can't handle RDB format version"), has("no matching module"):
		return probes.Because(probes.Unsupported, fmt.Errorf("the dump cannot be read by Redis %s: %.200s", r.binary.printed, lastLine(log)))
	case has("Out Of Memory"):
		return tooLarge("Redis needs more memory for the dump than it may have: see restore.memory")
	case err != nil:
		return err
	case has("Fatal error loading the DB"), has("Wrong signature"), has("Short read"), has("Wrong RDB checksum"), has("Internal error in RDB"):
		return job.Flawed(job.Damaged, "Redis cannot load the dump: %.200s", lastLine(log))
	}
	out.Stderr = append(out.Stderr, lastLine(log)...)
	return unavailable("redis-server", out)
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

func (r *redis) ask(ctx context.Context, command string) (string, error) {
	printed := &beginning{}
	out, err := r.pipe(ctx, strings.NewReader(command+"\n"), printed, "redis-cli", "/usr/bin/redis-cli", r.socket)
	if err == nil && out.ExitCode != 0 {
		err = unavailable("redis-cli", out)
	}
	return printed.text(), err
}

// query implements server.
func (r *redis) query(ctx context.Context, database, text string) (string, error) {
	answer, err := r.ask(ctx, text)
	switch {
	case err != nil:
		return "", err
	case strings.HasPrefix(answer, "ERR "), strings.HasPrefix(answer, "WRONGTYPE "), strings.HasPrefix(answer, "(error)"):
		return "", probes.Because(probes.Malformed, fmt.Errorf("the answer of Redis is %.200q", answer))
	}
	return answer, nil
}

// databases implements server.
func (r *redis) databases(context.Context) ([]string, error) { return []string{r.name}, nil }

func (r *redis) stop() { r.output.kill() }
