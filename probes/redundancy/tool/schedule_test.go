package tool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/redundancy/tool"
)

// clock is commands whose answer a test chooses, and which count.
type clock struct {
	mu    sync.Mutex
	asked map[string]int
	takes time.Duration
	fails error
	says  string
}

func (c *clock) Run(ctx context.Context, entry string, _ ...string) (probes.Output, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !strings.HasPrefix(entry, "drbdsetup") {
		return probes.Output{}, probes.Because(probes.NotFound, errors.New("not installed"))
	}
	c.asked[entry]++
	takes, fails, says := c.takes, c.fails, c.says
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return probes.Output{}, ctx.Err()
	}
	return probes.Output{Stdout: []byte(says)}, fails
}

const (
	whole    = `[{"name":"r","devices":[{"volume":0,"disk-state":"UpToDate"}],"connections":[{"name":"b","connection-state":"Connected","peer_devices":[{"volume":0,"peer-disk-state":"UpToDate"}]}]}]`
	withdraw = `[{"name":"r","devices":[{"volume":0,"disk-state":"UpToDate"}],"connections":[{"name":"b","connection-state":"Connecting","peer_devices":[{"volume":0,"peer-disk-state":"DUnknown"}]}]}]`
)

func schedule(t *testing.T, test func(t *testing.T, c *clock, host probes.Host)) {
	t.Helper()
	s := state{files: map[string]string{"sys/module/drbd/version": "9\n"}, programs: map[string]probes.Output{}}
	host := s.host(t)
	synctest.Test(t, func(t *testing.T) {
		c := &clock{asked: map[string]int{}, says: whole}
		host.Commands = c
		test(t, c, host)
		time.Sleep(time.Hour) // whatever still runs ends
	})
}

func read(t *testing.T, tools *tool.Tools) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return strings.TrimSpace(told(tools.Read(ctx, time.Now())))
}

const (
	fine    = "drbd/r/0 tolerates 1/1 active 2/2"
	reduced = "drbd/r/0 tolerates 0/1 active 1/2"
)

func TestAToolIsAskedWhenItIsDue(t *testing.T) {
	schedule(t, func(t *testing.T, c *clock, host probes.Host) {
		tools := tool.New(host, host.State, tool.Options{})
		for range 4 {
			if got := read(t, tools); got != fine {
				t.Fatal(got)
			}
			time.Sleep(9 * time.Second)
		}
		c.says = withdraw
		time.Sleep(time.Second)
		read(t, tools) // asks
		synctest.Wait()
		if got := read(t, tools); got != reduced || c.asked["drbdsetup-status"] != 2 {
			t.Errorf("after %d questions: %s", c.asked["drbdsetup-status"], got)
		}
	})
}

func TestARestartDoesNotAskAgain(t *testing.T) {
	schedule(t, func(t *testing.T, c *clock, host probes.Host) {
		before := tool.New(host, host.State, tool.Options{}).Read(t.Context(), time.Now())
		time.Sleep(20 * time.Second)
		after := tool.New(host, host.State, tool.Options{}).Read(t.Context(), time.Now())
		if diff := cmp.Diff(told(before), told(after)); diff != "" || c.asked["drbdsetup-status"] != 1 {
			t.Errorf("after %d questions (-before +after):\n%s", c.asked["drbdsetup-status"], diff)
		}
		if !after.Groups[0].Observed.Equal(before.Groups[0].Observed) {
			t.Error("the age of the answer is lost")
		}
	})
}

func TestAFailureIsThatOfWhatWasThere(t *testing.T) {
	schedule(t, func(t *testing.T, c *clock, host probes.Host) {
		tools := tool.New(host, host.State, tool.Options{})
		read(t, tools)
		c.fails = probes.Because(probes.Locked, errors.New("in use"))
		time.Sleep(time.Minute)
		read(t, tools)
		synctest.Wait()
		want := "drbd is blind: locked: the host has /sys/module/drbd: in use\n" +
			"drbd/r/0 tolerates ?/? active 0/0 unknown: in use"
		if got := read(t, tools); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := read(t, tool.New(host, host.State, tool.Options{})); got != want { // its reason survives
			t.Errorf("after a restart: %s", got)
		}
		c.fails = nil
		time.Sleep(time.Minute)
		read(t, tools)
		synctest.Wait()
		if got := read(t, tools); got != fine {
			t.Errorf("then: %s", got)
		}
	})
}

func TestASlowToolKeepsNobodyWaitingForLong(t *testing.T) {
	schedule(t, func(t *testing.T, c *clock, host probes.Host) {
		c.takes = 15 * time.Second
		tools := tool.New(host, host.State, tool.Options{})
		start := time.Now()
		want := "drbd is closed: not_run: drbdsetup has not answered yet"
		if got := read(t, tools); got != want || time.Since(start) > 5*time.Second {
			t.Errorf("after %s: %s", time.Since(start), got)
		}
		time.Sleep(12 * time.Second)
		if got := read(t, tools); got != fine || c.asked["drbdsetup-status"] != 1 {
			t.Errorf("after %d questions: %s", c.asked["drbdsetup-status"], got)
		}
		c.takes = time.Hour
		time.Sleep(time.Minute)
		if got := read(t, tools); got != fine { // meanwhile, what was said last
			t.Errorf("while it hangs: %s", got)
		}
		time.Sleep(time.Minute)
		if got := read(t, tools); !strings.HasPrefix(got, "drbd is blind: timeout: ") {
			t.Errorf("after it was given up: %s", got)
		}
	})
}

func TestWhatIsNotThereAnyMoreIsNotAskedFor(t *testing.T) {
	s := state{files: map[string]string{}, programs: map[string]probes.Output{}}
	host := s.host(t)
	c := &clock{asked: map[string]int{}, says: whole}
	host.Commands = c
	if got := read(t, tool.New(host, host.State, tool.Options{})); got != "" || len(c.asked) > 0 {
		t.Errorf("a host that has nothing: %s, asked %v", got, c.asked)
	}
}
