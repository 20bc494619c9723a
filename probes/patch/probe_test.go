package patch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes"
	"hygiene_exporter/probes/patch/updates"
	"hygiene_exporter/probes/probetest"
)

func TestConformance(t *testing.T) {
	probetest.Run(t, Spec(), probetest.Options{Prepare: func(root string) error {
		const lists = "var/lib/apt/lists/a.example_dists_s-security_"
		for name, text := range map[string]string{
			"var/lib/dpkg/status":                "Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n",
			"etc/apt/sources.list":               "deb http://a.example s-security main\ndeb http://b.example s main\n",
			lists + "Release":                    "Suite: s-security\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n",
			lists + "main_binary-amd64_Packages": "Package: a\nArchitecture: amd64\nVersion: 2\n",
		} {
			path := filepath.Join(root, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
				return err
			}
		}
		return nil
	}})
}

// fake is a package manager that says what the test wants.
type fake struct {
	manager updates.Manager
	err     error
}

func (f *fake) Read(context.Context) (updates.Manager, error) { return f.manager, f.err }

// rig is a probe with one fake package manager.
type rig struct {
	t     *testing.T
	world *probetest.World
	fake  *fake
	probe *probe
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, world: &probetest.World{Root: t.TempDir()}, fake: &fake{manager: updates.Manager{
		Name: "apt", SecurityKnown: true, Compare: strings.Compare,
	}}}
	r.restart()
	return r
}

// restart makes a new probe on the same state.
func (r *rig) restart() {
	r.probe = newProbe(defaultConfig(), r.world.Host())
	r.probe.readers = []updates.Reader{r.fake}
}

// forget makes a new probe that has lost the state.
func (r *rig) forget() {
	r.world = &probetest.World{Root: r.world.Root}
	r.restart()
}

// run runs the probe and prints what it says that is neither zero nor about the
// manager as a whole; instants are in days since the start of the test.
func (r *rig) run() []string {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		return []string{err.Error()}
	}
	lines := []string{}
	for _, s := range result.Samples {
		name := strings.TrimPrefix(s.Metric.Name, "hygiene_patch_")
		value := fmt.Sprint(s.Value)
		if short, ok := strings.CutSuffix(name, "_timestamp_seconds"); ok {
			name, value = short, fmt.Sprintf("day %.4g", (s.Value-probes.Seconds(epoch))/day.Seconds())
		} else if s.Value == 0 || s.Metric == pendingInfo || s.Metric == securityKnown {
			continue
		}
		labels := slices.DeleteFunc(slices.Clone(s.Labels), func(v string) bool { return v == "" })
		lines = append(lines, name+" "+strings.Join(labels, " ")+": "+value)
	}
	for _, f := range result.Faults {
		lines = append(lines, fmt.Sprintf("fault %s %s", f.Object, f.Reason))
	}
	for _, object := range result.Removed {
		lines = append(lines, "gone "+object)
	}
	slices.Sort(lines)
	return lines
}

func (r *rig) expect(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), r.run()); diff != "" {
		r.t.Errorf("(-want +got):\n%s", diff)
	}
}

// epoch is when the clock of synctest starts.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func days(n float64) time.Time { return epoch.Add(time.Duration(n * float64(day))) }

func sleep(n int) { time.Sleep(time.Duration(n) * day) }

// pendingUpdate is an update to the last of the releases.
func pendingUpdate(installed string, releases ...updates.Release) updates.Update {
	return updates.Update{
		Package: "openssl", Installed: installed, Candidate: releases[len(releases)-1].Version,
		State: updates.Pending, Releases: releases,
	}
}

func (r *rig) pending(list ...updates.Update) { r.fake.manager.Updates = list }

