package failover

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/drill"
	"hygiene_exporter/probes/internal/rootfs"
)

// rig is a host with a bond of three members, in files.
type rig struct {
	t       *testing.T
	root    string
	machine *Machine
	check   func(active string) int // status of the check, by the member in use
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, root: t.TempDir(), check: func(string) int { return 0 }}
	for path, text := range map[string]string{
		"bond0/bonding/slaves": "eth0 eth1 eth2", "bond0/bonding/mode": "active-backup 1", "bond0/bonding/miimon": "100",
		"bond0/bonding/mii_status": "up", "bond0/bonding/active_slave": "eth0",
		"eth0/bonding_slave/mii_status": "up", "eth1/bonding_slave/mii_status": "up", "eth2/bonding_slave/mii_status": "up",
	} {
		r.write(path, text)
	}
	r.machine = &Machine{
		Host: probes.Host{Files: rootfs.New(rootfs.Paths{Root: r.root})}, Sys: filepath.Join(r.root, "sys"),
		Run: func(context.Context, []string) (probes.Output, error) {
			return probes.Output{ExitCode: r.check(r.active())}, nil
		},
		Pause: time.Sleep,
	}
	return r
}

func (r *rig) write(path, text string) {
	r.t.Helper()
	path = filepath.Join(r.root, "sys/class/net", path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// active is the member in use. The kernel takes one word; a file keeps what was
// longer before.
func (r *rig) active() string {
	text, err := os.ReadFile(filepath.Join(r.root, "sys/class/net/bond0/bonding/active_slave"))
	if err != nil {
		r.t.Fatal(err)
	}
	word, _, _ := strings.Cut(string(text), "\n")
	return word
}

func bondDrill() drill.Drill {
	var d drill.Drill
	d.SetDefaults()
	d.Name, d.Kind, d.Object, d.Run.Check = "net", "failover", "bond/bond0", []string{"/check", "secret"}
	d.Failover.Allowed = true
	return d
}

// guard stands by in the same process.
type guard struct {
	err   error
	acted bool
	order Order
	armed bool
}

func (g *guard) Arm(o Order) (Armed, error) {
	g.order, g.armed = o, g.err == nil
	return g, g.err
}

func (g *guard) Disarm() (bool, error) {
	g.armed = false
	return g.acted, nil
}

func TestWhatComesOfAFailover(t *testing.T) {
	working := func(string) int { return 0 }
	for name, c := range map[string]struct {
		change func(r *rig, d *drill.Drill, g *guard)
		stop   time.Duration // when the person interrupts
		want   string        // result, recovered, seconds, member in use, why
		fail   string        // why it does not begin
		armed  bool          // at the end the guard still stands by
	}{
		"everything works over the other member": {want: "passed yes 0 eth0"},
		"it stays": {
			change: func(_ *rig, d *drill.Drill, _ *guard) { d.Failover.Stay = true },
			want:   "passed yes 0 eth1",
		},
		"nothing arrives over the other member": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				r.check = func(active string) int { return map[string]int{"eth1": 1}[active] }
			},
			want: "failed yes 25 eth0 nothing works without eth0: /check ended with status 1",
		},
		"it works only after a while": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				times := 0
				r.check = func(active string) int {
					if active == "eth1" {
						times++
					}
					return map[bool]int{true: 1}[active == "eth1" && times <= 30]
				}
			},
			want: "passed yes 3 eth0",
		},
		"it works for a moment only": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				times := 0
				r.check = func(active string) int {
					if active == "eth1" {
						times++
					}
					return map[bool]int{true: 1}[active == "eth1" && times > 4]
				}
			},
			want: "failed yes 4 eth0 it worked for a moment, and then not: /check ended with status 1",
		},
		"the bond changes back by itself": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				times := 0
				r.check = func(active string) int {
					if times++; times == 5 {
						r.write("bond0/bonding/active_slave", "eth2")
					}
					return 0
				}
			},
			want: "failed yes 3 eth0 it worked for a moment, and then not: bond/bond0 is not changed over, or not any more: eth0 up; eth1 up; eth2 up (in use)",
		},
		"the bond does not come back": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				r.check = func(active string) int {
					if active == "eth1" { // what is written from now on, the kernel does not take
						r.machine.Sys = filepath.Join(r.root, "other")
						r.write("../../../other/class/net/bond0/bonding/active_slave", "")
					}
					return 0
				}
			},
			want: "failed no 0 eth1 did not recover: bond/bond0 is not as it was: eth0 up; eth1 up (in use); eth2 up", armed: true,
		},
		"everything is broken afterwards": {
			change: func(r *rig, _ *drill.Drill, _ *guard) {
				seen := false
				r.check = func(active string) int {
					seen = seen || active == "eth1"
					return map[bool]int{true: 1}[active == "eth0" && seen]
				}
			},
			want: "failed no 0 eth0 did not recover: /check ended with status 1",
		},
		"it is interrupted":          {stop: 5 * time.Second, want: "aborted yes 0 eth0 interrupted"},
		"the guard was faster":       {change: func(_ *rig, _ *drill.Drill, g *guard) { g.acted = true }, want: "failed yes 15 eth0 the dead man put it back before the drill did"},
		"something is broken before": {change: func(r *rig, _ *drill.Drill, _ *guard) { r.check = func(string) int { return 2 } }, fail: "not everything works already"},
		"nobody stands by":           {change: func(_ *rig, _ *drill.Drill, g *guard) { g.err = errors.New("no memory") }, fail: "nobody stands by to undo it: no memory"},
		"a wish is granted": {
			change: func(r *rig, d *drill.Drill, _ *guard) {
				d.Failover.Stay, d.Failover.Member, r.check = true, "eth2", working
			},
			want: "passed yes 0 eth2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			synctest.Test(t, func(t *testing.T) {
				d, g := bondDrill(), &guard{}
				if c.change != nil {
					c.change(r, &d, g)
				}
				plan, err := Prepare(t.Context(), r.machine, d.Object, d.Failover.Member)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.stop > 0 {
					time.AfterFunc(c.stop, cancel)
				}
				e := Exercise{
					Drill: d, Plan: plan, Machine: r.machine, Guard: g, Say: func(string, ...any) {}, Now: time.Now,
					Begun: func(rec drill.Record) error {
						if !rec.Unfinished || !g.armed || r.active() != "eth0" {
							t.Error("the start is recorded too late, or too early")
						}
						return nil
					},
				}
				rec, err := e.Do(ctx)
				if c.fail != "" {
					if err == nil || !strings.Contains(err.Error(), "not begun: "+c.fail) || r.active() != "eth0" {
						t.Errorf("got %v, with %s in use", err, r.active())
					}
					return
				}
				recovered := map[bool]string{true: "yes", false: "no"}[*rec.Recovered]
				got := strings.TrimSpace(fmt.Sprintf("%s %s %.0f %s %s", rec.Result, recovered, rec.Seconds, r.active(), rec.Detail["why"]))
				if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if g.armed != c.armed || rec.Unfinished || strings.Contains(fmt.Sprint(rec), "secret") {
					t.Errorf("the guard stands by: %v; %+v", g.armed, rec)
				}
			})
		})
	}
}

