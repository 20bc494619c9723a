package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/path"
)

// paths are those of dm-multipath. They are failed by multipathd, which tells the
// device mapper not to use the path and stops checking it, so that it does not
// come back by itself within seconds, as it would after "dmsetup message". The
// disk, its link and whoever else uses the path are left alone, unlike with
// "offline" in sysfs, which lets commands fail: what is tried is that the other
// paths carry everything, not whether the death of one is noticed.
type paths struct{}

func (paths) read(ctx context.Context, m *Machine, name string) (group.Group, error) {
	reading := path.Read(ctx, m.Host)
	for _, g := range reading.Groups {
		if g.Kind == group.Multipath && g.Name == name {
			return g, nil
		}
	}
	return group.Group{}, errors.Join(reading.Closed[group.Multipath], errors.New("there is no such multipath device"))
}

func (paths) choose(g group.Group, wish string) (from, to []string, err error) {
	working := active(g)
	switch {
	case wish != "" && !slices.Contains(working, wish):
		return nil, nil, fmt.Errorf("%.40q is no path of it that works", wish)
	case wish != "":
		from = []string{wish}
	case g.Current != "":
		from = strings.Fields(g.Current)
	case len(working) > 0:
		from = working[:1]
	}
	if to = active(g, from...); len(to) == 0 {
		return nil, nil, errors.New("no other path works that could take over")
	}
	return from, to, nil
}

func (paths) taken(g group.Group, p Plan) bool {
	left := active(g)
	return len(left) > 0 && !slices.ContainsFunc(p.From, func(name string) bool { return slices.Contains(left, name) })
}

func (paths) whole(g group.Group, p Plan) bool {
	working := active(g)
	return !slices.ContainsFunc(p.From, func(name string) bool { return !slices.Contains(working, name) })
}

func (paths) take(ctx context.Context, m *Machine, p Plan) error {
	for _, name := range p.From {
		if err := command(ctx, m, "fail path "+name); err != nil {
			return err
		}
	}
	return nil
}

// back reinstates the paths. Without multipathd the device mapper is told, which
// is all that there is left to tell: a multipathd that starts again checks all
// paths anew.
func (paths) back(ctx context.Context, m *Machine, p Plan) error {
	var errs []error
	for _, name := range p.From {
		err := command(ctx, m, "reinstate path "+name)
		if err == nil {
			continue
		}
		argv := []string{"dmsetup", "message", filepath.Base(p.Object), "0", "reinstate_path", p.Numbers[name]}
		if out, failed := m.Run(ctx, argv); failed != nil || out.ExitCode != 0 {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (paths) how(p Plan) (take, back string) {
	names := strings.Join(p.From, " and ")
	return fmt.Sprintf("%s of %s is failed (multipathd fail path)", names, p.Object),
		fmt.Sprintf("%s of %s is reinstated (multipathd reinstate path)", names, p.Object)
}

// command tells multipathd to do something.
func command(ctx context.Context, m *Machine, text string) error {
	answer, err := path.Daemon(ctx, m.Host, text)
	if err == nil && strings.TrimSpace(string(answer)) != "ok" {
		err = fmt.Errorf("multipathd refused to %s: %.100s", text, answer)
	}
	return err
}

// numbers returns the device numbers of paths, which the device mapper knows them
// by.
func (m *Machine) numbers(p Plan) map[string]string {
	if !strings.HasPrefix(p.Object, group.Multipath+"/") {
		return nil
	}
	numbers := map[string]string{}
	for _, name := range p.From {
		if text, err := os.ReadFile(filepath.Join(m.Sys, "block", name, "dev")); err == nil {
			numbers[name] = strings.TrimSpace(string(text))
		}
	}
	return numbers
}
