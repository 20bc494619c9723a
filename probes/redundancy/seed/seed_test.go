package seed

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hygiene_exporter/probes/internal/rootfs"
)

func brief(seeds []Seed) (lines []string) {
	for _, s := range seeds {
		line := s.Object()
		if s.ID != "" && s.ID != s.Name {
			line += " id " + s.ID
		}
		if s.Count > 0 {
			line += fmt.Sprintf(" count %d", s.Count)
		}
		if s.Spares > 0 {
			line += fmt.Sprintf(" spares %d", s.Spares)
		}
		lines = append(lines, strings.TrimSpace(line+" "+strings.Join(s.Members, ",")))
	}
	return lines
}

// Each part of the configuration of a host is read by its own parser, and all
// by Read from the place where it lies.
func TestWhatIsConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"mdadm.conf of Debian, with a container and a line that goes on": {
			map[string]string{"etc/mdadm/mdadm.conf": `
# comment
HOMEHOST <system>
ARRAY <ignore> UUID=1:2:3:4
ARRAY /dev/md/0  metadata=1.2 UUID=59319C75:c9595eca:6179b736:f1feea28 name=host:0
   spares=1
ARRAY metadata=imsm UUID=aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa
ARRAY /dev/md/vol container=aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa member=0 UUID=bbbbbbbb:bbbbbbbb:bbbbbbbb:bbbbbbbb
ARRAY /dev/md5 level=raid5 num-devices=3
`},
			[]string{
				"mdraid/0 id 59319c75c9595eca6179b736f1feea28 spares 1", "mdraid/md5 count 3",
				"mdraid/vol id bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
			},
		},
		"bonds of ifupdown, in both directions": {
			map[string]string{
				"etc/network/interfaces":       "auto bond0\niface bond0 inet static\n\taddress 192.0.2.1/24\n\tbond-slaves eth0 eth1 # two\n\nauto bond1\niface bond1 inet manual\n\tbond_slaves none\n",
				"etc/network/interfaces.d/one": "iface eth2 inet manual\n\tbond-master bond1\n\niface eth3 inet manual\n\tbond-master bond1\n",
			},
			[]string{"bond/bond0 count 2 eth0,eth1", "bond/bond1 count 2 eth2,eth3"},
		},
		"netplan": {
			map[string]string{"etc/netplan/01.yaml": "network:\n  version: 2\n  bonds:\n    bond0: {interfaces: [ens1, ens2], parameters: {mode: 802.3ad}}\n", "etc/netplan/02.yaml": ":\n - broken"},
			[]string{"bond/bond0 count 2 ens1,ens2"},
		},
		"networkd, where a pattern cannot be counted": {
			map[string]string{
				"etc/systemd/network/10.network": "[Match]\nName=eth0 eth1\n\n[Network]\nBond=bond0\n",
				"etc/systemd/network/20.network": "[Match]\nName=en*\n[Network]\nBond=bond1\n",
			},
			[]string{"bond/bond0 count 2 eth0,eth1"},
		},
		"NetworkManager, by name, by UUID, and one that is switched off": {
			map[string]string{
				"etc/NetworkManager/system-connections/b.nmconnection": "[connection]\nid=my bond\nuuid=u-1\ntype=bond\ninterface-name=bond0\n",
				"etc/NetworkManager/system-connections/1.nmconnection": "[connection]\ntype=ethernet\ninterface-name=eth0\nmaster=u-1\nslave-type=bond\n",
				"etc/NetworkManager/system-connections/2.nmconnection": "[connection]\ntype=ethernet\ninterface-name=eth1\ncontroller=bond0\nport-type=bond\n",
				"etc/NetworkManager/system-connections/3.nmconnection": "[connection]\ntype=ethernet\ninterface-name=eth2\ncontroller=bond0\nport-type=bond\nautoconnect=false\n",
				"etc/NetworkManager/system-connections/4.nmconnection": "[connection]\ntype=ethernet\ninterface-name=eth3\ncontroller=team0\nport-type=team\n",
			},
			[]string{"bond/bond0 count 2 eth0,eth1", "team/team0 count 1 eth3"},
		},
		"network scripts of Red Hat": {
			map[string]string{
				"etc/sysconfig/network-scripts/ifcfg-eth0": "DEVICE=\"eth0\"\nMASTER=bond0\nSLAVE=yes\nONBOOT=yes\n",
				"etc/sysconfig/network-scripts/ifcfg-eth1": "DEVICE=eth1\nMASTER=bond0\nSLAVE=yes\n",
				"etc/sysconfig/network-scripts/ifcfg-eth2": "DEVICE=eth2\nMASTER=bond0\nSLAVE=yes\nONBOOT=no\n",
				"etc/sysconfig/network-scripts/ifup":       "#!/bin/sh\n",
			},
			[]string{"bond/bond0 count 2 eth0,eth1"},
		},
		"nodes of open-iscsi, of which one is logged in to by hand": {
			map[string]string{
				"etc/iscsi/nodes/iqn.a/192.0.2.1,3260,1/default":    "node.name = iqn.a\nnode.startup = automatic\n",
				"etc/iscsi/nodes/iqn.a/198.51.100.1,3260,1/default": "node.startup = automatic\n",
				"etc/iscsi/nodes/iqn.b/192.0.2.1,3260,1/default":    "node.startup = manual\n",
				"etc/iscsi/nodes/iqn.c/192.0.2.1,3260":              "node.startup = automatic\n",
			},
			[]string{"iscsi/iqn.a count 2 192.0.2.1 default,198.51.100.1 default", "iscsi/iqn.c count 1 192.0.2.1 192.0.2.1,3260"},
		},
		"btrfs of fstab, unless it may be missing": {
			map[string]string{"etc/fstab": "UUID=AB-1 /srv btrfs device=/dev/sda,device=/dev/sdb 0 0\nUUID=ab-2 /mnt btrfs noauto 0 0\nUUID=ab-3 /x btrfs nofail 0 0\n/dev/sda1 / ext4 defaults 0 1\n# UUID=x / btrfs a 0 0\n"},
			[]string{"btrfs/ab-1 count 2"},
		},
		"pools of the cache of ZFS": {
			map[string]string{"etc/zfs/zpool.cache": string(poolCache("tank", "backup"))},
			[]string{"zfs/backup", "zfs/tank"},
		},
		"nothing": {nil, nil},
	} {
		root := t.TempDir()
		for file, content := range c.files {
			path := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(c.want, brief(Read(rootfs.New(rootfs.Paths{Root: root})))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// poolCache packs a list with an empty list for each name, as libnvpair does.
func poolCache(names ...string) []byte {
	b := append([]byte{1, 1, 0, 0}, make([]byte, 8)...)
	b[7] = 0
	for _, name := range names {
		padded := append([]byte(name), make([]byte, -len(name)&3)...)
		var pair []byte
		pair = binary.BigEndian.AppendUint32(pair, uint32(len(name)))
		pair = append(pair, padded...)
		pair = binary.BigEndian.AppendUint32(pair, 19)
		pair = binary.BigEndian.AppendUint32(pair, 1)
		pair = append(pair, make([]byte, 16)...) // version, flag, and the end of the inner list
		b = binary.BigEndian.AppendUint32(b, uint32(len(pair)+8))
		b = binary.BigEndian.AppendUint32(b, 64)
		b = append(b, pair...)
	}
	return append(b, make([]byte, 8)...)
}

// No parser finds an object without a name, or members without one.
func FuzzParsers(f *testing.F) {
	f.Add([]byte("ARRAY /dev/md0 UUID=1:2 spares=1\n  num-devices=3\n"))
	f.Add([]byte("iface bond0 inet manual\n  bond-slaves eth0 eth1\n"))
	f.Add([]byte("[Match]\nName=eth0\n[Network]\nBond=b\n"))
	f.Add([]byte("UUID=a / btrfs device=b 0 0\n"))
	f.Add([]byte("DEVICE=a\nMASTER=b\nSLAVE=yes\n"))
	f.Add([]byte("network: {bonds: {b: {interfaces: [a]}}}"))
	f.Add(poolCache("tank"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for i, parse := range []func([]byte) []Seed{ParseMdadm, ParseFstab, ParsePoolCache, ParseInterfaces, ParseNetworkd, ParseIfcfg} {
			for _, s := range parse(data) {
				if s.Name == "" || s.Kind == "" || s.Count < 0 {
					t.Errorf("parser %d: %+v", i, s)
				}
			}
		}
		if !bytes.ContainsAny(data, "&*") { // aliases of YAML grow
			_ = ParseNetplan(data)
		}
		_ = Connections([]map[string][]string{sections(data)})
	})
}
