package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/content"
	"hygiene_exporter/probes/backup/job"
	"hygiene_exporter/probes/internal/rootfs"
)

// What psql really prints, for a few of the errors that a dump may run into.
func TestErrorsOfPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		stderr string
		want   string // verdict and reason, and the notes
	}{
		{name: "nothing", want: "good"},
		{name: "a notice", stderr: "NOTICE:  00000: table \"t\" does not exist, skipping\nLOCATION:  DropErrorMsgNonExistent, tablecmds.c:1334\n", want: "good"},
		{
			name:   "a role that the dump does not hold",
			stderr: "ERROR:  42704: role \"app\" does not exist\nLOCATION:  get_role_oid, acl.c:5158\nSTATEMENT:  ALTER TABLE public.t OWNER TO app;\n",
			want:   `good; role "app" does not exist`,
		},
		{
			name:   "a table space that is not here",
			stderr: "ERROR:  42704: tablespace \"fast\" does not exist\nSTATEMENT:  CREATE DATABASE d TABLESPACE fast;\n",
			want:   `good; tablespace "fast" does not exist`,
		},
		{
			name:   "what the dump wants to have gone is not there",
			stderr: "ERROR:  42P01: table \"t\" does not exist\nSTATEMENT:  DROP TABLE public.t;\nERROR:  42P01: relation \"public.t\" does not exist\nSTATEMENT:  ALTER TABLE ONLY public.t DROP CONSTRAINT t_pkey;\n",
			want:   "good",
		},
		{
			name:   "what the dump makes is there already",
			stderr: "ERROR:  42710: role \"app\" already exists\nSTATEMENT:  CREATE ROLE app;\nERROR:  42P06: schema \"public\" already exists\nSTATEMENT:  CREATE SCHEMA public;\n",
			want:   "good",
		},
		{
			name:   "a table that is there already",
			stderr: "ERROR:  42P07: relation \"t\" already exists\nSTATEMENT:  CREATE TABLE public.t (\n",
			want:   "bad damaged",
		},
		{
			name:   "a setting of a newer version",
			stderr: "ERROR:  42704: unrecognized configuration parameter \"transaction_timeout\"\nSTATEMENT:  SET transaction_timeout = 0;\n",
			want:   "good",
		},
		{
			name:   "an extension that is not installed, and what follows from that",
			stderr: "ERROR:  0A000: extension \"postgis\" is not available\nDETAIL:  Could not open extension control file \"/usr/share/postgresql/15/extension/postgis.control\": No such file or directory.\nHINT:  The extension must first be installed on the system where PostgreSQL is running.\nSTATEMENT:  CREATE EXTENSION postgis;\nERROR:  42704: type \"public.geometry\" does not exist\nSTATEMENT:  CREATE TABLE public.g (\n",
			want:   "unknown unsupported",
		},
		{
			name:   "a locale that is not known, and no database therefore",
			stderr: "ERROR:  42809: invalid locale name: \"de_DE.UTF-8\"\nSTATEMENT:  CREATE DATABASE q;\n\\connect: connection to server on socket \"/tmp/x/.s.PGSQL.5432\" failed: FATAL:  database \"q\" does not exist\n",
			want:   "unknown unsupported",
		},
		{
			name:   "a collation that is not known",
			stderr: "ERROR:  42704: collation \"public.xx\" for encoding \"UTF8\" does not exist\nSTATEMENT:  CREATE TABLE t (a text COLLATE public.xx);\n",
			want:   "unknown unsupported",
		},
		{
			name:   "a row that is there twice",
			stderr: "ERROR:  23505: could not create unique index \"t_pkey\"\nDETAIL:  Key (g)=(7) is duplicated.\nSTATEMENT:  ALTER TABLE ONLY public.t\n",
			want:   "bad damaged",
		},
		{
			name:   "a database that the dump does not make",
			stderr: "\\connect: connection to server on socket \"/tmp/x/.s.PGSQL.5432\" failed: FATAL:  database \"q\" does not exist\n",
			want:   "bad damaged",
		},
		{name: "a full disk", stderr: "ERROR:  53100: could not extend file \"base/5/1\": No space left on device\nSTATEMENT:  COPY\nERROR:  42601: syntax error\n", want: "unknown too_large"},
		{name: "a server that died", stderr: "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n", want: "unknown unavailable"},
		{name: "too little memory", stderr: "ERROR:  53200: out of memory\n", want: "unknown unavailable"},
		{name: "a psql that does not know how newer dumps protect themselves", stderr: "invalid command \\restrict\n", want: "good"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			notes, err := judgePgErrors(parsePgErrors([]byte(c.stderr)))
			if diff := cmp.Diff(c.want, answer(err, notes...)); diff != "" {
				t.Errorf("(-want +got): %s%v", diff, err)
			}
		})
	}
}

func answer(err error, notes ...string) string {
	j := job.Judge(err)
	return strings.Join(append([]string{strings.TrimSpace(string(j.Verdict) + " " + j.Reason)}, notes...), "; ")
}

