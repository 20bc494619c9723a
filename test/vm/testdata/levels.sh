# Volumes of LVM of every kind. Disks are broken until nothing is left.
lvm() { /sbin/lvm "$@" >/tmp/out 2>&1 || { cat /tmp/out; fail "lvm $*"; }; }
p() { for i; do echo /dev/mapper/l$i; done; }
attempt() {
	for set in $levels; do
		volume=${set%%:*} members=${set#*:}
		broken $(echo $members | cut -d, -f$1)
		works vg/$volume && echo "@@ works $1 lvm/vg/$volume" || echo "@@ broken $1 lvm/vg/$volume"
	done
	settled "broken $1"
}

config ""
/sbin/ip link set lo up
mkdir -p /etc/lvm /run/lock/lvm
cat >/etc/lvm/lvm.conf <<END
activation { udev_sync=0 udev_rules=0 monitoring=0 raid_region_size=64 }
devices { obtain_device_list_from_udev=0 external_device_info_source="none" use_devicesfile=0 global_filter=["a|/dev/mapper/l[0-9]|","r|.*|"] }
global { use_lvmpolld=0 event_activation=0 thin_check_executable="" }
backup { backup=0 archive=0 }
END
disks 19 14
lvm pvcreate $(p $(seq 0 18))
lvm vgcreate -s 1m vg $(p $(seq 0 18))
c="lvcreate --yes --wipesignatures n --zero n --nosync vg"
lvm $c --type raid1 -m 2 -L 8m -n one $(p 0 1 2)
lvm $c --type raid5 -i 3 -L 9m -n five $(p 3 4 5 6)
lvm lvcreate --yes --wipesignatures n --zero n vg --type raid6 -i 3 -L 9m -n six $(p 7 8 9 10 11)
lvm $c --type raid10 -i 2 -m 1 -L 8m -n ten $(p 12 13 14 15)
lvm $c --type mirror -m 1 --mirrorlog core -L 8m -n old $(p 16 17)
lvm lvcreate --yes --wipesignatures n vg --type raid1 -m 1 -L 2m --alloc anywhere -n same $(p 18)
lvm lvcreate --yes --type thin-pool -L 2m --poolmetadatasize 2m --poolmetadataspare n -Zn -n pool vg $(p 18)
until_true "! dmsetup status | grep -qE ' (resync|recover) '"
levels="one:0,1,2 five:3,4 six:7,8,9 ten:12,13"
agent
settled whole
problems whole
attempt 1; problems "broken 1"
attempt 2; attempt 3
# Writing to a mirror whose leg is broken waits for a daemon that repairs it.
broken 17
dd if=/dev/zero of=/dev/vg/old bs=64k count=1 oflag=direct 2>/dev/null &
until_true "dmsetup status vg-old | grep -q ' [AD]*D[AD]* '"
settled "mirror broken"
for set in $levels; do dmsetup --noudevsync remove --force vg-${set%%:*} >/dev/null 2>&1; done
settled "taken away"
for set in $levels; do hygiene_exporter --state.dir=/run/state baseline accept lvm/vg/${set%%:*} || fail accept; done
