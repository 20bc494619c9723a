// Package engine loads what was restored into a throw-away server of its own
// kind, and asks that whether it holds what it must hold. That a dump is whole
// does not say that it can be loaded.
//
// A server lives in a directory below the scratch directory, listens on a socket
// in there and nowhere else, and takes no configuration from the backup. It runs
// without any right: as the agent's user without its capabilities, or, when the
// agent is root, as the user hygiene_exporter or nobody. It gets a bounded amount
// of memory, is ended when the disk becomes full, and goes when the agent goes.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/scratch"
)

// A Session is the servers of one test restore. It starts what it needs, and
// Close ends them all. It is used by one goroutine.
type Session struct {
	host   probes.Host
	task   job.Restore
	at     time.Time // of the data
	dir    string    // in which the servers live; empty: none was needed yet
	as     account
	limit  context.Context //nolint:containedctx // what ends every server, with the reason
	end    context.CancelCauseFunc
	loaded []server

	Tools []job.Tool // that have loaded something
	Notes []string
}

// A server answers queries about what it has loaded.
type server interface {
	// databases lists what was loaded.
	databases(ctx context.Context) ([]string, error)
	// query returns what a query prints: columns parted by |, rows by newlines.
	query(ctx context.Context, database, text string) (string, error)
	stop()
}

// New returns a session that has started nothing yet. What is loaded is of the
// instant at; the servers live below task.Scratch.
func New(host probes.Host, task job.Restore, at time.Time) *Session {
	s := &Session{host: host, task: task, at: at}
	s.limit, s.end = context.WithCancelCause(context.Background())
	return s
}

// Load loads a file or a directory that was restored below the scratch
// directory: a flaw says that its own engine refuses it, any other error that
// there is no such engine here, or that it could not do its work.
//
//   - content.PgDump: an SQL script, or a dump in another format of pg_dump.
//   - content.BaseBackup: a data directory of PostgreSQL, which is started as it
//     is, with the log files in its pg_wal. It is changed by that.
//   - content.MySQLDump, content.SQLite, content.SQLiteDump, content.Redis.
func (s *Session) Load(ctx context.Context, kind content.Type, path string) error {
	load := map[content.Type]func(context.Context, string) error{
		content.PgDump:     s.loadPgDump,
		content.BaseBackup: s.loadCluster,
		content.MySQLDump:  s.loadMySQLDump,
		content.SQLite:     s.loadSQLite,
		content.SQLiteDump: s.loadSQLiteDump,
		content.Redis:      s.loadRedis,
	}[kind]
	if load == nil {
		return probes.Because(probes.Unsupported, fmt.Errorf("there is no engine that loads %s", kind))
	}
	if err := s.open(); err != nil {
		return err
	}
	err := load(ctx, path)
	if full := context.Cause(s.limit); full != nil {
		return full // whatever else the server said
	}
	if err != nil && ctx.Err() != nil && !job.IsFlaw(err) {
		return context.Cause(ctx)
	}
	return err
}

// Close ends all servers and removes what they wrote.
func (s *Session) Close() error {
	for _, one := range s.loaded {
		one.stop()
	}
	s.loaded = nil
	s.end(nil)
	if s.dir == "" {
		return nil
	}
	return scratch.Remove(s.dir)
}

// note adds a note for people once.
func (s *Session) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.Notes, text) {
		s.Notes = append(s.Notes, text)
	}
}

// judged adds a server that has loaded something, once.
func (s *Session) judged(tool job.Tool) {
	if !slices.Contains(s.Tools, tool) {
		s.Tools = append(s.Tools, tool)
	}
}

