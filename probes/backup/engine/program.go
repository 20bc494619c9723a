package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Objects of the commands: paths in the scratch directory, and programs where
// packages put them.
var (
	inside   = regexp.MustCompile(`/[^\x00\n]*`)
	programs = regexp.MustCompile(`/usr/(lib/postgresql/[0-9.]+/|pgsql-[0-9.]+/|local/pgsql/|local/|local/mysql/)?(bin|sbin|libexec)/[a-z0-9_-]+`)
	word     = regexp.MustCompile(`[^-=/\x00\n][^=/\x00\n]*`) // no address of a server
	number   = regexp.MustCompile(`[0-9]+`)
)

// superuser is the owner of a throw-away cluster: a name that no dump makes.
const superuser = "hygiene_exporter_engine"

// Commands lists what a session may run: servers and their clients, in the
// scratch directory, without any right.
func Commands() []probes.Command {
	one, two, three := []*regexp.Regexp{inside}, []*regexp.Regexp{inside, inside}, []*regexp.Regexp{inside, word, word}
	return slices.Concat(
		confined("initdb", "Makes a throw-away cluster of PostgreSQL in the scratch directory.", one,
			"-D", "{3}", "-U", superuser, "-A", "trust", "-N", "-E", "UTF8", "--locale=C"),
		confined("postgres", "Serves a throw-away cluster, on a socket in the scratch directory only.", one, "-D", "{3}"),
		confined("postgres-single", "Asks a restored cluster who its superuser is.", one, "--single", "-D", "{3}", "template1"),
		confined("pg_ctl-stop", "Ends a throw-away cluster.", one, "-D", "{3}", "-m", "immediate", "-w", "-t", "20", "stop"),
		confined("psql", "Loads a dump into a throw-away cluster, or asks it something.", three,
			"-X", "-A", "-t", "-b", "-v", "VERBOSITY=verbose", "-h", "{3}", "-U", "{4}", "-d", "{5}"),
		confined("mariadb-install-db", "Makes a throw-away server of MariaDB in the scratch directory.", one,
			"--no-defaults", "--datadir={3}", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
		confined("mysqld-initialize", "Makes a throw-away server of MySQL in the scratch directory.", one,
			"--no-defaults", "--initialize-insecure", "--datadir={3}", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"),
		confined("mysqld", "Serves either, on a socket in the scratch directory only.", two, mysqld()...),
		confined("mysqld-open", "The same without passwords, after a dump has brought those of another server.", two, append(mysqld(), "--skip-grant-tables")...),
		confined("mysql", "Loads a dump into a throw-away server of MariaDB or MySQL, or asks it something.", []*regexp.Regexp{inside, word},
			"--no-defaults", "--socket={3}", "--user=root", "--batch", "--skip-column-names", "--binary-mode", "--loose-skip-print-query-on-error", "--max-allowed-packet=1G", "--default-character-set=utf8mb4", "{4}"),
		confined("sqlite3", "Loads a dump into an SQLite database in the scratch directory, or asks one something.", one,
			"-init", "/dev/null", "-batch", "-bail", "{3}"),
		confined("redis-server", "Serves a dump of Redis, on a socket in the scratch directory only.", []*regexp.Regexp{inside, word},
			"--port", "0", "--unixsocket", "{3}", "--dir", "{0}", "--dbfilename", "{4}", "--save", "", "--appendonly", "no"),
		confined("redis-cli", "Asks it something.", one, "-s", "{3}"),
		[]probes.Command{
			{Entry: "engine-version", Argv: []string{"env", "{0}", "--version"}, Objects: []*regexp.Regexp{programs}, Help: "The version of an engine."},
			{Entry: "engine-pg_restore-script", Argv: []string{"env", "{0}", "-f", "-", "{1}"}, Objects: []*regexp.Regexp{programs, inside}, Help: "Turns a dump of PostgreSQL into the commands that load it."},
		},
	)
}

// mysqld are the arguments of a throw-away server of MariaDB or MySQL.
func mysqld() []string {
	return []string{
		"--no-defaults", "--datadir={3}", "--socket={4}", "--skip-networking", "--pid-file={4}.pid", "--skip-log-bin",
		"--event-scheduler=OFF", "--local-infile=0", "--secure-file-priv={3}", "--max-allowed-packet=1G", "--character-set-server=utf8mb4",
		"--innodb-buffer-pool-size=64M", "--loose-innodb-buffer-pool-size-max=64M", "--innodb-flush-log-at-trx-commit=0",
		"--innodb-doublewrite=0", "--innodb-fast-shutdown=1", "--skip-name-resolve",
		"--loose-mysqlx=OFF", "--loose-performance-schema=OFF",
	}
}

// confined declares a program twice: to be run as the agent's user, without the
// capabilities of the agent, and, for root, as another user. The objects of both
// begin with the working directory, the limit of memory in bytes, and the
// program itself; those of the second end with user and group.
func confined(entry, help string, objects []*regexp.Regexp, argv ...string) []probes.Command {
	all := append([]*regexp.Regexp{inside, number, programs}, objects...)
	run := append([]string{
		"prlimit", "--data={1}", "--core=0",
		"env", "-C", "{0}", "HOME={0}", "TMPDIR={0}", "{2}",
	}, argv...)
	as, group := fmt.Sprintf("{%d}", len(all)), fmt.Sprintf("{%d}", len(all)+1)
	return []probes.Command{{
		Entry: "engine-" + entry, Help: help, Objects: all,
		Argv: append([]string{"setpriv", "--no-new-privs", "--ambient-caps=-all", "--pdeathsig=QUIT"}, run...),
	}, {
		Entry: "engine-" + entry + "-as", Help: "The same, where the agent is root.", Objects: append(slices.Clone(all), number, number),
		Argv: append([]string{"setpriv", "--no-new-privs", "--reuid=" + as, "--regid=" + group, "--clear-groups", "--pdeathsig=QUIT"}, run...),
	}}
}

// pipe runs a program confined, with its priority lowered. That it is missing is
// unsupported.
func (s *Session) pipe(ctx context.Context, in io.Reader, out io.Writer, entry, program string, objects ...string) (probes.Output, error) {
	all := append([]string{s.dir, strconv.FormatInt(s.memory(), 10), program}, objects...)
	entry = "engine-" + entry
	if s.as.name != "" {
		entry += "-as"
		all = append(all, strconv.Itoa(s.as.uid), strconv.Itoa(s.as.gid))
	}
	if out == nil {
		out = io.Discard
	}
	result, err := s.host.Pipes.Pipe(ctx, in, out, entry, all...)
	return result, missing(result, err, program)
}

// missing makes a program that is not installed unsupported: one that confines
// another or, by the status that env and prlimit give then, that other itself.
func missing(out probes.Output, err error, program string) error {
	switch {
	case probes.ReasonOf(err) == probes.NotFound:
		return probes.Because(probes.Unsupported, err)
	case err == nil && out.ExitCode == notThere:
		return probes.Because(probes.Unsupported, fmt.Errorf("%s is not installed", program))
	}
	return err
}

// notThere is the status of a program that could not start another.
const notThere = 127

// A binary is an installed server.
type binary struct {
	path    string // as it was found: some programs are several, by the name they are called by
	real    string // what that leads to
	version []int
	printed string // the version, as it was printed
	text    string // all that was printed of it
}

// beside returns a program that is installed beside the server.
func (b binary) beside(name string) string { return path.Join(path.Dir(b.real), name) }

// tool returns the server as what judged.
func (b binary) tool(name string) job.Tool { return job.Tool{Name: name, Version: b.printed} }

var versionForm = regexp.MustCompile(`[0-9]+(\.[0-9]+)+|[0-9]+`)

// parseVersion reads the first number with points in a text, from the
// number on that follows a word, if any.
func parseVersion(text string) (numbers []int, printed string) {
	printed = versionForm.FindString(text)
	for part := range strings.SplitSeq(printed, ".") {
		if n, err := strconv.Atoi(part); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers, printed
}

// binaries returns the servers of a name that are installed in directories, the
// oldest version first. A * in a directory stands for a version.
func (s *Session) binaries(ctx context.Context, name string, dirs ...string) ([]binary, error) {
	var list []binary
	for _, dir := range s.expand(dirs) {
		// Its tools are beside the program itself, and not beside a link to it.
		program := path.Join(dir, name)
		if info, err := s.host.Files.Stat(program); err != nil || !info.Mode().IsRegular() {
			continue
		}
		real, err := s.host.Files.Resolve(program)
		if err != nil || slices.ContainsFunc(list, func(b binary) bool { return b.real == real }) {
			continue
		}
		out, err := s.host.Commands.Run(ctx, "engine-version", program)
		if err = missing(out, err, program); probes.ReasonOf(err) == probes.Malformed {
			s.note("%s is not where packages put it, and not used: %v", program, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		b := binary{path: program, real: real, text: string(out.Stdout)}
		if b.version, b.printed = parseVersion(b.text); len(b.version) > 0 {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b binary) int { return slices.Compare(a.version, b.version) })
	return list, nil
}

// expand puts what there is in the place of a * in directories.
func (s *Session) expand(dirs []string) []string {
	var list []string
	for _, dir := range dirs {
		before, after, starred := strings.Cut(dir, "*")
		if !starred {
			list = append(list, dir)
			continue
		}
		entries, err := s.host.Files.ReadDir(path.Dir(before))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.note("%s cannot be searched for engines: %v", path.Dir(before), err)
		}
		for _, entry := range entries {
			if name := path.Join(path.Dir(before), entry.Name()); strings.HasPrefix(name, before) || strings.HasSuffix(before, "/") {
				list = append(list, name+after)
			}
		}
	}
	return list
}