func TestWhatCannotBePrepared(t *testing.T) {
	for name, c := range map[string]struct{ path, text, object, wish, want string }{
		"a member that is down":           {"eth2/bonding_slave/mii_status", "down", "bond/bond0", "", "is not whole"},
		"a bond of another mode":          {"bond0/bonding/mode", "802.3ad 4", "bond/bond0", "", "only active-backup has one"},
		"a bond that watches nothing":     {"bond0/bonding/miimon", "0", "bond/bond0", "", "does not notice a dead member"},
		"a word that nobody knows":        {"eth0/bonding_slave/mii_status", "wobbly", "bond/bond0", "", "not understood"},
		"one member only":                 {"bond0/bonding/slaves", "eth0", "bond/bond0", "", "no other member works"},
		"a wish for what is in use":       {"x", "", "bond/bond0", "eth0", "in use already"},
		"a wish for what is not there":    {"x", "", "bond/bond0", "eth9", "no other member that works"},
		"another bond":                    {"x", "", "bond/bond1", "", "no such bond"},
		"something of another kind":       {"x", "", "mdraid/md0", "", "no bond, team or multipath device"},
		"a multipath device without a dm": {"x", "", "multipath/a", "", "no such multipath device"},
	} {
		r := newRig(t)
		r.write(c.path, c.text)
		_, err := Prepare(t.Context(), r.machine, c.object, c.wish)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The dead man acts when the drill does not end, and only then; what it does is
// recorded.
func TestWhenTheDeadManActs(t *testing.T) {
	for name, c := range map[string]struct {
		drill  func(l *Line, to io.Closer, stop func()) // what becomes of the drill
		broken bool
		want   string // result, recovered, member in use, why
	}{
		"the drill ends":                 {func(l *Line, _ io.Closer, _ func()) { _, _ = l.Disarm() }, false, "eth1"},
		"the drill dies":                 {func(_ *Line, to io.Closer, _ func()) { to.Close() }, false, "aborted yes eth0 the drill ended without a word"},
		"the drill hangs":                {func(*Line, io.Closer, func()) {}, false, "failed yes eth0 the drill did not end within 45s"},
		"the host goes down":             {func(_ *Line, _ io.Closer, stop func()) { stop() }, false, "aborted yes eth0 the dead man was asked to end"},
		"it dies and leaves it broken":   {func(_ *Line, to io.Closer, _ func()) { to.Close() }, true, "aborted no eth0 the drill ended without a word"},
		"it says something else (a bug)": {func(l *Line, _ io.Closer, _ func()) { fmt.Fprintln(l.to, "hello") }, false, "aborted yes eth0 the drill ended without a word"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				plan, err := Prepare(ctx, r.machine, "bond/bond0", "")
				if err != nil {
					t.Fatal(err)
				}
				in, to := io.Pipe()
				from, out := io.Pipe()
				got := r.active()
				man := DeadMan{
					In: in, Out: out, Machine: r.machine, Say: func(string, ...any) {}, Now: time.Now,
					Record: func(rec drill.Record) error {
						got = fmt.Sprintf("%s %s %s %s", rec.Result, map[bool]string{true: "yes", false: "no"}[*rec.Recovered], r.active(), rec.Detail["why"])
						return rec.Validate(time.Now())
					},
				}
				watched := make(chan error, 1)
				go func() { watched <- man.Watch(ctx) }()
				line := NewLine(to, from)
				rec := plan.record("net", time.Now())
				rec.By = "kim"
				if err := line.Arm(Order{Drill: bondDrill(), Plan: plan, Record: rec}); err != nil {
					t.Fatal(err)
				}
				if err := plan.Take(ctx, r.machine); err != nil {
					t.Fatal(err)
				}
				if c.broken {
					r.check = func(string) int { return 1 }
				}
				go func() { _, _ = io.Copy(io.Discard, line.from) }()
				if name == "the drill ends" {
					got = r.active()
				}
				go c.drill(NewLine(to, strings.NewReader("idle\n")), to, stop)
				if err := <-watched; err != nil {
					t.Error(err)
				}
				out.Close()
				in.Close()
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// daemon is a multipathd with two groups of paths, which answers as the real one.
type daemon struct {
	failed map[string]bool
	asked  []string
}

func (d *daemon) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		head := make([]byte, 8)
		if _, err := io.ReadFull(far, head); err != nil {
			return
		}
		body := make([]byte, binary.NativeEndian.Uint64(head))
		if _, err := io.ReadFull(far, body); err != nil {
			return
		}
		answer := d.answer(strings.TrimRight(string(body), "\x00")) + "\n\x00"
		_, _ = far.Write(append(binary.NativeEndian.AppendUint64(nil, uint64(len(answer))), answer...))
	}()
	return near, nil
}

func (d *daemon) answer(command string) string {
	if verb, name, is := strings.Cut(command, " path "); is {
		d.asked = append(d.asked, command)
		if name == "sdz" {
			return "fail"
		}
		d.failed[name] = verb == "fail"
		return "ok"
	}
	type path map[string]string
	of := func(names ...string) (all []path) {
		for _, name := range names {
			state := map[bool]string{true: "failed", false: "active"}[d.failed[name]]
			all = append(all, path{"dev": name, "dm_st": state, "dev_st": "running", "chk_st": "ready"})
		}
		return all
	}
	text, _ := json.Marshal(map[string]any{"major_version": 0, "maps": []any{map[string]any{
		"name": "mpatha", "uuid": "1", "path_groups": []any{
			map[string]any{"dm_st": "active", "paths": of("sda", "sdb")}, map[string]any{"dm_st": "enabled", "paths": of("sdc")},
		},
	}}})
	return string(text)
}

func TestAllPathsInUseAreFailedAndReinstated(t *testing.T) {
	r, d := newRig(t), &daemon{failed: map[string]bool{}}
	for _, name := range []string{"sda", "sdb", "sdc"} {
		r.write("../../block/dm-0/slaves/"+name+"/x", "")
	}
	r.write("../../block/dm-0/dm/uuid", "mpath-1")
	r.write("../../block/dm-0/dm/name", "mpatha")
	r.write("../../block/sda/dev", "8:0")
	r.machine.Dial = d.dial
	plan, err := Prepare(t.Context(), r.machine, "multipath/mpatha", "")
	if err != nil {
		t.Fatal(err)
	}
	want := Plan{
		Object: "multipath/mpatha", From: []string{"sda", "sdb"}, To: []string{"sdc"}, Numbers: map[string]string{"sda": "8:0"},
		Before: "sda running, active, ready (in use); sdb running, active, ready (in use); sdc running, active, ready",
	}
	if diff := cmp.Diff(want, plan); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := plan.Take(t.Context(), r.machine); err != nil {
		t.Error(err)
	}
	if _, err := Prepare(t.Context(), r.machine, "multipath/mpatha", "sdc"); err == nil {
		t.Error("the last path may be failed")
	}
	after, err := plan.Back(t.Context(), r.machine)
	if err != nil || after != plan.Before {
		t.Errorf("%q, %v", after, err)
	}
	asked := []string{"fail path sda", "fail path sdb", "reinstate path sda", "reinstate path sdb"}
	if diff := cmp.Diff(asked, d.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one, err := Prepare(t.Context(), r.machine, "multipath/mpatha", "sdb")
	if err != nil || !cmp.Equal(one.From, []string{"sdb"}) || !cmp.Equal(one.To, []string{"sda", "sdc"}) {
		t.Errorf("%+v, %v", one, err)
	}
	if err := command(t.Context(), r.machine, "fail path sdz"); err == nil {
		t.Error("a refusal is not noticed")
	}
}
