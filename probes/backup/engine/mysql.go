package engine

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
)

// A dialect is one of the two systems that grew out of MySQL.
type dialect struct {
	name    string // as its makers write it
	server  string // the program
	client  string // the program that talks to it
	entry   string // what makes the directory of a server
	install string // with which program; empty: the server itself
}

func mariaDB() dialect {
	return dialect{"MariaDB", "mariadbd", "/usr/bin/mariadb", "mariadb-install-db", "/usr/bin/mariadb-install-db"}
}

func mySQL() dialect { return dialect{"MySQL", "mysqld", "/usr/bin/mysql", "mysqld-initialize", ""} }

// A mysql is a throw-away server of a dialect.
type mysql struct {
	*Session
	dialect dialect
	binary  binary
	client  string // the program that talks to it
	data    string
	socket  string
	output  *process
}

// mysql returns a server of the first dialect that is installed. It holds nothing
// when it is started, which is done once.
func (s *Session) mysql(ctx context.Context, dialects ...dialect) (*mysql, error) {
	for _, d := range dialects {
		for _, one := range s.loaded {
			if m, ok := one.(*mysql); ok && m.dialect == d {
				return m, nil
			}
		}
		list, err := s.mysqlBinaries(ctx, d)
		if err != nil {
			return nil, err
		}
		if len(list) > 0 {
			return s.newMySQL(ctx, d, list[len(list)-1])
		}
	}
	return nil, probes.Because(probes.Unsupported, errors.New("no server of MariaDB or MySQL is installed here"))
}

// mysqlBinaries returns the servers of a dialect. MariaDB goes by the name of MySQL
// too, and tells it by its version: "mariadbd  Ver 10.11.19-MariaDB".
func (s *Session) mysqlBinaries(ctx context.Context, d dialect) ([]binary, error) {
	list, err := s.binaries(ctx, d.server, "/usr/sbin", "/usr/libexec", "/usr/bin", "/usr/local/bin", "/usr/local/mysql/bin")
	list = slices.DeleteFunc(list, func(b binary) bool { return strings.Contains(b.text, "MariaDB") != (d == mariaDB()) })
	for i, b := range list {
		if _, after, ok := strings.Cut(b.text, "Ver "); ok {
			list[i].version, list[i].printed = parseVersion(after)
		}
	}
	return list, err
}

func (s *Session) newMySQL(ctx context.Context, d dialect, b binary) (*mysql, error) {
	m := &mysql{
		Session: s, dialect: d, binary: b, client: d.client,
		data: filepath.Join(s.dir, d.server), socket: filepath.Join(s.dir, d.server+".sock"),
	}
	if beside := b.beside(filepath.Base(d.client)); s.there(beside) {
		m.client = beside
	}
	printed := &beginning{}
	out, err := s.pipe(ctx, nil, printed, d.entry, cmp.Or(d.install, b.path), m.data)
	if err != nil {
		return nil, err
	}
	if out.ExitCode != 0 {
		out.Stderr = append(out.Stderr, printed.kept.Bytes()...)
		return nil, unavailable("what makes a server of "+d.name, out)
	}
	return m, m.start(ctx, "mysqld")
}

func (s *Session) there(program string) bool {
	info, err := s.host.Files.Stat(program)
	return err == nil && info.Mode().IsRegular()
}

// start starts the server and waits until it answers.
func (m *mysql) start(ctx context.Context, entry string) error {
	m.output = m.serve(entry, m.binary.path, m.data, m.socket)
	if !slices.Contains(m.loaded, server(m)) {
		m.loaded = append(m.loaded, m)
	}
	ready := func() bool { return m.answers(ctx, m.socket) }
	if err := m.output.await(ctx, ready); err != nil {
		return err
	}
	if m.output.ended() {
		out, err := m.output.result()
		if err != nil {
			return err
		}
		return unavailable(m.dialect.server, out)
	}
	return nil
}

