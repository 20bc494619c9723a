# A network team and replicated devices of DRBD, whose partners go.
config ""
/sbin/ip link set lo up
mount -t tmpfs -o size=100m t /mnt
agent

# A team whose standby loses its link
/sbin/ip link add a0 type veth peer name a1; /sbin/ip link add b0 type veth peer name b1
for i in a1 b1; do /sbin/ip link set $i up; done
ln -s /run /var/run; mkdir -p /run/teamd /var/lock /var/lib/drbd
echo '{"device":"team0","runner":{"name":"activebackup"},"link_watch":{"name":"ethtool"},"ports":{"a0":{},"b0":{}}}' >/etc/team.conf
teamd -U -d -f /etc/team.conf -p /run/teamd/team0.pid || { teamd -U -g -f /etc/team.conf 2>&1 & sleep 2; fail teamd; }
/sbin/ip link set team0 up
until_true "[ \$(teamdctl -U team0 state dump | grep -c '\"up\": true') -ge 4 ]"
settled "team whole"
/sbin/ip link set b1 down
settled "team degraded"

# Two devices of DRBD that replicate to each other
drbd() { /lib/drbd/drbdsetup-84 "$@" || fail "drbdsetup $*"; }
for i in 0 1; do
	[ -b /dev/drbd$i ] || mknod /dev/drbd$i b 147 $i
	truncate -s 10M /mnt/drbd$i; [ -b /dev/loop$((30+i)) ] || mknod /dev/loop$((30+i)) b 7 $((30+i)); try losetup /dev/loop$((30+i)) /mnt/drbd$i
	try /sbin/drbdmeta --force $i v08 /dev/loop$((30+i)) internal create-md
	drbd new-resource r$i; drbd new-minor r$i $i 0
	drbd attach $i /dev/loop$((30+i)) /dev/loop$((30+i)) internal
done
settled "drbd apart"
drbd connect r0 ipv4:127.0.0.1:7700 ipv4:127.0.0.1:7701 --protocol=C
drbd connect r1 ipv4:127.0.0.1:7701 ipv4:127.0.0.1:7700 --protocol=C
until_true "grep -q ' 0: cs:Connected' /proc/drbd"
drbd primary 0 --force
until_true "grep -q ' 0: cs:Connected.*ds:UpToDate/UpToDate' /proc/drbd"
settled "drbd whole"
problems "drbd whole"
drbd disconnect ipv4:127.0.0.1:7701 ipv4:127.0.0.1:7700
settled "drbd alone"
problems "drbd alone"
