# A bond and a team with a peer that answers behind a bridge, failed over by hand.
mkdir -p /etc/agent /run/netns /run/teamd; ln -s /run /var/run
for n in bond team; do
	printf '#!/bin/sh\nexec ping -c1 -W1 192.0.2.1 -I %s\n' ${n}0 >/etc/agent/reach-$n
	chmod 755 /etc/agent/reach-$n
done
sed -i 's/-I team0/-I team0/; s/192.0.2.1 -I team0/198.51.100.1/; s/ -I bond0//' /etc/agent/reach-*
cat >/etc/agent/config.yml <<END
alerts: {evaluation_interval: 1s, close_after: 1ms}
escalation: {startup_grace: 0s}
probes:
$(hygiene_exporter config example | sed -n '/^probes:/,$s/^  \([a-z]*\):.*/\1/p' | grep -v -e redundancy -e drill | sed 's/.*/  &: {enabled: false}/')
  redundancy: {interval: 2s, timeout: 1900ms, tools: [{name: teamdctl, every: 2s}]}
  drill:
    interval: 1s
    timeout: 900ms
    drills:
      - {name: seen, kind: observed, object: bond/bond0}
      - {name: bond, kind: failover, owner: net, object: bond/bond0, objective: 30s, run: {check: [/etc/agent/reach-bond]}, failover: {allowed: true, hold: 4s, restore_after: 40s}}
      - {name: long, kind: failover, object: bond/bond0, run: {check: [/etc/agent/reach-bond]}, failover: {allowed: true, hold: 1m, restore_after: 2m}}
      - {name: short, kind: failover, object: bond/bond0, run: {check: [/etc/agent/reach-bond]}, failover: {allowed: true, hold: 5s, restore_after: 15s}}
      - {name: stays, kind: failover, object: bond/bond0, run: {check: [/etc/agent/reach-bond]}, failover: {allowed: true, hold: 1s, restore_after: 40s, stay: true}}
      - {name: forbidden, kind: failover, object: bond/bond0, run: {check: [/etc/agent/reach-bond]}}
      - {name: none, kind: failover, object: bond/bond9, run: {check: [/etc/agent/reach-bond]}, failover: {allowed: true}}
      - {name: team, kind: failover, object: team/team0, run: {check: [/etc/agent/reach-team]}, failover: {allowed: true, hold: 1s, restore_after: 40s}}
END
ip link set lo up
ip netns add peer
peer() { /sbin/ip netns exec peer "$@" || fail "peer $*"; }
for i in 0 1 2 3; do ip link add v$i type veth peer name p$i; ip link set p$i netns peer; done
for b in 0 1; do peer /sbin/ip link add br$b address 02:00:00:00:00:0$b type bridge; peer /sbin/ip link set br$b up; done
for i in 0 1 2 3; do peer /sbin/ip link set p$i master br$((i/2)); peer /sbin/ip link set p$i up; done
peer /sbin/ip address add 192.0.2.1/24 dev br0; peer /sbin/ip address add 198.51.100.1/24 dev br1
put +bond0 /sys/class/net/bonding_masters
put active-backup /sys/class/net/bond0/bonding/mode; put 100 /sys/class/net/bond0/bonding/miimon
for i in 0 1; do put +v$i /sys/class/net/bond0/bonding/slaves; done
ip link set bond0 up; ip address add 192.0.2.2/24 dev bond0; ip route add default via 192.0.2.1 dev bond0
teamd -t team0 -N -c '{"runner": {"name": "activebackup"}, "link_watch": {"name": "ethtool"}, "ports": {"v2": {}, "v3": {}}}' >/dev/null 2>&1 &
until_true "[ -d /sys/class/net/team0/lower_v3 ]"
ip link set team0 up; ip address add 198.51.100.2/24 dev team0
using() { cat /sys/class/net/bond0/bonding/active_slave; }
uses() { until_true "[ \$(using) = $1 ]"; tell "  $1 is in use"; }
until_true /etc/agent/reach-bond; until_true /etc/agent/reach-team
put v0 /sys/class/net/bond0/bonding/active_slave
mount -t cgroup2 c /sys/fs/cgroup
service

