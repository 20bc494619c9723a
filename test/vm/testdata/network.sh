# Bonds, a team, routes, sources of time and resolvers, and btrfs.
tree() {
	capture $1 $(for b in $(cat /sys/class/net/bonding_masters); do ls -d /sys/class/net/$b/bonding/*; done) \
		$(for m in /sys/class/net/*/bonding_slave; do echo $m/* ${m%/*}/carrier; done) \
		/sys/fs/btrfs/*-*/label /sys/fs/btrfs/*-*/allocation/*/*/total_bytes /sys/fs/btrfs/*-*/devices/* \
		/sys/fs/btrfs/*-*/devinfo/*/missing /sys/fs/btrfs/*-*/devinfo/*/replace_target /sys/fs/btrfs/*-*/devinfo/*/error_stats \
		/var/lib/btrfs/scrub.status.* /etc/resolv.conf
}
config ""
ip link set lo up
for i in $(seq 0 9); do ip link add v$i type veth peer name p$i; done
for f in bond1 bond2 bond3 peer2; do put +$f /sys/class/net/bonding_masters; done
put active-backup /sys/class/net/bond1/bonding/mode
put 100 /sys/class/net/bond1/bonding/miimon
for b in bond2 peer2; do put 802.3ad /sys/class/net/$b/bonding/mode; put fast /sys/class/net/$b/bonding/lacp_rate; put 100 /sys/class/net/$b/bonding/miimon; done
for p in v0:bond1 v1:bond1 v2:bond2 v3:bond2 v4:bond3 v5:bond3 p2:peer2 p3:peer2; do put +${p%:*} /sys/class/net/${p#*:}/bonding/slaves; done
for i in p0 p1 p4 p5 p6 p7 bond1 bond2 bond3 peer2; do ip link set $i up; done
mkdir -p /run/teamd; ln -s /run /var/run
teamd -t t0 -N -g -c '{"runner": {"name": "activebackup"}, "link_watch": {"name": "ethtool"}, "ports": {"v6": {}, "v7": {}}}' >/tmp/teamd.log 2>&1 &
until_true "[ -d /sys/class/net/t0/lower_v7 ]"
ip link set t0 up
ip link set v8 up; ip link set v9 up; ip link set p8 up; ip link set p9 up
ip address add 192.0.2.2/24 dev v8; ip address add 198.51.100.2/24 dev v9
ip -6 address add 2001:db8:1::2/64 dev v8 nodad; ip -6 address add 2001:db8:2::2/64 dev v9 nodad
# IPv4 by objects of next hops, IPv6 by two routes, and a destination by one route of two
ip nexthop add id 1 via 192.0.2.1 dev v8
ip nexthop add id 2 via 198.51.100.1 dev v9
ip nexthop add id 10 group 1/2
put 0 /proc/sys/net/ipv4/nexthop_compat_mode
ip route add default nhid 10
ip -6 route add default via 2001:db8:1::1 dev v8 metric 10
ip -6 route add default via 2001:db8:2::1 dev v9 metric 20
ip route add 10.0.0.0/8 nexthop via 192.0.2.1 dev v8 nexthop via 198.51.100.1 dev v9
printf 'nameserver 192.0.2.53\nnameserver 198.51.100.53\n' >/etc/resolv.conf
# Two servers of time on this machine, and a client of both
mkdir -p /run/chrony /var/lib/chrony
for n in 2 3; do
	printf "local stratum $n\nallow 127/8\nport 1012$n\nbindaddress 127.0.0.$n\ncmdport 0\nbindcmdaddress /\npidfile /run/server$n.pid\n" >/etc/server$n.conf
	chronyd -x -u root -f /etc/server$n.conf || fail "chronyd $n"
done
printf 'server 127.0.0.2 port 10122 minpoll -2 maxpoll -2 iburst\nserver 127.0.0.3 port 10123 minpoll -2 maxpoll -2 iburst\n' >/etc/chrony.conf
chronyd -x -u root -f /etc/chrony.conf || fail chronyd

disks 4 130
try mkfs.btrfs -q -U 9024825a-e64d-4fbd-8b1f-ce014a7a68c1 -d raid1 -m raid1 -L pool /dev/mapper/l2 /dev/mapper/l3
mkdir -p /srv; try mount -t btrfs /dev/mapper/l2 /srv

agent
until_true "[ \$(cat /sys/class/net/v2/bonding_slave/ad_partner_oper_port_state) = 63 ] && [ \$(cat /sys/class/net/v3/bonding_slave/ad_partner_oper_port_state) = 63 ]"
until_true "chronyc -n sources | grep -c '^^[*+]' | grep -q 2"
facts whole; tree network-whole
problems whole

ip link set $(sed 's/v/p/' /sys/class/net/bond1/bonding/active_slave) down
ip link set p2 down
ip link set p4 down
ip link set p6 down
ip link set p8 down
echo 'nameserver 192.0.2.53' >/etc/resolv.conf
kill $(cat /run/server3.pid); until_true "chronyc -n sources | grep -q '^^? 127.0.0.3'"
looked; looked; looked # teamdctl answers in the background
facts "one of two"; tree network-one-of-two
problems "one of two"

# Everything looks complete on its own: the other members are not there at all.
put -v0 /sys/class/net/bond1/bonding/slaves
for i in p0 p1 p2; do ip link set $i up; done
ip route del default; ip route add default via 198.51.100.1 dev v9
ip route del 10.0.0.0/8
teamdctl t0 port remove v6 >/dev/null 2>&1 || ip link set v6 nomaster
umount /srv; try dmsetup --noudevsync --noudevrules remove l3
try mount -t btrfs -o degraded /dev/mapper/l2 /srv
until_true "[ \$(cat /sys/class/net/v2/bonding_slave/ad_partner_oper_port_state) = 63 ] && [ \$(cat /sys/class/net/v3/bonding_slave/ad_partner_oper_port_state) = 63 ]"
until_true "grep -q 2 /sys/class/net/bond2/bonding/ad_num_ports && grep -q 2 /sys/class/net/peer2/bonding/ad_num_ports"
restart
looked; looked; looked
facts "silent loss"; tree network-silent-loss
# On a busy machine, LACP may think for a moment that its partner is gone.
until_true "! metrics | grep -q '^hygiene_problem_since_timestamp_seconds{.*bond/\(bond2\|peer2\)'"
problems "silent loss"

# A partner that does not speak LACP, and a file written without its second copy.
ip link set peer2 down
for p in p2 p3; do put -$p /sys/class/net/peer2/bonding/slaves; ip link set $p up; done
dd if=/dev/zero of=/srv/file bs=64k count=800 2>/dev/null
until_true "ls -d /sys/fs/btrfs/*-*/allocation/data/single >/dev/null 2>&1"
umount /srv; echo "0 $sectors linear /dev/loop3 0" >/tmp/table; try dmsetup --noudevsync --noudevrules create l3 /tmp/table; try mount -t btrfs -o degraded /dev/mapper/l2 /srv
until_true "[ \$(cat /sys/class/net/bond2/bonding/ad_partner_mac) = 00:00:00:00:00:00 ]"
# Which of the two goes on alone is up to chance.
facts odd | sed '/member_active.*bond2/d'; tree network-odd
problems odd
