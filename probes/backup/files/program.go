package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A program asks the programs that would restore a backup.
type program struct {
	commands probes.Commands
	pipes    probes.Pipes
	versions map[string]job.Tool
}

// programs lists what may be asked. Everything is read, and nothing is written.
func programs() []probes.Command {
	absolute := []*regexp.Regexp{regexp.MustCompile(`/[^\x00\n]*`)}
	escaped := []*regexp.Regexp{regexp.MustCompile(`/[A-Za-z0-9_.~$&+:=@/%-]*`)}
	return []probes.Command{
		{Entry: "pg_restore", Argv: []string{"pg_restore", "-f", "/dev/null", "{0}"}, Objects: absolute, Help: "Reads a dump of PostgreSQL to its end; unlike --list it notices damage."},
		{Entry: "pg_restore-stream", Argv: []string{"pg_restore", "-f", "/dev/null"}, Help: "The same for a dump that is unpacked on the way."},
		{Entry: "pg_restore-script", Argv: []string{"pg_restore", "-f", "-", "{0}"}, Objects: absolute, Help: "Turns a dump of PostgreSQL into the commands that load it."},
		{Entry: "pg_restore-version", Argv: []string{"pg_restore", "--version"}, Help: "The version of pg_restore."},
		{Entry: "pg_verifybackup", Argv: []string{"pg_verifybackup", "-q", "-n", "{0}"}, Objects: absolute, Help: "Compares a base backup with its manifest."},
		{Entry: "pg_verifybackup-version", Argv: []string{"pg_verifybackup", "--version"}, Help: "The version of pg_verifybackup."},
		{Entry: "sqlite3", Argv: []string{"sqlite3", "-init", "/dev/null", "-batch", "file:{0}?mode=ro&immutable=1", "PRAGMA integrity_check(20)"}, Objects: escaped, Help: "Checks an SQLite database without writing beside it."},
		{Entry: "sqlite3-version", Argv: []string{"sqlite3", "--version"}, Help: "The version of SQLite."},
		{Entry: "redis-check-rdb", Argv: []string{"redis-check-rdb", "{0}"}, Objects: absolute, Help: "Checks a dump of Redis."},
		{Entry: "redis-check-rdb-version", Argv: []string{"redis-check-rdb", "--version"}, Help: "The version of Redis."},
		{Entry: "etcdutl", Argv: []string{"etcdutl", "snapshot", "status", "{0}", "-w", "json"}, Objects: absolute, Help: "Checks the pages of an etcd snapshot."},
		{Entry: "etcdutl-version", Argv: []string{"etcdutl", "version"}, Help: "The version of etcdutl."},
		{Entry: "etcdctl", Argv: []string{"etcdctl", "snapshot", "status", "{0}", "-w", "json"}, Objects: absolute, Help: "The same, where etcdutl is not installed."},
		{Entry: "etcdctl-version", Argv: []string{"etcdctl", "version"}, Help: "The version of etcdctl."},
		{Entry: "unzip", Argv: []string{"unzip", "-tqq", "{0}"}, Objects: absolute, Help: "Tests every member of a zip archive."},
		{Entry: "unzip-version", Argv: []string{"unzip", "-v"}, Help: "The version of unzip."},
		{Entry: "7z", Argv: []string{"7z", "t", "-bd", "-pnone", "--", "{0}"}, Objects: absolute, Help: "Tests every member of a 7z archive."},
		{Entry: "7z-version", Argv: []string{"7z", "i"}, Help: "The version of 7z."},
		{Entry: "7z-extract", Argv: []string{"7z", "x", "-so", "-bd", "-pnone", "--", "{0}"}, Objects: absolute, Help: "Unpacks a 7z archive to its standard output."},
		{Entry: "7z-list", Argv: []string{"7z", "l", "-slt", "-ba", "-pnone", "--", "{0}"}, Objects: absolute, Help: "Lists the members of a 7z archive."},
	}
}

