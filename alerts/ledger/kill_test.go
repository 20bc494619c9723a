package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hygiene_exporter/alerts/ledger"
)

// file is a State that replaces one file atomically.
type file struct{ path string }

func (f file) Load(version int, v any) (bool, error) {
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(data, v)
}

func (f file) Save(version int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

const childVariable = "HYGIENE_LEDGER_CHILD"

// TestMain is the agent that the kill test kills, when it is told to be.
func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		fmt.Fprintln(os.Stderr, agent(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// agent observes as fast as it can, for ever. Five keys fire always and are
// acknowledged once; others fire for three rounds and are silent from then on.
// After each save it prints what is safe: a line "open" with its problem, as
// JSON, for each that is open, "closed EPISODE" for each that has closed, and a dot.
func agent(path string) error {
	l, err := ledger.Open(ledger.Options{State: file{path}, CloseAfter: time.Nanosecond, Deadlines: ladder(0, time.Hour)})
	if err != nil {
		return err
	}
	for round := 1; ; round++ {
		var findings []ledger.Finding
		for i := range 5 {
			findings = append(findings, ledger.Finding{Key: ledger.Key{Probe: "p", Check: "steady", Object: strconv.Itoa(i)}})
			flicker := fmt.Sprintf("%d-%d", os.Getpid(), (round+i)/3)
			findings = append(findings, ledger.Finding{Key: ledger.Key{Probe: "p", Check: "flicker", Object: flicker}})
		}
		changes := l.Observe(ledger.Round{
			At:        time.Now(),
			Findings:  findings,
			Evaluated: func(ledger.Key) bool { return true },
			Evidence:  func(ledger.Key) (ledger.Evidence, uint64) { return ledger.Observed, uint64(round) },
		})
		for _, p := range l.Problems() {
			if p.Check == "steady" && p.Ack == nil && rand.IntN(10) == 0 {
				if _, err := l.Ack(p.Episode, ledger.Ack{By: "kim", At: time.Now(), Expires: time.Now().Add(24 * time.Hour)}); err != nil {
					return err
				}
			}
		}
		var report bytes.Buffer
		for _, p := range l.Problems() {
			line, err := json.Marshal(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&report, "open %s\n", line)
		}
		for _, c := range changes {
			if c.Kind == ledger.Closed {
				fmt.Fprintf(&report, "closed %s\n", c.Problem.Episode)
			}
		}
		if err := l.Save(context.Background()); err != nil {
			return err
		}
		report.WriteString(".\n")
		if _, err := os.Stdout.Write(report.Bytes()); err != nil {
			return err
		}
	}
}

// witness remembers what agents reported as safe.
type witness struct {
	t      *testing.T
	open   map[string]ledger.Problem // the last whole report, by episode
	closed map[string]bool
	steady map[ledger.Key]string // episodes
	rounds int
}

// hear reads reports until the agent is dead; what was cut off does not count.
func (w *witness) hear(lines *bufio.Scanner) {
	open, closed := map[string]ledger.Problem{}, []string{}
	for lines.Scan() {
		what, rest, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "open":
			var p ledger.Problem
			if json.Unmarshal([]byte(rest), &p) == nil {
				open[p.Episode] = p
			}
		case "closed":
			closed = append(closed, rest)
		case ".":
			w.rounds++
			w.compare(open)
			for _, episode := range closed {
				w.closed[episode] = true
			}
			w.open, open, closed = open, map[string]ledger.Problem{}, nil
		}
	}
}

// compare checks what is open now against all that was safe before.
func (w *witness) compare(open map[string]ledger.Problem) {
	w.t.Helper()
	for episode, p := range open {
		if w.closed[episode] {
			w.t.Fatalf("%s: episode %s was closed and is back", p.Key, episode)
		}
		if p.Check == "steady" {
			if before := w.steady[p.Key]; before != "" && before != episode {
				w.t.Fatalf("%s: episode %s became %s", p.Key, before, episode)
			}
			w.steady[p.Key] = episode
		}
		if was, ok := w.open[episode]; ok {
			lost := was.Ack != nil && (p.Ack == nil || !p.Ack.At.Equal(was.Ack.At))
			if lost || was.Key != p.Key || !was.Since.Equal(p.Since) || len(was.Deadlines) != len(p.Deadlines) {
				w.t.Fatalf("was safe: %+v\nis now:  %+v", was, p)
			}
		}
	}
	for episode, was := range w.open {
		if _, ok := open[episode]; !ok && was.Check == "steady" {
			w.t.Fatalf("lost: %+v", was)
		}
	}
}

// TestKill kills the agent with SIGKILL at random moments, again and again.
// Nothing that it called safe is lost or changed, nothing that it called closed
// comes back, and what fires all the time stays one episode.
// HYGIENE_KILLS sets how often; the default is 40.
func TestKill(t *testing.T) {
	kills := 40
	if text := os.Getenv("HYGIENE_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "ledger.json")
	w := &witness{t: t, open: map[string]ledger.Problem{}, closed: map[string]bool{}, steady: map[ledger.Key]string{}}
	for range kills {
		agent := exec.CommandContext(t.Context(), os.Args[0])
		agent.Env = append(os.Environ(), childVariable+"="+path)
		var complaint bytes.Buffer
		agent.Stderr = &complaint
		out, err := agent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(rand.IntN(100))*time.Millisecond, func() { agent.Process.Kill() })
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		w.hear(lines)
		if agent.Wait(); complaint.Len() > 0 {
			t.Fatalf("agent: %s", complaint.String())
		}
		w.inspect(path)
	}
	if w.rounds < kills || len(w.steady) != 5 || len(w.closed) == 0 {
		t.Errorf("%d rounds in %d lives, %d steady problems, %d closed: the test tells nothing", w.rounds, kills, len(w.steady), len(w.closed))
	}
	t.Logf("%d kills, %d rounds, %d problems closed", kills, w.rounds, len(w.closed))
}

// inspect opens what the dead agent left behind.
func (w *witness) inspect(path string) {
	w.t.Helper()
	l, err := ledger.Open(ledger.Options{State: file{path}})
	if err != nil {
		w.t.Fatal(err)
	}
	open := map[string]ledger.Problem{}
	for _, p := range l.Problems() {
		open[p.Episode] = p
	}
	w.compare(open)
}
