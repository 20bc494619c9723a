package engine

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// A pgError is an error that psql prints, in its verbose form.
type pgError struct {
	code      string // SQLSTATE; empty for an error of psql itself
	text      string
	statement string
}

func (e pgError) String() string {
	if e.statement == "" {
		return e.text
	}
	return fmt.Sprintf("%s, at %.80q", e.text, e.statement)
}

var (
	pgErrorLine = regexp.MustCompile(`^(?:psql:[^ ]* )?(?:ERROR|FATAL|PANIC):  (?:([0-9A-Z]{5}): )?(.*)$`)
	ownError    = regexp.MustCompile(`^(?:psql: error: |invalid command \\|\\connect: |connection to server|server closed the connection|.*FATAL: )`)
)

// parsePgErrors reads what psql prints on its standard error.
func parsePgErrors(stderr []byte) []pgError {
	var list []pgError
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimRight(line, "\n")
		if match := pgErrorLine.FindStringSubmatch(line); match != nil {
			list = append(list, pgError{code: match[1], text: match[2]})
		} else if ownError.MatchString(line) {
			list = append(list, pgError{text: line})
		} else if statement, ok := strings.CutPrefix(line, "STATEMENT:  "); ok && len(list) > 0 {
			list[len(list)-1].statement = statement
		}
	}
	return list
}

// A weight says how much an error counts: the heaviest one decides.
type weight int

const (
	harmless weight = iota // a restore in earnest would have it too, or not at all
	broken                 // the dump cannot be loaded
	lacking                // this host lacks what the dump needs; more errors follow from that
	failing                // the server could not do its work
	full                   // of its disk
)

var (
	undoing = regexp.MustCompile(`(?i)^\s*(DROP|ALTER\s+TABLE\b.*\bDROP|ALTER\s+ROLE\b|COMMENT\s+ON\s+EXTENSION)\b`)
	making  = regexp.MustCompile(`(?i)^\s*CREATE\s+(ROLE|USER|DATABASE|SCHEMA|EXTENSION|(PROCEDURAL\s+)?LANGUAGE)\b`)
	setting = regexp.MustCompile(`(?i)^\s*(SET|ALTER\s+(DATABASE|ROLE)\b.*\bSET)\b`)
	foreign = regexp.MustCompile(`^(role|tablespace) ".*" does not exist|^directory ".*" does not exist|^could not set permissions on directory|^invalid value for parameter "default_tablespace"`)
	locales = regexp.MustCompile(`locale|collation|^encoding ".*" does not match|provider|ICU`)
)

// weigh says what an error of loading means.
//
// Roles and table spaces are of the server, and a dump of one database does not
// hold them: that they are missing costs owners and rights, and no data. An
// extension, a library or a locale that this host lacks says nothing of the
// dump. What the dump only wants to have gone need not be there.
func (e pgError) weigh() weight {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(e.text, word) })
	}
	switch {
	case e.code == "53100", has("No space left on device"):
		return full
	case strings.HasPrefix(e.code, "53"), strings.HasPrefix(e.code, "57"), strings.HasPrefix(e.code, "08"), e.code == "58030",
		crashed(e.text):
		return failing
	case e.code == "0A000" && has("is not available"), e.code == "58P01", e.code == "F0000",
		has("could not access file", "could not load library", `invalid value for parameter "default_table_access_method"`):
		return lacking
	case slices.Contains([]string{"42809", "22023", "42704", "0A000"}, e.code) && locales.MatchString(e.text):
		return lacking
	case strings.HasPrefix(e.text, `invalid command \restrict`), strings.HasPrefix(e.text, `invalid command \unrestrict`),
		foreign.MatchString(e.text):
		return harmless
	case strings.HasPrefix(e.code, "42") || strings.HasPrefix(e.code, "3"):
		already := making.MatchString(e.statement) && has("already exists")
		gone := undoing.MatchString(e.statement) && has("does not exist")
		unknown := setting.MatchString(e.statement) && has("unrecognized configuration parameter")
		if already || gone || unknown {
			return harmless
		}
	}
	return broken
}

// crashed reports whether an error says that a process of the server has died.
func crashed(text string) bool {
	return slices.ContainsFunc([]string{
		"server closed the connection", "connection to server was lost", "the database system is in recovery mode", "the database system is not accepting connections",
	}, func(word string) bool { return strings.Contains(text, word) })
}

// judgePgErrors says what the errors of loading a dump mean together, and which
// of them are worth a note.
func judgePgErrors(errs []pgError) (notes []string, err error) {
	worst, most := pgError{}, harmless
	for _, e := range errs {
		w := e.weigh()
		if w > most {
			worst, most = e, w
		}
		if w == harmless && foreign.MatchString(e.text) && len(notes) < 5 && !slices.Contains(notes, e.text) {
			notes = append(notes, e.text)
		}
	}
	switch most {
	case broken:
		err = job.Flawed(job.Damaged, "PostgreSQL cannot load the dump: %.300s", worst)
	case lacking:
		err = probes.Because(probes.Unsupported, fmt.Errorf("PostgreSQL lacks something here that the dump needs: %.300s", worst))
	case failing:
		err = probes.Because(probes.Unavailable, fmt.Errorf("PostgreSQL failed while it loaded the dump: %.300s", worst))
	case full:
		err = tooLarge("PostgreSQL has no space left for the dump: %.200s", worst)
	}
	return notes, err
}

// answerOf says what the errors of a query mean.
func answerOf(errs []pgError, out probes.Output) error {
	if len(errs) == 0 {
		return unavailable("psql", out)
	}
	first := errs[0]
	switch {
	case first.code == "42601":
		return probes.Because(probes.Malformed, errors.New(first.text))
	case first.weigh() >= failing:
		return probes.Because(probes.Unavailable, errors.New(first.text))
	case first.weigh() == lacking:
		return probes.Because(probes.Unsupported, errors.New(first.text))
	}
	return job.Flawed(job.Unasserted, "%.200s", first.text)
}
