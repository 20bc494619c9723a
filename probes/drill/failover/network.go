package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"hygiene_exporter/probes/redundancy/bond"
	"hygiene_exporter/probes/redundancy/group"
	"hygiene_exporter/probes/redundancy/tool/team"
)

// standby is what bonds and teams have in common, of which one member is in use
// and the others stand by. All links stay up: what is tried is whether traffic
// really flows over the other one, which the loss of a link would find out only
// in the emergency. That the loss of a link is noticed is not tried; the probe
// of redundancy says when nobody would.
type standby struct{}

func (standby) choose(g group.Group, wish string) (from, to []string, err error) {
	if g.Current == "" {
		return nil, nil, errors.New("no single member is in use that others could take over from; only active-backup has one")
	}
	others := active(g, g.Current)
	switch {
	case wish == g.Current:
		return nil, nil, fmt.Errorf("%s is in use already; name another member, or none", wish)
	case wish != "" && !slices.Contains(others, wish):
		return nil, nil, fmt.Errorf("%.40q is no other member that works", wish)
	case len(others) == 0:
		return nil, nil, errors.New("no other member works that could take over")
	case wish == "":
		wish = others[0]
	}
	return []string{g.Current}, []string{wish}, nil
}

func (standby) taken(g group.Group, p Plan) bool { return g.Current == p.To[0] }
func (standby) whole(g group.Group, p Plan) bool { return g.Current == p.From[0] }

// bonds are those of the kernel. The active member is set in sysfs, as
// "ip link set … type bond active_slave" would; see "active_slave" in
// Documentation/networking/bonding.rst.
type bonds struct{ standby }

func (bonds) read(_ context.Context, m *Machine, name string) (group.Group, error) {
	reading := bond.Read(m.Files)
	for _, g := range reading.Groups {
		if g.Name == name {
			return g, nil
		}
	}
	return group.Group{}, errors.Join(reading.Closed[group.Bond], errors.New("there is no such bond"))
}

func (bonds) set(m *Machine, object, member string) error {
	path := filepath.Join(m.Sys, "class/net", filepath.Base(object), "bonding/active_slave")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(member + "\n")
	return errors.Join(err, file.Close())
}

func (b bonds) take(_ context.Context, m *Machine, p Plan) error { return b.set(m, p.Object, p.To[0]) }

func (b bonds) back(_ context.Context, m *Machine, p Plan) error {
	return b.set(m, p.Object, p.From[0])
}

func (bonds) how(p Plan) (take, back string) {
	const text = "%s is made the active member of %s (bonding/active_slave in sysfs)"
	return fmt.Sprintf(text, p.To[0], p.Object), fmt.Sprintf(text, p.From[0], p.Object)
}

// teams are those of teamd, whose runner "activebackup" takes the active port
// from teamdctl(8).
type teams struct{ standby }

func (teams) read(ctx context.Context, m *Machine, name string) (group.Group, error) {
	out, err := m.Run(ctx, []string{"teamdctl", name, "state", "dump"})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("teamdctl ended with status %d: %.100s", out.ExitCode, out.Stderr)
	}
	if err != nil {
		return group.Group{}, err
	}
	return team.Parse(name, out.Stdout), nil
}

func (teams) set(ctx context.Context, m *Machine, object, port string) error {
	out, err := m.Run(ctx, []string{"teamdctl", filepath.Base(object), "state", "item", "set", "runner.active_port", port})
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("teamdctl ended with status %d: %.100s", out.ExitCode, out.Stderr)
	}
	return err
}

func (t teams) take(ctx context.Context, m *Machine, p Plan) error {
	return t.set(ctx, m, p.Object, p.To[0])
}

func (t teams) back(ctx context.Context, m *Machine, p Plan) error {
	return t.set(ctx, m, p.Object, p.From[0])
}

func (teams) how(p Plan) (take, back string) {
	const text = "%s is made the active port of %s (runner.active_port of teamd)"
	return fmt.Sprintf(text, p.To[0], p.Object), fmt.Sprintf(text, p.From[0], p.Object)
}
