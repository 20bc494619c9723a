package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
)

// A drill is carried out with programs whose ends the test chooses.
func TestWhatComesOfAnExercise(t *testing.T) {
	killed := fmt.Errorf("switch was killed: %w", context.DeadlineExceeded)
	for name, c := range map[string]struct {
		command  int    // status
		err      error  // of the command
		checks   []int  // statuses, one after the other; the last goes on
		begun    error  // of recording the start
		stop     bool   // the person interrupts
		want     string // result, recovered, seconds, why
		wantFail string // error
	}{
		"everything works again at once":              {checks: []int{0, 0}, want: "passed yes 10"},
		"everything works again after a while":        {checks: []int{0, 1, 1, 0}, want: "passed yes 12"},
		"the command fails":                           {command: 3, checks: []int{0, 0}, want: "failed yes 10 the command ended with status 3"},
		"the command hangs":                           {err: killed, checks: []int{0, 0}, want: "failed yes 10 the command did not end within 10m"},
		"the command cannot be run":                   {err: errors.New("no such program"), checks: []int{0, 0}, want: "failed yes 10 no such program"},
		"not everything works again":                  {checks: []int{0, 1}, want: "failed no 15 did not recover: /check ended with status 1"},
		"the command fails and leaves a mess":         {command: 1, checks: []int{0, 1}, want: "failed no 15 the command ended with status 1"},
		"it is interrupted, and everything works":     {stop: true, err: context.Canceled, checks: []int{0, 0}, want: "aborted yes 10 interrupted"},
		"it is interrupted, and leaves a mess":        {stop: true, err: context.Canceled, checks: []int{0, 1}, want: "aborted no 15 interrupted"},
		"something is broken before it begins":        {checks: []int{1}, wantFail: "not begun: the check fails already"},
		"the start cannot be recorded":                {checks: []int{0}, begun: errors.New("no agent"), wantFail: "not begun: no agent"},
		"nobody has said how to see whether it works": {want: "passed unknown 10"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			now := time.Unix(0, 0)
			d := Drill{Name: "x", Kind: command}
			d.SetDefaults()
			d.Run.Command, d.Run.RecoverWithin = []string{"/switch", "secret"}, probes.Duration(5*time.Second)
			if c.checks != nil {
				d.Run.Check = []string{"/check"}
			}
			ran, looked := false, 0
			e := Exercise{
				Drill: d,
				Run: func(_ context.Context, argv []string) (probes.Output, error) {
					if argv[0] == "/check" {
						status := c.checks[min(looked, len(c.checks)-1)]
						looked++
						return probes.Output{ExitCode: status}, nil
					}
					ran = true
					now = now.Add(10 * time.Second)
					if c.stop {
						cancel()
					}
					return probes.Output{ExitCode: c.command, Stdout: []byte("a password")}, c.err
				},
				Begun: func(r Record) error {
					if ran || r.Result != Aborted || !r.Unfinished {
						t.Errorf("the start is recorded too late, or as %s", r.Result)
					}
					return c.begun
				},
				Say: func(string, ...any) {}, Now: func() time.Time { return now },
				Pause: func(d time.Duration) { now = now.Add(d) },
			}
			r, err := e.Do(ctx)
			if c.wantFail != "" {
				if err == nil || !strings.Contains(err.Error(), c.wantFail) || ran {
					t.Errorf("got %v, and the command ran: %v", err, ran)
				}
				return
			}
			works := "unknown"
			if r.Recovered != nil {
				works = map[bool]string{true: "yes", false: "no"}[*r.Recovered]
			}
			got := strings.TrimSpace(fmt.Sprintf("%s %s %g %s", r.Result, works, r.Seconds, r.Detail["why"]))
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if r.Unfinished {
				t.Error("the end is unfinished")
			}
			if text := fmt.Sprintf("%+v", r); strings.Contains(text, "secret") || strings.Contains(text, "password") {
				t.Errorf("the evidence tells secrets: %s", text)
			}
		})
	}
}
