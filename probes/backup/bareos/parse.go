package bareos

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
)

// A record is a row of the catalogue, by the names of its columns in lower case.
type record map[string]string

// column matches a line of a long list of Bacula.
var column = regexp.MustCompile(`^\s*([A-Za-z]+): ?(.*)$`)

// parseText reads long lists: a column a line, and an empty line between rows.
func parseText(text []byte) []record {
	var (
		list []record
		row  = record{}
	)
	end := func() {
		if len(row) > 1 {
			list = append(list, row)
		}
		row = record{}
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		match := column.FindStringSubmatch(line)
		switch {
		case strings.TrimSpace(line) == "":
			end()
		case match != nil:
			key := strings.ToLower(match[1])
			if _, again := row[key]; again {
				end()
			}
			row[key] = strings.TrimSpace(match[2])
		}
	}
	end()
	return list
}

// parseJSON reads the answers of Bareos: documents between other lines.
func parseJSON(text []byte) ([]record, error) {
	var list []record
	documents := 0
	for rest := text; ; {
		i := bytes.IndexByte(rest, '{')
		if i < 0 {
			break
		}
		decoder := json.NewDecoder(bytes.NewReader(rest[i:]))
		decoder.UseNumber()
		var answer struct {
			Result any `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		if err := decoder.Decode(&answer); err != nil {
			return nil, probes.Because(probes.Malformed, fmt.Errorf("the director printed half of an answer: %w", err))
		}
		if answer.Error != nil {
			return nil, fmt.Errorf("the director says: %.200s", answer.Error.Message)
		}
		documents++
		collect(answer.Result, &list)
		rest = rest[i+int(decoder.InputOffset()):]
	}
	if documents == 0 {
		return nil, probes.Because(probes.Malformed, errors.New("the director printed no answer"))
	}
	return list, nil
}

// collect takes every object with values of its own for a row.
func collect(value any, list *[]record) {
	switch value := value.(type) {
	case []any:
		for _, one := range value {
			collect(one, list)
		}
	case map[string]any:
		row := record{}
		for key, one := range value {
			switch one := one.(type) {
			case string:
				row[strings.ToLower(key)] = one
			case json.Number:
				row[strings.ToLower(key)] = one.String()
			default:
				collect(one, list)
			}
		}
		if len(row) > 1 {
			*list = append(*list, row)
		}
	}
}

func (r record) number(key string) int64 {
	n, _ := strconv.ParseInt(strings.ReplaceAll(r[key], ",", ""), 10, 64)
	return n
}

// A run is one run of a job.
type run struct {
	id                   int64
	job                  string // with the time, which makes it unique
	kind, level, status  string
	start, end           time.Time
	files, bytes, errors int64
	purged               bool
}

// The letters for how a job ended, and for what it is doing.
const (
	ended  = "TW"
	failed = "EefDI"
	halted = "A"
)

func (r run) good() bool    { return strings.Contains(ended, r.status) }
func (r run) bad() bool     { return strings.Contains(failed, r.status) }
func (r run) running() bool { return !strings.Contains(ended+failed+halted, r.status) }

// statusText says in words what the letter of a bad end means.
func statusText(status string) string {
	return map[string]string{
		"E": "an error", "e": "an error that was not fatal", "f": "a fatal error", "D": "differences", "I": "being incomplete",
	}[status]
}

const stamp = "2006-01-02 15:04:05"

// runOf reads a row of the table of jobs. The catalogue has local times of the
// director, and one that is absolute: so no zone has to be known.
func runOf(row record) (run, bool) {
	r := run{
		id: row.number("jobid"), job: row["job"], kind: row["type"], level: row["level"], status: row["jobstatus"],
		files: row.number("jobfiles"), bytes: row.number("jobbytes"), errors: row.number("joberrors"), purged: row["purgedfiles"] == "1",
	}
	start, started := time.Parse(stamp, row["starttime"])
	end, over := time.Parse(stamp, row["endtime"])
	if at := row.number("jobtdate"); at > 0 {
		r.end = time.Unix(at, 0).UTC()
		r.start = r.end
		if started == nil && over == nil && !end.Before(start) {
			r.start = r.end.Add(start.Sub(end))
		}
	}
	return r, r.id > 0 && len(r.status) == 1
}

// sortRuns returns the backups of a job and all verify jobs, the newest first.
func sortRuns(list []record, name string) (runs, verifies []run) {
	for _, row := range list {
		r, ok := runOf(row)
		switch {
		case !ok:
		case r.kind == "V":
			verifies = append(verifies, r)
		case r.kind == "B" && row["name"] == name:
			runs = append(runs, r)
		}
	}
	newest := func(a, b run) int { return cmp.Compare(b.id, a.id) }
	for _, list := range [][]run{runs, verifies} {
		slices.SortFunc(list, newest)
	}
	unique := func(a, b run) bool { return a.id == b.id }
	return slices.CompactFunc(runs, unique), slices.CompactFunc(verifies, unique)
}