var anyVersion = regexp.MustCompile(`[0-9]+(\.[0-9]+)+`)

// tool returns a program with its version. An error says that it cannot be run.
func (p *program) tool(ctx context.Context, name string) (job.Tool, error) {
	if tool, known := p.versions[name]; known {
		return tool, nil
	}
	out, err := p.commands.Run(ctx, name+"-version")
	if err != nil {
		if probes.ReasonOf(err) == probes.NotFound {
			err = probes.Because(probes.Unsupported, fmt.Errorf("%s is not installed", name))
		}
		return job.Tool{}, err
	}
	tool := job.Tool{Name: name, Version: anyVersion.FindString(string(out.Stdout))}
	if p.versions == nil {
		p.versions = map[string]job.Tool{}
	}
	p.versions[name] = tool
	return tool, nil
}

// run asks a program about a path.
func (p *program) run(ctx context.Context, name, object string) (job.Tool, probes.Output, error) {
	tool, err := p.tool(ctx, name)
	if err != nil {
		return tool, probes.Output{}, err
	}
	out, err := p.commands.Run(ctx, name, object)
	return tool, out, err
}

// pgRestore judges a dump in the custom, directory or tar format.
func (p *program) pgRestore(ctx context.Context, name string) (job.Tool, error) {
	tool, out, err := p.run(ctx, "pg_restore", name)
	if err != nil {
		return tool, err
	}
	return tool, pgRestoreFlaw(out)
}

// pgRestoreStream judges a dump in the custom format from a stream.
func (p *program) pgRestoreStream(ctx context.Context, r io.Reader) (job.Tool, error) {
	tool, err := p.tool(ctx, "pg_restore")
	if err != nil {
		return tool, err
	}
	out, err := p.pipes.Pipe(ctx, r, io.Discard, "pg_restore-stream")
	if err != nil {
		return tool, err
	}
	return tool, pgRestoreFlaw(out)
}

func pgRestoreFlaw(out probes.Output) error {
	text := firstLine(out.Stderr)
	has := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(text, word) {
				return true
			}
		}
		return false
	}
	switch {
	case out.ExitCode == 0:
		return nil
	case has("unsupported version", "not supported in this installation", "not built with"):
		return probes.Because(probes.Unsupported, errors.New(text))
	case has("Permission denied"):
		return probes.Because(probes.PermissionDenied, errors.New(text))
	case has("could not open input file") && has("No such file"):
		return job.Flawed(job.Incomplete, "a part of the dump is missing: %s", text)
	case has("end of file", "too short", "could not read from input file: Success", "unexpected end", "could not close data file"):
		return job.Flawed(job.Truncated, "the dump is not whole: %s", text)
	}
	return job.Flawed(job.Damaged, "the dump is damaged: %s", text)
}

// sqlite judges a database by the text of the check: its status is 0 even for
// some damage.
func (p *program) sqlite(ctx context.Context, name string) (job.Tool, error) {
	tool, out, err := p.run(ctx, "sqlite3", (&url.URL{Path: name}).EscapedPath())
	if err != nil {
		return tool, err
	}
	text := firstLine(out.Stdout)
	switch {
	case text == "ok" && out.ExitCode == 0:
		return tool, nil
	case strings.Contains(string(out.Stderr), "unsupported file format"):
		return tool, probes.Because(probes.Unsupported, errors.New(firstLine(out.Stderr)))
	case strings.Contains(string(out.Stderr), "unable to open"):
		return tool, probes.Because(probes.PermissionDenied, errors.New(firstLine(out.Stderr)))
	case text == "":
		text = firstLine(out.Stderr)
	}
	return tool, job.Flawed(job.Damaged, "SQLite finds the database damaged: %.200s", text)
}

