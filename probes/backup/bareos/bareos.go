// Package bareos is the kind of backup that a director of Bareos or Bacula makes.
// Its catalogue says how its jobs ended, what they wrote to which volumes, and
// what verify jobs have read since; the console is only asked to list.
package bareos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/backup/job"
)

// Kind describes the kind.
func Kind() job.Kind {
	return job.Kind{
		Name:     "bareos",
		Summary:  "A job of Bareos or Bacula, by the catalogue of its director.",
		Keys:     []string{"config_file", "dataset"},
		Needs:    []string{"config_file", "dataset"},
		Depths:   []job.Depth{job.Present, job.Listed, job.Structure, job.Read},
		Commands: commands(),
		Check:    validate,
		Open: func(host probes.Host, o job.Options) job.Copy {
			return &console{host: host, options: o, targets: map[int64]int64{}}
		},
	}
}

func commands() []probes.Command {
	return []probes.Command{{
		Entry: "bconsole", Argv: []string{"bconsole", "-c", "{0}"}, Objects: []*regexp.Regexp{regexp.MustCompile(`/[^\x00\n]*`)},
		Help: "Lists jobs, their volumes and their logs; the commands come through its standard input.",
	}}
}

// jobName is what the console may be asked for: the name becomes a part of a
// command.
var jobName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 _.:-]{0,126}$`)

func validate(o job.Options) error {
	var errs []error
	if o.ConfigFile != "" && !filepath.IsAbs(o.ConfigFile) {
		errs = append(errs, probes.At("config_file", fmt.Errorf("%.80q is not an absolute path", o.ConfigFile)))
	}
	if o.Dataset != "" && !jobName.MatchString(o.Dataset) {
		errs = append(errs, probes.At("dataset", fmt.Errorf("%.80q is no name of a job", o.Dataset)))
	}
	return errors.Join(errs...)
}

// A console asks one director about one job. Its fields behind mu are shared by
// Look and Check.
type console struct {
	host    probes.Host
	options job.Options

	mu      sync.Mutex
	tool    job.Tool
	json    bool // it is a director of Bareos
	known   bool
	targets map[int64]int64 // by verify job: the job that it has verified
	runs    []run           // of the last look
	checks  []check
}

// ask gives commands to the console, and returns what it printed.
func (c *console) ask(ctx context.Context, commands ...string) ([]byte, error) {
	script := strings.Join(commands, "\n") + "\nquit\n"
	printed := &output{}
	out, err := c.host.Pipes.Pipe(ctx, strings.NewReader(script), printed, "bconsole", c.options.ConfigFile)
	switch {
	case probes.ReasonOf(err) == probes.NotFound:
		return nil, probes.Because(probes.Unsupported, errors.New("bconsole is not installed"))
	case err != nil:
		return nil, err
	case printed.over:
		return nil, probes.Because(probes.TooLarge, fmt.Errorf("bconsole printed more than %d bytes", maxOutput))
	}
	return printed.Bytes(), refused(out.ExitCode, printed.String()+"\n"+string(out.Stderr))
}

// maxOutput bounds what a director may list.
const maxOutput = 64 << 20

type output struct {
	bytes.Buffer
	over bool
}

func (o *output) Write(b []byte) (int, error) {
	if o.Len()+len(b) > maxOutput {
		o.over = true
		return len(b), nil
	}
	return o.Buffer.Write(b)
}

// welcome is how a director greets.
const welcome = "1000 OK"

// refused returns why the console has not come as far as the director.
func refused(code int, text string) error {
	switch {
	case strings.Contains(text, "authorization problem"), strings.Contains(text, "passwords do not agree"), strings.Contains(text, "Authorization error"):
		return probes.Because(probes.Auth, errors.New("the director does not accept the password of the console"))
	case strings.Contains(text, "Permission denied") && !strings.Contains(text, welcome):
		return probes.Because(probes.PermissionDenied, errors.New("bconsole may not read its configuration"))
	case strings.Contains(text, "Config error"), strings.Contains(text, "ERROR TERMINATION"):
		return probes.Because(probes.Malformed, errors.New("bconsole does not understand its configuration")) // which it prints, with the password
	case strings.Contains(text, "Select Catalog"), strings.Contains(text, "Select Director"):
		return probes.Because(probes.Unsupported, errors.New("there are several catalogues or directors, of which bconsole wants one to be chosen"))
	case !strings.Contains(text, welcome):
		return probes.Because(probes.Network, fmt.Errorf("bconsole has not reached the director (status %d)", code))
	}
	return nil
}

// version finds that of a director in its greeting.
var version = regexp.MustCompile(`[Vv]ersion: ([0-9][0-9.]*)`)

// begin finds out whether it is Bareos or Bacula: only Bareos answers in JSON.
func (c *console) begin(ctx context.Context) (isJSON bool, tool job.Tool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		return c.json, c.tool, nil
	}
	out, err := c.ask(ctx, ".api 2", "version")
	if err != nil {
		return false, job.Tool{}, err
	}
	c.known, c.json, c.tool = true, bytes.Contains(out, []byte(`"jsonrpc"`)), job.Tool{Name: "bacula"}
	if c.json {
		c.tool.Name = "bareos"
	}
	if match := version.FindSubmatch(out); match != nil {
		c.tool.Version = string(match[1])
	}
	return c.json, c.tool, nil
}

// records asks for lists, and returns what they hold.
func (c *console) records(ctx context.Context, commands ...string) ([]record, error) {
	isJSON, _, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	if isJSON {
		commands = append([]string{".api 2"}, commands...)
	}
	out, err := c.ask(ctx, commands...)
	if err != nil {
		return nil, err
	}
	if isJSON {
		return parseJSON(out)
	}
	return parseText(out), nil
}

// Look lists the runs of the job, and those of verify jobs.
func (c *console) Look(ctx context.Context) (job.Sight, error) {
	var sight job.Sight
	file, err := c.host.Files.Open(c.options.ConfigFile)
	if err != nil {
		return sight, probes.Because(reasonOfConfig(err), fmt.Errorf("the configuration of bconsole cannot be read: %w", err))
	}
	_ = file.Close()
	isJSON, tool, err := c.begin(ctx)
	if err != nil {
		return sight, err
	}
	sight.Tools = []job.Tool{tool}
	list, err := c.records(ctx, c.listing(isJSON)...)
	if err != nil {
		return sight, err
	}
	runs, verifies := sortRuns(list, c.options.Dataset)
	checks, err := c.checked(ctx, verifies, runs)
	if err != nil {
		return sight, err
	}
	c.mu.Lock()
	c.runs, c.checks = runs, checks
	c.mu.Unlock()
	return sight, fill(&sight, runs, checks)
}

// reasonOfConfig says what a missing configuration means: it holds the password.
func reasonOfConfig(err error) probes.Reason {
	if reason := probes.ReasonOf(err); reason != probes.NotFound {
		return reason
	}
	return probes.Auth
}

// The most runs that are listed.
const (
	maxRuns   = 500
	maxVerify = 50
)

// listing returns the commands that list runs. Bacula is asked for the newest;
// Bareos sorts in its own way.
func (c *console) listing(isJSON bool) []string {
	if isJSON {
		return []string{"llist job=" + c.name(), "llist jobs jobtype=V"}
	}
	return []string{
		fmt.Sprintf("llist job=%s order=desc limit=%d", c.name(), maxRuns),
		fmt.Sprintf("llist jobs jobtype=V order=desc limit=%d", maxVerify),
	}
}

func (c *console) name() string {
	if strings.Contains(c.options.Dataset, " ") {
		return `"` + c.options.Dataset + `"`
	}
	return c.options.Dataset
}
