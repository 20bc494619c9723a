# A SCSI disk with two paths and multipathd, whose paths are failed by hand.
also='; s/ \(in use\)//g' # which path is, the first reading decides
mkdir -p /etc/agent /etc/multipath /etc/udev/rules.d /run/udev /dev/shm
cat >/etc/agent/config.yml <<END
alerts: {evaluation_interval: 1s, close_after: 1ms}
escalation: {startup_grace: 0s}
probes:
$(hygiene_exporter config example | sed -n '/^probes:/,$s/^  \([a-z]*\):.*/\1/p' | grep -v -e redundancy -e drill | sed 's/.*/  &: {enabled: false}/')
  redundancy: {interval: 2s, timeout: 1900ms}
  drill:
    interval: 1s
    timeout: 900ms
    drills:
      - {name: path, kind: failover, object: multipath/mpatha, run: {recover_within: 20s}, failover: {allowed: true, hold: 5s, restore_after: 40s}}
      - {name: long, kind: failover, object: multipath/mpatha, run: {recover_within: 20s}, failover: {allowed: true, member: sdb, hold: 1m, restore_after: 2m}}
END
cat >/etc/multipath.conf <<END
defaults {
	find_multipaths no
	polling_interval 1
	max_polling_interval 1
	path_checker tur
	checker_timeout 2
	user_friendly_names yes
	no_path_retry queue
}
blacklist {
	devnode "^(loop|dm-|nvme|ram|sr)"
}
END
echo 'KERNEL=="sd*[!0-9]", PROGRAM="/lib/udev/scsi_id -g /dev/$name", ENV{ID_SERIAL}="$result", ENV{ID_WWN}="$result"' >/etc/udev/rules.d/50-vm.rules
/lib/systemd/systemd-udevd --daemon || fail udevd
udevadm trigger --action=add; udevadm settle
ip link set lo up
daemon() { multipathd -d >/tmp/multipathd.out 2>&1 & multipathd=$!; }
daemon
whole() { until_true "grep -qs mpatha /sys/block/dm-*/dm/name && [ \$(multipathd show paths format '%t' 2>/dev/null | grep -c active) = 2 ]"; }
whole
paths() { multipathd show paths format '%d %t %T' | sed '1d; s/  */ /g' | told; }
failed() { until_true "dmsetup status mpatha | grep -q ' F '"; }
back() { until_true "! dmsetup status mpatha | grep -q ' F '"; tell "  both paths are used"; }
service

part "What it would do"
run path --plan

part "It works"
remember; begin path --by=kim; failed; paths
n=$(dmsetup status mpatha | grep -c ' F '); sleep 3; tell "  it stays failed, whatever the checker says: $(dmsetup status mpatha | grep -c ' F ')"
untouched; finish; back; evidence path
until_true "metrics | grep -q 'hygiene_redundancy_last_failover_timestamp_seconds{.*mpatha'"
tell "  the probe redundancy has seen it"; tell "  problems: $(open_problems)"

part "Killed half way"
begin long; failed; paths; kill -9 $drill; wait $drill 2>/dev/null; back; recorded; evidence long

if part "Killed half way, and multipathd too" full; then
begin long; failed; kill -9 $multipathd; kill -9 $drill; wait $drill 2>/dev/null; back; recorded; evidence long
daemon; whole; until_true "metrics | grep -q 'hygiene_redundancy_state{.*state=\"redundant\"} 1'"
fi

part "The other path dies meanwhile, and everything that is read waits for a path"
begin long; failed; sleep 3; put offline /sys/block/sda/device/state; until_true "[ \$(dmsetup status mpatha | grep -o ' F ' | wc -l) = 2 ]"
finish; evidence long; problem drill failed long
until_true "[ \$(dmsetup status mpatha | grep -o ' F ' | wc -l) = 1 ]"
dd if=/dev/mapper/mpatha of=/dev/null bs=64k count=8 iflag=direct 2>/dev/null && tell "  the device can be read"

if part "The other path is dead" full; then
run long
put running /sys/block/sda/device/state; back
until_true "metrics | grep -q 'hygiene_redundancy_state{.*state=\"redundant\"} 1'"
fi

part "Nobody looks after the paths"
kill -9 $multipathd
run path
kill $agent