func TestAgeOfUpdates(t *testing.T) {
	secure := func(version string, available time.Time) updates.Release {
		return updates.Release{Version: version, Security: true, Available: available}
	}
	plain := func(version string) updates.Release { return updates.Release{Version: version} }
	missing := func(class, advisory string, since, deadline float64) []string {
		return []string{
			fmt.Sprintf("pending apt %s pending: 1", class),
			fmt.Sprintf("oldest_pending apt %s %s: day %.4g", class, advisory, since),
			fmt.Sprintf("deadline apt %s %s: day %.4g", class, advisory, deadline),
		}
	}
	for name, do := range map[string]func(r *rig){
		"an update without a date counts from the first look": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", time.Time{})))
			r.expect(missing("security", "unrated", 0, 14)...)
			sleep(5)
			r.restart()
			r.expect(missing("security", "unrated", 0, 14)...)
		},
		"a date of the metadata proves age on the first look": func(r *rig) {
			sleep(100)
			r.pending(pendingUpdate("1", secure("2", days(10))))
			r.expect(missing("security", "unrated", 10, 24)...)
		},
		"a lost state invents no age and hides none that is proven": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", time.Time{})))
			r.run()
			sleep(100)
			r.forget()
			r.expect(missing("security", "unrated", 100, 114)...)
			r.pending(pendingUpdate("1", secure("2", days(90))))
			r.expect(missing("security", "unrated", 90, 104)...)
		},
		"a date in the future is not believed": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", days(50))))
			r.expect(missing("security", "unrated", 0, 14)...)
		},
		"a security release behind a newer one that is none counts": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", days(-3)), plain("3")))
			r.expect(missing("security", "unrated", -3, 11)...)
		},
		"an older release that is none does not make security older": func(r *rig) {
			r.pending(pendingUpdate("1", plain("2")))
			r.expect(missing("other", "unrated", 0, 60)...)
			sleep(9)
			r.pending(pendingUpdate("1", plain("2"), secure("3", time.Time{})))
			r.expect(missing("security", "unrated", 9, 23)...)
		},
		"who lets release after release go by is as old as the first": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", time.Time{})))
			r.run()
			sleep(10)
			r.pending(pendingUpdate("1", secure("3", time.Time{})))
			r.expect(missing("security", "unrated", 0, 14)...)
			r.restart()
			r.expect(missing("security", "unrated", 0, 14)...)
		},
		"a superseded security release is not forgotten when its successor is none": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", time.Time{})))
			r.run()
			sleep(10)
			r.pending(pendingUpdate("1", plain("3")))
			r.expect(missing("security", "unrated", 0, 14)...)
		},
		"who installs release after release is never old": func(r *rig) {
			r.pending(pendingUpdate("1", secure("2", time.Time{})))
			r.run()
			sleep(10)
			r.pending(pendingUpdate("2", secure("3", time.Time{})))
			r.expect(missing("security", "unrated", 10, 24)...)
		},
		"the worst rating decides": func(r *rig) {
			u := pendingUpdate("1", secure("2", time.Time{}), secure("3", time.Time{}))
			u.Releases[0].Advisory, u.Releases[1].Advisory = updates.Critical, updates.Low
			r.pending(u)
			r.expect(missing("security", "critical", 0, 3)...)
		},
		"phased updates and those that need a subscription have no deadline": func(r *rig) {
			phased, esm := pendingUpdate("1", plain("2")), pendingUpdate("1", secure("2", days(-90)))
			phased.State, esm.State = updates.Phased, updates.NotEntitled
			r.pending(phased, esm)
			r.expect("pending apt other phased: 1", "pending apt security not_entitled: 1")
		},
		"a held security update has a deadline, and another has none": func(r *rig) {
			secure, other := pendingUpdate("1", secure("2", time.Time{})), pendingUpdate("1", plain("2"))
			secure.State, other.State, other.Package = updates.Held, updates.Held, "vim"
			r.pending(secure, other)
			r.expect("pending apt security held: 1", "pending apt other held: 1",
				"oldest_pending apt security unrated: day 0", "deadline apt security unrated: day 14")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			synctest.Test(t, func(t *testing.T) { r.t = t; do(r) })
		})
	}
}

// zeros counts the samples of pending that are zero, by class.
func (r *rig) zeros() (security, other int) {
	r.t.Helper()
	result, err := r.probe.Run(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range result.Samples {
		if s.Metric == pending && s.Value == 0 && s.Label("class") == "security" {
			security++
		} else if s.Metric == pending && s.Value == 0 {
			other++
		}
	}
	return security, other
}

func TestZeroIsSaidOnlyOfWhatWasComputed(t *testing.T) {
	for name, c := range map[string]struct {
		change          func(m *updates.Manager)
		security, other int
	}{
		"all is known":                          {func(*updates.Manager) {}, 5, 5},
		"security updates cannot be told":       {func(m *updates.Manager) { m.SecurityKnown = false }, 0, 5},
		"a part of the metadata cannot be read": {func(m *updates.Manager) { m.Incomplete = []error{errors.New("x")} }, 0, 0},
	} {
		r := newRig(t)
		c.change(&r.fake.manager)
		if security, other := r.zeros(); security != c.security || other != c.other {
			t.Errorf("%s: %d and %d zeros, want %d and %d", name, security, other, c.security, c.other)
		}
	}
}

func TestRepositoriesAndAutomaticUpdates(t *testing.T) {
	r := newRig(t)
	synctest.Test(t, func(t *testing.T) {
		r.t = t
		m := &r.fake.manager
		m.Repositories = []updates.Repository{
			{Name: "a", Refreshed: days(-2), ValidUntil: days(5), Published: days(-3)},
			{Name: "b"},
		}
		m.Automatic.Enabled = updates.Yes
		first := []string{
			"metadata_last_refresh apt/a: day -2", "metadata_deadline apt/a: day 5",
			"metadata_valid_until apt/a: day 5", "metadata_published apt/a: day -3",
			"metadata_deadline apt/b: day 7", "automatic_enabled apt: 1", "automatic_deadline apt: day 7",
		}
		r.expect(first...)
		sleep(2)
		r.restart()
		r.expect(first...)

		m.Automatic.LastSuccess = days(1)
		m.Repositories = m.Repositories[1:]
		r.expect("metadata_deadline apt/b: day 7", "automatic_enabled apt: 1",
			"automatic_last_success apt: day 1", "automatic_deadline apt: day 8", "gone apt/a")

		r.fake.err = errors.New("x")
		r.expect("fault apt other", "gone apt/a")
		r.fake.err = probes.ErrNotApplicable
		r.expect("not applicable to this host")
	})
}
