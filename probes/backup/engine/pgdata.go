package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// loadCluster starts a data directory as it is, and reads the catalogue of each
// of its databases.
func (s *Session) loadCluster(ctx context.Context, path string) error {
	text, err := os.ReadFile(filepath.Join(path, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return job.Flawed(job.Incomplete, "there is no PG_VERSION in what was restored, without which PostgreSQL does not start")
	} else if err != nil {
		return err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		if !regexp.MustCompile(`^9\.[0-9]\s*$`).Match(text) {
			return job.Flawed(job.Damaged, "PG_VERSION holds %.20q", text)
		}
		return probes.Because(probes.Unsupported, fmt.Errorf("PostgreSQL %.3s is too old", text))
	}
	binary, err := s.postgres(ctx, major, true)
	if err != nil {
		return err
	}
	if err := s.tame(path); err != nil {
		return err
	}
	c := &cluster{Session: s, binary: binary, data: path, user: "postgres"}
	if err := c.configure(); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.owner(ctx); err != nil {
		return err
	}
	databases, err := c.databases(ctx)
	if err != nil {
		return fmt.Errorf("what was restored starts, and cannot be asked: %w", damaged(err))
	}
	for _, name := range databases {
		if _, err := c.query(ctx, name, "select count(*) from pg_catalog.pg_class"); err != nil {
			return fmt.Errorf("the database %.60q: %w", name, damaged(err))
		}
	}
	s.judged(binary.tool("PostgreSQL"))
	s.note("PostgreSQL has recovered what was restored, with the databases %.200s", strings.Join(databases, ", "))
	return nil
}

// damaged makes the failure of a query that must work damage, also when the
// server dies of it.
func damaged(err error) error {
	if job.IsFlaw(err) || crashed(err.Error()) {
		return job.Flawed(job.Damaged, "%v", err)
	}
	return err
}

// tame takes from a data directory what would reach beyond it: commands and
// addresses of its configuration, and links that lead elsewhere, such as to the
// table spaces of the server that was backed up.
func (s *Session) tame(data string) error {
	for _, name := range []string{
		"postgresql.auto.conf", "recovery.signal", "standby.signal", "recovery.conf",
		"postmaster.pid", "postmaster.opts", "tablespace_map",
	} {
		err := os.Rename(filepath.Join(data, name), filepath.Join(data, name+".restored"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, name := range []string{"pg_wal", "base", "global"} {
		info, err := os.Lstat(filepath.Join(data, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return job.Flawed(job.Incomplete, "there is no directory %s in what was restored, without which PostgreSQL does not start", name)
		case err != nil:
			return err
		case !info.IsDir():
			return probes.Because(probes.Unsupported, fmt.Errorf("%s is a link that leads out of what was restored", name))
		}
	}
	return s.tableSpaces(data)
}

// tableSpaces puts the directories of table spaces beside the data, where links
// lead to, as a server wants it.
func (s *Session) tableSpaces(data string) error {
	place := filepath.Join(data, "pg_tblspc")
	entries, err := os.ReadDir(place)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		link := filepath.Join(place, entry.Name())
		if !entry.IsDir() {
			return probes.Because(probes.Unsupported, fmt.Errorf("the table space %s is not among what was restored", entry.Name()))
		}
		real := filepath.Join(s.dir, fmt.Sprintf("tablespace-%d-%s", len(s.loaded), entry.Name()))
		if err := os.Rename(link, real); err != nil {
			return err
		}
		if err := s.hand(real); err != nil {
			return err
		}
		if err := os.Symlink(real, link); err != nil {
			return err
		}
	}
	return nil
}

var superuserName = regexp.MustCompile(`rolname = "([^"\n]+)"`)

// owner finds out how the superuser of a restored cluster is called: usually
// postgres.
func (c *cluster) owner(ctx context.Context) error {
	out, err := c.psql(ctx, "postgres", bytes.NewReader([]byte("select 1")), nil)
	if err != nil {
		return err
	}
	if out.ExitCode == 0 || !strings.Contains(string(out.Stderr), `role "postgres" does not exist`) {
		return nil
	}
	c.stop()
	printed := &beginning{}
	_, err = c.pipe(ctx, strings.NewReader("select rolname from pg_authid where oid = 10\n"), printed, "postgres-single", c.binary.path, c.data)
	if err != nil {
		return err
	}
	match := superuserName.FindStringSubmatch(printed.text())
	if match == nil {
		return probes.Because(probes.Unsupported, errors.New("what was restored has no superuser whose name could be found"))
	}
	c.user = match[1]
	return c.start(ctx)
}
