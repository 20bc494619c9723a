# LVM RAID of every level and a mirror of DRBD, of which both ends are here.
lvm() { /sbin/lvm "$@" >/tmp/lvm.log 2>&1 || fail "lvm $*"; }
synced() { until_true "! dmsetup status --target raid | grep -vq '\\([0-9]*\\)/\\1 idle'"; }
# The tools answer in the background: what they say is there a look later.
settled() { looked; looked; looked; looked; facts "$1"; problems "$1"; }

config ""
ip link set lo up
disks 14 24
mkdir -p /etc/lvm /run/lvm /run/lock/lvm
cat >/etc/lvm/lvm.conf <<END
activation { udev_sync=0 udev_rules=0 monitoring=0 raid_fault_policy="warn" }
devices { filter=[ "a|^/dev/mapper/l[0-9]|", "r|.*|" ] obtain_device_list_from_udev=0 use_devicesfile=0 }
global { event_activation=0 }
END
for i in $(seq 0 11); do lvm pvcreate -q /dev/mapper/l$i; done
lvm vgcreate -q -s 1m vg $(for i in $(seq 0 11); do echo /dev/mapper/l$i; done)
lvm lvcreate -q -y -n mirror --type raid1 -m 1 -L 4m vg /dev/mapper/l0 /dev/mapper/l1
lvm lvcreate -q -y -n five --type raid5 -i 2 -L 4m vg /dev/mapper/l2 /dev/mapper/l3 /dev/mapper/l4
lvm lvcreate -q -y -n six --type raid6 -i 3 -L 6m vg /dev/mapper/l5 /dev/mapper/l6 /dev/mapper/l7 /dev/mapper/l8 /dev/mapper/l9
synced

mkdir -p /var/lock /var/run /var/lib/drbd
drbd() { /lib/drbd/drbdsetup-84 "$@" >/tmp/drbd.log 2>&1 || fail "drbdsetup $*"; }
for n in 0 1; do
	d=/dev/dm-$((12+n))
	yes yes | drbdmeta --force $n v08 $d internal create-md >/tmp/drbd.log 2>&1 || fail drbdmeta
	drbd new-resource r$n; drbd new-minor r$n $n 0; drbd attach $n $d $d internal
done
drbd connect r0 ipv4:127.0.0.1:7001 ipv4:127.0.0.1:7002
drbd connect r1 ipv4:127.0.0.1:7002 ipv4:127.0.0.1:7001
drbd primary 0 --force
until_true "[ \$(grep -c ds:UpToDate/UpToDate /proc/drbd) = 2 ]"

agent
settled whole
for i in 0 2 5; do broken $i; done
for v in mirror five six; do dd if=/dev/zero of=/dev/mapper/vg-$v bs=64k count=32 oflag=direct 2>/dev/null; done
drbd disconnect ipv4:127.0.0.1:7002 ipv4:127.0.0.1:7001
settled "one broken"
broken 6
dd if=/dev/zero of=/dev/mapper/vg-six bs=64k count=32 oflag=direct 2>/dev/null
settled "two broken"
