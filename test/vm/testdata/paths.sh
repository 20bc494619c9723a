# Paths to storage: multipathd over SCSI disks that are one, NVMe over TCP, iSCSI.
tree() {
	capture $1 /proc/mdstat /sys/block/dm-*/dm/name /sys/block/dm-*/dm/uuid /sys/block/dm-*/dm/suspended /sys/block/dm-*/slaves/* \
		/sys/block/sd*/dev /sys/block/sd*/device/state /sys/module/nvme_core/parameters/multipath \
		/sys/class/nvme-subsystem/*/subsysnqn $(for c in /sys/class/nvme-subsystem/*/nvme*; do [ -e $c/address ] && echo $c/state $c/transport $c/address $(ls -d $c/nvme*/ana_state 2>/dev/null); done) \
		/sys/class/iscsi_session/*/state /sys/class/iscsi_session/*/targetname /sys/class/iscsi_session/*/ifacename \
		/sys/class/iscsi_connection/*/persistent_address /sys/class/iscsi_connection/*/persistent_port
}
checked() { until_true "multipathd show paths format '%d %t %T' | grep -q '^$1 *$2'"; }
nvme() { put "transport=tcp,traddr=127.0.0.$1,trsvcid=4420,nqn=nqn.2026-01.test:a,hostnqn=nqn.2026-01.test:h,hostid=4f6d6b1e-7c6a-4f55-9df0-7a3f0c4a7a01" /dev/nvme-fabrics; }

config ""
ip link set lo up
disks 2 20
mkdir -p /etc/multipath /etc/udev/rules.d /run/udev /var/lib/iscsi /etc/iscsi /run/lock/iscsi /dev/shm /lib/modules/$(uname -r)
cat >/etc/multipath.conf <<END
defaults {
	find_multipaths no
	polling_interval 1
	max_polling_interval 1
	path_checker tur
	checker_timeout 2
	user_friendly_names yes
}
blacklist {
	devnode "^(loop|dm-|nvme|ram|sr)"
	device {
		vendor "LIO-ORG"
		product ".*"
	}
}
END
echo 'KERNEL=="sd*[!0-9]", PROGRAM="/lib/udev/scsi_id -g /dev/$name", ENV{ID_SERIAL}="$result", ENV{ID_WWN}="$result"' >/etc/udev/rules.d/50-vm.rules
/lib/systemd/systemd-udevd --daemon || fail udevd
udevadm trigger --action=add; udevadm settle
multipathd -d >/tmp/multipathd.log 2>&1 & multipathd=$!
until_true "grep -qs mpatha /sys/block/dm-*/dm/name && [ \$(multipathd show paths format '%t' 2>/dev/null | grep -c active) = 4 ]"

c=/sys/kernel/config/nvmet
mkdir -p $c/subsystems/nqn.2026-01.test:a/namespaces/1
put 1 $c/subsystems/nqn.2026-01.test:a/attr_allow_any_host
put /dev/loop0 $c/subsystems/nqn.2026-01.test:a/namespaces/1/device_path
put 1 $c/subsystems/nqn.2026-01.test:a/namespaces/1/enable
for p in 1 2; do
	mkdir -p $c/ports/$p
	put tcp $c/ports/$p/addr_trtype; put ipv4 $c/ports/$p/addr_adrfam; put 127.0.0.$p $c/ports/$p/addr_traddr; put 4420 $c/ports/$p/addr_trsvcid
	ln -s $c/subsystems/nqn.2026-01.test:a $c/ports/$p/subsystems/nqn.2026-01.test:a
	nvme $p
done

echo "InitiatorName=iqn.2026-01.test:host" >/etc/iscsi/initiatorname.iscsi
printf 'node.startup = manual\nnode.session.timeo.replacement_timeout = 1\nnode.conn[0].timeo.noop_out_interval = 1\nnode.conn[0].timeo.noop_out_timeout = 1\n' >/etc/iscsi/iscsid.conf
iqn=iqn.2026-01.test:disk
t=/sys/kernel/config/target
mkdir -p $t/core/iblock_0/disk
put udev_path=/dev/dm-1 $t/core/iblock_0/disk/control; put 1 $t/core/iblock_0/disk/enable
mkdir -p $t/iscsi/$iqn/tpgt_1/lun/lun_0
ln -s $t/core/iblock_0/disk $t/iscsi/$iqn/tpgt_1/lun/lun_0/disk
for p in 1 2; do mkdir -p $t/iscsi/$iqn/tpgt_1/np/127.0.0.$p:3260; done
put 0 $t/iscsi/$iqn/tpgt_1/attrib/authentication; put 1 $t/iscsi/$iqn/tpgt_1/attrib/generate_node_acls
put 0 $t/iscsi/$iqn/tpgt_1/attrib/demo_mode_write_protect; put 1 $t/iscsi/$iqn/tpgt_1/enable
iscsid -f >/tmp/iscsid.log 2>&1 &
for p in 1 2; do
	try iscsiadm -m node -T $iqn -p 127.0.0.$p --op new
	try iscsiadm -m node -T $iqn -p 127.0.0.$p --login
done

agent
facts whole; tree paths-whole
echo "@@ capture multipathd-whole.json"; multipathd show maps json | sed 's/^/@@ data /'
problems whole

# A path whose disk does not answer, ANA that forbids one, a session that is closed.
put offline /sys/block/sda/device/state; checked sda failed
put inaccessible $c/ports/2/ana_groups/1/ana_state
try iscsiadm -m node -T $iqn -p 127.0.0.2 --logout
facts "one less"; tree paths-one-less
echo "@@ capture multipathd-one-less.json"; multipathd show maps json | sed 's/^/@@ data /'
problems "one less"

# A path that vanishes, a controller that is disconnected, the target dies.
put 1 /sys/block/sdb/device/delete
put offline /sys/block/sdc/device/state; checked sdc failed
put 1 /sys/class/nvme/nvme1/delete_controller
put 0 $t/iscsi/$iqn/tpgt_1/enable; until_true "grep -q FAILED /sys/class/iscsi_session/*/state"
restart
facts "silent loss"; tree paths-silent-loss
problems "silent loss"

put offline /sys/block/sdd/device/state; checked sdd failed
put 1 /sys/class/nvme/nvme0/delete_controller
facts nothing; tree paths-nothing
problems nothing

# All comes back. The SCSI disk that was deleted is found by a scan. The agent
# does not look meanwhile, so that it is not up to chance what it sees on the way.
kill -STOP $agent
for d in sda sdc sdd; do put running /sys/block/$d/device/state; done
put optimized $c/ports/2/ana_groups/1/ana_state
nvme 1; nvme 2
put 1 $t/iscsi/$iqn/tpgt_1/enable; until_true "grep -q LOGGED_IN /sys/class/iscsi_session/*/state"
try iscsiadm -m node -T $iqn -p 127.0.0.2 --login
for h in /sys/class/scsi_host/host*; do put "- - -" $h/scan; done
until_true "[ \$(multipathd show paths format '%t' | grep -c active) -ge 4 ]"
kill -CONT $agent
facts back
problems back

# Without multipathd the device mapper is asked.
kill $multipathd; wait $multipathd
facts "no daemon"
try dmsetup message mpatha 0 fail_path $(cat /sys/block/sda/dev)
facts "no daemon, one path failed"; tree paths-no-daemon
