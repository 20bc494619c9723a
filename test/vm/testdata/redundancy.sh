# What happens in the machine. "facts NAME" prints what the agent says when it
# has looked twice since.
mkdir -p /etc/agent
config() { cat >/etc/agent/config.yml <<END
alerts: {evaluate: false}
probes:
  certificate: {enabled: false}
  redundancy:
    interval: 1s
    timeout: 900ms
    repair: 1h
    expect: [$1]
END
}
ip() { /sbin/ip "$@" || fail "ip $*"; }
try() { "$@" >/tmp/out 2>&1 || { cat /tmp/out; fail "$*"; }; }
fail() { echo "@@ failed: $*"; kill $agent; exit 1; }
put() { echo "$1" >"$2" || fail "$1 >$2"; }
agent() { hygiene_exporter serve --config.file=/etc/agent/config.yml --state.dir=/run/state --log.level=error & agent=$!; }
metrics() { wget -qO- http://127.0.0.1:10981/metrics 2>/dev/null; }
ran() { metrics | sed -n 's/^hygiene_probe_last_run_timestamp_seconds{name="redundancy"} //p'; }
looked() {
	was=$(ran) n=0
	while now=$(ran); [ -z "$now" ] || [ "$now" = "$was" ]; do
		sleep 1; n=$((n+1)); [ $n -gt 60 ] && fail "the agent does not run"
	done
}
facts() {
	looked; looked
	echo "@@ step $1"
	metrics | sed -n 's/^hygiene_redundancy_/@@ fact /p; /^hygiene_probe_faulted_objects.*redundancy/{/ 0$/!s/^/@@ failed: /p}'
}
until_true() { n=0; until eval "$1"; do sleep 1; n=$((n+1)); [ $n -gt 60 ] && fail "never $1"; done; }
idle() { until_true "grep -q idle /sys/block/$1/md/sync_action"; }
slow() { put 1 /proc/sys/dev/raid/speed_limit_min; put 1 /proc/sys/dev/raid/speed_limit_max; }
fast() { put 1000000 /proc/sys/dev/raid/speed_limit_max; put 1000000 /proc/sys/dev/raid/speed_limit_min; }
create() { name=$1; shift; try mdadm --create /dev/$name --run --metadata=1.2 "$@" </dev/null; }

config ""
ip link set lo up
mount -t tmpfs -o size=600m t /mnt
for i in $(seq 0 23); do
	truncate -s 160M /mnt/$i; [ -b /dev/loop$i ] || mknod /dev/loop$i b 7 $i; try losetup /dev/loop$i /mnt/$i
done
s="--assume-clean --bitmap=none --size=40M"
create md1 $s --level=1 --raid-devices=2 --spare-devices=1 /dev/loop0 /dev/loop1 /dev/loop2
create md5 $s --level=5 --raid-devices=3 /dev/loop3 /dev/loop4 /dev/loop5
create md6 $s --level=6 --raid-devices=4 /dev/loop6 /dev/loop7 /dev/loop8 /dev/loop9
create md10 $s --level=10 --layout=n2 --raid-devices=4 /dev/loop10 /dev/loop11 /dev/loop12 /dev/loop13
create md11 $s --level=10 --layout=f2 --raid-devices=3 /dev/loop16 /dev/loop17 /dev/loop18
create md0 --level=0 --raid-devices=2 /dev/loop14 /dev/loop15

for i in 0 1 2 3 4 5; do ip link add v$i type veth peer name p$i; done
for f in bond1 bond2 bond3 peer2; do put +$f /sys/class/net/bonding_masters; done
put active-backup /sys/class/net/bond1/bonding/mode
put 100 /sys/class/net/bond1/bonding/miimon
for b in bond2 peer2; do put 802.3ad /sys/class/net/$b/bonding/mode; put fast /sys/class/net/$b/bonding/lacp_rate; done
for p in v0:bond1 v1:bond1 v2:bond2 v3:bond2 v4:bond3 v5:bond3 p2:peer2 p3:peer2; do put +${p%:*} /sys/class/net/${p#*:}/bonding/slaves; done
for i in p0 p1 p4 p5 bond1 bond2 bond3 peer2; do ip link set $i up; done
ip link add t0 type team
for i in 6 7; do ip link add v$i type veth peer name p$i; ip link set p$i up; ip link set v$i down; ip link set v$i master t0; ip link set v$i up; done
ip link set t0 up
ip address add 192.0.2.2/24 dev p0
ip address add 198.51.100.2/24 dev p1
ip route add default nexthop via 192.0.2.1 dev p0 nexthop via 198.51.100.1 dev p1

c=/sys/kernel/config/nvmet
mkdir -p $c/subsystems/nqn.2026-01.test:a/namespaces/1
put 1 $c/subsystems/nqn.2026-01.test:a/attr_allow_any_host
put /dev/loop19 $c/subsystems/nqn.2026-01.test:a/namespaces/1/device_path
put 1 $c/subsystems/nqn.2026-01.test:a/namespaces/1/enable
for p in 1 2; do
	mkdir -p $c/ports/$p
	put tcp $c/ports/$p/addr_trtype; put ipv4 $c/ports/$p/addr_adrfam; put 127.0.0.1 $c/ports/$p/addr_traddr; put 442$p $c/ports/$p/addr_trsvcid
	ln -s $c/subsystems/nqn.2026-01.test:a $c/ports/$p/subsystems/nqn.2026-01.test:a
	put "transport=tcp,traddr=127.0.0.1,trsvcid=442$p,nqn=nqn.2026-01.test:a,hostnqn=nqn.2026-01.test:h,hostid=4f6d6b1e-7c6a-4f55-9df0-7a3f0c4a7a01" /dev/nvme-fabrics
done
echo "0 32768 multipath 0 0 1 1 round-robin 0 2 1 8:0 1 8:16 1" >/tmp/table
try dmsetup --noudevsync create mpatha --uuid mpath-36000 /tmp/table
try mkfs.btrfs -q -d raid1 -m raid1 -L pool /dev/loop20 /dev/loop21
try mount -t btrfs /dev/loop20 /mnt

agent
until_true "grep -q 61 /sys/class/net/v2/bonding_slave/ad_partner_oper_port_state || grep -q 63 /sys/class/net/v2/bonding_slave/ad_partner_oper_port_state"
until_true "grep -q 2 /sys/class/net/bond2/bonding/ad_num_ports"
facts whole

slow
try mdadm /dev/md1 --fail /dev/loop0
try mdadm /dev/md5 --fail /dev/loop3 --remove /dev/loop3
try mdadm /dev/md6 --fail /dev/loop6
try mdadm /dev/md10 --fail /dev/loop10
try mdadm /dev/md11 --fail /dev/loop16
ip link set $(sed 's/v/p/' /sys/class/net/bond1/bonding/active_slave) down
ip link set p2 down
ip link set p4 down
ip link set p6 down
put inaccessible $c/ports/2/ana_groups/1/ana_state
put offline /sys/block/sda/device/state
facts one

fast
idle md1
try mdadm /dev/md6 --fail /dev/loop7
try mdadm /dev/md10 --fail /dev/loop12
try mdadm --stop /dev/md11
put -v0 /sys/class/net/bond1/bonding/slaves
ip link set p0 up; ip link set p1 up
ip link del t0
put 1 /sys/class/nvme/nvme1/delete_controller
echo "0 32768 multipath 0 0 1 1 round-robin 0 1 1 8:16 1" >/tmp/table
try dmsetup --noudevsync reload mpatha /tmp/table
try dmsetup --noudevsync resume mpatha
try umount /mnt
try losetup -d /dev/loop21
try mount -t btrfs -o degraded /dev/loop20 /mnt
kill -9 $agent; wait $agent 2>/dev/null
agent
facts two

try mdadm --stop /dev/md5
slow
try mdadm /dev/md6 --remove /dev/loop6 --add /dev/loop6
try mdadm --grow /dev/md1 --raid-devices=1 --force
put check /sys/block/md10/md/sync_action
put +v0 /sys/class/net/bond1/bonding/slaves
facts three

config '{object: mdraid/md1, members: 1}, {object: mdraid/md5, members: 0}, {object: mdraid/md11, members: 0}, {object: bond/bond9, members: 2}, {object: team/t0, members: 0}'
kill -HUP $agent
fast
try mdadm /dev/md6 --remove /dev/loop7 --add /dev/loop7
put idle /sys/block/md10/md/sync_action
try mdadm /dev/md10 --remove /dev/loop10 --remove /dev/loop12 --add /dev/loop10 --add /dev/loop12
idle md10
until_true "! grep -q _ /sys/block/md6/md/degraded && grep -q '^0' /sys/block/md6/md/degraded"
until_true "grep -q '^0' /sys/block/md10/md/degraded"
facts four
