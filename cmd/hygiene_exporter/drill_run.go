package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"hygiene_exporter/alerts/control"
	"hygiene_exporter/alerts/detect"
	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/host"
)

// drillRunCommand carries out a drill. It is the only way in which one is: the
// agent itself runs none.
type drillRunCommand struct {
	name, by, note string
	despite        string // why it is run although problems are open
	session        bool
	plan           bool
}

func (c *drillRunCommand) declare(app *kingpin.Application) *kingpin.CmdClause {
	clause := drillClause(app).Command("run", "Carry out a drill of the kind command or failover, as root: run what the configuration file says, or fail over and back, see whether everything works, and record the evidence. Exit status 0: passed; 2: failed; 3: not begun, or interrupted.")
	clause.Arg("drill", "The drill, by its whole name.").Required().StringVar(&c.name)
	clause.Flag("by", "Who carries it out.").Default(userName()).StringVar(&c.by)
	clause.Flag("note", "What for.").StringVar(&c.note)
	clause.Flag("plan", "Say what it would do, in order, and what it would be refused for, and do nothing.").BoolVar(&c.plan)
	clause.Flag("despite-problems", "Run it although other problems are open on this host, for a reason that is recorded.").PlaceHolder("REASON").StringVar(&c.despite)
	clause.Flag("despite-session", "Fail over an interface although the SSH session of whoever asks runs over it.").BoolVar(&c.session)
	return clause
}

func (c *drillRunCommand) run(ctx context.Context, e *environment) error {
	if os.Geteuid() != 0 {
		return errors.New("only root runs drills")
	}
	d, err := c.drill(e)
	if err != nil {
		return err
	}
	client, err := e.agentClient()
	if err != nil {
		return err
	}
	if c.plan {
		return c.printPlan(ctx, e, d, client)
	}
	note, err := c.clear(ctx, client)
	if err != nil {
		return err
	}
	c.note = note
	record := func(r drill.Record) error {
		c.sign(&r)
		// The end is recorded even when the person has interrupted the drill.
		_, err := client.RecordDrill(context.WithoutCancel(ctx), r)
		return err
	}
	// A drill of the network may cost the person the terminal. It goes on to its
	// end, and its evidence is recorded, all the same.
	lost := make(chan os.Signal, 1)
	signal.Notify(lost, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(lost)
	var r drill.Record
	if d.FailsOver() {
		r, err = c.failOver(ctx, e, d, record)
	} else {
		r, err = c.exercise(ctx, e, d, record)
	}
	if err != nil {
		return err
	}
	if err := record(r); err != nil {
		err = fmt.Errorf("the drill %s, and that could not be recorded: %w", r.Result, err)
		return errors.Join(err, printEvidence(e.stdout, []drill.Standing{{Records: []drill.Record{r}}}))
	}
	fmt.Fprintln(e.stdout, r.Text())
	if d.Objective > 0 && r.Seconds > time.Duration(d.Objective).Seconds() {
		fmt.Fprintf(e.stdout, "slower than its objective of %s\n", d.Objective)
	}
	switch r.Result {
	case drill.Passed:
		return nil
	case drill.Failed:
		return exitStatus(2)
	}
	return exitStatus(exitUnknown)
}

// sign says in a record who carries the drill out, and what for.
func (c *drillRunCommand) sign(r *drill.Record) { r.By, r.Note = c.by, c.note }

// exercise runs the command of a drill.
func (c *drillRunCommand) exercise(ctx context.Context, e *environment, d drill.Drill, record func(drill.Record) error) (drill.Record, error) {
	exercise := drill.Exercise{
		Drill: d, Run: e.runAloud, Begun: record, Say: e.say,
		Now: time.Now, Pause: time.Sleep,
	}
	return exercise.Do(ctx)
}

// runAloud runs a program and prints what it prints.
func (e *environment) runAloud(ctx context.Context, argv []string) (probes.Output, error) {
	out, err := host.RunDirect(ctx, argv)
	fmt.Fprintf(e.stdout, "%s", out.Stdout)
	fmt.Fprintf(e.stderr, "%s", out.Stderr)
	return out, err
}

func (e *environment) say(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) }

// drill returns the drill of the configuration, after making sure that nobody
// but root could have written what will be run.
func (c *drillRunCommand) drill(e *environment) (drill.Drill, error) {
	none := drill.Drill{}
	loaded, err := e.loadConfig()
	if err != nil {
		return none, err
	}
	section, ok := loaded.Probes[drill.Spec().Name].(*drill.Config)
	if !ok {
		return none, errors.New("there is no section drill")
	}
	d, known := section.Drill(c.name)
	switch {
	case !known:
		return none, fmt.Errorf("no drill of the configuration is called %.80q; name its file with --config.file", c.name)
	case !d.Runs():
		return none, fmt.Errorf("%s is of the kind %s, and there is nothing to run; attest it with drill record", d.Name, d.Kind)
	case d.FailsOver() && !d.Failover.Allowed:
		return none, fmt.Errorf("refused: the configuration does not allow to fail over %s; set failover.allowed of the drill %s to true", d.Object, d.Name)
	}
	paths := []string{e.configFile}
	for _, argv := range [][]string{d.Run.Command, d.Run.Check} {
		if len(argv) > 0 {
			paths = append(paths, argv[0])
		}
	}
	for _, path := range paths {
		if err := onlyRootWrites(path); err != nil {
			return none, fmt.Errorf("refused: %w", err)
		}
	}
	return d, nil
}

// clear refuses a drill while something else is wrong on the host: redundancy
// that is already lost is not to be tried. It returns the note of the evidence.
func (c *drillRunCommand) clear(ctx context.Context, client control.Client) (string, error) {
	problems, err := client.Problems(ctx)
	if err != nil {
		return "", err
	}
	var open []string
	for _, p := range problems {
		if p.Severity != detect.Info && p.Probe != drill.Spec().Name {
			open = append(open, fmt.Sprintf("%s/%s/%s", p.Probe, p.Check, p.Object))
		}
	}
	switch {
	case len(open) == 0:
		return c.note, nil
	case strings.TrimSpace(c.despite) == "":
		return "", fmt.Errorf("not begun: another problem is open, or more (--despite-problems=REASON goes on):\n  %s",
			strings.Join(open[:min(len(open), 10)], "\n  "))
	}
	return strings.TrimSpace(fmt.Sprintf("%s (despite open problems, %d: %s)", c.note, len(open), c.despite)), nil
}

// onlyRootWrites makes sure that a file, and every directory on the way to it,
// belongs to root and can be written by nobody else. Of a directory in which
// everybody may only touch what is their own, it is the entry that counts.
func onlyRootWrites(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
		if !ok || owner.Uid != 0 || (info.Mode().Perm()&0o022 != 0 && !sticky) {
			return fmt.Errorf("%s can be written by others than root", path)
		}
		if path == filepath.Dir(path) {
			return nil
		}
		path = filepath.Dir(path)
	}
}