// redis judges a dump that has the right end and checksum.
func (p *program) redis(ctx context.Context, name string) (job.Tool, error) {
	tool, out, err := p.run(ctx, "redis-check-rdb", name)
	if err == nil && out.ExitCode != 0 && strings.Contains(string(out.Stdout), "Can't handle RDB format version") {
		return tool, probes.Because(probes.Unsupported, fmt.Errorf("redis-check-rdb %s does not know the version of the dump", tool.Version))
	}
	if err == nil && out.ExitCode != 0 {
		err = job.Flawed(job.Damaged, "redis-check-rdb finds the dump damaged: %.200s", lastLine(out.Stdout))
	}
	return tool, err
}

// etcd lets etcd check the pages of a snapshot.
func (p *program) etcd(ctx context.Context, name string) (job.Tool, error) {
	tool, out, err := p.run(ctx, "etcdutl", name)
	if probes.ReasonOf(err) == probes.Unsupported {
		tool, out, err = p.run(ctx, "etcdctl", name)
	}
	if err == nil && out.ExitCode != 0 {
		err = job.Flawed(job.Damaged, "%s finds the snapshot damaged: %.200s", tool.Name, firstLine(out.Stderr))
	}
	return tool, err
}

// unzip judges a zip archive.
func (p *program) unzip(ctx context.Context, name string) (job.Tool, []string, error) {
	tool, out, err := p.run(ctx, "unzip", name)
	if err != nil {
		return tool, nil, err
	}
	text := firstLine(append(out.Stdout, out.Stderr...))
	switch out.ExitCode {
	case 0:
		return tool, nil, nil
	case 1:
		return tool, []string{"unzip warns: " + text}, nil
	case 81:
		return tool, nil, probes.Because(probes.Unsupported, fmt.Errorf("unzip cannot unpack some members: %s", text))
	case 5, 82:
		return tool, nil, probes.Because(probes.Auth, fmt.Errorf("the zip archive is encrypted: %s", text))
	case 9, 51:
		return tool, nil, job.Flawed(job.Truncated, "the zip archive is not whole: %s", text)
	case 10, 11:
		return tool, nil, fmt.Errorf("unzip did not understand its call: %s", text)
	}
	return tool, nil, job.Flawed(job.Damaged, "the zip archive is damaged: %s", text)
}

// sevenZip judges a 7z archive.
func (p *program) sevenZip(ctx context.Context, name string) (job.Tool, error) {
	tool, out, err := p.run(ctx, "7z", name)
	if err != nil {
		return tool, err
	}
	text := string(out.Stdout) + string(out.Stderr)
	switch {
	case out.ExitCode == 0:
		return tool, nil
	case strings.Contains(text, "Wrong password"), strings.Contains(text, "encrypted archive"):
		return tool, probes.Because(probes.Auth, errors.New("the 7z archive is encrypted"))
	case strings.Contains(text, "Unsupported Method"), strings.Contains(text, "Unsupported method"):
		return tool, probes.Because(probes.Unsupported, errors.New("7z does not know a method of the archive"))
	case strings.Contains(text, "Unexpected end of"):
		return tool, job.Flawed(job.Truncated, "the 7z archive is not whole")
	case out.ExitCode == 8:
		return tool, probes.Because(probes.Unavailable, errors.New("7z has not enough memory"))
	}
	return tool, job.Flawed(job.Damaged, "7z finds the archive damaged: %.200s", lineWith(text, "ERROR"))
}

// script turns a dump into commands.
func (p *program) script(ctx context.Context, name string, out io.Writer) (job.Tool, error) {
	tool, err := p.tool(ctx, "pg_restore")
	if err != nil {
		return tool, err
	}
	result, err := p.pipes.Pipe(ctx, nil, out, "pg_restore-script", name)
	if err != nil {
		return tool, err
	}
	return tool, pgRestoreFlaw(result)
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(line)
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func lineWith(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			return strings.TrimSpace(line)
		}
	}
	return firstLine([]byte(text))
}
