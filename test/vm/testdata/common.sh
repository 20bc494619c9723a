# What all machines have in common. "facts NAME" prints what the agent says when
# it has looked twice since, "problems" what is open then.
fail() { echo "@@ failed: $*"; tail -n 40 /tmp/*.log 2>/dev/null; dmesg | tail -n 20; [ -n "$agent" ] && kill $agent; echo "@@ end"; poweroff -f; exit 1; }
try() { "$@" >/tmp/out 2>&1 || { cat /tmp/out; fail "$*"; }; }
put() { echo "$1" >"$2" || fail "$1 >$2"; }
ip() { /sbin/ip "$@" || fail "ip $*"; }
echo "root:x:0:0::/:/bin/sh" >/etc/passwd
config() {
	mkdir -p /etc/agent
	hygiene_exporter rules --kind=detection | sed 's/^\( *\)for: .*/\1for: 1ms/' >/etc/agent/rules.yml
	cat >/etc/agent/config.yml <<END
alerts: {evaluation_interval: 1s, close_after: 1ms, rules: [/etc/agent/rules.yml]}
escalation: {startup_grace: 0s}
limits: {series: 100000}
probes:
$(hygiene_exporter config example | sed -n '/^probes:/,$s/^  \([a-z]*\):.*/\1/p' | grep -v redundancy | sed 's/.*/  &: {enabled: false}/')
  redundancy:
    interval: 1s
    timeout: 900ms
    max_age: 1m
    repair: 1h
    expect: [$1]
    tools: [{name: teamdctl, every: 1s}, {name: dmsetup, every: 1s}, {name: drbdsetup, every: 1s}, {name: storcli, every: 1s}, {name: sg_ses, every: 1s}]
END
}
agent() { hygiene_exporter serve --config.file=/etc/agent/config.yml --state.dir=/run/state --log.level=error & agent=$!; }
restart() { kill -9 $agent; wait $agent 2>/dev/null; agent; }
metrics() { wget -qO- http://127.0.0.1:10981/metrics 2>/dev/null; }
ran() { metrics | sed -n 's/^hygiene_probe_last_success_timestamp_seconds{name="redundancy"} //p'; }
looked() {
	was=$(ran) n=0
	while now=$(ran); [ -z "$now" ] || [ "$now" = "$was" ]; do
		sleep 0.2; n=$((n+1)); [ $n -gt 300 ] && fail "the agent does not run"
	done
}
facts() {
	looked; looked
	until_true "metrics >/tmp/metrics && [ -s /tmp/metrics ]"
	echo "@@ step $1"
	sed -n 's/^hygiene_redundancy_/@@ fact /p; s/^hygiene_probe_fault_since_timestamp_seconds\({name="redundancy".*}\) .*/@@ fault \1/p' /tmp/metrics
}
problems() {
	looked; looked
	until_true "metrics >/tmp/metrics && [ -s /tmp/metrics ]"
	echo "@@ problems $1"
	sed -n 's/^hygiene_problem_since_timestamp_seconds\({.*}\) .*/@@ problem \1/p' /tmp/metrics
}
until_true() { n=0; until eval "$1"; do sleep 0.2; n=$((n+1)); [ $n -gt 300 ] && fail "never $1"; done; }
# capture NAME FILE...: the files as the agent reads them
capture() {
	echo "@@ capture $1"; shift
	for f; do
		if [ -L "$f" ]; then echo "@@ file ${f#/}"; echo "@@ data -> $(readlink $f)"
		elif [ -f "$f" ] && cat "$f" >/tmp/content 2>/dev/null; then echo "@@ file ${f#/}"; sed 's/^/@@ data /' /tmp/content
		fi
	done
}
# disks COUNT SIZE: /dev/loop* on memory, behind /dev/mapper/l*, which "broken" and "mended" switch
disks() {
	mount -t tmpfs -o size=600m t /mnt
	for i in $(seq 0 $(($1-1))); do
		truncate -s $2M /mnt/$i; [ -b /dev/loop$i ] || mknod /dev/loop$i b 7 $i; try losetup /dev/loop$i /mnt/$i
		sectors=$(($2*2048))
		echo "0 $sectors linear /dev/loop$i 0" >/tmp/table; try dmsetup --noudevsync --noudevrules create l$i /tmp/table; ln -sf /dev/dm-$i /dev/mapper/l$i
	done
}
table() { try dmsetup --noudevsync --noudevrules suspend --noflush --nolockfs $1; echo "$2" >/tmp/table; try dmsetup --noudevsync --noudevrules load $1 /tmp/table; try dmsetup --noudevsync --noudevrules resume $1; }
broken() { for i; do table l$i "0 $sectors error"; done; }
mended() { for i; do table l$i "0 $sectors linear /dev/loop$i 0"; done; }
# settled STEP: what the agent says once every tool was asked again
settled() {
	asked=$(date +%s)
	until_true "metrics | sed -n 's/^hygiene_redundancy_observed_timestamp_seconds{.*} //p' | awk -v t=$asked '\$1 <= t {old=1} END {exit old || !NR}'"
	facts "$1"
}
# works DEVICE: everything can be written and read
works() { dd if=/dev/zero of=/dev/$1 bs=256k oflag=direct conv=fsync 2>&1 | grep -q "No space" && dd if=/dev/$1 of=/dev/null bs=256k iflag=direct 2>/dev/null; }
# Software RAID: create NAME OPTION..., tree CAPTURE
create() { name=$1; shift; try mdadm --create /dev/$name --run --metadata=1.2 "$@" </dev/null; }
idle() { until_true "grep -q idle /sys/block/$1/md/sync_action"; }
slow() { put 1 /proc/sys/dev/raid/speed_limit_min; put 1 /proc/sys/dev/raid/speed_limit_max; }
fast() { put 1000000 /proc/sys/dev/raid/speed_limit_max; put 1000000 /proc/sys/dev/raid/speed_limit_min; }
tree() {
	capture $1 /proc/mdstat /sys/block/md*/md/array_state /sys/block/md*/md/level /sys/block/md*/md/metadata_version \
		/sys/block/md*/md/raid_disks /sys/block/md*/md/degraded /sys/block/md*/md/sync_action /sys/block/md*/md/sync_completed \
		/sys/block/md*/md/last_sync_action /sys/block/md*/md/mismatch_cnt /sys/block/md*/md/sync_min /sys/block/md*/md/layout \
		/sys/block/md*/md/consistency_policy /sys/block/md*/md/uuid /sys/block/md*/md/dev-*/state /sys/block/md*/md/dev-*/slot \
		/sys/block/md*/md/dev-*/errors /sys/block/md*/md/dev-*/bad_blocks
}