part "What it would do"
run bond --plan

part "Refused"
run forbidden
run none
SSH_CONNECTION="192.0.2.1 50000 192.0.2.2 22" run bond
mkdir /tmp/sudo; printf '#!/bin/sh\nexec env -u SSH_CONNECTION "$@"\n' >/tmp/sudo/sudo; chmod 755 /tmp/sudo/sudo
SSH_CONNECTION="192.0.2.1 50000 192.0.2.2 22" sh -c '/tmp/sudo/sudo hygiene_exporter drill run bond --plan --state.dir=/run/state --config.file=/etc/agent/config.yml; :' 2>&1 | grep refused | plain | told
chmod 777 /etc/agent/reach-bond; run bond; chmod 755 /etc/agent/reach-bond

part "It works"
uses v0; remember
begin bond --by=kim --note="twice a year"
uses v1; untouched
finish
uses v0; evidence bond
until_true "drill list | grep -q '^seen .*observed passed'"; tell "  the probe redundancy has seen it, and the drill seen counts it"
tell "  problems: $(open_problems)"
drill list | sed -E 's/ +/ /g' | plain | grep '^bond' | told

if part "It stays" full; then
run stays; uses v1; put v0 /sys/class/net/bond0/bonding/active_slave
fi

part "A team"
run team; tell "  $(teamdctl team0 state item get runner.active_port) is in use"

part "Killed half way"
begin long; uses v1; kill -9 $drill; at=$(date +%s); wait $drill 2>/dev/null
uses v0; tell "  before its time: $([ $(($(date +%s)-at)) -lt 60 ] && echo yes)"
recorded; evidence long

if part "Killed with all of its session" full; then
mkdir /sys/fs/cgroup/session
sh -c 'echo $$ >/sys/fs/cgroup/session/cgroup.procs; exec hygiene_exporter drill run long --state.dir=/run/state --config.file=/etc/agent/config.yml' >/tmp/run.log 2>&1 & drill=$!
uses v1
tell "  processes of the session: $(wc -l </sys/fs/cgroup/session/cgroup.procs)"
echo 1 >/sys/fs/cgroup/session/cgroup.kill
uses v0; recorded; evidence long
fi

if part "It hangs" full; then
begin short; uses v1; kill -STOP $drill; uses v0; recorded; evidence short
kill -CONT $drill; finish
problem drill failed short
drill record short --result=failed --recovered=yes >/dev/null
fi

if part "Interrupted" full; then
begin long; uses v1; kill -INT $drill; finish
uses v0
fi

if part "One at a time" full; then
begin long; uses v1; first=$drill; run bond; kill -INT $first; wait $first; uses v0
fi

part "Another problem is open"
hygiene_exporter problem test --for=30s --state.dir=/run/state >/dev/null; problem test test
run bond
run bond --despite-problems="the test problem is ours"
evidence bond
until_true "! open_problems | grep -q test"

part "The other member is dead"
peer /sbin/ip link set p1 down; until_true "grep -q down /sys/class/net/v1/bonding_slave/mii_status"
run bond
peer /sbin/ip link set p1 up; until_true "grep -q up /sys/class/net/v1/bonding_slave/mii_status"
until_true "metrics | grep -q 'hygiene_redundancy_state{.*bond0.*state=\"redundant\"} 1'"

part "Nothing arrives over the other member, although its link is up"
peer /sbin/ip link set p1 nomaster
run bond; uses v0; evidence bond; problem drill failed bond
/etc/agent/reach-bond >/dev/null && tell "  the network works"
peer /sbin/ip link set p1 master br0
run bond; no_problem drill failed bond

if part "It does not come back" full; then
begin bond; uses v1; peer /sbin/ip link set p0 down
finish
recorded; evidence bond; problem drill not_recovered bond
peer /sbin/ip link set p0 up; until_true "[ \$(cat /sys/class/net/v0/bonding_slave/mii_status) = up ]"
put v0 /sys/class/net/bond0/bonding/active_slave
fi
kill $agent
