package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Assert asks what was loaded whether it holds what it must hold. An answer that
// is wrong is a flaw.
func (s *Session) Assert(ctx context.Context) error {
	for i, q := range s.task.Assert.Queries {
		if err := s.ask(ctx, q); err != nil {
			if full := context.Cause(s.limit); full != nil {
				return full
			}
			return fmt.Errorf("query %d (%.60s): %w", i+1, strings.Join(strings.Fields(q.Query), " "), err)
		}
	}
	return nil
}

func (s *Session) ask(ctx context.Context, q job.Query) error {
	server, database, err := s.where(ctx, q.Database)
	if err != nil {
		return err
	}
	answer, err := server.query(ctx, database, q.Query)
	if err != nil {
		return err
	}
	return judge(q, answer, s.at, s.task.RPO)
}

// where returns the server that holds a database, by its name, or the only one.
func (s *Session) where(ctx context.Context, want string) (server, string, error) {
	var (
		names []string
		where server
		at    string
	)
	for _, one := range s.loaded {
		list, err := one.databases(ctx)
		if err != nil {
			return nil, "", err
		}
		for _, name := range list {
			if name == want {
				return one, name, nil
			}
			where, at = one, name
		}
		names = append(names, list...)
	}
	switch {
	case want != "":
		return nil, "", job.Flawed(job.Unasserted, "the database %.60q was not restored; there are %.200q", want, names)
	case len(names) == 0:
		return nil, "", job.Flawed(job.Unasserted, "no database was restored")
	case len(names) > 1:
		return nil, "", probes.Because(probes.Malformed, fmt.Errorf("the query must name its database, because there are several: %.200q", names))
	}
	return where, at, nil
}

// judge judges an answer. The data is of the instant at.
func judge(q job.Query, answer string, at time.Time, rpo time.Duration) error {
	if q.Equals != "" && answer != q.Equals {
		return job.Flawed(job.Unasserted, "the answer is %.80q and must be %.80q", answer, q.Equals)
	}
	if q.Min != 0 || q.Max != 0 {
		number, err := strconv.ParseFloat(strings.TrimSpace(answer), 64)
		switch {
		case err != nil:
			return job.Flawed(job.Unasserted, "the answer is %.80q, which is no number", answer)
		case q.Min != 0 && number < float64(q.Min):
			return job.Flawed(job.Unasserted, "the answer is %.40s and must be %d at least", answer, q.Min)
		case q.Max != 0 && number > float64(q.Max):
			return job.Flawed(job.Unasserted, "the answer is %.40s and must be %d at most", answer, q.Max)
		}
	}
	if !q.Fresh {
		return nil
	}
	told, err := parseInstant(answer)
	switch {
	case err != nil:
		return job.Flawed(job.Unasserted, "%v", err)
	case at.Sub(told) > rpo:
		return job.Flawed(job.Unasserted, "the answer is %.40s, longer before the backup than the objective of %s", answer, rpo)
	}
	return nil
}

// parseInstant reads an instant as databases print it.
func parseInstant(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1<<40 {
		return time.Unix(int64(seconds), 0), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05-07", "2006-01-02 15:04:05-0700",
		"2006-01-02T15:04:05", time.DateTime, time.DateOnly,
	} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("the answer is " + strconv.Quote(text[:min(len(text), 80)]) + ", which is no instant")
}