// open makes the directory of the servers, once.
func (s *Session) open() error {
	if s.dir != "" {
		return nil
	}
	if free, err := scratch.Free(s.task.Scratch); err != nil {
		return err
	} else if free < smallest {
		return tooLarge("an engine needs at least %d MiB in the scratch directory, and %d are free", smallest>>20, free>>20)
	}
	as, err := servant()
	if err != nil {
		return err
	}
	// Beside what was restored, which may be a data directory as a whole; of the
	// same name, so that what a killed agent leaves is swept.
	if s.dir, err = scratch.Make(filepath.Dir(s.task.Scratch)); err != nil {
		return err
	}
	if len(s.dir)+len("/.s.PGSQL.5432") >= maxSocket {
		return tooLarge("the path of the scratch directory is too long for a socket in it: %s", s.dir)
	}
	s.as = as
	go s.watch()
	return s.hand(s.dir)
}

const (
	smallest  = 128 << 20 // an engine without any data, with some room
	maxSocket = 108       // the longest path of a socket, see unix(7)
)

// watch ends the servers before they fill the disk.
func (s *Session) watch() {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-s.limit.Done():
			return
		case <-ticker.C:
		}
		if free, err := scratch.Free(s.dir); err == nil && free < smallest/4 {
			s.end(tooLarge("what the engine loads does not fit into the scratch directory"))
			return
		}
	}
}

func tooLarge(format string, args ...any) error {
	return probes.Because(probes.TooLarge, fmt.Errorf(format, args...))
}

// An account is the user as whom the servers run; the zero account is the agent's
// own.
type account struct {
	name     string
	uid, gid int
}

// servant returns whom the servers run as. They refuse to run as root.
func servant() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"hygiene_exporter", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, badUser := strconv.Atoi(found.Uid)
		gid, badGroup := strconv.Atoi(found.Gid)
		if badUser == nil && badGroup == nil && uid != 0 {
			return account{name, uid, gid}, nil
		}
	}
	return account{}, probes.Because(probes.Unsupported, errors.New("the agent is root, as whom no engine runs, and there is neither a user hygiene_exporter nor nobody"))
}

// Reaches reports whether a server could reach what is below a directory, which
// may not be there yet. One that runs as the agent's user reaches what that does.
func Reaches(base string) bool {
	as, err := servant()
	if err != nil || as.name == "" {
		return true // what is wrong is told when one is needed
	}
	for dir := filepath.Dir(filepath.Clean(base)); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil && !as.enters(dir) {
			return false
		}
	}
	return true
}

// hand gives a file or a directory, with all that is in it, to the account of the
// servers, and makes sure that they can reach it. Links are not followed.
func (s *Session) hand(path string) error {
	if s.as.name == "" {
		return nil
	}
	err := filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, s.as.uid, s.as.gid)
	})
	if err != nil {
		return err
	}
	base := filepath.Dir(s.dir)
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if strings.HasPrefix(dir+"/", base+"/") && !s.as.enters(dir) {
			// It is the agent's own. What is in it has rights of its own, and a
			// name that nobody can guess.
			if err := os.Chmod(dir, 0o711); err != nil {
				return err
			}
		}
		if !s.as.enters(dir) {
			return probes.Because(probes.PermissionDenied, fmt.Errorf(
				"the user %s, as whom engines run because the agent is root, cannot enter %s: set probes.backup.scratch to another directory", s.as.name, dir))
		}
		if dir == "/" {
			return nil
		}
	}
}

// enters reports whether the account may enter a directory.
func (a account) enters(dir string) bool {
	var stat unix.Stat_t
	if unix.Stat(dir, &stat) != nil {
		return false
	}
	switch {
	case int(stat.Uid) == a.uid:
		return stat.Mode&unix.S_IXUSR != 0
	case int(stat.Gid) == a.gid:
		return stat.Mode&unix.S_IXGRP != 0
	}
	return stat.Mode&unix.S_IXOTH != 0
}

// databaseName makes a name for a database of that of a file: what is before the
// first point of it.
func databaseName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	name = notInNames.ReplaceAllString(name, "_")
	if name == "" || strings.HasPrefix(name, "template") || strings.HasPrefix(name, "-") {
		name = "restored_" + name
	}
	return name[:min(len(name), 60)]
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_-]`)
