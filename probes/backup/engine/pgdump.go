package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
)

// A script is what the commands of pg_dump or pg_dumpall say of themselves.
type script struct {
	major    int      // of the server that was dumped; 0: not told
	roles    []string // that own something, or have a right, as they are written
	encoding string   // of its data
	rows     int64    // that it copies
	copies   int64    // tables that it copies rows to
	connects bool     // that it makes databases of its own
}

var (
	dumpedFrom = regexp.MustCompile(`^-- Dumped from database version ([0-9]+)`)
	encodingOf = regexp.MustCompile(`^SET client_encoding = '([A-Za-z0-9_]+)';`)
	// An identifier as pg_dump writes it.
	roleOf = regexp.MustCompile(`(?: OWNER TO | FOR ROLE |^SET SESSION AUTHORIZATION |^GRANT .* TO |^REVOKE .* FROM |^CREATE POLICY .* TO )("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)`)
	copied = regexp.MustCompile(`^COPY .* FROM stdin;\s*$`)
)

// maxRoles bounds how many roles are made for a dump.
const maxRoles = 1000

// parseScript reads the commands of a dump, and looks into no row of data.
func parseScript(r io.Reader) (script, error) {
	var (
		s       script
		copying bool
		roles   = map[string]bool{}
	)
	_, err := content.Scan(bufio.NewReaderSize(r, 256<<10), func(line []byte) {
		switch {
		case copying && bytes.HasPrefix(line, []byte(`\.`)):
			copying = false
		case copying:
			s.rows++
		case bytes.HasPrefix(line, []byte("COPY ")) && copied.Match(line):
			copying = true
			s.copies++
		default:
			s.command(line, roles)
		}
	})
	return s, err
}

// opened opens the commands of a dump, and lets parse read what they say of
// themselves; the file is at its beginning then, and must be closed.
func opened[T any](path string, parse func(io.Reader) (T, error)) (file *os.File, what T, err error) {
	if file, err = os.Open(path); err != nil {
		return nil, what, err
	}
	if what, err = parse(file); err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = file.Close()
	}
	return file, what, err
}

func (s *script) command(line []byte, roles map[string]bool) {
	if match := dumpedFrom.FindSubmatch(line); match != nil {
		if major, err := strconv.Atoi(string(match[1])); err == nil {
			s.major = max(s.major, major)
		}
	}
	if bytes.HasPrefix(line, []byte(`\connect `)) {
		s.connects = true
	}
	if match := encodingOf.FindSubmatch(line); match != nil {
		s.encoding = string(match[1])
	}
	if match := roleOf.FindSubmatch(line); match != nil && len(roles) < maxRoles {
		if role := string(match[1]); !roles[role] && !strings.EqualFold(role, "public") && !strings.HasPrefix(role, "pg_") {
			roles[role] = true
			s.roles = append(s.roles, role)
		}
	}
}

// loadPgDump loads a dump, in whatever format it is.
func (s *Session) loadPgDump(ctx context.Context, path string) error {
	plain, err := s.plain(ctx, path)
	if err != nil {
		return err
	}
	file, what, err := opened(plain, parseScript)
	if err != nil {
		return err
	}
	defer file.Close()
	c, err := s.blank(ctx, what.major)
	if err != nil {
		return err
	}
	database, err := c.prepare(ctx, path, what)
	if err != nil {
		return err
	}
	tags := &tags{}
	out, err := c.psql(ctx, database, file, tags)
	if err != nil {
		return err
	}
	errs := parsePgErrors(out.Stderr)
	notes, err := judgePgErrors(errs)
	if err == nil && out.ExitCode != 0 && len(errs) == 0 {
		err = unavailable("psql", out)
	}
	for _, note := range notes {
		s.note("%s: %s", filepath.Base(path), note)
	}
	if err == nil && tags.rows != what.rows {
		err = job.Flawed(job.Damaged, "PostgreSQL has taken %d of the %d rows of the dump", tags.rows, what.rows)
	}
	if err == nil {
		s.judged(c.binary.tool("PostgreSQL"))
		s.note("PostgreSQL has loaded %d rows into %d tables of %s", tags.rows, what.copies, filepath.Base(path))
	}
	return err
}

// plain returns the path of the commands of a dump: pg_restore makes them of
// one in another format.
func (s *Session) plain(ctx context.Context, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		head := make([]byte, 8)
		if _, err := io.ReadFull(file, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return "", err
		}
		if string(head[:5]) != "PGDMP" && string(head) != "toc.dat\x00" {
			return path, nil
		}
	}
	binary, err := s.newest(ctx)
	if err != nil {
		return "", err
	}
	plain := filepath.Join(s.dir, fmt.Sprintf("script%d.sql", len(s.loaded)))
	file, err := os.OpenFile(plain, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close()
	out, err := s.host.Pipes.Pipe(ctx, nil, file, "engine-pg_restore-script", binary.beside("pg_restore"), path)
	err = missing(out, err, binary.beside("pg_restore"))
	switch {
	case err != nil:
		return "", err
	case strings.Contains(string(out.Stderr), "unsupported version"):
		return "", probes.Because(probes.Unsupported, fmt.Errorf("pg_restore %s: %.200s", binary.printed, out.Stderr))
	case out.ExitCode != 0:
		return "", job.Flawed(job.Damaged, "pg_restore: %.200s", out.Stderr)
	}
	return plain, nil
}

// prepare makes what a dump takes for granted: the roles that it names, and,
// unless it makes its own, a database of its encoding that is named like it.
func (c *cluster) prepare(ctx context.Context, path string, what script) (string, error) {
	database := databaseName(path)
	var commands strings.Builder
	commands.WriteString("SET client_min_messages = error;\n")
	for _, role := range what.roles {
		fmt.Fprintf(&commands, "CREATE ROLE %s;\n", role)
	}
	encoding := what.encoding
	if encoding == "" {
		encoding = "UTF8"
	}
	if what.connects {
		database = "postgres"
	} else {
		fmt.Fprintf(&commands, "DROP DATABASE IF EXISTS %[1]q;\nCREATE DATABASE %[1]q TEMPLATE template0 ENCODING '%[2]s' LC_COLLATE 'C' LC_CTYPE 'C';\n", database, encoding)
	}
	out, err := c.psql(ctx, "template1", strings.NewReader(commands.String()), nil)
	if err != nil {
		return "", err
	}
	errs := slices.DeleteFunc(parsePgErrors(out.Stderr), func(e pgError) bool { return strings.HasPrefix(e.statement, "CREATE ROLE ") })
	if len(errs) > 0 || out.ExitCode != 0 {
		return "", unavailable("psql", out)
	}
	return database, nil
}

// tags counts the rows in what psql prints of COPY.
type tags struct {
	rest []byte
	rows int64
}

var copyTag = regexp.MustCompile(`^COPY ([0-9]+)$`)

// Write takes a part of what is printed.
func (t *tags) Write(b []byte) (int, error) {
	t.rest = append(t.rest, b...)
	for {
		line, after, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			break
		}
		if match := copyTag.FindSubmatch(line); match != nil {
			if n, err := strconv.ParseInt(string(match[1]), 10, 64); err == nil {
				t.rows += n
			}
		}
		t.rest = after
	}
	t.rest = bytes.Clone(t.rest[max(0, len(t.rest)-100):])
	return len(b), nil
}