func TestErrorsOfMariaDB(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stderr string
		mysql        bool
		want         string
	}{
		{name: "a collation of another server", stderr: "ERROR 1273 (HY000) at line 25: Unknown collation: 'utf8mb4_0900_ai_ci'\n", want: "unknown unsupported"},
		{name: "a row that is there twice", stderr: "ERROR 1062 (23000) at line 30: Duplicate entry '7' for key 'PRIMARY'\n", want: "bad damaged"},
		{name: "a command that MySQL may know", mysql: true, stderr: "ERROR 1064 (42000) at line 30: You have an error in your SQL syntax\n", want: "unknown unsupported"},
		{name: "a full disk", stderr: "ERROR 1114 (HY000) at line 3: The table 'a' is full\n", want: "unknown too_large"},
		{name: "a disk that was full for a temporary file", stderr: "ERROR 1030 (HY000) at line 3: Got error 59 'Temp file write failure' from InnoDB\n", want: "unknown too_large"},
		{name: "a full disk, by its number", stderr: "ERROR 1030 (HY000) at line 3: Got error 28 \"No space left on device\" from storage engine InnoDB\n", want: "unknown too_large"},
		{name: "a server that died", stderr: "ERROR 2013 (HY000) at line 3: Lost connection to server during query\n", want: "unknown unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, answer(parseMySQLError([]byte(c.stderr)).judge("MariaDB", c.mysql))); diff != "" {
				t.Errorf("(-want +got): %s", diff)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		query  job.Query
		answer string
		want   string
	}{
		{name: "the same", query: job.Query{Equals: "a|b\nc|d"}, answer: "a|b\nc|d", want: "good"},
		{name: "another", query: job.Query{Equals: "a"}, answer: "b", want: "bad unasserted"},
		{name: "as many as there must be", query: job.Query{Min: 10}, answer: "10", want: "good"},
		{name: "one less", query: job.Query{Min: 10}, answer: "9", want: "bad unasserted"},
		{name: "as many as there may be", query: job.Query{Max: 10}, answer: "10", want: "good"},
		{name: "one more", query: job.Query{Max: 10}, answer: "11", want: "bad unasserted"},
		{name: "below zero", query: job.Query{Min: -10, Max: -5}, answer: "-7.5", want: "good"},
		{name: "no number", query: job.Query{Min: 10}, answer: "", want: "bad unasserted"},
		{name: "an instant of PostgreSQL within the objective", query: job.Query{Fresh: true}, answer: "2026-03-01 02:30:00.123+00", want: "good"},
		{name: "an instant with another offset", query: job.Query{Fresh: true}, answer: "2026-03-01 03:30:00+02", want: "bad unasserted"},
		{name: "an offset of half an hour", query: job.Query{Fresh: true}, answer: "2026-03-01 08:10:00+05:30", want: "good"},
		{name: "an instant of MariaDB", query: job.Query{Fresh: true}, answer: "2026-03-01 02:00:00", want: "good"},
		{name: "a second too old", query: job.Query{Fresh: true}, answer: "2026-03-01 01:59:59", want: "bad unasserted"},
		{name: "seconds since 1970", query: job.Query{Fresh: true}, answer: "1772332200", want: "good"},
		{name: "no row", query: job.Query{Fresh: true}, answer: "", want: "bad unasserted"},
		{name: "no instant", query: job.Query{Fresh: true}, answer: "yesterday", want: "bad unasserted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := answer(judge(c.query, c.answer, made, time.Hour)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestScriptsOfPgDump(t *testing.T) {
	t.Parallel()
	const text = `--
-- PostgreSQL database dump
--
-- Dumped from database version 15.4 (Debian)
-- Dumped by pg_dump version 17.2
SET client_encoding = 'LATIN1';
ALTER TABLE public.t OWNER TO app;
COPY public.t (a, b) FROM stdin;
1	-- Dumped from database version 99
2	ALTER TABLE x OWNER TO nobody_here;
\.
ALTER DEFAULT PRIVILEGES FOR ROLE "Read ""Only""" IN SCHEMA public GRANT SELECT ON TABLES TO reader;
GRANT ALL ON TABLE public.t TO PUBLIC;
GRANT SELECT ON TABLE public.t TO app;
-- Dumped from database version 14.0
`
	got, err := parseScript(strings.NewReader(text))
	want := script{major: 15, roles: []string{"app", `"Read ""Only"""`}, encoding: "LATIN1", rows: 2, copies: 1}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(script{})); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestNamesOfDatabases(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a/shop.sql.gz": "shop", "/a/template1.sql": "restored_template1", "/a/.sql": "restored_", "/a/-x.sql": "restored_-x",
		"/a/a b'\"`;.sql": "a_b____", "/a/ü.dump": "_", "/a/" + strings.Repeat("a", 100): strings.Repeat("a", 60),
	} {
		if got := databaseName(path); got != want {
			t.Errorf("%s becomes %q, want %q", path, got, want)
		}
	}
}

// Without an engine nothing is said of a backup.
func TestNoEngine(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "b") // that of the test nobody else may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	place := filepath.Join(base, "restored")
	if err := os.Mkdir(place, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"d.sql": "-- PostgreSQL database dump\n", "PG_VERSION": "15\n", "m.sql": "-- MariaDB dump\n"} {
		if err := os.WriteFile(filepath.Join(place, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bare := probes.Host{Files: rootfs.New(rootfs.Paths{Root: t.TempDir()})}
	for _, c := range []struct {
		kind       content.Type
		path, says string
	}{
		{content.PgDump, "d.sql", "no server of PostgreSQL is installed here"},
		{content.BaseBackup, ".", "no server of PostgreSQL is installed here"},
		{content.MySQLDump, "m.sql", "no server of MariaDB or MySQL is installed here"},
		{content.SQLite, "d.sql", "sqlite3 is not installed here"},
		{content.SQLiteDump, "d.sql", "sqlite3 is not installed here"},
		{content.Redis, "d.sql", "redis-server is not installed here"},
		{content.MongoDump, "d.sql", "there is no engine that loads mongodump"},
	} {
		s := New(bare, job.Restore{Scratch: place}, time.Now())
		err := s.Load(t.Context(), c.kind, filepath.Join(place, c.path))
		if probes.ReasonOf(err) != probes.Unsupported || job.IsFlaw(err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.kind, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(base + "/*"); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// Whatever a dump or a program prints: nothing panics, rows are not more than
// lines, a role is an identifier on its own, and an error without a text that
// weighs nothing is never a flaw.
func FuzzParsers(f *testing.F) {
	f.Add([]byte("ALTER TABLE t OWNER TO \"a;b\";\nCOPY t FROM stdin;\n1\n\\.\n"))
	f.Add([]byte("ERROR:  42704: role \"x\" does not exist\nSTATEMENT:  ALTER\n"))
	f.Add([]byte("ERROR 1062 (23000) at line 30: Duplicate entry\n"))
	f.Add([]byte("-- Server version\t8.0.36\nUSE `mysql`;\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseScript(strings.NewReader(string(text)))
		if err != nil || s.rows > int64(strings.Count(string(text), "\n"))+1 {
			t.Errorf("%v, %d rows", err, s.rows)
		}
		for _, role := range s.roles {
			inside, quoted := strings.CutPrefix(role, `"`)
			inside = strings.ReplaceAll(strings.TrimSuffix(inside, `"`), `""`, "")
			if quoted && strings.Contains(inside, `"`) || !quoted && strings.ContainsAny(role, ` ;'"\`) {
				t.Errorf("the role %q would be a command", role)
			}
		}
		errs := parsePgErrors(text)
		if _, err := judgePgErrors(errs); err != nil && len(errs) == 0 {
			t.Error(err)
		}
		_ = parseMySQLError(text).judge("MySQL", true)
		if _, err := parseMySQLScript(strings.NewReader(string(text))); err != nil {
			t.Error(err)
		}
		if at, err := parseInstant(string(text)); err == nil && at.IsZero() && len(text) == 0 {
			t.Error("nothing is an instant")
		}
	})
}

// A server cannot go where only root can.
func TestReaches(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if want := os.Geteuid() != 0; Reaches(filepath.Join(closed, "scratch")) != want {
		t.Errorf("reached: %v", !want)
	}
	if !Reaches("/var/not/there/yet") {
		t.Error("what is not there yet below directories that are open to all is not reached")
	}
}

// A server never gets so much memory that the limit of the agent is reached.
func TestMemory(t *testing.T) {
	t.Parallel()
	const unit = "/system.slice/hygiene_exporter.service"
	for _, c := range []struct {
		name   string
		files  map[string]string
		wanted int64
		want   int64
	}{
		{name: "nothing is said", want: 1 << 30},
		{name: "the configuration says", wanted: 4 << 30, want: 4 << 30},
		{name: "a limit of the unit", files: map[string]string{"/proc/self/cgroup": "0::" + unit + "\n", "/sys/fs/cgroup" + unit + "/memory.max": "536870912\n"}, want: 384 << 20},
		{name: "a limit of the unit below what the configuration says", wanted: 4 << 30, files: map[string]string{"/proc/self/cgroup": "12:pids:/x\n0::" + unit + "\n", "/sys/fs/cgroup" + unit + "/memory.max": "536870912\n"}, want: 384 << 20},
		{name: "a limit of the slice", files: map[string]string{"/proc/self/cgroup": "0::" + unit + "\n", "/sys/fs/cgroup" + unit + "/memory.max": "max\n", "/sys/fs/cgroup/system.slice/memory.max": "1073741824\n"}, want: 768 << 20},
		{name: "no limit", files: map[string]string{"/proc/self/cgroup": "0::" + unit + "\n", "/sys/fs/cgroup" + unit + "/memory.max": "max\n"}, want: 1 << 30},
		{name: "groups of the first version", files: map[string]string{"/proc/self/cgroup": "9:memory:/x\n"}, want: 1 << 30},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		host := probes.Host{Files: rootfs.New(rootfs.Paths{Root: root})}
		if got := New(host, job.Restore{Memory: c.wanted}, time.Now()).memory(); got != c.want {
			t.Errorf("%s: %d MiB, want %d", c.name, got>>20, c.want>>20)
		}
	}
}