// answers reports whether somebody listens on a socket.
func (s *Session) answers(ctx context.Context, socket string) bool {
	conn, err := s.host.Dial(ctx, "unix", socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// stop ends the server. It is one process, and what it leaves behind is worth
// nothing.
func (m *mysql) stop() { m.output.kill() }

// talk runs statements and returns what was printed.
func (m *mysql) talk(ctx context.Context, database string, in io.Reader, out io.Writer) (probes.Output, error) {
	return m.pipe(ctx, in, out, "mysql", m.client, m.socket, cmp.Or(database, "information_schema"))
}

// query implements server.
func (m *mysql) query(ctx context.Context, database, text string) (string, error) {
	printed := &beginning{}
	out, err := m.talk(ctx, database, strings.NewReader(text), printed)
	switch {
	case err != nil:
		return "", err
	case out.ExitCode == 0:
		return strings.ReplaceAll(printed.text(), "\t", "|"), nil
	}
	e := parseMySQLError(out.Stderr)
	switch {
	case e.number == "1064":
		return "", probes.Because(probes.Malformed, errors.New(e.text))
	case e.weigh() >= failing:
		return "", probes.Because(probes.Unavailable, errors.New(e.text))
	}
	return "", job.Flawed(job.Unasserted, "%.200s", e.text)
}

// databases implements server.
func (m *mysql) databases(ctx context.Context) ([]string, error) {
	text, err := m.query(ctx, "", "select schema_name from schemata where schema_name not in ('mysql', 'sys', 'information_schema', 'performance_schema') order by 1")
	if err != nil || text == "" {
		return nil, err
	}
	return strings.Split(text, "\n"), nil
}

// A mysqlScript is what a dump of mysqldump or mariadb-dump says of itself.
type mysqlScript struct {
	mysql   bool  // it was written by MySQL
	version []int // of the server that was dumped
	printed string
	uses    bool // it makes databases of its own
	system  bool // it brings the accounts of the server
	tables  int
}

var mysqlServer = regexp.MustCompile(`^-- Server version\s+([0-9][^ \n]*)`)

// parseMySQLScript reads the beginnings of the lines of a dump.
func parseMySQLScript(r io.Reader) (mysqlScript, error) {
	var s mysqlScript
	_, err := content.Scan(bufio.NewReaderSize(r, 64<<10), func(line []byte) {
		switch {
		case bytes.HasPrefix(line, []byte("-- MySQL dump ")):
			s.mysql = true
		case bytes.HasPrefix(line, []byte("USE `")):
			s.uses = true
			s.system = s.system || bytes.HasPrefix(line, []byte("USE `mysql`"))
		case bytes.HasPrefix(line, []byte("CREATE TABLE ")):
			s.tables++
		case s.version == nil:
			if match := mysqlServer.FindSubmatch(line); match != nil {
				s.version, s.printed = parseVersion(string(match[1]))
				s.mysql = s.mysql && !bytes.Contains(match[1], []byte("MariaDB"))
			}
		}
	})
	return s, err
}

// loadMySQLDump loads a dump of MariaDB or MySQL: into a server of the same, if one
// is installed.
func (s *Session) loadMySQLDump(ctx context.Context, path string) error {
	file, what, err := opened(path, parseMySQLScript)
	if err != nil {
		return err
	}
	defer file.Close()
	dialects := []dialect{mariaDB(), mySQL()}
	if what.mysql {
		slices.Reverse(dialects)
	}
	m, err := s.mysql(ctx, dialects...)
	if err != nil {
		return err
	}
	foreign := m.dialect != dialects[0]
	if !foreign && slices.Compare(release(what.version), release(m.binary.version)) > 0 {
		return probes.Because(probes.Unsupported, fmt.Errorf("the dump is of %s %s, and the server here is %s", m.dialect.name, what.printed, m.binary.printed))
	}
	database := ""
	if !what.uses {
		database = databaseName(path)
		made := fmt.Sprintf("drop database if exists `%[1]s`; create database `%[1]s`", database)
		if _, err := m.query(ctx, "", made); err != nil {
			return probes.Because(probes.Unavailable, err)
		}
	}
	var in io.Reader = file
	if what.system {
		in = io.MultiReader(file, strings.NewReader("\nSHUTDOWN;\n"))
	}
	out, err := m.talk(ctx, database, in, nil)
	if err != nil {
		return err
	}
	if out.ExitCode != 0 {
		return parseMySQLError(out.Stderr).judge(m.dialect.name, foreign)
	}
	if what.system {
		if err := m.reopen(ctx); err != nil {
			return err
		}
	}
	s.judged(m.binary.tool(m.dialect.name))
	s.note("%s has loaded %d tables of %s", m.dialect.name, what.tables, filepath.Base(path))
	return nil
}

// release is the part of a version within which dumps can be loaded both ways.
func release(version []int) []int { return version[:min(len(version), 2)] }

// reopen starts the server anew without passwords, after a dump of all databases
// has brought those of the server that was backed up, and ended it.
func (m *mysql) reopen(ctx context.Context) error {
	select {
	case <-m.output.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return m.start(ctx, "mysqld-open")
}

// A mysqlError is an error that the client prints.
type mysqlError struct{ number, text string }

var mysqlErrorForm = regexp.MustCompile(`(?m)^.*ERROR ([0-9]+) \(\w+\)(?: at line [0-9]+)?(?: in file: .*?)?: (.*)$`)

func parseMySQLError(stderr []byte) mysqlError {
	if match := mysqlErrorForm.FindSubmatch(stderr); match != nil {
		return mysqlError{string(match[1]), string(match[2])}
	}
	return mysqlError{text: strings.Join(strings.Fields(string(stderr)), " ")}
}

// weigh says what an error of loading means: that the server lacks something
// which is a part of it elsewhere says nothing of the dump.
func (e mysqlError) weigh() weight {
	switch e.number {
	case "1021", "1114", "3", "28":
		return full
	case "2002", "2006", "2013", "1037", "1038", "1041", "1053", "1135", "5":
		return failing
	case "1115", "1273", "1286", "1524", "1126", "1127", "1128", "1193", "1305", "4161":
		return lacking // character set, collation, storage engine, plugin, library, variable, function, data type
	}
	// InnoDB says of a temporary file only that it could not be written.
	for _, sign := range []string{"Errcode: 28", "No space left on device", "Temp file write failure"} {
		if strings.Contains(e.text, sign) {
			return full
		}
	}
	return broken
}

// judge says what an error means that ended the loading of a dump by a server of that
// name. A server of the other dialect is not the right judge.
func (e mysqlError) judge(name string, foreign bool) error {
	switch w := e.weigh(); {
	case w == full:
		return tooLarge("%s has no space left for the dump: %.200s", name, e.text)
	case w == failing:
		return probes.Because(probes.Unavailable, fmt.Errorf("%s failed while it loaded the dump: %.200s", name, e.text))
	case w == lacking:
		return probes.Because(probes.Unsupported, fmt.Errorf("%s lacks something here that the dump needs: %.200s", name, e.text))
	case foreign:
		return probes.Because(probes.Unsupported, fmt.Errorf("%s cannot load the dump, which is of another system: %.200s", name, e.text))
	}
	return job.Flawed(job.Damaged, "%s cannot load the dump: %.300s", name, e.text)
}
